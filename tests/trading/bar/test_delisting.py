"""Positions in symbols that are gone, by hand: docs/simulation.md, "Delisting"."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.results import OrderReason, RiskEvent, Simulation
from quantlab.trading.strategy.strategy import rules_of

NAN, INF = float("nan"), float("inf")
FLAT = (100.0, 100.0, 100.0, 100.0, 1000.0)
GONE = (NAN, NAN, NAN, NAN, NAN)
STILL = (100.0, 100.0, 100.0, 100.0, 0.0)
OPEN_ENDED = {"stop_distance": INF, "take_distance": INF}
AFTER_3 = {"delisted_after_bars": 3}

Play = Callable[..., Simulation]
Market = Callable[..., Bars]


def told(found: Simulation) -> list[tuple[int, str]]:
    return [(int(o["idx"]), OrderReason(r).name) for o, r in zip(found.orders, found.reasons, strict=True)]


def entry(n_bars: int, weight: float, *later: tuple[int, float]) -> list[float]:
    """A target at row 0, others at the rows given, nothing else."""
    target = [weight] + [NAN] * (n_bars - 1)
    for row, value in later:
        target[row] = value
    return target


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_position_is_settled_at_its_last_mark_with_the_taker_fee(
    market: Market, play: Play, free: Callable[..., Instrument], side: float
) -> None:
    last = (100.0, 104.0, 100.0, 103.3, 1000.0)
    rows = [FLAT, FLAT, last, GONE, GONE, GONE, GONE]
    bars = market(rows, instrument=free(tick=0.25, taker_fee_bps=10.0, maker_fee_bps=1.0))
    found = play(bars, target=entry(7, 0.1 * side), **OPEN_ENDED, costs={**AFTER_3, "participation": 1e-9 + 0.5})
    assert told(found) == [(1, "SIGNAL"), (5, "DELISTED")]
    first, end = found.orders
    assert (end["price"], end["size"], end["side"]) == (103.3, first["size"], 1 - first["side"])
    units = side * first["size"]
    assert end["fees"] == abs(units) * 103.3 * 0.001
    paid = 10_000.0 - units * 100.0 - abs(units) * 100.0 * 0.001
    assert found.cash == paid + units * 103.3 - end["fees"]
    assert found.equity[4] == paid + units * 103.3
    assert found.equity[5] == found.equity[6] == found.cash
    assert (found.gross[4], found.gross[5]) == (abs(units) * 103.3, 0.0)
    assert found.units[0] == 0.0
    assert found.over_participation.tolist() == [False, False]
    assert found.cuts["participation"] == 0
    assert found.stale_marks == 2  # the bars before the settlement


@pytest.mark.parametrize(
    ("rows", "state", "ends"),
    [
        ([GONE, GONE, GONE], [3, 3, 3], 4),
        ([GONE, GONE, FLAT, GONE, GONE, GONE], [3, 3, 0, 3, 3, 3], 7),
        ([GONE, GONE, STILL, GONE, GONE, GONE], [3, 3, 2, 3, 3, 3], 7),  # filled by the gate
        ([GONE, GONE, STILL, GONE, GONE, GONE], [3, 3, 1, 3, 3, 3], 7),
        ([GONE, GONE, FLAT, GONE, GONE, GONE], [3, 3, 4, 3, 3, 3], 7),  # outside the universe
        ([GONE, GONE, FLAT, GONE, GONE], [3, 3, 0, 3, 3], None),
        ([STILL] * 5, [2] * 5, None),
    ],
)
def test_only_absent_bars_in_a_row_count(
    market: Market, play: Play, rows: list[Any], state: list[int], ends: int | None
) -> None:
    rows, state = [FLAT, FLAT, *rows], [0, 0, *state]
    found = play(market(rows, state=state), target=entry(len(rows), 0.1), **OPEN_ENDED, costs=AFTER_3)
    assert told(found)[1:] == ([] if ends is None else [(ends, "DELISTED")])


def test_a_fill_that_opens_a_position_begins_the_count_anew(market: Market, play: Play) -> None:
    """Closed after two absent bars; what is opened later waits for three of its own."""
    rows = [FLAT, FLAT, GONE, GONE, FLAT, FLAT, GONE, GONE, GONE, GONE]
    target = entry(10, 0.1, (3, 0.0), (4, -0.1))
    found = play(market(rows), target=target, **OPEN_ENDED, costs=AFTER_3)
    assert told(found) == [(1, "SIGNAL"), (4, "SIGNAL"), (5, "SIGNAL"), (8, "DELISTED")]


def test_a_bar_that_opens_a_position_and_is_absent_counts_as_the_first(market: Market, play: Play) -> None:
    """No gate makes such a cell, whose price fills though its state says that there is none."""
    rows = [FLAT] * 5
    found = play(market(rows, state=[0, 3, 3, 3, 3]), target=entry(5, 0.1), **OPEN_ENDED, costs=AFTER_3)
    assert told(found) == [(1, "SIGNAL"), (3, "DELISTED")]
    rows, state = [FLAT, FLAT, *[GONE] * 3, *[FLAT] * 4], [0, 0, 3, 3, 3, 0, 3, 3, 3]
    found = play(market(rows, state=state), target=entry(9, 0.1, (5, 0.1)), **OPEN_ENDED, costs=AFTER_3)
    assert told(found) == [(1, "SIGNAL"), (4, "DELISTED"), (6, "SIGNAL"), (8, "DELISTED")]


def test_funding_of_the_last_bar_is_charged(market: Market, play: Play) -> None:
    rows = [FLAT, FLAT, GONE, GONE, GONE]
    start = market(rows).open_time_ms
    bars = market(rows, funding=Funding(start[[4]], np.full((1, 1), 0.01)))
    found = play(bars, target=entry(5, 0.1), **OPEN_ENDED, costs=AFTER_3)
    assert found.funding.tolist() == [0.0, 0.0, 0.0, 0.0, 10.0]
    assert found.cash == 10_000.0 - 10.0


def two(first: list[Any], second: list[Any]) -> np.ndarray:
    return np.stack([np.array(first), np.array(second)], axis=1)


def test_its_slot_is_free_in_the_same_bar(market: Market, play: Play) -> None:
    rows = two([FLAT, FLAT, GONE, GONE, GONE, GONE], [FLAT] * 6)
    target = np.full((6, 2), NAN)
    target[0, 0] = 0.1
    target[3:5, 1] = 0.1  # of two decisions the second finds the slot free
    found = play(market(rows), target=target, **OPEN_ENDED, costs=AFTER_3, limits={"max_positions": 1})
    assert [(int(o["idx"]), int(o["col"])) for o in found.orders] == [(1, 0), (4, 0), (5, 1)]
    assert found.cuts["max_positions"] == 1


def test_several_end_in_symbol_order(market: Market, play: Play) -> None:
    ends = [FLAT, FLAT, GONE, GONE, GONE]
    target = np.full((5, 2), NAN)
    target[0] = 0.1, -0.2
    found = play(market(two(ends, ends)), target=target, **OPEN_ENDED, costs=AFTER_3)
    assert [(int(o["idx"]), int(o["col"]), int(o["side"])) for o in found.orders] == [
        (1, 0, 0),
        (1, 1, 1),
        (4, 0, 1),
        (4, 1, 0),
    ]


def test_a_close_that_waits_is_forgotten(market: Market, play: Play) -> None:
    """It is asked for in vain while the symbol is absent, and does not come back with it."""
    rows = [FLAT, FLAT, FLAT, GONE, GONE, GONE, FLAT, FLAT]
    found = play(market(rows), target=entry(8, 0.1, (2, 0.0), (5, 0.2)), **OPEN_ENDED, costs=AFTER_3)
    assert told(found) == [(1, "SIGNAL"), (5, "DELISTED")]
    # the close counts once, its repetitions do not; what was asked in the last absent bar is refused there
    assert (found.cuts["no_volume"], found.cuts["not_finite"]) == (1, 1)
    back = play(market(rows), target=entry(8, 0.1, (2, 0.0), (6, 0.2)), **OPEN_ENDED, costs=AFTER_3)
    assert told(back) == [(1, "SIGNAL"), (5, "DELISTED"), (7, "SIGNAL")]
    assert back.units[0] == 20.0


def test_its_levels_are_gone_with_it(market: Market, play: Play) -> None:
    rows = [FLAT, FLAT, GONE, GONE, GONE, (50.0, 50.0, 50.0, 50.0, 1000.0), (50.0, 50.0, 50.0, 50.0, 1000.0)]
    found = play(market(rows), target=entry(7, 0.1), stop_distance=5.0, take_distance=5.0, costs=AFTER_3)
    assert told(found) == [(1, "SIGNAL"), (4, "DELISTED")]


@pytest.mark.parametrize(("mark", "events"), [(99.0, [RiskEvent.LOSS_STREAK]), (101.0, [])])
def test_it_counts_for_the_loss_streak_and_is_no_stop(
    market: Market, play: Play, mark: float, events: list[RiskEvent]
) -> None:
    rows = [FLAT, FLAT, (100.0, 101.0, 99.0, mark, 1000.0), GONE, GONE, GONE]
    limits = {"loss_streak": 1, "max_stops": 1, "stop_window_minutes": 1e5}
    found = play(market(rows), target=entry(6, 0.1), **OPEN_ENDED, costs=AFTER_3, limits=limits)
    assert found.events["kind"].tolist() == events
    assert found.events["idx"].tolist() == [5] * len(events)


def test_a_liquidation_in_the_same_bar_takes_the_others_and_the_cash_that_is_left(
    market: Market, play: Play, free: Callable[..., Instrument]
) -> None:
    crash = (100.0, 100.0, 30.0, 30.0, 1000.0)
    rows = two([FLAT, FLAT, GONE, GONE, GONE, GONE], [FLAT, FLAT, FLAT, FLAT, crash, crash])
    target = np.full((6, 2), NAN)
    target[0] = 0.5, 1.5
    bars = market(rows, instrument=free(maintenance_margin_rate=0.03, taker_fee_bps=10.0))
    found = play(bars, target=target, **OPEN_ENDED, costs={**AFTER_3, "liquidation_fee_bps": 100.0})
    assert told(found)[2:] == [(4, "DELISTED"), (4, "LIQUIDATION")]
    assert found.events["kind"].tolist() == [RiskEvent.LIQUIDATION]
    cash = 10_000.0 - 20.0 - 5.0  # of two entries and the settlement
    worst = cash - 150.0 * 70.0
    assert found.events["equity"][0] == pytest.approx(worst)
    assert found.events["level"][0] == pytest.approx(0.03 * 150.0 * 30.0)
    assert found.equity[4] == pytest.approx(worst - 150.0 * 30.0 * 0.01)


def test_a_mark_that_a_suspicion_holds_down_is_the_price(market: Market, play: Play) -> None:
    spike = (100.0, 1322.0, 100.0, 1322.0, 1000.0)
    bars = market([FLAT, FLAT, spike, GONE, GONE, GONE])
    flags = np.zeros(bars.state.shape, np.uint8)
    flags[2] = 2
    held = dataclasses.replace(bars, suspect=flags)
    found = play(held, target=entry(6, 0.01), **OPEN_ENDED, costs=AFTER_3)
    assert found.orders["price"].tolist() == [100.0, 100.0]
    assert play(bars, target=entry(6, 0.01), **OPEN_ENDED, costs=AFTER_3).orders["price"].tolist() == [100.0, 1322.0]


@pytest.mark.parametrize(
    ("given", "interval_ms", "bars"),
    [
        (None, 300_000, 288),
        (None, 86_400_000, 1),
        (None, 7 * 86_400_000, 1),
        (None, 50_000_000, 1),
        (7, 300_000, 7),
    ],
)
def test_nothing_given_is_a_day_of_bars(
    strategy: Callable[..., Any], given: int | None, interval_ms: int, bars: int
) -> None:
    chosen = strategy(costs={"delisted_after_bars": given})
    assert chosen.costs.delisted_after(interval_ms) == bars
    assert rules_of(chosen, (), interval_ms, limits_on=True).delisted_after == bars


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "off"])
def test_what_is_no_number_of_bars_is_refused(strategy: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(ConfigError, match="delisted_after_bars"):
        strategy(costs={"delisted_after_bars": wrong})


def test_a_day_of_absence_ends_a_position_as_shipped(market: Market, play: Play) -> None:
    rows = [FLAT, FLAT, *[GONE] * 290]
    found = play(market(rows), target=entry(292, 0.1), **OPEN_ENDED)
    assert told(found) == [(1, "SIGNAL"), (289, "DELISTED")]
    assert BarState(market(rows).state[289, 0]) is BarState.ABSENT
