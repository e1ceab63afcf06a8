"""Every row of a sweep is the backtest of its strategy, whatever the company, the threads and the order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.backtest.sweep import SweepResult, join_results, sweep
from quantlab.backtest.sweep_strategies import with_values
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.results import RiskEvent
from quantlab.evaluation.statistics.metrics import daily_returns
from quantlab.evaluation.statistics.summary import summarise
from quantlab.trading import BuyAndHold, EnsembleThreshold

CASH = 10_000.0


def assert_row_is(result: SweepResult, i: int, simulation, bars) -> None:
    """Row `i` against the records of the backtest: the path bit for bit, sums up to their order of addition."""
    numbers = summarise(simulation, bars)
    assert result.final_equity[i] == simulation.equity[-1]
    expected = daily_returns(simulation.equity, bars.open_time_ms, CASH)
    assert result.daily_returns[i].tobytes() == expected.tobytes()
    assert result.max_drawdown[i] == numbers["max_drawdown"]
    assert result.n_orders[i] == len(simulation.orders)
    assert result.n_trades[i] == numbers["trades"]
    assert result.n_events[i].tolist() == [int((simulation.events["kind"] == kind).sum()) for kind in RiskEvent]
    sums = {
        "fees": numbers["fees"],
        "slippage": numbers["slippage"],
        "funding": simulation.funding.sum(),
        "liquidation_fees": numbers["liquidation_fees"],
        "notional": numbers["traded_notional"],
        "exposure": numbers["exposure"],
    }
    for name, value in sums.items():
        assert getattr(result, name)[i] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert result.costs[i] == pytest.approx(numbers["costs"], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits_on", [True, False])
def test_every_row_is_the_backtest(case, seed, limits_on):
    bars, signal, strategy = case(seed + 300)
    changes = [{}, {"costs.slippage_bps": 20.0}, {"sizer.weight": 0.05}, {"limits.max_positions": 1}]
    strategies = [with_values(strategy, change) for change in changes]
    result = sweep(bars, signal, strategies, CASH, threads=2, limits_on=limits_on)
    assert len(result) == len(strategies)
    for i, one in enumerate(strategies):
        assert_row_is(result, i, Scan(CASH).run(bars, signal, one, limits_on=limits_on), bars)
    assert result.n_trades.min() > 0


def test_real_markets(real_bars, wild_signal, strategy):
    signal = wild_signal(real_bars, 11, activity=0.05)
    policies = [EnsembleThreshold(stop, 2.0, 12, False) for stop in (0.8, 1.2, 2.0)] + [BuyAndHold()]
    strategies = [strategy(policy=policy) for policy in policies]
    result = sweep(real_bars, signal, strategies, CASH, threads=2)
    for i, one in enumerate(strategies):
        assert_row_is(result, i, Scan(CASH).run(real_bars, signal, one, limits_on=False), real_bars)
    assert result.daily_returns.shape == (4, 12)


def test_neither_threads_nor_order_nor_company_change_a_bit(case):
    bars, signal, strategy = case(310)
    strategies = [with_values(strategy, {"costs.slippage_bps": float(i)}) for i in range(9)]
    alone = sweep(bars, signal, strategies, CASH, threads=1)
    together = sweep(bars, signal, strategies, CASH, threads=3)
    backwards = sweep(bars, signal, strategies[::-1], CASH, threads=2)
    halves = join_results([sweep(bars, signal, part, CASH, threads=1) for part in (strategies[:4], strategies[4:])])
    for field in dataclasses.fields(SweepResult):
        expected = getattr(alone, field.name)
        for other in (getattr(together, field.name), getattr(backwards, field.name)[::-1], getattr(halves, field.name)):
            np.testing.assert_array_equal(expected, other, err_msg=field.name, strict=True)


def test_a_signal_of_its_own_for_each_strategy(case, wild_signal):
    bars, _, strategy = case(311)
    signals = [wild_signal(bars, seed) for seed in (1, 2)]
    result = sweep(bars, signals, [strategy, strategy], CASH, threads=2)
    for i, signal in enumerate(signals):
        assert_row_is(result, i, Scan(CASH).run(bars, signal, strategy, limits_on=False), bars)
    assert result.final_equity[0] != result.final_equity[1]


def test_a_sweep_of_weeks_has_the_days_of_the_backtest(case):
    bars, signal, strategy = case(301)
    week = 7 * 86_400_000
    opens = 1_736_121_600_000 + week * np.arange(bars.n_bars, dtype=np.int64)
    weekly = dataclasses.replace(bars, open_time_ms=opens, interval_ms=week, funding=None)
    result = sweep(weekly, signal, [strategy], CASH, threads=1)
    assert_row_is(result, 0, Scan(CASH).run(weekly, signal, strategy, limits_on=False), weekly)
    assert result.daily_returns.shape == (1, 7 * bars.n_bars)


def test_an_account_that_is_lost_has_no_returns_any_more(every_case):
    """A liquidated, levered account may end below zero: its later days earn nothing, and nothing is NaN."""
    for seed in range(8):
        bars, signal, strategy = every_case("levered", seed)
        result = sweep(bars, signal, [strategy], CASH, threads=1)
        assert np.isfinite(result.daily_returns).all()
        assert_row_is(result, 0, Scan(CASH).run(bars, signal, strategy, limits_on=False), bars)


def test_what_does_not_fit_is_refused(case):
    bars, signal, strategy = case(312)
    with pytest.raises(ContractError, match="at least one strategy"):
        sweep(bars, signal, [], CASH, threads=1)
    with pytest.raises(ContractError, match="one signal, or 1"):
        sweep(bars, [signal, signal], [strategy], CASH, threads=1)
    with pytest.raises(ContractError, match="a signal of shape"):
        sweep(bars, signal.rows(0, 10), [strategy], CASH, threads=2)
    with pytest.raises(ConfigError, match="threads"):
        sweep(bars, signal, [strategy], CASH, threads=0)
    with pytest.raises(ConfigError, match="initial_cash"):
        sweep(bars, signal, [strategy], -1.0, threads=1)
    with pytest.raises(ContractError, match="at least one result"):
        join_results([])


def test_after_a_failure_no_thread_takes_another_strategy(case):
    bars, signal, strategy = case(313)
    n, asked = 20_000, []

    class Failing(Sequence):
        def __len__(self):
            return n

        def __getitem__(self, i):
            asked.append(i)
            if i == 3:
                raise LookupError("the fourth")
            return signal

    with pytest.raises(LookupError, match="the fourth"):
        sweep(bars, Failing(), [strategy] * n, CASH, threads=2)
    assert 3 in asked
    assert len(asked) < n
