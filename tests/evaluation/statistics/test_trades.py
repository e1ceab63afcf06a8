"""Round trips by hand, and against an independent account."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.last_marks import last_marks
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.trades import TRADE_DTYPE, round_trips

SIGNAL, STOP, TAKE = int(OrderReason.SIGNAL), int(OrderReason.STOP), int(OrderReason.TAKE_PROFIT)


@pytest.fixture
def flat(bars_of):
    return bars_of(np.full((10, 2), 100.0))


def only(simulation, bars) -> dict[str, object]:
    records = round_trips(simulation, bars).records
    assert len(records) == 1
    return {name: records[name][0].item() for name in records.dtype.names}


def test_one_long(booked, flat):
    fills = [(1, 0, 2.0, 100.0, 0.5, SIGNAL), (4, 0, -2.0, 110.0, 0.25, TAKE)]
    assert only(booked(flat, fills), flat) == {
        "symbol": 0,
        "side": 1,
        "entry_idx": 1,
        "exit_idx": 4,
        "entry_price": 100.0,
        "exit_price": 110.0,
        "size": 2.0,
        "fees": 0.75,
        "pnl": 19.25,
        "exit_reason": TAKE,
        "closed": True,
    }


def test_adds_and_partial_exits_belong_to_one_trade(booked, flat):
    fills = [
        (1, 1, -1.0, 100.0, 0.0, SIGNAL),
        (2, 1, -3.0, 108.0, 0.0, SIGNAL),
        (3, 1, 2.0, 100.0, 0.0, TAKE),
        (5, 1, 2.0, 110.0, 1.0, STOP),
    ]
    trade = only(booked(flat, fills), flat)
    assert (trade["side"], trade["entry_price"], trade["exit_price"]) == (-1, 106.0, 105.0)
    assert (trade["size"], trade["pnl"], trade["exit_reason"], trade["symbol"]) == (4.0, 3.0, STOP, 1)


@pytest.mark.parametrize("records", [1, 2])
def test_a_flip_ends_one_trade_and_starts_one(booked, flat, records):
    legs = [(4, 0, -5.0, 90.0, 1.0, SIGNAL)]
    if records == 2:
        legs = [(4, 0, -2.0, 90.0, 0.4, SIGNAL), (4, 0, -3.0, 90.0, 0.6, SIGNAL)]
    simulation = booked(flat, [(1, 0, 2.0, 100.0, 0.0, SIGNAL), *legs, (6, 0, 3.0, 80.0, 0.0, TAKE)])
    trades = round_trips(simulation, flat).closed
    np.testing.assert_allclose(trades["pnl"], [-20.4, 29.4])
    np.testing.assert_array_equal(trades["side"], [1, -1])
    np.testing.assert_array_equal(trades["entry_idx"], [1, 4])
    np.testing.assert_array_equal(trades["size"], [2.0, 3.0])
    np.testing.assert_allclose(trades["fees"], [0.4, 0.6])


def test_an_open_trade_is_valued_at_the_last_finite_close(booked, bars_of):
    close = np.full((6, 1), 100.0)
    close[3], close[4:] = 120.0, np.nan
    bars = bars_of(close)
    simulation = booked(bars, [(1, 0, 2.0, 100.0, 1.0, SIGNAL), (2, 0, -0.5, 110.0, 0.0, SIGNAL)])
    trades = round_trips(simulation, bars)
    assert len(trades.closed) == 0
    assert trades.open["pnl"][0] == pytest.approx(0.5 * 10 + 1.5 * 20 - 1.0)
    assert trades.open["exit_price"][0] == pytest.approx((0.5 * 110 + 1.5 * 120) / 2)
    assert last_marks(bars, simulation.units)[0] == 120.0


def test_rounding_of_many_fills_leaves_no_ghost_position(booked, flat):
    fills = [(1, 0, 0.1, 100.0, 0.0, SIGNAL)] * 3 + [(2, 0, -0.3, 101.0, 0.0, SIGNAL), (3, 0, 1.0, 100.0, 0.0, SIGNAL)]
    records = round_trips(booked(flat, fills), flat).records
    np.testing.assert_array_equal(records["closed"], [True, False])
    assert records["entry_idx"][1] == 3


def test_no_orders_no_trades(booked, flat):
    assert round_trips(booked(flat, []), flat).records.dtype == TRADE_DTYPE
    assert len(round_trips(booked(flat, []), flat).records) == 0


@pytest.mark.parametrize("seed", range(5))
def test_trades_add_up_to_the_account(booked, fills_of, random_bars, seed):
    bars = random_bars(seed, n_bars=900, n_symbols=5)
    funding = np.random.default_rng(seed).normal(0.0, 0.05, bars.n_bars)
    simulation = booked(bars, fills_of(bars, seed), funding=funding)
    trades = round_trips(simulation, bars)
    assert len(trades.closed) > 50
    assert len(trades.open) == np.count_nonzero(simulation.units)
    earned = float(np.sum(trades.records["pnl"])) - float(np.sum(simulation.funding))
    assert earned == pytest.approx(simulation.equity[-1] - simulation.initial_cash, rel=1e-9, abs=1e-8)
    assert np.sum(trades.records["fees"]) == pytest.approx(np.sum(simulation.orders["fees"]))
    open_entry = trades.open[np.argsort(trades.open["symbol"])]
    held = np.flatnonzero(simulation.units)
    np.testing.assert_array_equal(open_entry["symbol"], held)


@pytest.mark.parametrize("seed", range(3))
def test_closed_trades_explain_their_own_pnl(booked, fills_of, random_bars, seed):
    bars = random_bars(seed, n_bars=900, n_symbols=3)
    t = round_trips(booked(bars, fills_of(bars, seed)), bars).closed
    np.testing.assert_allclose(
        t["pnl"], t["side"] * (t["exit_price"] - t["entry_price"]) * t["size"] - t["fees"], atol=1e-8
    )
    assert np.all(t["entry_idx"] <= t["exit_idx"])
