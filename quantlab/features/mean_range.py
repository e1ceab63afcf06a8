"""The mean true range of 14 bars: the average true range of feature sets without a recursion.

``natr_14``, on which stops, sizes and labels rest, is Wilder's recursion and needs the full warm-up. A set without
it has this column behind its own instead, and :func:`quantlab.core.indicators.average_true_range` reads it there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from quantlab.features.catalogue import MEAN_RANGE
from quantlab.features.extra import ExtraFeature, window_function
from quantlab.features.memory import MEMORY


def _mean_range(bars: Any) -> float:
    """Mean of max(H-L, |H-C1|, |L-C1|) over all bars of the window but the first, over the last close."""
    total = 0.0
    for row in range(1, len(bars)):
        high, low, close_1 = bars[row, 1], bars[row, 2], bars[row - 1, 3]
        total += max(high - low, abs(high - close_1), abs(low - close_1))
    share: float = total / (len(bars) - 1) / bars[-1, 3]
    return share


@cache
def mean_range_column() -> ExtraFeature:
    """The column as one that is computed from the last bars, in history and stream alike; compiled when first asked for."""
    spec = MEAN_RANGE
    return ExtraFeature(
        name=spec.name,
        value=window_function(_mean_range),
        window=MEMORY[spec.name],
        low=spec.low,
        high=spec.high,
        neutral=spec.neutral,
        formula=spec.formula,
        version=spec.version,
    )
