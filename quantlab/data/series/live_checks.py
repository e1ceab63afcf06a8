"""Checks of live bars before the gate: in the right unit, on the grid, each once, and closed.

The gate itself (:class:`~quantlab.data.quality.gate.QualityGate`) judges the numbers and the order, for history
and live alike; only a live bar can be held against a clock.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.errors import DataError
from quantlab.data.series.alignment import Series
from quantlab.data.series.timestamp_checks import check_on_grid, check_years, drop_repeats


def check_live(series: Series, interval_ms: int, now_ms: int, origin: str) -> Series:
    """Check the newest bars of one symbol; return them without exact repeats.

    Parameters
    ----------
    series : (open_time_ms int64 (N,), ohlcv float64 (N, 5))
    interval_ms : int
    now_ms : int
        By the exchange's clock, read before it was asked.
    origin : str
        For messages.

    Raises
    ------
    DataError
        If a stamp is in another unit or off the grid, one stamp has two different bars, or a bar is still open
        (or stamped with its close).
    """
    check_years(series[0], origin)
    check_on_grid(series[0], interval_ms, origin)
    time_ms, values, _ = drop_repeats(*series, origin)
    ahead = int((time_ms + interval_ms - now_ms).max(initial=0))
    if ahead > 0:
        raise DataError(
            f"closed bars of {origin}",
            found=f"one that closes {ahead} ms from now by the exchange's clock",
            fix="wait for the close, and set this machine's clock; if it has closed, the feed stamps bars with their close",
        )
    return time_ms, np.ascontiguousarray(values)
