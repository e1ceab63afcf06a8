"""Scenes of the two books, computed by hand: close-position and reduce-only orders, the venue's switches, makers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from scenes import BUY, HIGH_FIRST, LOW_FIRST, SELL, Stage, code_of, lockstep, wall

from quantlab.simulator.engine.events import TriggerRejected
from quantlab.simulator.engine.queries import OrderRef
from quantlab.simulator.engine.values import AlgoStatus, OrderStatus, OrderType

ACCOUNT, BTC = "main", "BTCUSDT"
QUIET = (1000.0, 1000.0, 1000.0, 1000.0)

# -- close-position orders ---------------------------------------------------------------------------------------------

FALL_AND_RISE = (1000.0, 1020.0, 980.0, 1000.0)


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_close_position_stop_closes_what_is_held_then_beyond_the_volume_too(still_bars, make) -> None:
    """A tenth of a volume of 10 lets one unit open a bar; the stop closes all three at once."""
    bars = still_bars([QUIET, QUIET, (1000.0, 1000.0, 980.0, 985.0), QUIET], volume=10.0)
    stage = make(bars, participation=0.1)
    stage.market(BUY, "1")
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.0")
    for _ in range(2):
        stage.end_bar()
        stage.market(BUY, "1")
    assert stage.held() == "3.000"
    stage.end_bar()
    assert stage.fills(3) == [("SELL", "3.000", "990.0")]
    assert stage.order(4).close_position
    assert stage.order(4).reduce_only


@pytest.mark.parametrize("make", [lockstep, wall])
@pytest.mark.parametrize(
    ("before", "side", "after"),
    [
        ([], SELL, "0.000"),  # flat
        ([(BUY, "1"), (SELL, "1")], SELL, "0.000"),  # flat again
        ([(BUY, "1")], BUY, "1.000"),  # of the side that would add
        ([(BUY, "1"), (SELL, "2")], SELL, "-1.000"),  # flipped since
    ],
)
def test_a_close_position_order_with_nothing_to_close_is_rejected_when_it_fires(
    still_bars, make, before, side, after: str
) -> None:
    stage = make(still_bars([FALL_AND_RISE, QUIET]))
    level = "990.0" if side is SELL else "1010.0"
    for taken, units in before[:1]:
        stage.market(taken, units)
    stage.conditional(side, OrderType.STOP_MARKET, level)
    for taken, units in before[1:]:
        stage.market(taken, units)
    count = len(stage.fills())
    stage.venue.take_events()
    stage.end_bar()
    assert (stage.held(), len(stage.fills()), stage.algo(1).status) == (after, count, AlgoStatus.REJECTED)
    told = [(e.code, e.order.client_id) for e in stage.venue.take_events() if isinstance(e, TriggerRejected)]
    assert told == [(-2022, stage.algo(1).client_id)]


def test_in_lockstep_a_stop_comes_before_a_take_and_leaves_it_nothing(still_bars) -> None:
    stage = lockstep(still_bars([FALL_AND_RISE, QUIET]))
    stage.market(BUY, "1")
    stage.conditional(SELL, OrderType.TAKE_PROFIT_MARKET, "1010.0")
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.0")
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", "990.0")]
    assert (stage.algo(1).status, stage.algo(2).status) == (AlgoStatus.REJECTED, AlgoStatus.FINISHED)


@pytest.mark.parametrize(("way", "price"), [(LOW_FIRST, "990.0"), (HIGH_FIRST, "1010.0")])
def test_in_wall_mode_the_path_says_which_of_two_comes_first(still_bars, way, price: str) -> None:
    stage = wall(still_bars([FALL_AND_RISE, QUIET]), way)
    stage.market(BUY, "1")
    stage.conditional(SELL, OrderType.TAKE_PROFIT_MARKET, "1010.0")
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.0")
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", price)]


def test_a_second_close_position_order_is_of_another_side_or_kind_or_refused(still_bars) -> None:
    stage = lockstep(still_bars([QUIET, QUIET]))
    stage.market(BUY, "1")
    stop, take = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
    wanted = [(SELL, stop, "990.0", None), (SELL, stop, "991.0", -4130), (SELL, take, "1010.0", None)]
    wanted += [(SELL, take, "1011.0", -4130), (BUY, stop, "1010.0", None), (BUY, take, "990.0", None)]
    assert [code_of(stage.conditional(side, kind, level)) for side, kind, level, _ in wanted] == [
        code for *_, code in wanted
    ]
    assert code_of(stage.conditional(SELL, stop, "992.0", "1", reduce_only=True)) is None
    stage.cancel_algo(1)
    assert code_of(stage.conditional(SELL, stop, "991.0")) is None


# -- reduce-only orders ------------------------------------------------------------------------------------------------


def long_two(still_bars, rule: str, *rows: tuple[float, float, float, float]) -> Stage:
    stage = lockstep(still_bars([*(rows or [QUIET]), QUIET]), reduce_only=rule)
    stage.market(BUY, "2")
    return stage


@pytest.mark.parametrize(
    ("rule", "alone", "beside_a_take"), [("shrink", "2", "2"), ("reject", -2022, "1"), ("count_open", -4118, -4118)]
)
def test_a_reduce_only_order_against_the_position_and_the_open_ones(
    still_bars, rule: str, alone: str | int, beside_a_take: str | int
) -> None:
    """Three of two held; then one, or under shrink three, while a take of two rests."""
    stage = long_two(still_bars, rule)
    answers = [stage.limit(SELL, "3", "1050.0", reduce_only=True)]
    if code_of(answers[0]) is None:
        stage.venue.cancel(ACCOUNT, BTC, OrderRef(answers[0].order.order_id), stage.venue.now_ms)
    assert code_of(stage.limit(SELL, "2", "1050.0", reduce_only=True)) is None
    answers.append(stage.limit(SELL, "3" if rule == "shrink" else "1", "1060.0", reduce_only=True))
    for answer, wanted in zip(answers, (alone, beside_a_take), strict=True):
        if isinstance(wanted, int):
            assert code_of(answer) == wanted
        else:
            assert answer.order.lots == int(wanted) * 1000
    assert code_of(stage.limit(BUY, "1", "990.0", reduce_only=True)) == -2022


def test_what_fires_counts_open_orders_by_the_same_switch(still_bars) -> None:
    """A stop of two while a take of two rests: refused when it fires under count_open, whole otherwise."""
    for rule, filled in (("count_open", []), ("reject", [("SELL", "2.000", "990.0")])):
        stage = long_two(still_bars, rule, (1000.0, 1000.0, 980.0, 985.0))
        stage.limit(SELL, "2", "1050.0", reduce_only=True)
        stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "2", reduce_only=True)
        stage.venue.take_events()
        stage.end_bar()
        assert stage.fills(1) == filled
        told = [e.code for e in stage.venue.take_events() if isinstance(e, TriggerRejected)]
        assert told == ([] if filled else [-4118])


def test_a_resting_take_is_cut_to_what_is_still_held(still_bars) -> None:
    stage = long_two(still_bars, "shrink", (1000.0, 1060.0, 1000.0, 1055.0))
    stage.limit(SELL, "2", "1050.0", reduce_only=True)
    stage.market(SELL, "1.5", reduce_only=True)
    stage.end_bar()
    assert stage.fills(2) == [("SELL", "0.500", "1050.0")]
    take = stage.order(2)
    assert (take.status, take.filled_lots, stage.held()) == (OrderStatus.EXPIRED, 500, "0.000")


def test_a_reduce_only_order_never_opens_after_a_flip(still_bars) -> None:
    stage = long_two(still_bars, "shrink", (1000.0, 1060.0, 1000.0, 1055.0))
    stage.limit(SELL, "2", "1050.0", reduce_only=True)
    stage.market(SELL, "3")
    stage.end_bar()
    assert (stage.held(), stage.order(2).status, stage.order(2).filled_lots) == ("-1.000", OrderStatus.EXPIRED, 0)


# -- makers ------------------------------------------------------------------------------------------------------------


def test_a_resting_order_takes_its_share_of_each_bar(still_bars) -> None:
    """A tenth of a volume of 10 a bar. Bar 1 opens beyond the limit, at 1045.0: 1040 + 1045 + 1040 / 2 = 2605 for 2.5 units."""
    rows = [(1000.0, 1050.0, 1000.0, 1045.0), (1045.0, 1050.0, 1030.0, 1030.0), (1030.0, 1041.0, 1030.0, 1035.0)]
    stage = lockstep(still_bars([*rows, QUIET], volume=10.0), participation=0.1)
    stage.limit(SELL, "2.5", "1040.0")
    seen = []
    for _ in range(3):
        stage.end_bar()
        order = stage.order(1)
        seen.append((order.status.value, order.filled_lots, order.filled_value))
    assert stage.fills() == [("SELL", "1.000", "1040.0"), ("SELL", "1.000", "1045.0"), ("SELL", "0.500", "1040.0")]
    assert seen == [
        ("PARTIALLY_FILLED", 1000, 1000 * 10_400),
        ("PARTIALLY_FILLED", 2000, 1000 * 10_400 + 1000 * 10_450),
        ("FILLED", 2500, 1000 * 10_400 + 1000 * 10_450 + 500 * 10_400),
    ]
    # maker fee 1.5 bps: 0.156 + 0.15675 + 0.078
    assert stage.wallet() == Decimal(10_000) - Decimal("0.39075")
    assert stage.position().entry_price == Decimal("1042.0")


@pytest.mark.parametrize("make", [lockstep, wall])
def test_two_resting_orders_share_what_a_bar_gives(still_bars, make) -> None:
    """A tenth of 10 is one unit a bar: 0.7 for the nearer order and 0.3 for the other, and its rest in the next bar."""
    rise = (1000.0, 1020.0, 1000.0, 1000.0)
    stage = make(still_bars([rise, rise, QUIET], volume=10.0), participation=0.1)
    stage.limit(SELL, "0.7", "1010.0")
    stage.limit(SELL, "0.7", "1005.0")
    for _ in range(2):
        stage.end_bar()
    assert stage.fills() == [("SELL", "0.700", "1005.0"), ("SELL", "0.300", "1010.0"), ("SELL", "0.400", "1010.0")]


def test_a_touch_is_no_fill_and_a_tick_beyond_is(still_bars) -> None:
    for high, count in ((1040.0, 0), (1040.1, 1)):
        for make in (lockstep, wall):
            stage = make(still_bars([(1000.0, high, 1000.0, 1010.0), QUIET]))
            stage.limit(SELL, "1", "1040.0")
            stage.end_bar()
            assert stage.fills() == [("SELL", "1.000", "1040.0")] * count


def test_amending_asks_for_an_open_limit_order(still_bars) -> None:
    stage = lockstep(still_bars([QUIET, QUIET]))
    stage.limit(SELL, "1", "1040.0")
    amend = stage.venue.amend
    assert code_of(amend(ACCOUNT, BTC, OrderRef(1), 1000, 10_400, 0)) == -5027
    assert code_of(amend(ACCOUNT, BTC, OrderRef(1), 1000, 10_410, 0)) is None
    stage.venue.cancel(ACCOUNT, BTC, OrderRef(1), 0)
    assert code_of(amend(ACCOUNT, BTC, OrderRef(1), 1000, 10_420, 0)) == -2013
    assert code_of(amend(ACCOUNT, BTC, OrderRef(99), 1000, 10_420, 0)) == -2013
