"""Suspect prints hold: cells whose print is far from everything before it are flagged while the gate folds over them.

A real crash and a false print look alike when they come; the next traded bars tell. A flag depends on the bars up to
its own and, beyond a suspicion that stands, on nothing before the window: ``docs/simulation.md``, "Suspect prints", is
the rule, cases *a* to *e* below are its own. What a flag does to an account is in :mod:`quantlab.trading.bar`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array, UInt8Array
from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE, HIGH, LOW, VOLUME, Bars, BarState, PrintFlag

#: Rows of the window. Like the filling of holes these numbers are part of what a bar means, the same for every
#: source and session, hence constants and not settings.
HOLD_WINDOW = 288
#: Moves in the window below which nothing is judged.
LEAST_MOVES = 20
#: A price is far if it differs by this much, and by this many times the median move.
FAR, FAR_MEDIANS = 0.08, 25.0
#: Suspect bars in a row after which the next one is agreed, whatever it prints.
LONGEST_HOLD = 3

#: A bar within these multiples of the agreed close is not far: nearly all are dismissed by two products.
_NEAR_LOW, _NEAR_HIGH = 0.93, 1.07
_TRADED = int(BarState.TRADED)
_CLEAN, _WITHIN, _STANDS = int(PrintFlag.CLEAN), int(PrintFlag.WITHIN), int(PrintFlag.STANDS)


class Holds(NamedTuple):
    """State that tells a suspect print from the bars before it; written in place."""

    #: (HOLD_WINDOW, S): agreed closes by row of the grid modulo the window, NaN where there is none.
    closes: Float64Array
    #: (S,): the last agreed close, NaN before the first.
    agreed: Float64Array
    #: (S,): close of the last bar of a suspicion that stands.
    suspect: Float64Array
    #: (S,): bars of a suspicion that stands, 0 where none does.
    length: Int64Array


def begin_holds(n_symbols: int) -> Holds:
    """Return what is known before any bar."""
    nothing = np.full(n_symbols, np.nan)
    return Holds(
        np.full((HOLD_WINDOW, n_symbols), np.nan), nothing, nothing.copy(), np.zeros(n_symbols, dtype=np.int64)
    )


def copy_holds(holds: Holds) -> Holds:
    """Return the same in arrays of its own."""
    return Holds(holds.closes.copy(), holds.agreed.copy(), holds.suspect.copy(), holds.length.copy())


def holds_after(history: Bars) -> Holds:
    """Return what is known after a history that the gate has made and flagged.

    Exact if the history has :data:`HOLD_WINDOW` rows, or begins where its source begins.
    """
    holds = begin_holds(history.n_symbols)
    traded = history.printed & (history.ohlcv[:, :, VOLUME] > 0.0)
    stands = np.zeros(traded.shape, np.bool_) if history.suspect is None else history.suspect == PrintFlag.STANDS
    first = max(0, history.n_bars - HOLD_WINDOW)
    rows = history.open_time_ms[first:] // history.interval_ms % HOLD_WINDOW
    agreed = traded & ~stands
    holds.closes[rows] = np.where(agreed[first:], history.close[first:], np.nan)
    for s in range(history.n_symbols):
        before = np.flatnonzero(agreed[:, s])
        since = before[-1] + 1 if len(before) else 0
        held = since + np.flatnonzero(traded[since:, s])
        holds.length[s] = len(held)
        if len(before):
            holds.agreed[s] = history.close[before[-1], s]
        if len(held):
            holds.suspect[s] = history.close[held[-1], s]
    return holds


@compiled(forceinline=True)
def flag_row(ohlcv: Float64Array, state: UInt8Array, holds: Holds, row: int, flags: UInt8Array) -> None:
    """Write the flags (S,) of the grid's row `row` modulo the window, ohlcv (S, 5) and state (S,), and take it in."""
    for s in range(len(state)):
        close = ohlcv[s, CLOSE]
        if state[s] != _TRADED:
            holds.closes[row, s] = np.nan
            flags[s] = _STANDS if holds.length[s] > 0 and not np.isnan(close) else _CLEAN
            continue
        agreed = holds.agreed[s]
        near = ohlcv[s, HIGH] <= _NEAR_HIGH * agreed and ohlcv[s, LOW] >= _NEAR_LOW * agreed
        flag = _CLEAN if near else _judge(ohlcv[s, HIGH], ohlcv[s, LOW], close, holds, row, s)
        flags[s] = flag
        if flag == _STANDS:
            holds.closes[row, s] = np.nan
            holds.suspect[s] = close
            holds.length[s] += 1
        else:
            holds.closes[row, s] = close
            holds.agreed[s] = close
            holds.length[s] = 0


@compiled
def _judge(high: float, low: float, close: float, holds: Holds, row: int, s: int) -> int:
    """Return the flag of a traded bar of symbol `s`."""
    far = _far_beyond(holds.closes, row, s)
    if np.isnan(far):
        return _CLEAN  # a
    agreed = holds.agreed[s]
    if not abs(close / agreed - 1.0) > far:
        return _WITHIN if abs(high / agreed - 1.0) > far or abs(low / agreed - 1.0) > far else _CLEAN  # b
    if holds.length[s] > 0:
        suspect = holds.suspect[s]
        if not abs(close / suspect - 1.0) > far:
            return _WITHIN if abs(high / suspect - 1.0) > far or abs(low / suspect - 1.0) > far else _CLEAN  # c
        if holds.length[s] >= LONGEST_HOLD:
            return _WITHIN  # d
    return _STANDS  # e


@compiled
def _far_beyond(closes: Float64Array, row: int, s: int) -> float:
    """Return the move beyond which a price is far, from the window before the row; NaN where it has too few moves."""
    moves = np.empty(HOLD_WINDOW)
    n, before = 0, np.nan
    for k in range(HOLD_WINDOW):  # the row's own slot still holds the oldest of the window
        close = closes[(row + k) % HOLD_WINDOW, s]
        if np.isnan(close):
            continue
        if not np.isnan(before):
            moves[n] = abs(close / before - 1.0)
            n += 1
        before = close
    if n < LEAST_MOVES:
        return np.nan
    ordered = np.sort(moves[:n])
    median = float((ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0)
    return max(FAR, FAR_MEDIANS * median)
