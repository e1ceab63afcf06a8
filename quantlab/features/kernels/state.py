"""Everything the features remember of one symbol: about 25 kB, all float64, no pointers."""

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.features.kernels.windows import (
    Kernel,
    latest_max_window,
    line_window,
    max_window,
    spread_window,
    sum_window,
)

# Channels of the sums. Windows that share a quantity keep it in the same channel.
VOLUME, R2 = 0, 1  # windows 24, 48 and 288: volume, squared return
ILLIQUIDITY, TRADED = 2, 3  # windows 24 and 288: abs(r) / (C V), and 1 where V > 0
TYPICAL_VALUE = 4  # window 288: tp V
ROGERS_SATCHELL, SPREAD = 4, 5  # window 24
RANGE2, DOWNSIDE, LAG_PRODUCT, LAG_R2, FLOW = 2, 3, 4, 5, 6  # window 48
MOVE, SIGNED_VOLUME, CLV_VOLUME = 1, 2, 3  # window 20, beside VOLUME
RISING, FALLING = 0, 1  # window 14: tp V
# Channels of the maxima; a lowest low is minus the highest of minus the lows.
HIGH, MINUS_LOW = 0, 1


def _scalars(*names: str) -> list[tuple[str, type[np.float64]]]:
    return [(name, np.float64) for name in names]


#: One symbol.
STATE = np.dtype(
    [
        ("bars", np.float64),  # seen since the start or the last reset
        *_scalars("open", "high", "low", "close"),  # of the bar taken in last, as are these:
        *_scalars("r", "hl", "from_high", "from_low"),  # lC - lC1, lH - lL, lH - lC, lL - lC
        *_scalars("stoch", "stoch_1"),  # stoch_k_14 of the last two bars
        *_scalars("ema_9", "ema_12", "ema_21", "ema_26", "ema_50", "macd_9"),
        *_scalars("gain", "loss", "plus", "minus", "atr", "adx", "streak"),
        ("range_10", np.float64),  # S_10(H - L)
        ("sums_288", sum_window(288, 5)),
        ("sums_200", sum_window(200, 1)),
        ("sums_48", sum_window(48, 7)),
        ("sums_24", sum_window(24, 6)),
        ("sums_20", sum_window(20, 4)),
        ("sums_14", sum_window(14, 2)),
        ("sums_10", sum_window(10, 1)),
        ("tops_288", max_window(288, 1)),
        ("tops_55", max_window(55, 2)),
        ("tops_26", latest_max_window(26, 2)),
        ("tops_14", max_window(14, 2)),
        ("closes_20", spread_window(20)),
        ("gaps_24", spread_window(24)),
        ("bodies_24", spread_window(24)),
        ("line_20", line_window(20)),
        ("closes_288", np.float64, (288,)),  # a ring, by the bar's phase
    ]
)


def empty_state(symbols: int) -> Kernel:
    """Records (symbols,) of `STATE` that have seen no bar."""
    state = np.zeros(symbols, dtype=STATE)
    for name in ("tops_288", "tops_55", "tops_26", "tops_14"):
        state[name]["block"] = -np.inf
        state[name]["prefix"] = -np.inf
    return state


@compiled(forceinline=True)
def forget(state: Kernel, position: Kernel, empty: Kernel) -> None:
    """Make the symbol at `position` one that has seen no bar; `empty` is ``empty_state(1)``."""
    state[position] = empty[0]
