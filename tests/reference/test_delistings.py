"""Symbols that end while they are held, in a few bars by hand, in product and reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from plain_scenes import FREE, HOLE, KEEP, NO_COSTS, Play, Rows, flat_bars, still

from quantlab.core.market import VOLUME, Bars, BarState, Funding
from quantlab.core.results import OrderReason, RiskEvent

TAXED = dataclasses.replace(FREE, taker_fee_bps=10.0, tick=0.5)
OPENED = [0.1, *[KEEP] * 5]


def after(bars: int | None, **changes: Any) -> Any:
    return dataclasses.replace(NO_COSTS, delisted_after_bars=bars, **changes)


def ending(last: float = 90.0, holes: int = 4) -> Rows:
    """Bought at 100 in bar 1, worth `last` at its close; then nothing."""
    return [*still(100.0, 1), (100.0, 100.0, last, last), *[HOLE] * holes]


def with_cell(bars: Bars, t: int, price: float, state: BarState, volume: float = 0.0) -> Bars:
    """`bars` whose first symbol has a still bar in row `t`."""
    ohlcv, states = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[t, 0, :VOLUME], ohlcv[t, 0, VOLUME], states[t, 0] = price, volume, state
    return dataclasses.replace(bars, ohlcv=ohlcv, state=states)


@pytest.mark.parametrize(("patience", "bar"), [(1, 2), (2, 3), (4, 5)])
@pytest.mark.parametrize("weight", [0.1, -0.1])
def test_the_whole_position_is_settled_at_its_mark(play: Play, patience: int, bar: int, weight: float) -> None:
    """No slippage, no tick: 90.2 is no multiple of 0.5; a taker fee of ten basis points."""
    targets = [[weight, *[KEEP] * 5]]
    result = play(flat_bars([ending(90.2)], TAXED), targets, after(patience, slippage_bps=20.0, coarsest_tick=1.0))
    assert result.orders["idx"].tolist() == [1, bar]
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.DELISTED]
    assert result.orders["price"][1] == 90.2
    assert result.orders["side"].tolist() == ([0, 1] if weight > 0.0 else [1, 0])
    assert result.orders["size"].tolist() == [10.0, 10.0]
    assert result.orders["fees"][1] == 10.0 * 90.2 * (10.0 / 10_000.0)
    assert result.units.tolist() == [0.0]
    assert result.stale_marks == patience - 1, "the bar in which it is settled holds nothing at its mark"
    assert sum(result.cuts.values()) == 0


def test_a_symbol_that_comes_back_in_time_is_held(play: Play) -> None:
    bars = with_cell(flat_bars([ending()], FREE), 4, 80.0, BarState.TRADED, volume=1e6)
    result = play(bars, [OPENED], after(3))
    assert result.units.tolist() == [10.0]
    assert result.equity[-1] == 10_000.0 - 10.0 * 20.0


@pytest.mark.parametrize("state", [BarState.FILLED, BarState.ZERO_VOLUME, BarState.OUTSIDE])
def test_any_bar_that_is_there_starts_the_count_anew(play: Play, state: BarState) -> None:
    """Absent in bars 2, 4 and 5."""
    bars = with_cell(flat_bars([ending()], FREE), 3, 80.0, state)
    assert play(bars, [OPENED], after(2)).orders["idx"].tolist() == [1, 5]
    assert play(bars, [OPENED], after(3)).orders["idx"].tolist() == [1]


def test_absence_before_the_opening_does_not_count(play: Play) -> None:
    rows: Rows = [*still(100.0, 1), *[HOLE] * 3, *still(100.0, 2), HOLE, HOLE]
    result = play(flat_bars([rows], FREE), [[*[KEEP] * 4, 0.1, *[KEEP] * 3]], after(2))
    assert result.orders["idx"].tolist() == [5, 7]


@pytest.mark.parametrize(("interval_ms", "held_bars"), [(86_400_000, 1), (43_200_000, 2), (604_800_000, 1)])
def test_null_is_a_day_of_bars(play: Play, interval_ms: int, held_bars: int) -> None:
    bars = flat_bars([ending()], FREE)
    opens = bars.open_time_ms[0] + interval_ms * np.arange(bars.n_bars, dtype=np.int64)
    daily = dataclasses.replace(bars, open_time_ms=opens, interval_ms=interval_ms)
    assert play(daily, [OPENED], after(None)).orders["idx"].tolist() == [1, 1 + held_bars]


def test_a_day_of_five_minute_bars_is_288(play: Play) -> None:
    for holes, fills in ((287, 1), (288, 2)):
        result = play(flat_bars([ending(holes=holes)], FREE), [[0.1, *[KEEP] * (holes + 1)]], after(None))
        assert len(result.orders) == fills


def test_its_slot_is_free_in_the_same_bar(play: Play) -> None:
    """The other symbol asks at the close of bar 2, with one slot, and fills in bar 3."""
    bars = flat_bars([ending(), still(50.0, 6)], FREE)
    other = [KEEP, KEEP, 0.1, *[KEEP] * 3]
    result = play(bars, [OPENED, other], after(1), max_positions=1)
    assert result.orders["idx"].tolist() == [1, 2, 3]
    assert result.cuts["max_positions"] == 0


def test_several_ends_in_one_bar_are_settled_in_symbol_order(play: Play) -> None:
    """Decided in the other order of time."""
    bars = flat_bars([[*still(100.0, 3), *[HOLE] * 3], [*still(50.0, 3), *[HOLE] * 3]], FREE)
    result = play(bars, [[KEEP, 0.1, *[KEEP] * 4], OPENED], after(2))
    assert result.orders["idx"].tolist() == [1, 2, 4, 4]
    assert result.orders["col"].tolist() == [1, 0, 0, 1]


def test_a_close_that_waits_for_volume_ends_with_its_position(play: Play) -> None:
    """Closed at the close of bar 1; bars 2 and 3 are absent. When the symbol is back nothing is left to close."""
    rows: Rows = [*still(100.0, 2), HOLE, HOLE, *still(70.0, 2)]
    result = play(flat_bars([rows], FREE), [[0.1, 0.0, *[KEEP] * 4]], after(2))
    assert result.orders["idx"].tolist() == [1, 3]
    assert result.reasons.tolist()[-1] == OrderReason.DELISTED


def test_a_stop_never_meets_a_symbol_that_is_gone(play: Play) -> None:
    rows: Rows = [*still(100.0, 2), HOLE, HOLE, *still(70.0, 2)]
    result = play(flat_bars([rows], FREE), [OPENED], after(2), stop_distance=[[5.0] * 6])
    assert result.orders["price"].tolist() == [100.0, 100.0]


def test_funding_is_still_charged_in_the_bar_of_the_end(play: Play) -> None:
    """At the mark of 90, since the bar has no open."""
    bars = flat_bars([ending()], FREE)
    paid = Funding(bars.open_time_ms[2:3] // 3_600_000 * 3_600_000 + 3_600_000, np.array([[0.01]]))
    opens = paid.time_ms[0] - 2 * 300_000 + 300_000 * np.arange(bars.n_bars, dtype=np.int64)
    result = play(dataclasses.replace(bars, open_time_ms=opens, funding=paid), [OPENED], after(1))
    assert result.funding.tolist() == [0.0, 0.0, 10.0 * 90.0 * 0.01, 0.0, 0.0, 0.0]
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.DELISTED]


@pytest.mark.parametrize(("last", "events"), [(90.0, [2]), (110.0, [])])
def test_an_end_counts_for_the_loss_streak(play: Play, last: float, events: list[int]) -> None:
    result = play(flat_bars([ending(last)], FREE), [OPENED], after(1), loss_streak=1)
    assert result.events["idx"].tolist() == events
    assert set(result.events["kind"].tolist()) <= {RiskEvent.LOSS_STREAK}


def test_a_suspect_close_before_the_end_counts_no_gain(play: Play) -> None:
    """The last close of 200 is suspect, and nobody ever agreed with it: settled at 100."""
    bars = flat_bars([[*still(100.0, 2), (100.0, 200.0, 100.0, 200.0), HOLE, HOLE, HOLE]], FREE)
    flags = np.zeros(bars.state.shape, dtype=np.uint8)
    flags[2] = 2
    result = play(dataclasses.replace(bars, suspect=flags), [OPENED], after(2))
    assert result.orders["price"].tolist() == [100.0, 100.0]


def test_what_was_delisted_can_be_bought_again_when_it_is_back(play: Play) -> None:
    rows: Rows = [*still(100.0, 2), HOLE, HOLE, *still(70.0, 4)]
    result = play(flat_bars([rows], FREE), [[0.1, KEEP, KEEP, KEEP, 0.1, *[KEEP] * 3]], after(2))
    assert result.orders["idx"].tolist() == [1, 3, 5]
    assert result.orders["price"].tolist() == [100.0, 100.0, 70.0]
