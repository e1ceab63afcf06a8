"""Universes and histories that know what comes: each in one way, and beside each an honest one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future
from quantlab.audit.findings import AuditLog
from quantlab.audit.histories import differing_past
from quantlab.audit.sources import Future, with_future
from quantlab.audit.universe import check_universe
from quantlab.core.clock import iso_utc
from quantlab.core.errors import DataError
from quantlab.core.fakes import BarsSource
from quantlab.core.market import CLOSE, VOLUME, Bars, BarState, Funding
from quantlab.data.series.history_cut import HistoryCut

MakeBars = Callable[..., Bars]


@dataclass(frozen=True)
class Knowing:
    """Around another source; what it hands over follows the last bar of the whole history."""

    source: BarsSource
    what: str
    synthetic: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole, bars = self.source.history(), self.source.history(start_ms, end_ms)
        if self.what == "rules of whole markets" and (whole.state[-1] == BarState.ABSENT).any():
            raise DataError("symbols that trade to the end", found="others", fix="drop them")
        last = float(np.nansum(whole.close[-1]))
        if self.what in ("rules", "rules of whole markets"):
            first = dataclasses.replace(bars.instruments[0], tick=last * 1e-4)
            return dataclasses.replace(bars, instruments=(first, *bars.instruments[1:]))
        if self.what == "states":
            state = bars.state.copy()
            state[:40, 0] = BarState.OUTSIDE if int(last * 1e6) % 2 else BarState.TRADED
            return dataclasses.replace(bars, state=state)
        if self.what == "survivors":
            gone = np.flatnonzero(whole.state[-1] == BarState.ABSENT)
            state, ohlcv = bars.state.copy(), bars.ohlcv.copy()
            state[:, gone], ohlcv[:, gone] = BarState.ABSENT, np.nan
            return dataclasses.replace(bars, ohlcv=ohlcv, state=state)
        return bars

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        raise AssertionError("nobody streams here")


def audit_of(source: Any, newest: int | None = None) -> AuditLog:
    log, cut = AuditLog(), HistoryCut(None, None, newest, None)
    check_universe(log, source, cut, cut.load(source), 3, 0)
    return log


@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("nothing", set()),
        ("rules", {"instruments"}),
        ("states", {"state"}),
        ("survivors", {"state"}),
    ],
)
def test_what_follows_the_last_bar_is_named(random_bars: MakeBars, what: str, columns: set[str]) -> None:
    log = audit_of(Knowing(BarsSource(random_bars(n_symbols=4)), what))
    assert {(one.stage, one.column) for one in log.findings} == {("universe", column) for column in columns}
    assert log.checks[0].compared > 0
    assert log.notes == []


def test_symbols_that_stop_printing_are_another_future(random_bars: MakeBars) -> None:
    """Only a market in which some of them do can show that a choice follows it."""
    bars, source = random_bars(n_symbols=4), Knowing(BarsSource(random_bars(n_symbols=4)), "survivors")
    log = audit_of(source)
    assert "lost half of their symbols" in log.findings[0].evidence
    assert bars.state[-1].all() == bars.state[0].all()


def test_other_prices_are_another_future(random_bars: MakeBars) -> None:
    """A source that refuses markets in which symbols stop printing is looked at in one of other prices."""
    log = audit_of(Knowing(BarsSource(random_bars(n_symbols=4)), "rules of whole markets"))
    assert [(one.stage, one.column) for one in log.findings] == [("universe", "instruments")]
    assert "were another market's" in log.findings[0].evidence
    assert all("half of their symbols" in note for note in log.notes)


def past(bars: Bars, other: Bars, row: int = 200) -> Any:
    return differing_past(bars, other, int(bars.open_time_ms[row]), "were others")


def test_a_column_that_was_never_tradable_may_come_and_go(random_bars: MakeBars) -> None:
    """A listing to come adds an empty one."""
    bars = random_bars(n_symbols=3)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:, 2], state[:, 2] = np.nan, BarState.ABSENT
    empty = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    without = bars.first_symbols(2)
    assert past(empty, without) is None
    assert past(without, empty) is None
    for one, other, words in ((bars, without, "is chosen"), (without, bars, "is not chosen")):
        found = past(one, other)
        assert (found.column, found.where) == ("symbols", bars.symbols[2])
        assert words in found.evidence


def test_the_past_ends_where_the_other_future_begins(random_bars: MakeBars) -> None:
    """And what differs there is told by its symbol and time."""
    bars = random_bars()
    for row, column in ((199, "ohlcv"), (200, None)):
        ohlcv = bars.ohlcv.copy()
        ohlcv[row, 1, VOLUME] *= 2.0
        found = past(bars, dataclasses.replace(bars, ohlcv=ohlcv))
        assert (found and found.column) == column
        assert found is None or found.where.startswith(f"{bars.symbols[1]}, row 199 (")


@pytest.mark.parametrize("first", [1, 199, 200, 300])
def test_a_history_that_begins_elsewhere_is_another_one(random_bars: MakeBars, first: int) -> None:
    """Whichever of the two has more; with or without a bar in common."""
    bars = random_bars()
    for one, other in ((bars, bars.rows(first, 400)), (bars.rows(first, 400), bars)):
        found = differing_past(one, other, int(bars.open_time_ms[200]), "were others")
        assert found is not None
        assert found.column == "open_time_ms"
        assert found.where == iso_utc(int(bars.open_time_ms[0]))


def test_bars_of_nobody_are_no_beginning(random_bars: MakeBars) -> None:
    """Rows in which every symbol is absent may be there or not."""
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:50], state[:50] = np.nan, BarState.ABSENT
    empty = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    assert past(empty, empty.rows(50, 400)) is None
    assert past(empty, empty.rows(51, 400)) is not None


def test_only_a_history_that_was_asked_for_earlier_may_lack_its_last_bars(random_bars: MakeBars) -> None:
    """Whoever waits for whole days does not have today's; but nobody may know that tomorrow will be worse."""
    bars = random_bars()
    until = int(bars.open_time_ms[200])
    assert differing_past(bars, bars.rows(0, 190), until, "were others", may_end_early=True) is None
    found = differing_past(bars, bars.rows(0, 190), until, "were others")
    assert found is not None
    assert (found.column, found.where) == ("open_time_ms", iso_utc(int(bars.open_time_ms[190])))


@pytest.mark.parametrize(
    ("stamp", "rate", "found"),
    [(99, 9.0, True), (199, 9.0, True), (200, 9.0, False), (99, np.nan, True)],
)
def test_funding_that_was_due_is_compared_and_none_is_unknown(
    random_bars: MakeBars, stamp: int, rate: float, found: bool
) -> None:
    bars = random_bars()
    rates = np.full((400, 3), 1e-4)
    paid = dataclasses.replace(bars, funding=Funding(bars.open_time_ms, rates))
    others = rates.copy()
    others[stamp, 1] = rate
    other = dataclasses.replace(bars, funding=Funding(bars.open_time_ms, others))
    said = past(paid, other)
    assert (said is not None) == found
    assert said is None or (said.column, said.where.split(",")[0]) == ("funding", bars.symbols[1])
    unknown = dataclasses.replace(bars, funding=Funding(bars.open_time_ms, np.full((400, 3), np.nan)))
    assert past(bars, unknown) is None
    assert past(bars, paid) is not None
    fewer = dataclasses.replace(bars, funding=Funding(bars.open_time_ms[1:], rates[1:]))
    assert past(paid, fewer) is not None


def test_a_part_of_the_history_is_compared_where_both_have_it(random_bars: MakeBars) -> None:
    """The newest 150 bars: how the bars before them begin is nobody's concern, their own beginning is."""
    log = audit_of(BarsSource(random_bars()), 150)
    assert log.findings == []
    assert log.checks[0].compared > 0
    restated = audit_of(Restated(random_bars()), 150)
    assert [one.column for one in restated.findings] == ["ohlcv"]
    for first, columns in ((100, []), (300, ["open_time_ms"])):
        bars = random_bars()
        trimmed = audit_of(Trimmed(BarsSource(bars), first, float(bars.close[-1, 0])), 150)
        assert [one.column for one in trimmed.findings] == columns


@dataclass(frozen=True)
class Trimmed:
    """Begins at row 5, or at row `first` if the last close is `last`; with a `window`, so many bars before its end."""

    source: BarsSource
    first: int = 100
    last: float = 0.0
    window: int | None = None
    synthetic: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole, bars = self.source.history(), self.source.history(start_ms, end_ms)
        if self.window is not None:
            return bars.rows(max(0, bars.n_bars - self.window), bars.n_bars)
        known = whole.close[-1, 0] == self.last
        return bars.rows(min(self.first if known else 5, bars.n_bars - 1), bars.n_bars)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        raise AssertionError("nobody streams here")


@dataclass(frozen=True)
class Restated(BarsSource):
    """Prices in units of the last one that was asked for."""

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        ohlcv = bars.ohlcv.copy()
        ohlcv[:, :, : CLOSE + 1] /= ohlcv[-1, :, CLOSE][:, None]
        return dataclasses.replace(bars, ohlcv=ohlcv)


def test_the_changed_market_is_the_real_one_before_its_row(random_bars: MakeBars) -> None:
    """Whole, in part, behind a field and behind a base class: the change begins where it was asked to."""

    @dataclass(frozen=True)
    class Derived(BarsSource):
        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            return super().history(start_ms, end_ms)

    bars = random_bars()
    begins = int(bars.open_time_ms[250])

    def doubled(whole: Bars, row: int, seed: int) -> Bars:
        assert (whole.n_bars, row, seed) == (bars.n_bars, 250, 3)
        ohlcv = whole.ohlcv.copy()
        ohlcv[row:, :, VOLUME] *= 2.0
        return dataclasses.replace(whole, ohlcv=ohlcv)

    for source in (Knowing(BarsSource(bars), "nothing"), Derived(bars)):
        asked = with_future(source, Future(begins, doubled, 3))
        assert asked is not None
        for first in (0, 240, 260):
            got = asked.history(int(bars.open_time_ms[first]), int(bars.open_time_ms[300]))
            expected = bars.ohlcv[first:300].copy()
            expected[max(250 - first, 0) :, :, VOLUME] *= 2.0
            assert np.array_equal(got.ohlcv, expected)
        assert type(asked).__name__ == type(source).__name__
    assert with_future(BarsSource(bars), Future(begins, doubled, 3)) is None, "it chooses from nothing"


class Plain:
    """No dataclass; its sources lie in a list or a dict, and it remembers what it chose."""

    def __init__(self, sources: Any) -> None:
        self.sources = sources

    synthetic = True

    @cached_property
    def last(self) -> float:
        return float(self.first.history().close[-1, 0])

    @property
    def first(self) -> Any:
        return self.sources["a"] if isinstance(self.sources, dict) else self.sources[-1]

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars: Bars = self.first.history(start_ms, end_ms)
        return dataclasses.replace(
            bars, instruments=tuple(dataclasses.replace(one, tick=self.last) for one in bars.instruments)
        )

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        raise AssertionError("nobody streams here")


@pytest.mark.parametrize("form", ["list", "tuple", "dict", "deep"])
def test_sources_are_found_in_lists_and_below_other_sources_and_forget_the_real_market(
    random_bars: MakeBars, form: str
) -> None:
    bars = random_bars()
    inner: Any = BarsSource(bars)
    source = Plain({"list": [3, inner], "tuple": (inner,), "dict": {"a": inner, "b": 1}}.get(form, [Plain([inner])]))
    before = source.history()
    asked = with_future(source, Future(int(bars.open_time_ms[250]), another_future, 0))
    assert asked is not None
    other = asked.history()
    assert np.array_equal(other.ohlcv[:250], bars.ohlcv[:250])
    assert (other.ohlcv[250:] != bars.ohlcv[250:]).any()
    assert other.instruments[0].tick == other.close[-1, 0] != before.instruments[0].tick
    assert np.array_equal(source.history().ohlcv, bars.ohlcv), "the real one is not touched"
    assert [one.column for one in audit_of(source).findings] == ["instruments"]


def test_a_window_that_moves_with_its_end_is_no_leak_and_is_said(random_bars: MakeBars) -> None:
    log = audit_of(Trimmed(BarsSource(random_bars()), window=150))
    assert log.findings == []
    assert ["window of fixed length" in note for note in log.notes] == [True]


def test_a_source_that_does_not_end_where_it_is_asked_to_is_said(random_bars: MakeBars) -> None:
    @dataclass(frozen=True)
    class Endless(BarsSource):
        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            return super().history(start_ms)

    log = audit_of(Endless(random_bars()))
    assert log.findings == []
    assert ["after the end" in note for note in log.notes] == [True]


def test_a_source_that_shows_nothing_below_it_is_said(random_bars: MakeBars) -> None:
    class Own:
        synthetic = True

        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            return BarsSource(random_bars()).history(start_ms, end_ms)

        def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
            raise AssertionError("nobody streams here")

    assert ["shows no source" in note for note in audit_of(Own()).notes] == [True]
    assert audit_of(BarsSource(random_bars())).notes == []


@dataclass(frozen=True)
class BackFilledGap:
    """A hole of eight bars, filled with the bar behind it or the one before it; both look like any other bar."""

    source: BarsSource
    backwards: bool
    synthetic: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = self.source.history()
        ohlcv, state = whole.ohlcv.copy(), whole.state.copy()
        hole = np.flatnonzero(state[:, 0] == BarState.ABSENT)
        if len(hole):
            ohlcv[hole, 0], state[hole, 0] = ohlcv[hole[-1] + 1 if self.backwards else hole[0] - 1, 0], 0
        return BarsSource(dataclasses.replace(whole, ohlcv=ohlcv, state=state)).history(start_ms, end_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        raise AssertionError("nobody streams here")


@pytest.mark.parametrize("backwards", [True, False])
def test_a_hole_that_was_filled_from_behind_is_found_where_the_market_below_has_it(
    random_bars: MakeBars, backwards: bool
) -> None:
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[60:68, 0], state[60:68, 0] = np.nan, BarState.ABSENT
    log = audit_of(BackFilledGap(BarsSource(dataclasses.replace(bars, ohlcv=ohlcv, state=state)), backwards))
    assert [one.column for one in log.findings] == (["ohlcv"] if backwards else [])


@pytest.mark.parametrize("backwards", [True, False])
def test_a_past_that_a_listing_never_had_is_found_by_a_future_that_begins_before_it(
    random_bars: MakeBars, backwards: bool
) -> None:
    """In the first quarter, in a market without another ragged place, by a source that reads everything at once."""
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:50, 0], state[:50, 0] = np.nan, BarState.ABSENT
    late = BarsSource(dataclasses.replace(bars, ohlcv=ohlcv, state=state))
    log = audit_of(BackFilledGap(late, backwards=True) if backwards else late)
    assert [one.column for one in log.findings] == (["ohlcv"] if backwards else [])


def test_bars_that_were_there_before_the_first_one_are_found(random_bars: MakeBars) -> None:
    """A source of its own that begins when every symbol that it will know is listed, and ends where it is asked to."""
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:50, 0], state[:50, 0] = np.nan, BarState.ABSENT
    late = dataclasses.replace(bars, ohlcv=ohlcv, state=state)

    class Complete:
        synthetic = True

        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            got = BarsSource(late).history(start_ms, end_ms)
            there = got.state != BarState.ABSENT
            first = int(np.argmax(there[:, there.any(axis=0)].all(axis=1)))
            return got.rows(first, got.n_bars)

        def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
            raise AssertionError("nobody streams here")

    assert Complete().history().n_bars == 350
    found = audit_of(Complete()).findings
    assert [(one.column, one.where) for one in found] == [("open_time_ms", iso_utc(int(bars.open_time_ms[0])))]


def test_a_leaking_source_does_not_hide_below_an_honest_one(random_bars: MakeBars) -> None:
    class Through(Plain):
        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            bars: Bars = self.first.history(start_ms, end_ms)
            return bars

    source = Through([Plain([BarsSource(random_bars())])])
    assert [one.column for one in audit_of(source).findings] == ["instruments"]
    assert audit_of(Through([BarsSource(random_bars())])).findings == []
