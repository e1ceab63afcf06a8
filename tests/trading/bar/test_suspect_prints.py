"""Flagged cells in a bar, by hand: docs/simulation.md, "What a flagged cell does"."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import Bars, Funding
from quantlab.core.results import OrderReason, RiskEvent, Simulation

NAN, INF = float("nan"), float("inf")
FLAT = (100.0, 100.0, 100.0, 100.0, 1000.0)
SPIKE = (100.0, 1322.0, 100.0, 1322.0, 1000.0)  # closes at a false print
CRASH = (100.0, 100.0, 28.0, 28.0, 1000.0)
WICK = (100.0, 1322.0, 100.0, 100.0, 1000.0)
DISTANCES = {"stop_distance": INF, "take_distance": INF}

Play = Callable[..., Simulation]


@pytest.fixture
def flagged(market: Callable[..., Bars]) -> Callable[..., Bars]:
    """``flagged(rows, {row: flag})``."""

    def make(rows: list[Any], flags: dict[int, int], **given: Any) -> Bars:
        bars = market(rows, **given)
        suspect = np.zeros(bars.state.shape, np.uint8)
        for row, flag in flags.items():
            suspect[row] = flag
        return dataclasses.replace(bars, suspect=suspect)

    return make


@pytest.mark.parametrize(("side", "marks"), [(1.0, [100.0, 28.0]), (-1.0, [1322.0, 100.0])])
def test_a_gain_by_a_suspect_print_counts_for_nothing_and_a_loss_at_once(
    play: Play, flagged: Callable[..., Bars], side: float, marks: list[float]
) -> None:
    for row, mark in zip((SPIKE, CRASH), marks, strict=True):
        bars = flagged([FLAT, FLAT, row, FLAT], {2: 2})
        found = play(bars, target=[0.01 * side, NAN, NAN, NAN], **DISTANCES)
        assert found.equity.tolist() == [10_000.0, 10_000.0, 10_000.0 + side * (mark - 100.0), 10_000.0]
        assert found.gross[2] == mark


def test_a_loss_by_a_false_print_can_liquidate(play: Play, flagged: Callable[..., Bars]) -> None:
    found = play(flagged([FLAT, FLAT, SPIKE, FLAT], {2: 2}), target=[-0.1, NAN, NAN, NAN], **DISTANCES)
    assert found.events["kind"].tolist() == [RiskEvent.LIQUIDATION]


def test_without_a_flag_the_false_print_is_believed(play: Play, market: Callable[..., Bars]) -> None:
    found = play(market([FLAT, FLAT, SPIKE, FLAT]), target=[0.9, NAN, NAN, NAN], **DISTANCES)
    assert found.equity[2] == 10_000.0 + 90.0 * 1222.0


def test_a_crash_reaches_the_daily_limit_at_once(play: Play, flagged: Callable[..., Bars]) -> None:
    bars = flagged([FLAT, FLAT, CRASH, (28.0, 28.0, 28.0, 28.0, 1000.0)], {2: 2})
    found = play(
        bars, target=[0.5, NAN, NAN, NAN], limits={"daily_loss_limit": 0.05, "daily_flatten": True}, **DISTANCES
    )
    assert found.events["kind"].tolist() == [RiskEvent.DAILY_LIMIT]
    assert found.events["idx"].tolist() == [2]
    assert found.orders["price"].tolist() == [100.0, 28.0]


@pytest.mark.parametrize("flag", [1, 2])
def test_no_increase_fills_where_a_print_is_suspect(play: Play, flagged: Callable[..., Bars], flag: int) -> None:
    bars = flagged([FLAT, WICK, FLAT, FLAT], {1: flag})
    found = play(bars, target=[0.1, NAN, NAN, NAN], **DISTANCES)
    assert len(found.orders) == 0
    assert found.cuts["suspect"] == 1
    quiet = flagged([FLAT, (*FLAT[:4], 0.0), FLAT, FLAT], {1: flag})
    found = play(quiet, target=[0.1, NAN, NAN, NAN], **DISTANCES)
    assert (found.cuts["suspect"], found.cuts["no_volume"]) == (0, 1)


def test_an_increase_is_decided_at_no_close_with_a_suspicion(play: Play, flagged: Callable[..., Bars]) -> None:
    rows = [FLAT, FLAT, SPIKE, FLAT, FLAT]
    found = play(flagged(rows, {2: 2}), target=[NAN, NAN, 0.1, NAN, NAN], **DISTANCES)
    assert len(found.orders) == 0
    assert found.cuts["suspect"] == 1
    found = play(flagged(rows, {2: 1}), target=[NAN, NAN, 0.1, NAN, NAN], **DISTANCES)
    assert len(found.orders) == 1
    quiet = flagged([FLAT, FLAT, (*SPIKE[:4], 0.0), FLAT, FLAT], {2: 2})
    found = play(quiet, target=[NAN, NAN, 0.1, NAN, NAN], **DISTANCES)
    assert (found.cuts["tradable"], found.cuts["suspect"]) == (1, 0)


def test_a_flip_at_a_suspicion_becomes_its_close(play: Play, flagged: Callable[..., Bars]) -> None:
    found = play(flagged([FLAT, FLAT, SPIKE, FLAT, FLAT], {2: 2}), target=[0.1, NAN, -0.1, NAN, NAN], **DISTANCES)
    assert found.orders["size"].tolist() == [10.0, 10.0]
    assert found.units[0] == 0.0
    assert found.cuts["suspect"] == 1


def test_a_flip_whose_close_fills_in_a_flagged_bar_opens_nothing(play: Play, flagged: Callable[..., Bars]) -> None:
    found = play(flagged([FLAT, FLAT, WICK, FLAT], {2: 1}), target=[0.1, -0.1, NAN, NAN], **DISTANCES)
    assert found.units[0] == 0.0
    assert found.cuts["suspect"] == 1


def test_a_reduction_is_sized_at_the_mark(play: Play, flagged: Callable[..., Bars]) -> None:
    bars = flagged([FLAT, FLAT, SPIKE, FLAT, FLAT], {2: 2})
    found = play(bars, target=[0.1, NAN, 0.05, NAN, NAN], **DISTANCES)
    assert found.units[0] == 5.0  # and not 0.05 x 10,000 / 1,322


@pytest.mark.parametrize("flag", [1, 2])
@pytest.mark.parametrize(
    ("side", "open_", "price"), [(1, 900.0, 100.0), (1, 30.0, 30.0), (-1, 900.0, 900.0), (-1, 30.0, 100.0)]
)
def test_a_close_fills_at_the_worse_of_open_and_agreed_price(
    play: Play, flagged: Callable[..., Bars], flag: int, side: int, open_: float, price: float
) -> None:
    row = (open_, 900.0, 30.0, 100.0, 1000.0)
    bars = flagged([FLAT, FLAT, row, FLAT], {2: flag})
    costs = {"slippage_bps": 10.0}
    found = play(bars, target=[0.1 * side, 0.0, NAN, NAN], costs=costs, **DISTANCES)
    assert found.orders["price"][1] == price * (1.0 - side * 10.0 / 10_000.0)


def test_the_agreed_price_outlasts_a_suspicion_of_several_bars(play: Play, flagged: Callable[..., Bars]) -> None:
    steps = [(p, p, p, p, 1000.0) for p in (100.0, 104.0, 400.0, 900.0, 104.0)]
    bars = flagged([FLAT, *steps], {3: 2, 4: 2})
    found = play(bars, target=[0.1, *[NAN] * 5], **DISTANCES)
    assert (found.equity - 10_000.0).tolist() == [0.0, 0.0, 40.0, 40.0, 40.0, 40.0]


@pytest.mark.parametrize("flag", [1, 2])
def test_a_take_profit_rests_and_a_stop_fills(play: Play, flagged: Callable[..., Bars], flag: int) -> None:
    far = {"stop_distance": 50.0, "take_distance": 10.0}
    found = play(
        flagged([FLAT, FLAT, WICK, FLAT, (105.0, 111.0, 105.0, 105.0, 1000.0)], {2: flag}),
        target=[0.1, *[NAN] * 4],
        **far,
    )
    assert found.cuts["suspect"] == 1
    assert found.orders["idx"].tolist() == [1, 4]
    assert found.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.TAKE_PROFIT]
    found = play(flagged([FLAT, FLAT, CRASH, FLAT], {2: flag}), target=[0.1, *[NAN] * 3], **far)
    assert found.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.STOP]
    assert found.orders["price"].tolist() == [100.0, 50.0]


@pytest.mark.parametrize("flag", [1, 2])
def test_stops_do_not_move_by_a_suspect_extreme(play: Play, flagged: Callable[..., Bars], flag: int) -> None:
    given = {"stop_distance": 50.0, "take_distance": INF, "trail_distance": 60.0, "break_even_distance": 20.0}
    found = play(flagged([FLAT, FLAT, WICK, (99.0,) * 4 + (1000.0,)], {2: flag}), target=[0.1, *[NAN] * 3], **given)
    assert found.reasons.tolist() == [OrderReason.SIGNAL]
    found = play(flagged([FLAT, FLAT, WICK, (99.0,) * 4 + (1000.0,)], {}), target=[0.1, *[NAN] * 3], **given)
    assert found.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.STOP]


def test_funding_is_charged_at_the_agreed_price(
    play: Play, flagged: Callable[..., Bars], market: Callable[..., Bars]
) -> None:
    stamp = market([FLAT] * 4).open_time_ms[2:3]
    rows = [FLAT, FLAT, (1322.0, 1322.0, 100.0, 100.0, 1000.0), FLAT]
    for flag, price in ((0, 1322.0), (1, 100.0), (2, 100.0)):
        bars = flagged(rows, {2: flag}, funding=Funding(stamp, np.array([[0.01]])))
        found = play(bars, target=[-0.1, NAN, NAN, NAN], **DISTANCES)
        assert found.funding[2] == -10.0 * price * 0.01


def test_liquidation_sees_no_extreme_that_is_better_than_the_mark(
    play: Play, market: Callable[..., Bars], free: Any
) -> None:
    """Two longs: one falls to nothing while the whole bar of the other is a false print far above."""
    rules = free(maintenance_margin_rate=0.05)
    high, fallen = (1000.0, 1000.0, 1000.0, 1000.0, 1000.0), (1.0, 1.0, 1.0, 1.0, 1000.0)
    rows = np.array([[FLAT, FLAT], [FLAT, FLAT], [high, fallen], [FLAT, fallen]])
    bars = market(rows, instrument=rules)
    suspect = np.zeros((4, 2), np.uint8)
    suspect[2] = 2
    given = {"target": [[1.0, 1.0], *[[NAN, NAN]] * 3], "limits": {"max_gross_leverage": 3.0}, **DISTANCES}
    assert play(bars, **given).equity[2] > 0.0
    found = play(dataclasses.replace(bars, suspect=suspect), **given)
    assert found.events["kind"].tolist() == [RiskEvent.LIQUIDATION]
    assert found.orders["price"][-2:].tolist() == [100.0, 1.0]
