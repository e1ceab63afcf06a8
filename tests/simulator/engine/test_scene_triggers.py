"""Scenes of triggers, computed by hand: trailing stops, mark and contract price, the shapes that come of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from scenes import BAR_MS, BUY, HIGH_FIRST, LOW_FIRST, SELL, lockstep, wall

from quantlab.simulator.engine.events import AlgoUpdate, TriggerRejected
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.values import AlgoStatus, OrderType, TimeInForce

QUIET = (1000.0, 1000.0, 1000.0, 1000.0)


@pytest.mark.parametrize(
    ("way", "opens", "side", "callback", "level"),
    [
        # 1000 -> 1050 -> 990 -> 1010. 1050.0 x 0.98 = 1029.0
        (HIGH_FIRST, BUY, SELL, "0.02", "1029.0"),
        # 1050.0 x 0.983 = 1032.15: a price on the tick is at or below it from 1032.1 on
        (HIGH_FIRST, BUY, SELL, "0.017", "1032.1"),
        # 1000 -> 990 -> 1050 -> 1010. 990.0 x 1.01 = 999.9
        (LOW_FIRST, SELL, BUY, "0.01", "999.9"),
        # 990.0 x 1.0175 = 1007.325: from 1007.4 on
        (LOW_FIRST, SELL, BUY, "0.0175", "1007.4"),
    ],
)
@pytest.mark.parametrize("calls", [1, 997])
def test_a_trailing_stop_follows_the_path_and_fires_at_its_share_of_the_extreme(
    still_bars, way, opens, side, callback: str, level: str, calls: int
) -> None:
    stage = wall(still_bars([(1000.0, 1050.0, 990.0, 1010.0), QUIET]), way)
    stage.market(opens, "1")
    stage.trail(side, callback)
    for k in range(calls):
        stage.venue.advance(BAR_MS * (k + 1) // calls)
    assert stage.fills(1) == [(side.name, "1.000", level)]
    assert stage.held() == "0.000"


def test_a_trailing_stop_waits_for_its_activation(still_bars) -> None:
    bars = still_bars([(1000.0, 1050.0, 990.0, 1010.0), QUIET])
    idle = wall(bars, HIGH_FIRST)
    idle.market(BUY, "1")
    idle.trail(SELL, "0.02", activate="1050.1")
    idle.end_bar()
    assert (idle.fills(1), idle.algo(1).extreme_ticks, idle.algo(1).trigger_ticks) == ([], 0, 0)
    active = wall(bars, HIGH_FIRST)
    active.market(BUY, "1")
    active.trail(SELL, "0.02", activate="1050.0")
    active.end_bar()
    assert active.fills(1) == [("SELL", "1.000", "1029.0")]


def test_the_activation_of_a_trailing_stop_lies_where_the_position_gains(still_bars) -> None:
    stage = wall(still_bars([QUIET, QUIET]))
    for side, activation, code in (
        (SELL, "1000.0", -2021),
        (SELL, "999.9", -2021),
        (BUY, "1000.0", -2021),
        (BUY, "1000.1", -2021),
        (SELL, "1000.1", None),
        (BUY, "999.9", None),
    ):
        answer = stage.conditional(
            side, OrderType.TRAILING_STOP_MARKET, units="1", callback=Decimal("0.01"), activate=activation
        )
        assert (answer.code if isinstance(answer, Refused) else None) == code, (side, activation)


def test_a_bar_that_opens_higher_lifts_a_trailing_stop_before_it_falls(still_bars) -> None:
    """The first bar leaves 1050 x 0.99 = 1039.5; the second opens at 1100 and falls at once, so 1089.0 counts."""
    stage = wall(still_bars([(1000.0, 1050.0, 1000.0, 1045.0), (1100.0, 1100.0, 1060.0, 1080.0)]), LOW_FIRST, LOW_FIRST)
    stage.market(BUY, "1")
    stage.trail(SELL, "0.01")
    stage.venue.advance(2 * BAR_MS)
    assert stage.fills(1) == [("SELL", "1.000", "1089.0")]


def test_a_bar_that_opens_beyond_the_level_fires_a_trailing_stop_there(still_bars) -> None:
    stage = wall(still_bars([(1000.0, 1050.0, 1000.0, 1045.0), (1020.0, 1030.0, 1010.0, 1015.0)]), LOW_FIRST)
    stage.market(BUY, "1")
    stage.trail(SELL, "0.01")
    stage.end_bar(2)
    assert stage.fills(1) == [("SELL", "1.000", "1020.0")]


def test_in_lockstep_a_trailing_stop_moves_after_each_bar(still_bars) -> None:
    """Bar 0 reaches 1050 and 1000 and moves the level to 1029 only when it is over; bar 1 fires there, or at a lower open."""
    for opened, filled in ((1045.0, "1029.0"), (1025.0, "1025.0")):
        stage = lockstep(still_bars([(1000.0, 1050.0, 1000.0, 1045.0), (opened, 1048.0, 1020.0, 1030.0)]))
        stage.market(BUY, "1")
        stage.trail(SELL, "0.02")
        assert stage.algo(1).trigger_ticks == 9_800  # 1000 x 0.98
        stage.end_bar()
        assert (stage.fills(1), stage.algo(1).trigger_ticks) == ([], 10_290)
        stage.end_bar()
        assert stage.fills(1) == [("SELL", "1.000", filled)]


def test_in_lockstep_a_short_s_trailing_stop_waits_for_its_activation(still_bars) -> None:
    rows = [(1000.0, 1005.0, 980.0, 990.0), (990.0, 1004.0, 970.0, 975.0), (975.0, 985.0, 974.0, 980.0)]
    stage = lockstep(still_bars([*rows, QUIET]))
    stage.market(SELL, "1")
    stage.trail(BUY, "0.01", activate="975.0")
    stage.end_bar()
    assert stage.algo(1).trigger_ticks == 0
    stage.end_bar()  # reaches 970: 970 x 1.01 = 979.7; its own 1004 came before that, as far as a bar can say
    assert (stage.algo(1).trigger_ticks, stage.fills(1)) == (9_797, [])
    stage.end_bar()
    assert stage.fills(1) == [("BUY", "1.000", "979.7")]


def test_an_account_hears_of_states_not_of_every_step_of_a_level(still_bars) -> None:
    stage = wall(still_bars([(1000.0, 1050.0, 990.0, 1010.0), QUIET]), HIGH_FIRST)
    stage.market(BUY, "1")
    stage.trail(SELL, "0.02")
    for ms in range(0, BAR_MS + 1, 10_000):
        stage.venue.advance(ms)
    heard = [(e.order.status, e.became and e.became.status.value) for e in stage.venue.take_events() if isinstance(e, AlgoUpdate)]  # fmt: skip
    assert heard == [(AlgoStatus.NEW, None), (AlgoStatus.TRIGGERED, "NEW"), (AlgoStatus.FINISHED, "FILLED")]
    became = stage.order(stage.algo(1).order_id)
    assert (became.type, became.asked_type, became.client_id) == (
        OrderType.MARKET,
        OrderType.TRAILING_STOP_MARKET,
        stage.algo(1).client_id,
    )


def test_in_lockstep_the_mark_is_the_last_close_and_the_contract_price_the_whole_bar(still_bars) -> None:
    """Bar 0 dips to 980 and closes at 995; bar 1 closes at 985. A stop at 990 by contract price fires at 990, one by mark at 985."""
    rows = [(1000.0, 1000.0, 980.0, 995.0), (995.0, 996.0, 984.0, 985.0), QUIET]
    stage = lockstep(still_bars(rows))
    stage.market(BUY, "2")
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "1", reduce_only=True)
    stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "1", reduce_only=True, by_mark=True)
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", "990.0")]
    stage.end_bar()
    assert stage.fills(2) == [("SELL", "1.000", "985.0")]


def test_in_lockstep_a_take_profit_by_mark_needs_a_close_and_fills_there(still_bars) -> None:
    rows = [(1000.0, 1030.0, 1000.0, 1010.0), (1010.0, 1025.0, 1009.0, 1024.0), QUIET]
    stage = lockstep(still_bars(rows))
    stage.market(BUY, "2")
    stage.conditional(SELL, OrderType.TAKE_PROFIT_MARKET, "1020.0", "1", reduce_only=True)
    stage.conditional(SELL, OrderType.TAKE_PROFIT_MARKET, "1020.0", "1", reduce_only=True, by_mark=True)
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", "1020.0")]
    stage.end_bar()
    assert stage.fills(2) == [("SELL", "1.000", "1024.0")]


def test_each_price_says_for_itself_that_an_order_would_trigger_at_once(still_bars) -> None:
    """The bar opened at 985 after a close at 1000: for the contract price 990 is passed, for the mark it is not."""
    stage = lockstep(still_bars([QUIET, (985.0, 1000.0, 980.0, 990.0), QUIET]))
    stage.end_bar()
    assert stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "1").code == -2021
    assert not isinstance(stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "1", by_mark=True), Refused)
    assert stage.conditional(BUY, OrderType.STOP_MARKET, "999.0", "1", by_mark=True).code == -2021
    assert not isinstance(stage.conditional(BUY, OrderType.STOP_MARKET, "999.0", "1"), Refused)


def test_in_wall_mode_both_prices_are_one(still_bars) -> None:
    stage = wall(still_bars([(1000.0, 1000.0, 980.0, 995.0), QUIET]))
    stage.market(BUY, "2")
    for by_mark in (False, True):
        stage.conditional(SELL, OrderType.STOP_MARKET, "990.0", "1", reduce_only=True, by_mark=by_mark)
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", "990.0")] * 2


@pytest.mark.parametrize("make", [lockstep, wall])
def test_a_stop_limit_rests_where_the_market_has_left_its_limit(still_bars, make) -> None:
    """Fires at 990, wants at least 995: rests until the price comes back beyond it."""
    rows = [(1000.0, 1000.0, 980.0, 985.0), (985.0, 996.0, 985.0, 990.0), QUIET]
    stage = make(still_bars(rows), *([HIGH_FIRST] if make is wall else []))
    stage.market(BUY, "1")
    stage.conditional(SELL, OrderType.STOP, "990.0", "1", price="995.0", reduce_only=True)
    stage.end_bar()
    assert (stage.algo(1).status, stage.fills(1)) == (AlgoStatus.TRIGGERED, [])
    assert stage.order(2).status.value == "NEW"
    stage.end_bar()
    assert stage.fills(1) == [("SELL", "1.000", "995.0")]
    assert stage.trades()[1].maker
    assert stage.algo(1).status is AlgoStatus.FINISHED


@pytest.mark.parametrize(
    ("life", "filled", "status"),
    [(TimeInForce.IOC, "1.000", "EXPIRED"), (TimeInForce.GTC, "1.000", "PARTIALLY_FILLED")],
)
def test_a_stop_limit_that_opens_keeps_its_time_in_force(still_bars, life, filled: str, status: str) -> None:
    """A tenth of a volume of 10 is one unit of the two that it wants."""
    stage = lockstep(still_bars([(1000.0, 1010.0, 1000.0, 1006.0), QUIET], volume=10.0), participation=0.1)
    stage.conditional(BUY, OrderType.STOP, "1005.0", "2", price="1006.0", time_in_force=life)
    stage.end_bar()
    order = stage.order(1)
    assert (str(stage.venue.listings["BTCUSDT"].grid.units(order.filled_lots)), order.status.value) == (filled, status)


@pytest.mark.parametrize(("life", "code"), [(TimeInForce.FOK, -5021), (TimeInForce.GTX, -5022)])
def test_a_stop_limit_that_may_not_trade_so_is_rejected_when_it_fires(still_bars, life, code: int) -> None:
    """A fill-or-kill order that finds too little, and a post-only order that would take, leave no plain order."""
    stage = lockstep(still_bars([(1000.0, 1010.0, 1000.0, 1006.0), QUIET], volume=10.0), participation=0.1)
    stage.conditional(BUY, OrderType.STOP, "1005.0", "2", price="1006.0", time_in_force=life)
    stage.venue.take_events()
    stage.end_bar()
    assert stage.algo(1).status is AlgoStatus.REJECTED
    assert [event.code for event in stage.venue.take_events() if isinstance(event, TriggerRejected)] == [code]
    assert stage.trades() == ()
    assert not [entry for entry in stage.venue.ledger if entry.kind == "order"]


def test_a_fill_or_kill_stop_limit_that_finds_enough_fills_whole(still_bars) -> None:
    stage = lockstep(still_bars([(1000.0, 1010.0, 1000.0, 1006.0), QUIET], volume=20.0), participation=0.1)
    stage.conditional(BUY, OrderType.STOP, "1005.0", "2", price="1006.0", time_in_force=TimeInForce.FOK)
    stage.end_bar()
    assert stage.order(1).status.value == "FILLED"
