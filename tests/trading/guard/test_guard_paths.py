"""10,000 small random accounts: no fill ever passes a limit, recomputed from orders and bars alone.

The first thousand always run, the others with the slow tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading import ConfidenceFraction, EnsembleThreshold

PATHS, T, S = 10_000, 24, 3
START, STEP = 1_742_083_200_000 - 12 * 300_000, 300_000  # midnight, UTC, in the middle
CASH = 10_000.0
EPS = 1.0 + 1e-9
DISTANCES = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")
CAPPED = {OrderReason.SIGNAL, OrderReason.TIME_EXIT, OrderReason.FLATTEN, OrderReason.TAKE_PROFIT}


def one_of(rng, *values):
    return values[int(rng.integers(len(values)))]


def wild_bars(rng):
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (T, S)), axis=0))
    open_ = np.vstack([np.full((1, S), 100.0), close[:-1]]) * np.exp(rng.normal(0.0, 0.005, (T, S)))
    spread = np.abs(rng.normal(0.0, 0.01, (2, T, S)))
    high, low = np.maximum(open_, close) * (1.0 + spread[0]), np.minimum(open_, close) / (1.0 + spread[1])
    ohlcv = np.stack([open_, high, low, close, rng.lognormal(4.0, 2.0, (T, S))], axis=-1)
    state = np.zeros((T, S), np.uint8)
    what = rng.random((T, S))
    ohlcv[what < 0.06, 4] = 0.0
    state[what < 0.06] = BarState.ZERO_VOLUME
    ohlcv[what < 0.03] = np.nan
    state[what < 0.03] = BarState.ABSENT
    rules = Instrument(one_of(rng, 0.0, 0.5), one_of(rng, 0.0, 1.0), one_of(rng, 0.0, 500.0), 0.03, 1.5, 4.5)
    return Bars(ohlcv, START + STEP * np.arange(T), STEP, state, ("A", "B", "C"), (rules,) * S)


def wild_signal(rng, signal, bars):
    target = np.where(rng.random((T, S)) < one_of(rng, 0.4, 0.9), rng.normal(0.0, 0.6, (T, S)), np.nan)
    target[rng.random((T, S)) < 0.05] = 0.0
    target[rng.random((T, S)) < 0.02] = np.inf
    brought = {}
    for name in DISTANCES:
        distance = rng.uniform(0.5, 6.0, (T, S))
        bad = rng.random((T, S))
        distance[bad < 0.3] = np.inf
        distance[bad < 0.03] = np.nan
        distance[bad < 0.02] = 0.0
        distance[bad < 0.01] = -1.0
        brought[name] = distance
    return signal(bars, target=target, **brought)


def wild_strategy(rng, strategy):
    return strategy(
        limits={
            "daily_loss_limit": one_of(rng, None, 0.005, 0.02),
            "daily_flatten": bool(rng.integers(2)),
            "breaker": one_of(rng, None, 0.01, 0.04),
            "max_positions": one_of(rng, None, 1, 2),
            "max_weight": one_of(rng, None, 0.1, 0.5),
            "max_gross_leverage": one_of(rng, None, 0.3, 1.0),
            "rollout": one_of(rng, 1.0, 0.5, 0.0),
            "loss_streak": one_of(rng, None, 1, 2),
            "max_stops": one_of(rng, None, 1, 2),
            "stop_window_minutes": one_of(rng, 5.0, 30.0),
        },
        costs={"participation": one_of(rng, None, 0.05, 1.0), "slippage_bps": one_of(rng, 0.0, 10.0)},
    )


class Accounts:
    """What an auditor knows: order records, bars, equity. It shares no code with the guard."""

    def __init__(self, bars, signals, chosen, result):
        self.bars, self.signals, self.limits, self.costs, self.result = (
            bars,
            signals,
            chosen.limits,
            chosen.costs,
            result,
        )
        self.units, self.flow, self.mark = [0.0] * S, [0.0] * S, [math.nan] * S
        self.streak, self.stops, self.halts, self.breaker = 0, [], set(), False
        self.high, self.seen = CASH, Counter()
        self.equity = [CASH, *result.equity.tolist()]
        by_bar = [[] for _ in range(T)]
        for order, reason in zip(result.orders.tolist(), result.reasons.tolist(), strict=True):
            by_bar[order[2]].append((order[1], order[3] * (1 - 2 * order[6]), order[4], order[5], reason))
        for t in range(T):
            self.bar(t, by_bar[t])

    def bar(self, t, fills):
        if t == 0 or (START + t * STEP) // 86_400_000 != (START + (t - 1) * STEP) // 86_400_000:
            self.day_start, fresh = self.equity[t], True
        else:
            fresh = False
        before, held = list(self.units), sum(u != 0.0 for u in self.units)
        halted = bool(self.halts) or self.breaker
        wanted = {}
        used = [0.0] * S
        if fresh:
            self.halts, self.streak = set(), 0
        for s, units, price, fee, reason in fills:
            if reason in CAPPED:
                used[s] += abs(units)
            if reason == OrderReason.SIGNAL and self.units[s] * units >= 0.0:
                wanted[s] = self.units[s] + units
                self.check_increase(t, s, units, before[s], halted)
            grew = self.units[s] * units >= 0.0
            self.flow[s] -= units * price + fee
            self.units[s] += units
            if grew and self.limits.max_gross_leverage is not None:
                gross = sum(abs(u) * self.mark[k] for k, u in enumerate(self.units) if u != 0.0)
                assert gross <= self.limits.max_gross_leverage * self.equity[t] * EPS
            if reason == OrderReason.STOP:
                self.stops.append(t)
            if self.units[s] == 0.0:
                self.streak = self.streak + 1 if self.flow[s] < 0.0 else 0
                self.flow[s] = 0.0
            volume = self.bars.ohlcv[t, s, 4]
            assert volume > 0.0 or reason == OrderReason.LIQUIDATION
        if self.costs.participation is not None:
            for s in range(S):
                assert used[s] == 0.0 or used[s] <= self.costs.participation * self.bars.ohlcv[t, s, 4] * EPS
        self.check_together(t, wanted, before, held)
        close = self.bars.ohlcv[t, :, 3]
        for s in range(S):
            self.mark[s] = close[s] if np.isfinite(close[s]) else self.mark[s]
        self.latch(t)

    def check_increase(self, t, s, units, before, halted):
        signals, limits, close, equity = self.signals, self.limits, self.bars.ohlcv[t - 1, s, 3], self.equity[t]
        assert not halted
        assert equity > 0.0
        assert self.bars.state[t - 1, s] == BarState.TRADED
        assert np.isfinite(close)
        assert np.isfinite(signals.target[t - 1, s])
        assert all(getattr(signals, name)[t - 1, s] > 0.0 for name in DISTANCES)
        after = abs(self.units[s] + units)
        asked = abs(signals.target[t - 1, s]) * equity / close
        assert after <= limits.rollout * asked * EPS
        if limits.max_weight is not None:
            assert after * close <= limits.max_weight * equity * EPS
            self.seen["max_weight"] += 1
        rules = self.bars.instruments[s]
        if rules.lot:
            assert abs(units) == round(abs(units) / rules.lot) * rules.lot
        whole = self.costs.participation is None
        assert not whole or abs(units) * close * EPS >= rules.min_notional
        self.seen["increases"] += 1

    def check_together(self, t, wanted, before, held):
        limits = self.limits
        entries = sum(before[s] == 0.0 for s in wanted)
        if limits.max_positions is not None and entries:
            assert held + entries <= limits.max_positions
            self.seen["max_positions"] += 1
        if limits.max_gross_leverage is not None and wanted:
            self.seen["a flip cut beside an increase"] += any(self.flip_was_cut(t, s, before[s]) for s in range(S))
            self.check_gross(wanted, before, limits.max_gross_leverage * self.equity[t] * EPS)
            self.seen["max_gross_leverage"] += 1

    def flip_was_cut(self, t, s, before):
        """The other side was asked for, and this bar did not even close the first."""
        asked = np.sign(self.signals.target[t - 1, s])
        return asked * before < 0.0 < self.units[s] * before

    def check_gross(self, wanted, before, most):
        """At the decision's prices, for this bar's volumes and for any other: each close may have failed to fill."""
        held = [abs(u) * self.mark[s] if u != 0.0 else 0.0 for s, u in enumerate(before)]
        grown = {s: abs(u) * self.mark[s] for s, u in wanted.items()}
        for s, value in grown.items():
            assert value + sum(held) - held[s] <= most
        if sum(held) <= most:
            assert sum(max(grown.get(s, 0.0), held[s]) for s in range(S)) <= most
        else:
            self.seen["a flip over the limit"] += 1

    def latch(self, t):
        """Every rule that halts, at the close of t; events must be these and no others."""
        limits, equity, mine = self.limits, self.equity[t + 1], []
        self.high = max(self.high, equity)
        if limits.daily_loss_limit and equity <= (1.0 - limits.daily_loss_limit) * self.day_start:
            mine += ["DAILY_LIMIT"] if "DAILY_LIMIT" not in self.halts else []
        if limits.breaker and equity <= (1.0 - limits.breaker) * self.high and not self.breaker:
            mine.append("BREAKER")
            self.breaker = True
        if limits.loss_streak and self.streak >= limits.loss_streak and "LOSS_STREAK" not in self.halts:
            mine.append("LOSS_STREAK")
        stops = self.stops[-limits.max_stops :] if limits.max_stops else []
        near = len(stops) == limits.max_stops and stops[-1] == t
        if near and (t - stops[0]) * STEP < limits.stop_window_minutes * 60_000 and "STOP_RATE" not in self.halts:
            mine.append("STOP_RATE")
        kinds = {int(k): RiskEvent(k).name for k in RiskEvent}
        theirs = [kinds[int(e["kind"])] for e in self.result.events if e["idx"] == t]
        assert [k for k in theirs if k != "LIQUIDATION"] == mine
        self.halts |= set(mine) - {"BREAKER"}
        self.seen.update(mine)


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 10))])
def test_no_order_passes_a_limit(signal, strategy, part):
    rng, seen, cuts = np.random.default_rng(part), Counter(), Counter()
    for _ in range(PATHS // 10):
        bars, chosen = wild_bars(rng), wild_strategy(rng, strategy)
        signals = wild_signal(rng, signal, bars)
        result = Scan(CASH).run(bars, signals, chosen)
        seen += Accounts(bars, signals, chosen, result).seen
        cuts += Counter(result.cuts)
    # It proves something only where every rule was met.
    assert min(seen[k] for k in ("increases", "max_weight", "max_positions", "max_gross_leverage")) > 1_000, seen
    assert min(seen[k] for k in ("DAILY_LIMIT", "BREAKER", "LOSS_STREAK", "STOP_RATE")) > 50, seen
    assert seen["a flip cut beside an increase"] > 50, seen
    assert seen["a flip over the limit"] > 3, seen
    # No print of these paths is suspect: tests/trading/bar/test_suspect_prints.py.
    assert min(cuts[k] for k in result.cuts if k != "suspect") > 50, cuts


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("field", ["close", "target", *DISTANCES, "atr", "confidence"])
def test_every_input_that_is_not_known_blocks_entries(market, play, field, bad):
    """One impossible value in what an entry needs: no entry. Infinite distances are the one exception."""
    flat = [100.0, 100.0, 100.0, 100.0, 1e9]
    if field in ("atr", "confidence"):
        given = {"policy": EnsembleThreshold(1.0, 2.0, 12, False), "sizer": ConfidenceFraction(0.2), "side": [1, 0, 0]}
        given |= {"atr": [1.0] * 3, "confidence": [0.5] * 3}
    else:
        given = {"target": [0.1, np.nan, np.nan]} | {name: [1.0] * 3 for name in DISTANCES}
    rows = [list(flat) for _ in range(3)]
    if field == "close":
        rows[0][3] = bad
    else:
        given[field] = [bad, *given[field][1:]]
    bars = market(rows)
    if field == "close":
        bars = dataclasses.replace(bars, state=np.zeros((3, 1), np.uint8))
    result = play(bars, **given)
    none = field == "target" and math.isnan(bad)
    if (field in DISTANCES and bad == math.inf) or (field == "atr" and bad == math.inf):
        assert len(result.orders) == 1  # deliberately none
    else:
        assert len(result.orders) == 0
        assert result.cuts["not_finite"] == (0 if none else 1)
