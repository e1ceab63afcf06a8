"""The scan against a plain reference of the simulation's rules, bit for bit.

The reference shares no code with the package: sequences of dictionaries instead of legs in arrays,
one function per paragraph of the rules, no attempt at speed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.market import BarState, RuleChange
from quantlab.core.results import CUT_RULES, OrderReason, RiskEvent
from quantlab.trading import EnsembleThreshold

R = OrderReason


def to_grid(x: float, step: float, rounding: Any) -> float:
    if step == 0.0 or not math.isfinite(x):
        return x
    m = x / step
    whole = float(np.rint(m))
    return (whole if abs(m - whole) <= 1e-12 * max(1.0, abs(m)) else float(rounding(m))) * step


@dataclass
class Position:
    units: float = 0.0
    entry: float = 0.0
    closes: int = 0
    stop: float = math.nan
    take: float = math.nan
    mark: float = math.nan
    gone: int = 0


@dataclass
class Reference:
    bars: Any
    signal: Any
    strategy: Any
    cash: float
    limits_on: bool
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    reasons: list[int] = field(default_factory=list)
    over: list[bool] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    funding: list[float] = field(default_factory=list)
    liquidation: list[float] = field(default_factory=list)

    def run(self) -> Reference:
        n = self.bars.n_symbols
        self.positions = [Position() for _ in range(n)]
        self.cuts = dict.fromkeys(CUT_RULES, 0)
        self.pending: dict[int, dict[str, Any]] = {}
        self.wanted: dict[int, int] = {}
        self.day, self.day_start, self.high_water = None, self.cash, self.cash
        self.daily = self.breaker = False
        for t in range(self.bars.n_bars):
            self.bar(t)
        return self

    def bar(self, t: int) -> None:
        self.t = t
        self.row = self.bars.ohlcv[t]
        self.rules = list(self.bars.instruments)
        for change in self.bars.rule_changes:
            if change.time_ms <= int(self.bars.open_time_ms[t]):
                self.rules[self.bars.symbols.index(change.symbol)] = change.instrument
        self.used = [0.0] * self.bars.n_symbols
        self.stopped: set[int] = set()
        today = int(self.bars.open_time_ms[t]) // 86_400_000
        if today != self.day:
            self.day, self.daily = today, False
            self.day_start = self.equity[-1] if self.equity else self.cash
        self.pay_funding()
        self.fill_pending()
        for s in self.open_symbols():
            self.protect(s)
        for s in self.open_symbols():
            self.end(s)
        for s in self.open_symbols():
            if math.isfinite(self.row[s, 3]):
                self.positions[s].mark = self.row[s, 3]
        self.liquidate()
        self.equity.append(self.worth())
        self.watch(self.equity[-1])
        self.decide(self.equity[-1])

    def open_symbols(self) -> list[int]:
        return [s for s, p in enumerate(self.positions) if p.units != 0.0]

    def worth(self) -> float:
        total = self.cash
        for s in self.open_symbols():
            total += self.positions[s].units * self.positions[s].mark
        return total

    def alive(self, s: int) -> bool:
        return bool(self.row[s, 4] > 0)

    # ------------------------------------------------------------------ fills
    def fill(self, s: int, units: float, price: float, rate: float, reason: int, over: bool = False) -> None:
        p = self.positions[s]
        fee = abs(units) * price * rate
        self.cash -= units * price
        self.cash -= fee
        if p.units == 0.0:
            p.entry, p.closes, p.mark, p.gone = price, 0, price, 0
        elif p.units * units > 0.0:
            p.entry = (p.units * p.entry + units * price) / (p.units + units)
        p.units += units
        if p.units == 0.0:
            p.entry, p.closes, p.stop, p.take = 0.0, 0, math.nan, math.nan
        self.orders.append((len(self.orders), s, self.t, abs(units), price, fee, 0 if units > 0 else 1))
        self.reasons.append(int(reason))
        self.over.append(over)

    def to_tick(self, s: int, price: float, rounding: Any) -> float:
        """A tick that is too large a share of the price is none."""
        tick = self.rules[s].tick
        return to_grid(price, 0.0 if tick > self.strategy.costs.coarsest_tick * price else tick, rounding)

    def to_lot(self, s: int, units: float, price: float) -> float:
        """A lot that is worth too much is none."""
        lot = self.rules[s].lot
        return to_grid(units, 0.0 if lot * price > self.strategy.costs.coarsest_order_usd else lot, math.floor)

    def price(self, s: int, buy: bool, base: float, slippage: float) -> float:
        return self.to_tick(s, base * (1 + slippage if buy else 1 - slippage), math.ceil if buy else math.floor)

    def slippage(self) -> float:
        return self.strategy.costs.slippage_bps / 10_000

    def budget(self, s: int) -> float:
        share = self.strategy.costs.participation
        if share is None:
            return math.inf
        return max(0.0, self.to_lot(s, share * self.row[s, 4] - self.used[s], self.row[s, 0]))

    def affordable(self, s: int, size: float) -> float:
        """The page: larger by no more than 1e-12 of the budget is within it."""
        budget = self.budget(s)
        return size if size <= budget * (1 + 1e-12) else budget

    def market_leg(self, s: int, units: float, reason: int, *, counted: bool = True) -> bool:
        if not self.alive(s):
            self.cuts["no_volume"] += counted
            return False
        size = self.affordable(s, abs(units))
        complete = size == abs(units)
        if not complete:
            self.cuts["participation"] += counted
        if size > 0.0:
            price = self.price(s, units > 0, self.row[s, 0], self.slippage())
            self.fill(s, math.copysign(size, units), price, self.rules[s].taker_fee_bps / 10_000, reason)
            self.used[s] += size
        return complete

    def fill_pending(self) -> None:
        unfinished = set()
        for s, q in sorted(self.pending.items()):
            if q["off"] == 0:
                continue
            units = -math.copysign(q["off"], self.positions[s].units)
            # The page: "flatten and re-issued closes count nothing".
            if not self.market_leg(s, units, q["reason"], counted=not q["repeated"]):
                unfinished.add(s)
        for s, q in sorted(self.pending.items()):
            if q["on"] == 0:
                continue
            if s in unfinished:
                self.cuts["participation" if self.alive(s) else "no_volume"] += 1
                continue
            p = self.positions[s]
            fresh = p.units == 0.0
            self.market_leg(s, math.copysign(q["on"], q["weight"]), R.SIGNAL)
            if fresh and p.units > 0:
                p.stop = self.to_tick(s, p.entry - q["stop"], math.floor)
                p.take = self.to_tick(s, p.entry + q["take"], math.ceil)
            elif fresh and p.units < 0:
                p.stop = self.to_tick(s, p.entry + q["stop"], math.ceil)
                p.take = self.to_tick(s, p.entry - q["take"], math.floor)

    def protect(self, s: int) -> None:
        p, rules = self.positions[s], self.rules[s]
        open_, high, low = self.row[s, 0], self.row[s, 1], self.row[s, 2]
        if not self.alive(s):
            return
        long = p.units > 0
        if p.stop > 0 and (low <= p.stop if long else high >= p.stop):
            base = min(open_, p.stop) if long else max(open_, p.stop)
            over = abs(p.units) > self.affordable(s, abs(p.units))
            price = self.price(s, not long, base, self.slippage())
            self.fill(s, -p.units, price, rules.taker_fee_bps / 10_000, R.STOP, over)
            self.stopped.add(s)
        elif p.take > 0 and (high > p.take if long else low < p.take):
            size = self.affordable(s, abs(p.units))
            self.cuts["participation"] += size < abs(p.units)
            if size > 0:
                price = self.price(s, not long, max(open_, p.take) if long else min(open_, p.take), 0.0)
                self.fill(s, -math.copysign(size, p.units), price, rules.maker_fee_bps / 10_000, R.TAKE_PROFIT)
                self.used[s] += size

    def end(self, s: int) -> None:
        """Absent for too many bars in a row: settled where it was worth last."""
        p, patience = self.positions[s], self.strategy.costs.delisted_after_bars
        p.gone = p.gone + 1 if self.bars.state[self.t, s] == BarState.ABSENT else 0
        if p.gone >= (max(1, 86_400_000 // self.bars.interval_ms) if patience is None else patience):
            self.fill(s, -p.units, p.mark, self.rules[s].taker_fee_bps / 10_000, R.DELISTED)

    def pay_funding(self) -> None:
        paid = 0.0
        funding, opens = self.bars.funding, int(self.bars.open_time_ms[self.t])
        if funding is not None:
            due = (funding.time_ms > opens - self.bars.interval_ms) & (funding.time_ms <= opens)
            for s in self.open_symbols() if due.any() else ():
                rate = sum((r for r in funding.rate[due, s] if not math.isnan(r)), start=0.0)
                price = self.row[s, 0] if math.isfinite(self.row[s, 0]) else self.positions[s].mark
                payment = self.positions[s].units * price * rate
                self.cash -= payment
                paid += payment
        self.funding.append(paid)

    def liquidate(self) -> None:
        value, need, fees, at = self.cash, 0.0, 0.0, {}
        for s in self.open_symbols():
            p = self.positions[s]
            at[s] = p.mark if not self.alive(s) else self.row[s, 2] if p.units > 0 else self.row[s, 1]
            value += p.units * at[s]
            need += self.rules[s].maintenance_margin_rate * abs(p.units) * at[s]
        if at and value < need:
            self.events.append((self.t, RiskEvent.LIQUIDATION, value, need))
            for s, extreme in at.items():
                units = self.positions[s].units
                price = self.price(s, units < 0, extreme, 0.0)
                self.fill(s, -units, price, 0.0, R.LIQUIDATION)
                fee = abs(units) * price * (self.strategy.costs.liquidation_fee_bps / 10_000)
                self.cash -= fee
                fees += fee
        self.liquidation.append(fees)

    # ------------------------------------------------------------------ decisions
    def watch(self, equity: float) -> None:
        limits = self.strategy.limits
        self.high_water = max(self.high_water, equity)
        if not self.limits_on:
            return
        if limits.daily_loss_limit is not None and not self.daily:
            level = (1 - limits.daily_loss_limit) * self.day_start
            if equity <= level:
                self.daily = True
                self.events.append((self.t, RiskEvent.DAILY_LIMIT, equity, level))
        if limits.breaker is not None and not self.breaker:
            level = (1 - limits.breaker) * self.high_water
            if equity <= level:
                self.breaker = True
                self.events.append((self.t, RiskEvent.BREAKER, equity, level))

    def opinion(self, s: int) -> tuple[float, float, float, int]:
        """Target weight, distances and reason, as the two policies under test ask for them."""
        policy, signal, t, p = self.strategy.policy, self.signal, self.t, self.positions[s]
        if signal.target is not None:
            return signal.target[t, s], signal.stop_distance[t, s], signal.take_distance[t, s], R.SIGNAL
        side, atr = int(signal.side[t, s]), signal.atr[t, s]
        stop = math.inf if policy.stop_atr is None else policy.stop_atr
        ask = (side * self.strategy.sizer.weight, stop * atr, policy.take_profit_atr * atr, R.SIGNAL)
        keep = (math.nan, math.nan, math.nan, R.SIGNAL)
        if p.units == 0.0:
            return ask if side and s not in self.stopped else keep
        if side * p.units < 0:
            return ask
        if p.closes >= policy.horizon:
            return 0.0, math.nan, math.nan, R.TIME_EXIT
        return ask if side and policy.rebalance else keep

    def decide(self, equity: float) -> None:
        for s in self.open_symbols():
            self.positions[s].closes += 1
        asked: dict[int, dict[str, Any]] = {}
        for s, p in enumerate(self.positions):
            weight, stop, take, reason = self.opinion(s)
            q = {
                "weight": weight,
                "stop": stop,
                "take": take,
                "reason": reason,
                "on": 0.0,
                "off": 0.0,
                "repeated": False,
            }
            if math.isnan(weight):
                if s in self.wanted and p.units != 0.0:
                    asked[s] = {**q, "reason": self.wanted[s], "off": abs(p.units), "repeated": True}
                continue
            self.wanted.pop(s, None)
            if weight == 0.0:
                q["off"] = abs(p.units)
            else:
                close = self.row[s, 3]
                price = p.mark if math.isnan(close) and p.units != 0.0 else close
                usable = equity > 0 and math.isfinite(equity) and math.isfinite(weight) and price > 0
                want = abs(weight) * equity / price if usable else math.inf
                if p.units != 0.0 and (p.units > 0) != (weight > 0):
                    q["off"], q["on"] = abs(p.units), want
                elif want > abs(p.units):
                    q["on"] = want - abs(p.units)
                else:
                    q["off"] = abs(p.units) - want
            asked[s] = q
        self.apply_rules(asked, equity)
        self.pending = {s: q for s, q in asked.items() if q["on"] > 0 or q["off"] > 0}
        self.wanted = {}
        for s, q in self.pending.items():
            if q["on"] == 0 and q["off"] == abs(self.positions[s].units):
                self.wanted[s] = q["reason"]

    def apply_rules(self, asked: dict[int, dict[str, Any]], equity: float) -> None:
        limits, close = self.strategy.limits, self.row[:, 3]

        def increases() -> list[int]:
            return [s for s, q in sorted(asked.items()) if q["on"] > 0]

        def base(s: int) -> float:
            return 0.0 if asked[s]["off"] > 0 else abs(self.positions[s].units)

        def cut(s: int, rule: str, to: float) -> None:
            if max(to, 0.0) < asked[s]["on"]:
                asked[s]["on"] = max(to, 0.0)
                self.cuts[rule] += 1

        for s in increases():
            q = asked[s]
            if not (q["stop"] > 0 and q["take"] > 0 and math.isfinite(q["on"]) and math.isfinite(close[s])):
                cut(s, "not_finite", 0.0)
        if self.daily or self.breaker:
            for s in increases():
                cut(s, "halt", 0.0)
        if self.breaker or (self.daily and limits.daily_flatten):
            for s in self.open_symbols():
                off = abs(self.positions[s].units)
                asked[s] = {"weight": 0.0, "on": 0.0, "off": off, "reason": R.FLATTEN, "repeated": True}
        for s in increases():
            if self.bars.state[self.t, s] != 0:
                cut(s, "tradable", 0.0)
        if limits.max_positions is not None:
            entries = [s for s in increases() if self.positions[s].units == 0.0]
            free = max(limits.max_positions - len(self.open_symbols()), 0)
            for s in sorted(entries, key=lambda s: -abs(asked[s]["weight"]))[free:]:
                cut(s, "max_positions", 0.0)
        if limits.max_weight is not None:
            for s in increases():
                if abs(asked[s]["weight"]) > limits.max_weight:
                    cut(s, "max_weight", limits.max_weight * equity / close[s] - base(s))
        if limits.max_gross_leverage is not None and increases():
            more = {s: max(asked[s]["on"] - asked[s]["off"], 0.0) for s in increases()}
            total = sum((units * close[s] for s, units in more.items()), start=0.0)
            gross = sum((abs(self.positions[s].units) * self.positions[s].mark for s in self.open_symbols()), start=0.0)
            room = limits.max_gross_leverage * equity - gross
            if total > room:
                for s, units in more.items():
                    shared = asked[s]["off"] + (room / total * units if room > 0 else 0.0)
                    cut(s, "max_gross_leverage", shared + min(room, 0.0) / close[s])
        if limits.rollout < 1.0:
            for s in increases():
                cut(s, "rollout", limits.rollout * (base(s) + asked[s]["on"]) - base(s))
        for rule in ("lot", "min_notional"):
            for s, q in sorted(asked.items()):
                rules, p = self.rules[s], self.positions[s]
                price, largest = close[s] if math.isfinite(close[s]) else p.mark, self.strategy.costs.coarsest_order_usd
                leg = "on" if q["on"] > 0 else "off"
                if q[leg] == 0.0 or (leg == "off" and q["off"] == abs(p.units)):
                    continue
                if rule == "lot":
                    q[leg] = self.to_lot(s, q[leg], price)
                elif q[leg] * price < rules.min_notional <= largest:
                    q[leg] = 0.0
                self.cuts[rule] += q[leg] == 0.0


def assert_same(simulation: Any, reference: Reference) -> None:
    assert simulation.cuts == reference.cuts
    assert [tuple(o) for o in simulation.orders.tolist()] == reference.orders
    assert simulation.reasons.tolist() == reference.reasons
    assert simulation.over_participation.tolist() == reference.over
    assert [tuple(e) for e in simulation.events.tolist()] == reference.events
    assert simulation.equity.tolist() == reference.equity
    assert simulation.funding.tolist() == reference.funding
    assert simulation.liquidation_fees.tolist() == reference.liquidation
    assert simulation.cash == reference.cash
    assert simulation.units.tolist() == [p.units for p in reference.positions]
    assert simulation.entry_price.tolist() == [p.entry for p in reference.positions]


@pytest.mark.parametrize("seed", range(12))
def test_wild_markets_bit_for_bit(case, seed):
    bars, signal, strategy = case(seed)
    for limits_on in (True, False):
        simulation = Scan(10_000.0).run(bars, signal, strategy, limits_on=limits_on)
        assert_same(simulation, Reference(bars, signal, strategy, 10_000.0, limits_on).run())


@pytest.mark.parametrize("seed", range(3))
def test_wild_markets_whose_rules_change_bit_for_bit(case, seed):
    bars, signal, strategy = case(seed + 50)
    rng = np.random.default_rng(seed)
    changes = []
    for row in sorted(rng.choice(np.arange(1, bars.n_bars), 12, replace=False).tolist()):
        s = int(rng.integers(bars.n_symbols))
        rules = dataclasses.replace(
            bars.instruments[s],
            tick=float(rng.choice([0.0, 0.02, 0.1, 5.0])),
            lot=float(rng.choice([0.0, 0.01, 3.0, 40.0])),
            min_notional=float(rng.choice([10.0, 500.0, 5_000.0])),
            taker_fee_bps=float(rng.choice([4.5, 9.0])),
        )
        changes.append(RuleChange(int(bars.open_time_ms[row]) - int(rng.integers(0, 2)), bars.symbols[s], rules))
    changing = dataclasses.replace(bars, rule_changes=tuple(changes))
    simulation = Scan(10_000.0).run(changing, signal, strategy)
    assert_same(simulation, Reference(changing, signal, strategy, 10_000.0, True).run())
    assert simulation.orders.tolist() != Scan(10_000.0).run(bars, signal, strategy).orders.tolist()


def test_the_wild_markets_reach_every_rule(every_case):
    """A comparison proves nothing about a rule that never bound."""
    cuts, reasons, events, over = dict.fromkeys(CUT_RULES, 0), set(), set(), 0
    for name in every_case.names:
        for seed in range(12):
            bars, signal, chosen = every_case(name, seed)
            result = Scan(10_000.0).run(bars, signal, chosen)
            for rule, n in result.cuts.items():
                cuts[rule] += n
            reasons |= set(result.reasons.tolist())
            events |= set(result.events["kind"].tolist())
            over += int(result.over_participation.sum())
    del cuts["suspect"]  # no print of these markets is: tests/trading/bar/test_suspect_prints.py
    assert min(cuts.values()) > 0, cuts
    assert reasons == {int(r) for r in OrderReason} - {R.EXTERNAL, R.ADL}  # which only a venue has
    assert events == {RiskEvent.DAILY_LIMIT, RiskEvent.BREAKER, RiskEvent.LIQUIDATION}
    assert over > 0


@pytest.mark.parametrize("policy", [EnsembleThreshold(1.2, 2.0, 12, False), EnsembleThreshold(None, 3.0, 48, True)])
def test_real_markets_bit_for_bit(real_bars, wild_signal, strategy, policy):
    signal = wild_signal(real_bars, 7, activity=0.05)
    chosen = strategy(policy=policy)
    simulation = Scan(10_000.0).run(real_bars, signal, chosen)
    assert len(simulation.orders) > 300
    assert_same(simulation, Reference(real_bars, signal, chosen, 10_000.0, True).run())
