"""Two histories of one market, which must be one and the same before some time.

They are compared on one dense grid: a bar or a symbol that only one of them has counts as absent in the other, so
that a source which moves the beginning of its history, or drops cells of it, cannot hide behind the rows that both
have. A symbol that only one of the two knows must not have been tradable: a listing to come may add an empty
column, hindsight may not take a full one away.
"""

from __future__ import annotations

import numpy as np

from quantlab.audit.differences import differs
from quantlab.audit.findings import LeakFinding
from quantlab.core.arrays import Float64Array, Int64Array, UInt8Array
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars, BarState, rules_at


def differing_past(
    bars: Bars, other: Bars, until_ms: int, change_text: str, *, may_end_early: bool = False, members: bool = True
) -> LeakFinding | None:
    """The first thing that differs in bars that open before `until_ms`; None if nothing does.

    Parameters
    ----------
    bars, other : Bars
        Of the same interval.
    until_ms : int
        From here on they are different markets.
    change_text : str
        What happened to the bars from there on.
    may_end_early : bool
        A shorter history may lack its last bars, as one does that waits for whole days; it may not begin elsewhere.
    members : bool
        False compares bars and funding alone, not who was chosen and under which rules: whoever chooses by a first
        stretch of the history trades in none of it.
    """
    evidence = f"it changed when the bars from {iso_utc(until_ms)} on {change_text}"
    if may_end_early:
        until_ms = min(until_ms, int(other.close_time_ms[-1]))
    if (span := _differing_span(bars, other, until_ms)) is not None:
        return LeakFinding("universe", "open_time_ms", iso_utc(span[0]), f"{span[1]}; {evidence}")
    for symbol in dict.fromkeys((*bars.symbols, *other.symbols)):
        shared = symbol in bars.symbols and symbol in other.symbols
        found = _differing_choice(bars, other, symbol, until_ms) if members else None
        if found is None and shared:
            found = _differing_bars(bars, other, symbol, until_ms, members=members)
        if found is not None:
            column, where, words = found
            return LeakFinding("universe", column, where, f"{words}{evidence}")
    return None


def _differing_span(bars: Bars, other: Bars, until_ms: int) -> tuple[int, str] | None:
    """Printed bars before the other history begins, or after it ended: the first of them, and words for it."""
    for mine, theirs, of in ((bars, other, "the other history"), (other, bars, "the history")):
        rows = np.flatnonzero((mine.open_time_ms < until_ms) & (mine.state != BarState.ABSENT).any(axis=1))
        times = mine.open_time_ms[rows]
        begins, ends = int(theirs.open_time_ms[0]), int(theirs.close_time_ms[-1])
        if len(times) and (times[0] < begins or times[-1] >= ends):
            at = int(times[0]) if times[0] < begins else int(times[np.argmax(times >= ends)])
            return at, f"{of} covers {iso_utc(begins)} to {iso_utc(ends)}"
    return None


def _differing_choice(bars: Bars, other: Bars, symbol: str, until_ms: int) -> tuple[str, str, str] | None:
    """Column, place, and words that go before the evidence, of a symbol that is chosen, or of its rules."""
    if symbol not in bars.symbols or symbol not in other.symbols:
        had = bars if symbol in bars.symbols else other
        tradable = had.tradable[had.open_time_ms < until_ms, had.symbols.index(symbol)].any()
        kept = "is chosen" if had is bars else "is not chosen"
        return ("symbols", symbol, f"{symbol} {kept}; ") if tradable else None
    if _rules_of(bars, other, symbol, until_ms) != _rules_of(other, bars, symbol, until_ms):
        return "instruments", symbol, ""
    return None


def _rules_of(bars: Bars, other: Bars, symbol: str, until_ms: int) -> tuple[object, ...]:
    """One symbol's trading rules at the first bar of both histories, and their changes up to a time."""
    first = max(int(bars.open_time_ms[0]), int(other.open_time_ms[0]))
    changes = [change for change in bars.rule_changes if change.symbol == symbol]
    rules = rules_at(bars.symbols, bars.instruments, bars.rule_changes, first)
    later = [(change.time_ms, change.instrument) for change in changes if first < change.time_ms < until_ms]
    return rules[bars.symbols.index(symbol)], later


def _differing_bars(
    bars: Bars, other: Bars, symbol: str, until_ms: int, *, members: bool
) -> tuple[str, str, str] | None:
    """The same of the bars and the funding of a symbol that both have."""
    a, b = bars.symbols.index(symbol), other.symbols.index(symbol)
    first_ms = min(int(bars.open_time_ms[0]), int(other.open_time_ms[0]))
    times = np.arange(first_ms, until_ms, bars.interval_ms, dtype=np.int64)
    ours = zip(("state", "ohlcv"), _column(bars, a, times, members), _column(other, b, times, members), strict=True)
    for name, mine, theirs in ours:
        different = differs(mine, theirs)
        if different.any():
            at = int(times[np.argwhere(different)[0, 0]])
            return name, f"{symbol}, {_place(bars, at)}", ""
    # A stamp after the last known bar's open is charged on a bar that is still to come.
    due = max(int(bars.open_time_ms[0]), int(other.open_time_ms[0])) - bars.interval_ms, until_ms - bars.interval_ms
    stamps = np.union1d(_stamps(bars, *due), _stamps(other, *due))
    different = differs(_rates(bars, a, stamps), _rates(other, b, stamps))
    return ("funding", f"{symbol}, {iso_utc(int(stamps[np.argmax(different)]))}", "") if different.any() else None


def _column(bars: Bars, symbol: int, times: Int64Array, members: bool) -> tuple[UInt8Array, Float64Array]:
    """State (N,) and bars (N, 5) of one symbol at `times`; absent where it has none."""
    state = np.full(len(times), BarState.ABSENT, dtype=np.uint8)
    ohlcv = np.full((len(times), bars.ohlcv.shape[2]), np.nan)
    _, rows, places = np.intersect1d(bars.open_time_ms, times, assume_unique=True, return_indices=True)
    state[places], ohlcv[places] = bars.state[rows, symbol], bars.ohlcv[rows, symbol]
    if not members:
        state[state == BarState.OUTSIDE] = BarState.TRADED
    return state, ohlcv


def _stamps(bars: Bars, after_ms: int, last_ms: int) -> Int64Array:
    if bars.funding is None:
        return np.empty(0, dtype=np.int64)
    stamps = bars.funding.time_ms
    due: Int64Array = stamps[(stamps > after_ms) & (stamps <= last_ms)]
    return due


def _rates(bars: Bars, symbol: int, stamps: Int64Array) -> Float64Array:
    """float64 (N,): funding rates at `stamps`; NaN where there is none."""
    rates = np.full(len(stamps), np.nan)
    if bars.funding is not None:
        _, rows, places = np.intersect1d(bars.funding.time_ms, stamps, assume_unique=True, return_indices=True)
        rates[places] = bars.funding.rate[rows, symbol]
    return rates


def _place(bars: Bars, time_ms: int) -> str:
    row = (time_ms - int(bars.open_time_ms[0])) // bars.interval_ms
    return f"row {row} ({iso_utc(time_ms)})" if row >= 0 else iso_utc(time_ms)
