"""Engines that know too much, each in one way that only one of the looks at fills can see."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from quantlab.audit.fills import AuditedAccount, better_fills, check_fills
from quantlab.audit.findings import AuditLog
from quantlab.backtest.scan import Scan
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, Bars
from quantlab.core.results import OrderReason, Simulation
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import build, compose

MakeBars = Callable[..., Bars]
CASH = 10_000.0
INSIDE = (OrderReason.STOP, OrderReason.TAKE_PROFIT)


def slow(bars: Bars) -> Signal:
    """Long while the close of eight bars ago was lower, else short: held long enough to be stopped."""
    side = np.ones(bars.state.shape, dtype=np.int8)
    side[8:] = np.where(bars.close[8:] > bars.close[:-8], 1, -1)
    sure = np.full(bars.state.shape, 0.5)
    return Signal(side, np.eye(3)[side + 1], sure, sure.copy(), np.ones(side.shape, np.int8), 0.002 * bars.close)


def ahead(bars: Bars) -> Any:
    """bool (T, S): does the next bar close higher?"""
    rises = np.zeros(bars.state.shape, dtype=np.bool_)
    rises[:-1] = bars.close[1:] > bars.close[:-1]
    return rises


@dataclass(frozen=True)
class Engine:
    """The scan, and what it does wrong."""

    how: str = ""
    asked: list[bool] = field(default_factory=list)

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        self.asked.append(limits_on)
        if self.how == "fills where its own bar rises":
            side = signal.side.copy()
            side[:-1][bars.close[1:] <= bars.ohlcv[1:, :, OPEN]] = 0
            signal = dataclasses.replace(signal, side=side)
        if self.how == "fills on the signal of its own bar":
            side = np.concatenate([signal.side[1:], signal.side[-1:]])
            signal = dataclasses.replace(signal, side=side)
        done = Scan(CASH).run(bars, signal, strategy, limits_on=limits_on)
        orders, equity = done.orders.copy(), done.equity.copy()
        rises = ahead(bars)[orders["idx"], orders["col"]]
        inside = np.isin(done.reasons, INSIDE)
        if self.how in ("sizes what it fills inside a bar", "sizes, and marks early"):
            orders["size"][inside & rises] *= 0.9
        if self.how == "sizes by the signal to come":
            later = np.minimum(orders["idx"] + 1, bars.n_bars - 1)
            orders["size"][inside & (signal.side[later, orders["col"]] > 0)] *= 0.9
        if self.how == "slips less":
            orders["price"][inside & rises] *= np.where(orders["side"] == 0, 1.001, 0.999)[inside & rises]
        if self.how in ("marks early", "sizes, and marks early"):
            equity[:-1] += ahead(bars)[:-1].sum(axis=1)
        if self.how == "turns":  # as a liquidation, for which no price is too good
            orders["side"][inside & rises] = 1 - orders["side"][inside & rises]
            reasons = np.where(inside, OrderReason.LIQUIDATION, done.reasons).astype(np.int8)
            return dataclasses.replace(done, orders=orders, reasons=reasons)
        if self.how == "cancels":
            kept = ~(inside & rises)
            return dataclasses.replace(
                done, orders=orders[kept], reasons=done.reasons[kept], over_participation=done.over_participation[kept]
            )
        return dataclasses.replace(done, orders=orders, equity=equity)


@pytest.fixture(scope="module")
def make_strategy() -> Any:
    return build(compose("trading/policy=ensemble_threshold", "trading/sizer=confidence_fraction").strategy)


@pytest.fixture
def account(random_bars: MakeBars, make_strategy: Any) -> Callable[..., AuditedAccount]:
    def make(how: str = "", limits_on: bool = False) -> AuditedAccount:
        bars = random_bars(n_bars=300)
        signal = slow(bars)
        return AuditedAccount(Engine(how), bars, signal, make_strategy(signal=FixedSignal(signal)), limits_on)

    return make


def test_the_account_fills_for_every_reason_that_is_looked_at(account: Callable[..., AuditedAccount]) -> None:
    done = account().run(account().bars, account().signal)
    counts = np.bincount(done.reasons, minlength=len(OrderReason))
    assert counts[[OrderReason.SIGNAL, *INSIDE]].min() > 20


@pytest.mark.parametrize(
    ("how", "stage", "column"),
    [
        ("fills where its own bar rises", "fill", None),
        ("fills on the signal of its own bar", "fill", None),
        ("sizes what it fills inside a bar", "sizing", "order.size"),
        ("sizes by the signal to come", "sizing", "order.size"),
        ("slips less", "fill", "order.price"),
        ("marks early", "fill", "equity"),
        ("sizes, and marks early", "fill", "equity"),
        ("cancels", "fill", None),  # one fewer, or another in its place
        ("turns", "fill", "order.side"),
    ],
)
@pytest.mark.parametrize("limits_on", [False, True])
def test_an_engine_that_knows_what_comes_is_found(
    account: Callable[..., AuditedAccount], how: str, stage: str, column: str | None, limits_on: bool
) -> None:
    log, one = AuditLog(), account(how, limits_on)
    check_fills(log, one, 25, 0)
    assert [finding.stage for finding in log.findings] == [stage]
    assert column is None or log.findings[0].column == column
    assert set(one.engine.asked) == {limits_on}  # type: ignore[attr-defined]


@pytest.mark.parametrize("limits_on", [False, True])
def test_an_honest_engine_is_not_accused(account: Callable[..., AuditedAccount], limits_on: bool) -> None:
    log = AuditLog()
    check_fills(log, account(limits_on=limits_on), 25, 0)
    assert log.findings == []
    assert all(check.compared > 0 for check in log.checks)


@pytest.mark.parametrize("reason", [one for one in OrderReason if one not in (OrderReason.EXTERNAL, OrderReason.ADL)])
@pytest.mark.parametrize("side", [0, 1])
def test_the_best_price_that_a_bar_allows(
    account: Callable[..., AuditedAccount], reason: OrderReason, side: int
) -> None:
    """At the open less slippage, at the extreme that passed a take-profit, at the last close; a millionth better is seen."""
    one = account()
    done = one.run(one.bars, one.signal)
    slippage = one.strategy.costs.slippage_bps / 1e4
    assert slippage > 0.0
    bar = one.bars.ohlcv[done.orders["idx"][0], done.orders["col"][0]]
    towards = (1.0, -1.0)[side]
    best = bar[OPEN] * (1.0 + towards * slippage)
    if reason == OrderReason.TAKE_PROFIT:
        best = bar[LOW] if side == 0 else bar[HIGH]
    if reason == OrderReason.DELISTED:
        best = bar[CLOSE]
    for better, found in ((0.0, False), (-1e-6, False), (1e-6, True)):
        orders, reasons = done.orders[:1].copy(), np.full(1, reason, dtype=np.int8)
        orders["side"], orders["price"] = side, best * (1.0 - towards * better)
        first = list(better_fills(one, dataclasses.replace(done, orders=orders, reasons=reasons)))
        assert bool(first) == (found and reason != OrderReason.LIQUIDATION)
        assert all(("extreme" in one.evidence) == (reason == OrderReason.TAKE_PROFIT) for one in first)


@pytest.mark.parametrize("reason", [OrderReason.SIGNAL, OrderReason.TAKE_PROFIT])
def test_a_tick_above_the_price_excuses_no_sell(account: Callable[..., AuditedAccount], reason: OrderReason) -> None:
    """A sell at one tick was taken for honest once, whatever its bar cost."""
    one = account()
    done = one.run(one.bars, one.signal)
    orders, reasons = done.orders[:1].copy(), np.full(1, reason, dtype=np.int8)
    column = int(orders["col"][0])
    dear = float(one.bars.ohlcv[orders["idx"][0], column, HIGH] * 1.01)
    rules = tuple(
        dataclasses.replace(rule, tick=dear) if s == column else rule for s, rule in enumerate(one.bars.instruments)
    )
    coarse = dataclasses.replace(one, bars=dataclasses.replace(one.bars, instruments=rules))
    orders["side"], orders["price"] = 1, dear
    assert list(better_fills(coarse, dataclasses.replace(done, orders=orders, reasons=reasons)))
