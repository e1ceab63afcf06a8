"""Blind entries with the same barriers: the yardstick of the stop-hit share."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array, UInt8Array, read_only
from quantlab.core.barrier_race import PASSES, SETTLES, STOPPED, run_races
from quantlab.core.compiled import compiled
from quantlab.core.market import OPEN, Bars


def blind_stop_share(
    bars: Bars, atr: Float64Array, *, take_profit_atr: float, stop_atr: float, horizon: int
) -> float | None:
    """Share of unconditional entries, long and short alike, that are stopped before anything else.

    Every tradable bar with an ATR enters both ways at the next open, if that bar trades too; how a bar settles an
    entry stands in :mod:`quantlab.core.barrier_race`. What neither level settles within `horizon` bars, or before the
    data end, counts as not stopped.

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
    kind = np.where(bars.tradable, SETTLES, PASSES).astype(np.uint8)
    entries, stopped = _count_stops(bars.ohlcv, kind, atr, take_profit_atr, stop_atr, horizon)
    return stopped / entries if entries else None


@compiled
def _count_stops(
    ohlcv: Float64Array, kind: UInt8Array, atr: Float64Array, take: float, stop: float, horizon: int
) -> tuple[int, int]:
    """Entries, and how many of them were stopped."""
    n_bars, n_symbols = kind.shape
    entries, stopped = 0, 0
    for t in range(n_bars - 1):
        for s in range(n_symbols):
            if not (kind[t, s] == SETTLES and kind[t + 1, s] == SETTLES and atr[t, s] > 0.0):
                continue
            entry, end = ohlcv[t + 1, s, OPEN], min(t + horizon, n_bars - 1) + 1
            long, short, _ = run_races(ohlcv, kind, s, t + 1, end, entry, take * atr[t, s], stop * atr[t, s])
            entries += 2
            stopped += (long == STOPPED) + (short == STOPPED)
    return entries, stopped
