"""Scenes of orders that end by time, computed by hand: a date, a countdown, the lag of a new order."""

from __future__ import annotations

import pytest
from scenes import BAR_MS, BUY, LOW_FIRST, SELL, code_of, lockstep, seed_of, time_of, wall

from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.values import AlgoStatus, OrderStatus, OrderType, TimeInForce

ACCOUNT, BTC = "main", "BTCUSDT"
QUIET = (1000.0, 1000.0, 1000.0, 1000.0)
RISE = (1000.0, 1050.0, 1000.0, 1045.0)
START_MS, INTERVAL_MS = 1_742_083_200_000, 300_000


@pytest.mark.parametrize("calls", [1, 50])
def test_an_order_that_is_good_till_a_moment_fills_before_it_and_never_after(still_bars, calls: int) -> None:
    passed = time_of(seed_of(LOW_FIRST), 0, RISE, "1040")
    for good_till, status in ((passed - 1, OrderStatus.EXPIRED), (passed + 1, OrderStatus.FILLED)):
        stage = wall(still_bars([RISE, QUIET]), LOW_FIRST, shortest_gtd_ms=0)
        stage.limit(SELL, "1", "1040.0", time_in_force=TimeInForce.GTD, good_till_ms=good_till)
        for k in range(calls):
            stage.venue.advance(BAR_MS * (k + 1) // calls)
        assert stage.order(1).status is status
        if status is OrderStatus.EXPIRED:
            assert [(entry.time_ms, entry.fields["status"]) for entry in stage.notes("order_end")] == [
                (good_till, "EXPIRED")
            ]


def test_in_lockstep_an_end_inside_a_bar_comes_before_what_the_bar_reaches(still_bars) -> None:
    close = START_MS + INTERVAL_MS
    for good_till, status in ((close - 1, OrderStatus.EXPIRED), (close, OrderStatus.FILLED)):
        stage = lockstep(still_bars([RISE, QUIET]), shortest_gtd_ms=0)
        stage.limit(SELL, "1", "1040.0", time_in_force=TimeInForce.GTD, good_till_ms=good_till)
        stage.end_bar()
        assert stage.order(1).status is status


def test_a_conditional_order_ends_by_time_too(still_bars) -> None:
    passed = time_of(seed_of(LOW_FIRST), 0, RISE, "1040")
    for good_till, status in ((passed - 1, AlgoStatus.EXPIRED), (passed + 1, AlgoStatus.FINISHED)):
        stage = wall(still_bars([RISE, QUIET]), LOW_FIRST, shortest_gtd_ms=0)
        life = {"time_in_force": TimeInForce.GTD, "good_till_ms": good_till}
        stage.conditional(BUY, OrderType.STOP, "1040.0", "1", price="1041.0", **life)
        stage.end_bar()
        assert stage.algo(1).status is status


def test_an_end_is_more_than_ten_minutes_away_and_within_all_calendars(still_bars) -> None:
    stage = lockstep(still_bars([QUIET, QUIET]))
    last = 253_402_300_799_000
    for good_till, code in (
        (START_MS + 600_000, -5040),
        (START_MS + 600_001, None),
        (START_MS - 1, -5040),
        (last, -5040),
        (last - 1, None),
    ):
        life = {"time_in_force": TimeInForce.GTD, "good_till_ms": good_till}
        assert code_of(stage.limit(SELL, "1", "1040.0", **life)) == code
        assert code_of(stage.conditional(BUY, OrderType.STOP, "1040.0", "1", price="1041.0", **life)) == code


@pytest.mark.parametrize("takes_both", [False, True])
def test_a_countdown_cancels_plain_orders_at_its_moment_and_by_switch_conditional_ones(
    still_bars, takes_both: bool
) -> None:
    passed = time_of(seed_of(LOW_FIRST), 0, RISE, "1040")
    stage = wall(still_bars([RISE, QUIET]), LOW_FIRST, countdown_takes_conditional=takes_both)
    stage.limit(SELL, "1", "1040.0")
    stage.conditional(BUY, OrderType.STOP_MARKET, "1049.0", "1")
    stage.venue.countdown(ACCOUNT, BTC, passed - 1, 0)
    stage.end_bar()
    assert stage.order(1).status is OrderStatus.CANCELED
    assert stage.algo(1).status is (AlgoStatus.CANCELED if takes_both else AlgoStatus.FINISHED)
    ended = {entry.fields["order_id"]: entry.time_ms for entry in stage.notes("order_end")}
    assert ended[1] == passed - 1


def test_a_countdown_is_set_anew_or_taken_back(still_bars) -> None:
    passed = time_of(seed_of(LOW_FIRST), 0, RISE, "1040")
    for again, status in ((passed + 10, OrderStatus.FILLED), (0, OrderStatus.FILLED), (5, OrderStatus.CANCELED)):
        stage = wall(still_bars([RISE, QUIET]), LOW_FIRST)
        stage.limit(SELL, "1", "1040.0")
        stage.venue.countdown(ACCOUNT, BTC, passed - 1, 0)
        stage.venue.countdown(ACCOUNT, BTC, again, 0)
        stage.end_bar()
        assert stage.order(1).status is status, again


def test_an_order_of_either_book_is_hidden_for_the_lag_but_stands(still_bars) -> None:
    stage = wall(still_bars([(1000.0, 1050.0, 1000.0, 1045.0), QUIET]), LOW_FIRST, lag_ms=BAR_MS)
    stage.market(BUY, "1")
    stage.conditional(SELL, OrderType.TAKE_PROFIT_MARKET, "1040.0")
    stage.conditional(SELL, OrderType.STOP_MARKET, "900.0")
    assert (code_of(stage.order(1)), code_of(stage.algo(1))) == (-2013, -2013)
    assert stage.venue.open_conditional(ACCOUNT, BTC, 0) == ()
    assert not isinstance(stage.cancel_algo(2), Refused)
    stage.venue.advance(BAR_MS - 1)
    assert (code_of(stage.algo(1)), stage.fills(1)) == (-2013, [("SELL", "1.000", "1040.0")])
    stage.venue.advance(BAR_MS)
    assert (stage.algo(1).status, stage.algo(2).status) == (AlgoStatus.FINISHED, AlgoStatus.CANCELED)
