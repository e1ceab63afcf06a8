"""Identities over thousands of small random accounts: cash, causality, delay, symmetry, silence."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.trading import EnsembleThreshold, FromSignals, RiskPerTrade

START, STEP = 1_742_083_200_000 - 8 * 300_000, 300_000
CASH = 10_000.0
DISTANCES = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")
T, S = 20, 2
FREE = Instrument(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def walk(rng, *, instrument=None, holes=True, n=T):
    """A small market with gaps, holes, dead bars and funding."""
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, (n, S)), axis=0))
    open_ = np.vstack([np.full((1, S), 100.0), close[:-1]]) * np.exp(rng.normal(0.0, 0.004, (n, S)))
    spread = np.abs(rng.normal(0.0, 0.008, (2, n, S)))
    high, low = np.maximum(open_, close) * (1.0 + spread[0]), np.minimum(open_, close) / (1.0 + spread[1])
    ohlcv = np.stack([open_, high, low, close, rng.lognormal(6.0, 1.5, (n, S))], axis=-1)
    state = np.zeros((n, S), np.uint8)
    if holes:
        what = rng.random((n, S))
        ohlcv[what < 0.06, 4] = 0.0
        state[what < 0.06] = BarState.ZERO_VOLUME
        ohlcv[what < 0.03] = np.nan
        state[what < 0.03] = BarState.ABSENT
    stamps = START + STEP * np.arange(0, n, 6, dtype=np.int64)
    funding = Funding(stamps, rng.normal(0.0, 1e-3, (len(stamps), S)))
    rules = instrument or Instrument(
        float(rng.choice([0.0, 0.25])), float(rng.choice([0.0, 0.5])), 10.0, 0.03, 1.5, 4.5
    )
    return Bars(ohlcv, START + STEP * np.arange(n), STEP, state, ("A", "B"), (rules,) * S, funding)


def opinion(rng, signal, bars):
    shape = bars.state.shape
    side = rng.choice([-1, 0, 0, 1], shape)
    target = np.where(rng.random(shape) < 0.3, rng.normal(0.0, 0.8, shape), np.nan)
    brought = {n: np.where(rng.random(shape) < 0.5, rng.uniform(0.5, 5.0, shape), np.inf) for n in DISTANCES}
    given = brought | ({"target": target} if rng.random() < 0.5 else {})
    return signal(bars, side=side, atr=rng.uniform(0.3, 2.0, shape), confidence=rng.uniform(0.3, 0.9, shape), **given)


def plan(rng, strategy):
    policy = (
        FromSignals(bool(rng.integers(2)))
        if rng.random() < 0.5
        else EnsembleThreshold(1.5, 2.5, 5, bool(rng.integers(2)), trail_atr=2.0, break_even_atr=1.0)
    )
    limits = {"daily_loss_limit": 0.03, "breaker": 0.1, "max_gross_leverage": 2.0, "loss_streak": 4}
    return strategy(
        policy=policy, sizer=RiskPerTrade(0.01, 0.8), limits=limits, costs={"slippage_bps": 2.0, "participation": 0.1}
    )


def case(seed, signal, strategy):
    rng = np.random.default_rng(seed)
    bars = walk(rng)
    return bars, opinion(rng, signal, bars), plan(rng, strategy)


def ledger(result):
    """Realised P&L, fees and what is open, from the order records alone."""
    units, entry, realised = [0.0] * S, [0.0] * S, 0.0
    for _, s, _, size, price, _, side in result.orders.tolist():
        signed = size if side == 0 else -size
        if units[s] * signed >= 0.0:
            entry[s] = (units[s] * entry[s] + signed * price) / (units[s] + signed)
        else:
            realised -= signed * (price - entry[s])
        units[s] += signed
    return units, entry, realised, float(result.orders["fees"].sum())


def test_cash_and_positions_are_what_was_earned_and_paid(signal, strategy):
    orders = 0
    for seed in range(1_000):
        bars, signals, chosen = case(seed, signal, strategy)
        result = Scan(CASH).run(bars, signals, chosen)
        units, entry, realised, fees = ledger(result)
        marks = [c[np.isfinite(c)][-1] for c in bars.close.T]
        unrealised = sum(u * (m - e) for u, m, e in zip(units, marks, entry, strict=True))
        paid = fees + result.funding.sum() + result.liquidation_fees.sum()
        assert result.equity[-1] == pytest.approx(CASH + realised + unrealised - paid, rel=1e-9)
        orders += len(result.orders)
    assert orders > 5_000


def test_the_future_changes_nothing(signal, strategy):
    differed = 0
    for seed in range(600):
        bars, signals, chosen = case(seed, signal, strategy)
        cut = 5 + seed % 12
        rng = np.random.default_rng(seed + 1_000_000)
        ohlcv = bars.ohlcv.copy()
        ohlcv[cut:] *= np.exp(rng.normal(0.0, 0.05, ohlcv[cut:].shape[:2]))[:, :, None]
        one = Scan(CASH).run(bars, signals, chosen)
        two = Scan(CASH).run(dataclasses.replace(bars, ohlcv=ohlcv), signals, chosen)
        assert one.equity[:cut].tobytes() == two.equity[:cut].tobytes()
        for records in ("orders", "events"):
            a, b = (getattr(r, records) for r in (one, two))
            assert a[a["idx"] < cut].tobytes() == b[b["idx"] < cut].tobytes()
        differed += one.equity[-1] != two.equity[-1]
    assert differed > 420


def test_silence_costs_nothing(signal, strategy):
    for seed in range(200):
        bars, _, chosen = case(seed, signal, strategy)
        result = Scan(CASH).run(bars, signal(bars), chosen)
        assert len(result.orders) == 0
        assert np.all(result.equity == CASH)
        assert not any(result.cuts.values())


def test_the_other_side_earns_the_opposite(signal, strategy):
    """Units fixed by one entry at a known equity, no stops, no frictions."""
    free = strategy()
    moved = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        bars = dataclasses.replace(walk(rng, instrument=FREE, holes=False), funding=None)
        target = np.full((T, S), np.nan)
        target[0] = rng.uniform(0.05, 0.4, S) * rng.choice([-1.0, 1.0], S)
        target[int(rng.integers(3, T - 1))] = 0.0
        one, two = (
            Scan(CASH).run(bars, signal(bars, target=sign * target), free).equity - CASH for sign in (1.0, -1.0)
        )
        np.testing.assert_allclose(one, -two, atol=1e-8)
        moved += abs(one[-1]) > 1.0
    assert moved > 350


def test_a_signal_that_comes_one_bar_late_loses_its_edge(signal, strategy):
    """It knows the next bar's move; over 300 markets that is worth much, and a bar later nothing."""
    gains = {"in time": [], "late": []}
    free = strategy(policy=FromSignals(True))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        bars = dataclasses.replace(walk(rng, instrument=FREE, holes=False), funding=None)
        move = np.sign(bars.close - bars.ohlcv[:, :, 0]).astype(np.int8)
        known = np.vstack([move[1:], np.zeros((1, S), np.int8)])
        for name, side in (("in time", known), ("late", move)):
            gains[name].append(Scan(CASH).run(bars, signal(bars, side=side), free).equity[-1] / CASH - 1.0)
    mean = {name: float(np.mean(g)) for name, g in gains.items()}
    error = float(np.std(gains["late"])) / math.sqrt(300)
    assert min(gains["in time"]) > 0.0
    assert abs(mean["late"]) < 4.0 * error
    assert mean["in time"] > 20.0 * error
