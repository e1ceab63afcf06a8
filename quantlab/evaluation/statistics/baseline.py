"""What blind entries with the same barriers would have met: the yardstick of the stop-hit share."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, read_only
from quantlab.core.compiled import compiled
from quantlab.core.market import HIGH, LOW, OPEN, Bars


def blind_stop_share(
    bars: Bars, atr: Float64Array, *, take_profit_atr: float, stop_atr: float, horizon: int
) -> float | None:
    """Share of unconditional entries, long and short alike, that are stopped before anything else.

    Every tradable bar with an ATR enters both ways at the next open, if that bar trades too. Stops are
    reached at the level, take-profits only beyond it; in a bar that does both the stop comes first.
    What neither settles within `horizon` bars, or before the data end, counts as not stopped.

    Parameters
    ----------
    bars : Bars, (T, S)
    atr : float64 (T, S)
        USD, NaN in warm-up.
    take_profit_atr, stop_atr : float
        Multiples of ATR.
    horizon : int
        Bars.

    Returns
    -------
    float or None
        None if there was no entry.
    """
    atr = read_only(atr, np.float64, bars.state.shape, "atr")
    entries, stopped = _race(bars.ohlcv, bars.tradable, atr, take_profit_atr, stop_atr, horizon)
    return stopped / entries if entries else None


@compiled
def _race(ohlcv: Float64Array, tradable: BoolArray, atr: Float64Array, take: float, stop: float, horizon: int) -> Any:
    n_bars, n_symbols = tradable.shape
    entries, stopped = 0, 0
    for t in range(n_bars - 1):
        for s in range(n_symbols):
            if not (tradable[t, s] and tradable[t + 1, s] and atr[t, s] > 0.0):
                continue
            entry = ohlcv[t + 1, s, OPEN]
            for side in (1.0, -1.0):
                entries += 1
                level, target = entry - side * stop * atr[t, s], entry + side * take * atr[t, s]
                for j in range(t + 1, min(t + horizon, n_bars - 1) + 1):
                    if not tradable[j, s]:
                        continue
                    worst = ohlcv[j, s, LOW] if side > 0.0 else ohlcv[j, s, HIGH]
                    best = ohlcv[j, s, HIGH] if side > 0.0 else ohlcv[j, s, LOW]
                    if side * worst <= side * level:
                        stopped += 1
                        break
                    if side * best > side * target:
                        break
    return entries, stopped
