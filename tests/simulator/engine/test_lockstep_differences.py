"""What a venue does not do as the backtest does it, one bar of each: orders that no client can send."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from lockstep import LockstepTrader, by_price, fills_of

from quantlab.backtest.scan import Scan
from quantlab.core.results import OrderReason
from quantlab.simulator.engine.requests import OrderRequest, Placed
from quantlab.simulator.engine.values import OrderType, Side, TimeInForce

CASH = 10_000.0
#: A bar of the entry, and one that ends above the take and in which the cap leaves most of the take unfilled.
FLAT = (1_000.0, 1_000.0, 1_000.0, 1_000.0)
BEFORE = [FLAT, (1_000.0, 1_005.0, 995.0, 1_004.0), (1_005.0, 1_020.0, 1_004.0, 1_018.0)]
BUSY, THIN = 1_000.0, 10.0
VOLUMES = [BUSY, BUSY, THIN, BUSY]


@pytest.fixture
def scene(still_bars, grid_signal, grid_strategy, open_venue, direct_client):
    """``scene(rows, volumes, targets, **distances)``: bars, backtest, a client at the first bar, and a driver of it."""

    def make(rows, volumes, targets, *, slippage_bps=0.5, **distances):
        bars = still_bars(rows)
        ohlcv = bars.ohlcv.copy()
        ohlcv[:, 0, 4] = volumes
        bars = dataclasses.replace(bars, ohlcv=ohlcv)
        signal = grid_signal(bars, 0)
        target = np.full((len(rows), 1), np.nan)
        target[: len(targets), 0] = targets
        wide = {"stop_distance": 500.0, "take_distance": np.inf, "trail_distance": np.inf, **distances}
        arrays = {name: np.full((len(rows), 1), value) for name, value in wide.items()}
        signal = dataclasses.replace(signal, target=target, **arrays)
        strategy = grid_strategy(participation=0.05, slippage_bps=slippage_bps)
        client = direct_client(open_venue(bars, strategy.costs))
        driver = LockstepTrader(client, bars, signal, strategy, CASH)
        return bars, Scan(CASH).run(bars, signal, strategy), client, driver

    return make


def test_a_stop_that_moved_past_the_next_open_is_refused_and_a_market_order_keeps_to_the_volume(scene) -> None:
    rows = [FLAT, (1_000.0, 1_040.0, 995.0, 1_039.0), (1_010.0, 1_015.0, 1_005.0, 1_012.0)]
    bars, backtest, client, _ = scene(rows, VOLUMES[:3], [0.25], trail_distance=20.0)
    assert fills_of(backtest, bars) == [(1, 0, 2_500, 10_001), (2, 0, -2_500, 10_099)]
    assert backtest.reasons[-1] == OrderReason.STOP
    assert backtest.over_participation[-1]
    client.advance()
    assert client.market(0, 2_500, reduce_only=False) == (2_500, 10_001)
    client.advance()
    assert not client.stop(0, -1, 10_200), "-2021: the bar opened below the high less 20"
    assert client.market(0, -2_500, reduce_only=True) == (-500, 10_099), "5 % of 10 units"
    assert client.lots() == [2_000]
    client.set_liquidity(0, 1e9)
    assert client.market(0, -2_000, reduce_only=True) == (-2_000, 10_099)


def advance_to_the_take(client) -> None:
    """Hold 2.0 of 2.5 units, the take at 1010.1, in a bar that opens at 1020; then add 0.5."""
    client.advance()
    assert client.market(0, 2_500, reduce_only=False) == (2_500, 10_001)
    assert client.take(0, -2_500, 10_101)
    client.advance()
    client.advance()
    assert client.new_fills(3)[-1] == (3, 0, -500, 10_101), "5 % of 10 units, as in the backtest"
    client.market(0, 500, reduce_only=False)
    client.new_fills(3)
    client.cancel_take(0)


def test_a_take_beyond_the_market_rests_within_the_quote_and_fills_as_in_the_backtest(scene) -> None:
    rows = [*BEFORE, (1_020.0, 1_030.0, 1_015.0, 1_025.0)]
    bars, backtest, _, driver = scene(rows, VOLUMES, [0.25, np.nan, 0.26], take_distance=10.0)
    outcome = driver.run()
    assert outcome.counts["take beyond the market"] == 1
    assert by_price(outcome.fills) == by_price(fills_of(backtest, bars))
    np.testing.assert_allclose(outcome.equity, backtest.equity, rtol=1e-12)
    assert outcome.fills[-1][3] == 10_200, "at the open, not at the level"
    assert backtest.orders["fees"][-1] == pytest.approx(backtest.orders["size"][-1] * 1_020.0 * 1.5e-4), "a maker"


def test_a_take_beyond_the_market_that_is_allowed_to_take_fills_for_less(scene) -> None:
    """A plain limit at the level, as a venue takes it: at once, at the bid, with the taker's fee."""
    rows = [*BEFORE, (1_020.0, 1_030.0, 1_015.0, 1_025.0)]
    _, _, client, _ = scene(rows, VOLUMES, [])
    advance_to_the_take(client)
    assert not client.take(0, -2_500, 10_101), "-5022: it would take"
    request = OrderRequest("BTCUSDT", Side.SELL, OrderType.LIMIT, 2_500, 10_101, TimeInForce.GTC, True)
    placed = client.venue.place("main", request, client.venue.now_ms)
    assert isinstance(placed, Placed)
    assert [(trade.price_ticks, trade.maker) for trade in placed.trades] == [(10_199, False)]


def test_a_take_that_finds_no_price_within_the_quote_waits_where_the_backtest_fills(scene) -> None:
    """The spread is one tick, so the nearest price that takes from nobody is the open, and the bar never goes beyond its open."""
    rows = [*BEFORE, (1_020.0, 1_020.0, 1_015.0, 1_016.0)]
    bars, backtest, client, _ = scene(rows, VOLUMES, [0.25, np.nan, 0.26], take_distance=10.0)
    assert fills_of(backtest, bars)[-1][3] == 10_200
    advance_to_the_take(client)
    assert client.quote(0) == (10_199, 10_201)
    assert client.take(0, -2_500, 10_200)
    client.advance()
    assert client.new_fills(3) == []


def test_a_wider_spread_has_such_a_price(scene) -> None:
    rows = [*BEFORE, (1_020.0, 1_020.0, 1_015.0, 1_016.0)]
    bars, backtest, _, driver = scene(rows, VOLUMES, [0.25, np.nan, 0.26], take_distance=10.0, slippage_bps=2.0)
    outcome = driver.run()
    assert outcome.counts["take beyond the market"] == 1
    assert by_price(outcome.fills) == by_price(fills_of(backtest, bars))


def test_a_close_that_the_volume_has_room_for_leaves_no_rest_of_rounding(scene) -> None:
    """0.017 + 0.002 is more than 0.019 in floats, and that is all that the volume of bar 3 closes: flat, as whole lots are.

    So the long of bar 4 opens a position with levels of its own, and is stopped in bar 5.
    """
    quiet, higher = (1_000.0, 1_005.0, 995.0, 1_000.0), (1_100.0, 1_105.0, 1_095.0, 1_100.0)
    rows = [FLAT, quiet, quiet, quiet, higher, (1_100.0, 1_101.0, 1_050.0, 1_060.0), (1_060.0,) * 4]
    volumes = [BUSY, 0.34, 0.04, 0.38, BUSY, BUSY, BUSY]
    bars, backtest, _, driver = scene(rows, volumes, [0.25, 0.25, -0.25, 0.25], stop_distance=20.0)
    outcome = driver.run()
    assert outcome.fills == fills_of(backtest, bars)
    assert [(row, lots) for row, _, lots, _ in outcome.fills[:3]] == [(1, 17), (2, 2), (3, -19)]
    assert backtest.orders["size"][2] == 0.017 + 0.002 > 0.019
    assert [(row, ticks) for row, _, _, ticks in outcome.fills[4:]] == [(5, 10_800)]
