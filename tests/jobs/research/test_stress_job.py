"""Replays through the engine: the run itself, dearer, cheaper, larger."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError
from quantlab.core.fakes import SilentProgress
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.stress import StressPlan
from quantlab.evaluation.statistics.summary import summarise
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research.pipeline import Backtest, backtest, setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.research.stress import check_stress, multiply_fees, multiply_slippage, stress

Command = Callable[..., subprocess.CompletedProcess[str]]


@dataclasses.dataclass
class Counting:
    """An engine that keeps what it was asked for."""

    initial_cash: float
    asked: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)  # shared by its copies

    def run(self, bars: Bars, signal: Signal, strategy: object, *, limits_on: bool = True) -> Simulation:
        assert not limits_on
        costs = strategy.costs  # type: ignore[attr-defined]
        self.asked.append((self.initial_cash, bars.instruments[0].taker_fee_bps, costs.slippage_bps))
        return Scan(self.initial_cash).run(bars, signal, strategy, limits_on=limits_on)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result() -> Backtest:
    parts = setup(compose("debug=tiny"))
    return backtest(parts, load_history(parts, SilentProgress()), SilentProgress())


def replays(result: Backtest, plan: StressPlan, strategy: object = None) -> object:
    return stress(plan, Scan(10_000.0), result.bars, result.signal, strategy or result.strategy, result.evidence)


def test_the_multiple_one_and_the_same_cash_are_the_run_itself(result: Backtest) -> None:
    engine = Counting(10_000.0)
    plan = StressPlan([0.5, 1.0, 2.0], 1_000.0, 100_000.0, 3)  # the middle one has the run's own cash
    found = stress(plan, engine, result.bars, result.signal, result.strategy, result.evidence)
    assert found is not None
    assert engine.asked == [
        (10_000.0, 2.25, 1.0), (10_000.0, 9.0, 4.0),
        (1_000.0, 4.5, 2.0), (100_000.0, 4.5, 2.0),
    ]  # fmt: skip
    own = summarise(result.evidence, result.bars)
    assert {k: found.costs[1].numbers[k] for k in ("net_pnl", "sharpe", "trades")} == {
        k: own[k] for k in ("net_pnl", "sharpe", "trades")
    }
    again = Scan(10_000.0).run(
        dataclasses.replace(result.bars, instruments=tuple(multiply_fees(i, 1.0) for i in result.bars.instruments)),
        result.signal,
        multiply_slippage(result.strategy, 1.0),
        limits_on=False,
    )
    assert np.array_equal(again.equity, result.evidence.equity)  # what is left out would have been the same


def test_every_fee_and_the_slippage_are_multiplied_and_nothing_else(result: Backtest) -> None:
    one = result.bars.instruments[0]
    dearer = multiply_fees(one, 3.0)
    assert (dearer.maker_fee_bps, dearer.taker_fee_bps) == (3.0 * one.maker_fee_bps, 3.0 * one.taker_fee_bps)
    assert dataclasses.replace(dearer, maker_fee_bps=one.maker_fee_bps, taker_fee_bps=one.taker_fee_bps) == one
    costs, own = multiply_slippage(result.strategy, 3.0).costs, result.strategy.costs
    assert costs == dataclasses.replace(own, slippage_bps=3.0 * own.slippage_bps)


def test_dearer_is_worse_and_free_trading_costs_nothing(result: Backtest) -> None:
    found = replays(result, StressPlan([0.0, 0.5, 1.0, 2.0, 4.0], 1e3, 1e7, 0))
    assert [run.at for run in found.costs] == [0.0, 0.5, 1.0, 2.0, 4.0]
    gained = [run.numbers["net_pnl"] for run in found.costs]
    assert len(result.evidence.orders) > 50
    assert gained == sorted(gained, reverse=True)
    assert found.costs[0].numbers["cost_bps"] == pytest.approx(0.0, abs=1e-9)
    paid = found.costs[2].numbers["cost_bps"]
    assert found.costs[4].numbers["cost_bps"] == pytest.approx(4.0 * paid, rel=0.05)


def test_larger_accounts_are_cut_more(result: Backtest) -> None:
    found = replays(result, StressPlan([], 1e3, 1e8, 6))
    assert found.participation == 0.05
    cut = [run.numbers["cut_fills"] for run in found.accounts]
    exposed = [run.numbers["exposure"] for run in found.accounts]
    assert cut[0] < cut[-1]
    assert exposed[-1] < 0.5 * exposed[0]
    assert [run.at for run in found.accounts] == pytest.approx([1e3, 1e4, 1e5, 1e6, 1e7, 1e8])


def test_without_a_cap_size_changes_nothing_and_nothing_is_replayed(result: Backtest) -> None:
    costs = dataclasses.replace(result.strategy.costs, participation=None)
    uncapped = dataclasses.replace(result.strategy, costs=costs)
    assert replays(result, StressPlan([], 1e3, 1e7, 5), uncapped) is None
    small, large = (
        Scan(cash).run(result.bars, result.signal, uncapped, limits_on=False).equity[-1] / cash for cash in (1e5, 1e7)
    )
    assert small == pytest.approx(large, rel=1e-9)


def test_not_wanted_costs_nothing(result: Backtest) -> None:
    engine = Counting(10_000.0)
    plan = setup(compose("debug=tiny", "evaluation/stress@stress=none")).stress
    assert stress(plan, engine, result.bars, result.signal, result.strategy, result.evidence) is None
    assert engine.asked == []


def test_what_could_not_be_replayed_is_refused_before_any_work(result: Backtest) -> None:
    with pytest.raises(ConfigError, match=r"cost_multiples.*slippage_bps"):
        setup(compose("debug=tiny", "trading.costs.slippage_bps=400"))
    with pytest.raises(ConfigError, match="initial_cash"):
        check_stress(StressPlan([], 1e3, 1e7, 3), result.strategy, object())


def test_the_numbers_reach_metrics_and_report(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("debug=tiny", "stress.accounts=3", "stress.cost_multiples=[1.0,2.0]")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "baseline").iterdir()
    metrics = json.loads((run / "metrics.json").read_text())
    assert [row["multiple"] for row in metrics["stress"]["costs"]] == [1.0, 2.0]
    assert len(metrics["stress"]["accounts"]) == 3
    assert metrics["stress"]["costs"][0]["net_pnl"] == metrics["evidence"]["net_pnl"]
    assert {row["split"] for row in metrics["regimes"]} >= {"volatility", "trend", "time of day"}
    traded = sum(row["trades"] for row in metrics["per_symbol"].values())
    assert traded == metrics["evidence"]["trades"]
    page = (run / "report.html").read_text()
    assert 'id="cost_stress"' in page
    assert 'id="capacity_chart"' in page
