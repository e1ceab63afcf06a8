"""Universes and histories that know what comes: each in one way, and beside each an honest one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import DataError
from quantlab.core.fakes import BarsSource
from quantlab.core.types import CLOSE, VOLUME, Bars, BarState
from quantlab.jobs.leaks.findings import Log
from quantlab.jobs.leaks.universe import differing_past, hunt_universe, with_future
from quantlab.jobs.run.history import HistoryCut

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
            raise DataError("symbols that trade to the end", found="others", mend="drop them")
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


def hunted(source: Any, newest: int | None = None) -> Log:
    log, cut = Log(), HistoryCut(None, None, newest, None)
    hunt_universe(log, source, cut, cut.load(source), 3, 0)
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
    log = hunted(Knowing(BarsSource(random_bars(n_symbols=4)), what))
    assert {(one.stage, one.column) for one in log.findings} == {("universe", column) for column in columns}
    assert log.checks[0].compared > 0
    assert log.notes == []


def test_symbols_that_stop_printing_are_another_future(random_bars: MakeBars) -> None:
    """Only a market in which some of them do can show that a choice follows it."""
    bars, source = random_bars(n_symbols=4), Knowing(BarsSource(random_bars(n_symbols=4)), "survivors")
    log = hunted(source)
    assert "lost every second symbol" in log.findings[0].evidence
    assert bars.state[-1].all() == bars.state[0].all()


def test_other_prices_are_another_future(random_bars: MakeBars) -> None:
    """A source that refuses markets in which symbols stop printing is looked at in one of other prices."""
    log = hunted(Knowing(BarsSource(random_bars(n_symbols=4)), "rules of whole markets"))
    assert [(one.stage, one.column) for one in log.findings] == [("universe", "instruments")]
    assert "were another market's" in log.findings[0].evidence
    assert all("lost every second symbol" in note for note in log.notes)


def test_a_column_that_was_never_tradable_may_come_and_go(random_bars: MakeBars) -> None:
    """A listing to come adds an empty one."""
    bars = random_bars(n_symbols=3)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:, 2], state[:, 2] = np.nan, BarState.ABSENT
    empty = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    without = bars.first_symbols(2)
    assert differing_past(empty, without, 200, "were others") == []
    assert differing_past(without, empty, 200, "were others") == []
    for one, other, words in ((bars, without, "is chosen"), (without, bars, "is not chosen")):
        (found,) = differing_past(one, other, 200, "were others")
        assert (found.column, found.where) == ("symbols", bars.symbols[2])
        assert words in found.evidence


def test_the_past_ends_where_the_other_future_begins(random_bars: MakeBars) -> None:
    """And what differs there is told by its symbol and time, in a part of the history as well."""
    bars = random_bars()
    for row, columns in ((199, ["ohlcv"]), (200, [])):
        ohlcv = bars.ohlcv.copy()
        ohlcv[row, 1, VOLUME] *= 2.0
        other = dataclasses.replace(bars, ohlcv=ohlcv).rows(150, 400)
        found = differing_past(bars, other, 200, "were others")
        assert [one.column for one in found] == columns
        assert all(one.where.startswith(f"{bars.symbols[1]}, row 199 (") for one in found)


def test_histories_without_a_common_bar_are_found(random_bars: MakeBars) -> None:
    bars = random_bars()
    (found,) = differing_past(bars, bars.rows(300, 400), 200, "were others")
    assert found.column == "open_time_ms"


def test_a_part_of_the_history_is_compared_where_both_have_it(random_bars: MakeBars) -> None:
    log = hunted(BarsSource(random_bars()), 150)
    assert log.findings == []
    assert log.checks[0].compared > 0
    restated = hunted(Restated(random_bars()), 150)
    assert [one.column for one in restated.findings] == ["ohlcv"]


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
        asked = with_future(source, begins, doubled, 3)
        assert asked is not None
        for first in (0, 240, 260):
            got = asked.history(int(bars.open_time_ms[first]), int(bars.open_time_ms[300]))
            expected = bars.ohlcv[first:300].copy()
            expected[max(250 - first, 0) :, :, VOLUME] *= 2.0
            assert np.array_equal(got.ohlcv, expected)
        assert type(asked).__name__ == type(source).__name__
    assert with_future(BarsSource(bars), begins, doubled, 3) is None, "it chooses from nothing"
