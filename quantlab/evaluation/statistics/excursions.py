"""Furthest moves of prices against and for every trade while it was held (Sweeney 1996: MAE and MFE)."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array, Records
from quantlab.core.market import HIGH, LOW, OPEN, Bars, PrintFlag
from quantlab.evaluation.statistics.slippage import FILLED_AT_OPEN


def excursions(trades: Records, bars: Bars) -> tuple[Float64Array, Float64Array]:
    """Largest adverse and favourable excursion of every trade, as fractions of its entry price.

    Both are over the highs and lows of the bars from the one that filled the entry to the one that filled the exit, both
    included; an open trade goes up to the last bar. Of the exit's bar only the open counts where the exit filled at the
    open, because what came after it was not held; where it filled within the bar (stop, take-profit, liquidation) the
    whole range counts, because bars do not say in which order their prices came. So a stop's excursion may lie beyond the
    price at which it filled. In a cell with a suspect print the favourable side does not count and the adverse one
    does, as in the account (``docs/simulation.md``). The entry price is the average of all adds.

    Parameters
    ----------
    trades : TRADE_DTYPE (N,)
    bars : Bars, (T, S)
        The bars that were simulated.

    Returns
    -------
    tuple of float64 (N,)
        ``mae`` <= 0 <= ``mfe``: for a long ``min(0, lowest / entry - 1)`` and ``max(0, highest / entry - 1)``, for a
        short ``min(0, 1 - highest / entry)`` and ``max(0, 1 - lowest / entry)``.
    """
    highest, lowest = _extremes(trades, bars)
    entry, long = trades["entry_price"], trades["side"] > 0
    up, down = (np.nan_to_num(reached / entry - 1.0) for reached in (highest, lowest))
    mae = np.minimum(np.where(long, down, -up), 0.0)
    mfe = np.maximum(np.where(long, up, -down), 0.0)
    return mae, mfe


def _extremes(trades: Records, bars: Bars) -> tuple[Float64Array, Float64Array]:
    """Highest and lowest price of every trade's bars, float64 (N,) each; NaN where no price counts."""
    row, column, long = trades["exit_idx"], trades["symbol"], trades["side"] > 0
    at_open = trades["closed"] & np.isin(trades["exit_reason"], FILLED_AT_OPEN)
    last = np.where(trades["closed"], row, bars.n_bars - 1) - at_open
    trusted = np.ones(bars.state.shape, np.bool_) if bars.suspect is None else bars.suspect == PrintFlag.CLEAN
    at_exit = np.where(at_open, bars.ohlcv[row, column, OPEN], np.nan)
    gain_counts = trusted[row, column]
    highest = np.where(gain_counts | ~long, at_exit, np.nan)
    lowest = np.where(gain_counts | long, at_exit, np.nan)
    for s in np.unique(column):
        for side in (True, False):
            mine = np.flatnonzero((column == s) & (long == side))
            ranges = trades["entry_idx"][mine], last[mine]
            high = _counted(bars.ohlcv[:, s, HIGH], trusted[:, s] | (not side))
            low = _counted(bars.ohlcv[:, s, LOW], trusted[:, s] | side)
            highest[mine] = np.fmax(highest[mine], _reduced(np.fmax, high, *ranges))
            lowest[mine] = np.fmin(lowest[mine], _reduced(np.fmin, low, *ranges))
    return highest, lowest


def _counted(prices: Float64Array, counts: BoolArray) -> Float64Array:
    """Prices (T,) that count, NaN elsewhere, and one more NaN, so that a range may end with the last bar."""
    return np.append(np.where(counts, prices, np.nan), np.nan)


def _reduced(extreme: np.ufunc, padded: Float64Array, first: Int64Array, last: Int64Array) -> Float64Array:
    """Extreme of ``padded[first : last + 1]`` of every trade, float64 (N,); NaN for an empty range."""
    if not len(first):
        return np.empty(0)
    # reduceat takes start and end alternately, and every second result; at an empty range it gives one element.
    edges = np.stack([first, np.maximum(last, first) + 1], axis=1).ravel()
    found: Float64Array = extreme.reduceat(padded, edges)[::2]
    return np.where(last >= first, found, np.nan)
