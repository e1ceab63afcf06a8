"""What must hold of every simulation, whatever the market does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.backtest.scan import Scan
from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.trading import FromSignals

CASH = 10_000.0


def realised_and_fees(simulation, n_symbols):
    """Realised P&L per fill against the average entry, recomputed from the order records alone."""
    units, entry, realised, fees = np.zeros(n_symbols), np.zeros(n_symbols), 0.0, 0.0
    for order in simulation.orders:
        s, price = order["col"], order["price"]
        signed = order["size"] * (1 if order["side"] == 0 else -1)
        fees += order["fees"]
        if units[s] * signed >= 0:
            entry[s] = (units[s] * entry[s] + signed * price) / (units[s] + signed)
        else:
            realised -= signed * (price - entry[s])
        units[s] += signed
    return realised, fees, units, entry


@pytest.mark.parametrize("seed", range(6))
def test_cash_and_positions_are_what_was_earned_and_paid(case, seed):
    bars, signal, strategy = case(seed + 30)
    result = Scan(CASH).run(bars, signal, strategy)
    realised, fees, units, entry = realised_and_fees(result, bars.n_symbols)
    marks = np.array([c[np.isfinite(c)][-1] for c in bars.close.T])
    unrealised = float((units * (marks - entry)).sum())
    earned = CASH + realised + unrealised - fees - result.funding.sum() - result.liquidation_fees.sum()
    worth = result.cash + float((result.units * marks).sum())
    assert worth == pytest.approx(earned, rel=1e-9)
    assert result.equity[-1] == pytest.approx(earned, rel=1e-9)
    np.testing.assert_allclose(units, result.units, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_future_changes_nothing_before_it(case, seed):
    bars, signal, strategy = case(seed + 60)
    cut = 200
    ohlcv = bars.ohlcv.copy()
    ohlcv[cut:, :, :4] *= 1.1
    ohlcv[cut:, :, 4] *= 0.3
    other = Scan(CASH).run(dataclasses.replace(bars, ohlcv=ohlcv), signal, strategy)
    usual = Scan(CASH).run(bars, signal, strategy)
    short = Scan(CASH).run(bars.rows(0, cut), signal.rows(0, cut), strategy)
    for result in (other, usual):
        assert result.equity[:cut].tobytes() == short.equity.tobytes()
        assert result.orders[result.orders["idx"] < cut].tobytes() == short.orders.tobytes()
        assert result.events[result.events["idx"] < cut].tobytes() == short.events.tobytes()
    assert other.equity[-1] != usual.equity[-1] or len(usual.orders) == len(short.orders)


def test_no_signal_no_orders(case):
    bars, signal, strategy = case(1)
    n = signal.side.shape
    silent = dataclasses.replace(
        signal, side=np.zeros(n, np.int8), target=None if signal.target is None else np.full(n, np.nan)
    )
    result = Scan(CASH).run(bars, silent, strategy)
    assert len(result.orders) == 0
    assert np.all(result.equity == CASH)
    assert not any(result.cuts.values())


@pytest.mark.parametrize("seed", range(5))
def test_orders_are_on_the_grid_and_inside_the_bar(case, seed):
    bars, signal, strategy = case(seed + 90)
    result = Scan(CASH).run(bars, signal, strategy)
    slip = strategy.costs.slippage_bps / 1e4
    for order, reason in zip(result.orders, result.reasons, strict=True):
        rules, bar = bars.instruments[order["col"]], bars.ohlcv[order["idx"], order["col"]]
        if reason == OrderReason.DELISTED:
            assert bars.state[order["idx"], order["col"]] == BarState.ABSENT
            closes = bars.close[: order["idx"], order["col"]]
            assert order["price"] == closes[np.isfinite(closes)][-1]
            continue
        # A price that was rounded is up to one tick away from the one that was judged.
        share = strategy.costs.coarsest_tick
        tick = rules.tick if rules.tick * (1 - share) <= share * order["price"] else 0.0
        if tick and rules.tick * (1 + share) <= share * order["price"]:
            assert order["price"] == round(order["price"] / tick) * tick
        low, high = bar[2] * (1 - slip) - tick, bar[1] * (1 + slip) + tick
        assert low <= order["price"] <= high or bar[4] == 0
        assert order["size"] > 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), weight=st.sampled_from([0.05, 0.5, 2.0]))
def test_the_other_side_earns_the_opposite(wild_bars, wild_signal, strategy, seed, weight):
    """Fixed units, no stops and no frictions: the sign of the signal is the sign of the P&L."""
    bars = wild_bars(seed, n_bars=80, n_symbols=3, funding=False)
    bars = dataclasses.replace(
        bars,
        state=np.where(bars.state == BarState.ABSENT, np.uint8(3), np.uint8(0)),
        instruments=tuple(
            dataclasses.replace(i, tick=0.0, lot=0.0, min_notional=0.0, taker_fee_bps=0.0, maintenance_margin_rate=0.0)
            for i in bars.instruments
        ),
    )
    signal = wild_signal(bars, seed, activity=0.1)
    rng = np.random.default_rng(seed)
    # one entry a symbol, early, so that its units are the same fraction of the same equity
    target = np.full(signal.side.shape, np.nan)
    target[0] = weight * rng.choice([-1.0, 1.0], bars.n_symbols) / bars.n_symbols
    target[50] = 0.0
    free = strategy(
        policy=FromSignals(False),
        limits=dict.fromkeys(
            ("daily_loss_limit", "breaker", "max_positions", "max_weight", "max_gross_leverage"), None
        ),
        costs={"slippage_bps": 0.0, "participation": None},
    )
    results = [
        Scan(1e6).run(bars, dataclasses.replace(signal, target=sign * target), free, limits_on=False)
        for sign in (1.0, -1.0)
    ]
    gains = [r.equity - 1e6 for r in results]
    np.testing.assert_allclose(gains[0], -gains[1], atol=1e-6)


def test_a_late_signal_loses_a_planted_edge(random_bars, wild_signal, strategy):
    """The signal knows the next bar's move; one bar later that is worth nothing."""
    bars = random_bars(seed=2, n_bars=3_000, n_symbols=2)
    move = np.sign(bars.close - bars.ohlcv[:, :, 0])
    known, late = np.zeros_like(move), np.zeros_like(move)
    known[:-1], late[:] = move[1:], move
    blank = wild_signal(bars, 0)
    free = strategy(policy=FromSignals(True), costs={"slippage_bps": 0.0})
    gains = [
        Scan(CASH).run(bars, dataclasses.replace(blank, side=side.astype(np.int8)), free, limits_on=False).equity[-1]
        for side in (known, late)
    ]
    assert gains[0] > 1.5 * CASH
    assert gains[1] < CASH
