"""The universe: where the history begins, which symbols may trade and under which rules must not depend on what comes.

Two ways to look: the source is asked for a history that ends earlier, down to its own first bar; and, where it
chooses from what another source brings, that source is given another future: other prices and volumes, or symbols
that stop printing. What both have before is compared by :mod:`quantlab.audit.histories`.

Other futures begin spread over the history; and where it is ragged, in the source's own bars and in those that it
chooses from: behind the first bar of a symbol, in a hole, behind the last bar. What was filled or dropped there by
what came later is seen only from inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from quantlab.audit.counterfactuals import another_future, delisted, other_half_delisted, ragged_rows
from quantlab.audit.draws import cuts
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.histories import differing_past
from quantlab.audit.sources import Change, Future, TruncatedSource, with_future
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource
from quantlab.data.series.history_cut import HistoryCut

_EARLIER = "were not there yet"
_MIRRORED: dict[str, Change] = {"were another market's": another_future}
_CHANGES: dict[str, Change] = _MIRRORED | {
    "lost half of their symbols": delisted,
    "lost the other half of their symbols": other_half_delisted,
}
#: What a source of somebody's own may raise on a market that it was not made for, one of a single bar for instance.
_REFUSALS = (QuantlabError, ArithmeticError, LookupError, ValueError)
#: Places of a kind (first bars, holes, last bars) that are looked at in a ragged history.
_PLACES = 2
#: Share of the history by which a universe may be chosen: features warm up in it, and nothing is traded.
_FORMATION = 0.25


@dataclass(frozen=True)
class UsedPart:
    """The part of a source's history that is used.

    Parameters
    ----------
    cut : HistoryCut
        Without a count of bars.
    since_ms : int or None
        Its first bar, where bars before it were left out; None where it begins with the source's own.
    """

    cut: HistoryCut
    since_ms: int | None

    def load(self, source: DataSource) -> Bars:
        """That part of another history."""
        bars = self.cut.load(source)
        first = 0 if self.since_ms is None else int((bars.open_time_ms < self.since_ms).sum())
        return bars.rows(first, bars.n_bars)


@dataclass(frozen=True)
class _Comparison:
    """One comparison: at which row another future begins, what it is, and whether a refusal is worth a note."""

    row: int
    change_text: str
    change: Change | None
    note_refusal: bool


def check_universe(log: AuditLog, source: DataSource, cut: HistoryCut, bars: Bars, count: int, seed: int) -> None:
    """Compare the universe under other futures.

    Parameters
    ----------
    source : DataSource
    cut : HistoryCut
        The part of its history that is used.
    bars : Bars, (T, S)
        That part.
    count : int
        Rows at which another future begins, beside those at ragged places.
    seed : int
    """
    part = used_part(log, source, cut, bars)
    if not type(source).__module__.startswith("quantlab.") and _underlying_market(source, bars) is None:
        log.note(
            f"universe: {type(source).__name__} shows no source that it chooses from, so it was only asked for an earlier "
            "end: what it reads whatever end it is asked for could not be exchanged"
        )
    found: list[LeakFinding] = []
    compared = 0
    for comparison in _comparisons(source, part, bars, count, seed):
        begins_ms = int(bars.open_time_ms[comparison.row])
        asked: DataSource | None = TruncatedSource(source, begins_ms)
        if comparison.change is not None:
            asked = with_future(source, Future(begins_ms, comparison.change, seed))
        other = None if asked is None else _load_or_note(log, part, asked, comparison)
        if other is None:
            continue
        if comparison.change is None and other.close_time_ms[-1] > begins_ms:
            log.note(
                "universe: the source gives bars after the end that it is asked for, so an earlier end shows nothing"
            )
            continue
        members = comparison.row >= int(_FORMATION * bars.n_bars)
        one = differing_past(
            bars, other, begins_ms, comparison.change_text, may_end_early=comparison.change is None, members=members
        )
        found += [] if one is None else [one]
        compared += bars.ohlcv[: comparison.row].size
    log.check("universe", "beginning, symbols, rules, bars and funding under another future", compared, found[:1])
    log.power("universe", "history", count)


def used_part(log: AuditLog, source: DataSource, cut: HistoryCut, bars: Bars) -> UsedPart:
    """The bars that are compared: from the source's own first bar on, if `bars` begin with it and its end does not move it."""
    endless = dataclasses.replace(cut, bars=None)
    first_ms = int(bars.open_time_ms[0])
    limited = bars.n_bars == cut.bars and endless.load(source).n_bars > bars.n_bars
    if not limited and _is_rolling_window(endless, source, bars):
        log.note("universe: the source's history begins later the later it ends, as a window of fixed length does")
        limited = True
    return UsedPart(endless, first_ms if limited else None)


def _is_rolling_window(cut: HistoryCut, source: DataSource, bars: Bars) -> bool:
    """Return whether the first bar moves with the end, by a bar or by a day."""
    return any(
        int(earlier.open_time_ms[0]) == int(bars.open_time_ms[0]) - step_ms
        for step_ms in (bars.interval_ms, MS_PER_DAY)
        if (earlier := _load_or_none(cut, TruncatedSource(source, int(bars.close_time_ms[-1]) - step_ms))) is not None
    )


def _comparisons(source: DataSource, part: UsedPart, bars: Bars, count: int, seed: int) -> Iterator[_Comparison]:
    """Every comparison, those that are cheap and show most first."""
    spread = cuts(bars, int(_FORMATION * bars.n_bars), bars.n_bars, count, seed)
    for row in spread:
        yield _Comparison(row, _EARLIER, None, note_refusal=True)
        for change_text, change in _CHANGES.items():
            yield _Comparison(row, change_text, change, note_refusal=True)
    if part.since_ms is None and bars.n_bars > 1:
        # What was there before the first bar, and what was there when it was all there was?
        yield _Comparison(0, _EARLIER, None, note_refusal=False)
        yield _Comparison(1, _EARLIER, None, note_refusal=False)
        yield from (_Comparison(1, change_text, change, note_refusal=False) for change_text, change in _CHANGES.items())
    for row in sorted({*ragged_rows(bars, _PLACES), *_ragged_rows_below(source, bars)} - {0, 1, *spread}):
        yield _Comparison(row, _EARLIER, None, note_refusal=False)
        yield from (
            _Comparison(row, change_text, change, note_refusal=False) for change_text, change in _MIRRORED.items()
        )


def _underlying_market(source: DataSource, bars: Bars) -> Bars | None:
    """The market that `source` chooses from."""
    below: list[Bars] = []

    def seen(whole: Bars, *_: int) -> Bars:
        below.append(whole)
        return whole

    asked = with_future(source, Future(int(bars.open_time_ms[-1]), seen, 0))
    if asked is not None:
        _load_or_none(HistoryCut(None, None, None, None), asked)
    return below[0] if below else None


def _ragged_rows_below(source: DataSource, bars: Bars) -> list[int]:
    """Rows of `bars` at which the market that they are chosen from is ragged."""
    below = _underlying_market(source, bars)
    if below is None:
        return []
    times = [int(below.open_time_ms[row]) for row in ragged_rows(below, 2 * _PLACES)]
    rows = [(time - int(bars.open_time_ms[0])) // bars.interval_ms for time in times]
    return [row for row in rows if 0 < row < bars.n_bars]


def _load_or_note(log: AuditLog, part: UsedPart, source: DataSource, comparison: _Comparison) -> Bars | None:
    """A source may refuse a market that it was not made for; then it cannot be looked at."""
    try:
        return part.load(source)
    except _REFUSALS as error:
        if comparison.note_refusal:  # a very short history may rightly be refused
            log.note(f"universe: refused where later bars {comparison.change_text} ({type(error).__name__}: {error})")
        return None


def _load_or_none(cut: HistoryCut, source: DataSource) -> Bars | None:
    try:
        return cut.load(source)
    except _REFUSALS:
        return None
