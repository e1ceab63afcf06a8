"""Stage 2 of tuning, and what a run says of it, on a made-up study: no member is fitted here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fakes import FixedSignal
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study, Trial, TuningStage
from quantlab.core.types import Bars, Signal
from quantlab.evaluation.metrics import daily_returns, moments
from quantlab.evaluation.summary import summarise
from quantlab.jobs.choices.overrides import STRATEGY, chosen_keys
from quantlab.jobs.choices.record import chosen_table, contradicts, last_period, trial_table, trials_of, tuning_notes
from quantlab.jobs.choices.strategy import Chooser, choose, simulate_all, with_values
from quantlab.jobs.run.backtesting import Backtest
from quantlab.jobs.run.composition import build, compose
from quantlab.learning.ensemble import Ensemble
from quantlab.learning.gates import gain_bps, regated
from quantlab.learning.tuning.search import StrategyTuning, Tuning

FIRST, LAST_TEST, LAST = 300, 2_100, 2_700
RULES = Ensemble(0.36, 0.5, 2, 48, 0.1, 0.6, 0.0, 2.0)
SPACE = {
    "ensemble.min_confidence": {"low": 0.34, "high": 0.8},
    "limits.max_positions": {"low": 1, "high": 4},
    "policy.horizon": {"choices": [12, 24]},
}


@dataclass(frozen=True)
class Voted:
    """A learner that is asked for nothing but other gates."""

    ensemble: Ensemble = RULES

    @property
    def fingerprint(self) -> str:
        return "voted"

    def signal(self, bars: Bars) -> Signal:
        raise NotImplementedError

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise NotImplementedError

    def regate(self, study: Study, gates: Mapping[str, Any]) -> Study:
        rules = dataclasses.replace(self.ensemble, **gates)
        return dataclasses.replace(study, signal=regated(study.signal, rules.gates))


@pytest.fixture(scope="module")
def bars(random_bars: Callable[..., Bars]) -> Bars:
    return random_bars(4, LAST, 4)


@pytest.fixture(scope="module")
def study(bars: Bars) -> Study:
    """Opinions that know a little of the next return, more so where they are confident."""
    rng = np.random.default_rng(5)
    ahead = np.vstack([np.diff(np.log(bars.close), axis=0), np.zeros((1, 4))]) / 0.002
    logits = np.stack([-ahead, np.zeros_like(ahead), ahead], axis=-1) * rng.uniform(0, 0.5, (LAST, 4, 1))
    logits += rng.normal(0, 0.3, logits.shape)
    proba = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    proba[:FIRST] = np.nan
    signal = Signal(
        side=np.zeros((LAST, 4), dtype=np.int8),
        proba=proba,
        confidence=proba.max(axis=-1),
        consensus=np.where(np.isfinite(proba[:, :, 0]), 1.0, np.nan),
        live_members=np.full((LAST, 4), 2, dtype=np.int8),
        atr=np.ascontiguousarray(0.004 * bars.close),
        gain_bps=gain_bps(proba, np.full((LAST, 4), 80.0)),
    )
    signal = regated(signal, RULES.gates)
    return Study(signal, FIRST, LAST, FixedSignal(signal), None, last_test=LAST_TEST)


@pytest.fixture(scope="module")
def make_strategy() -> Callable[..., Any]:
    cfg = compose("experiment=ensemble_v2", "learning.tuning=null")
    made: Callable[..., Any] = build(cfg.strategy)
    return made


@pytest.fixture
def chooser(make_strategy: Callable[..., Any], tmp_path: Path) -> Callable[..., Chooser]:
    def make(threads: int = 1, trials: int = 8, min_trades: int = 20, space: Any = SPACE) -> Chooser:
        tuning = Tuning(4, 3, None, StrategyTuning(trials, min_trades, space))
        return Chooser(tuning, Voted(), make_strategy, 10_000.0, threads, tmp_path / f"cache{threads}")

    return make


def test_a_trial_is_the_backtest_on_what_was_seen(
    bars: Bars, study: Study, make_strategy: Callable[..., Any], chooser: Callable[..., Chooser]
) -> None:
    tuned, _ = choose(chooser(), study, bars, SilentProgress())
    (stage,) = tuned.tuning
    rows = bars.rows(FIRST, LAST_TEST)
    for trial in stage.trials:
        rules = dataclasses.replace(RULES, min_confidence=trial.values["ensemble.min_confidence"])
        strategy = make_strategy(signal=study.source)
        strategy = dataclasses.replace(
            strategy,
            policy=dataclasses.replace(strategy.policy, horizon=trial.values["policy.horizon"]),
            limits=dataclasses.replace(strategy.limits, max_positions=trial.values["limits.max_positions"]),
        )
        signal = regated(study.signal.rows(FIRST, LAST_TEST), rules.gates)
        ran = Scan(10_000.0).run(rows, signal, strategy, limits_on=False)
        returns = daily_returns(ran.equity, ran.open_time_ms, 10_000.0)
        np.testing.assert_array_equal(trial.returns, returns)
        trades = summarise(ran, rows)["trades"]
        assert (trial.state == "infeasible") == (trades < 20)
        if trial.value is not None:
            assert trial.value == pytest.approx(moments(returns).sharpe * np.sqrt(365))
    values = [t.value for t in stage.trials if t.value is not None]
    assert stage.trials[stage.best].value == max(values)
    assert stage.trials[0].values == {
        "ensemble.min_confidence": 0.36, "limits.max_positions": 10, "policy.horizon": 12
    }  # fmt: skip


def test_the_last_period_is_never_looked_at(
    bars: Bars, study: Study, chooser: Callable[..., Chooser], tmp_path: Path
) -> None:
    first, _ = choose(chooser(), study, bars, SilentProgress())
    ohlcv, side = bars.ohlcv.copy(), study.signal.side.copy()
    ohlcv[LAST_TEST:] = 1e6
    side[LAST_TEST:] = 1
    other = dataclasses.replace(study, signal=dataclasses.replace(study.signal, side=side))
    make = chooser()
    make = dataclasses.replace(make, cache_dir=tmp_path / "elsewhere")
    second, _ = choose(make, other, dataclasses.replace(bars, ohlcv=ohlcv), SilentProgress())
    assert first.tuning == second.tuning
    assert all(len(t.returns) == len(first.tuning[0].trials[0].returns) for t in first.tuning[0].trials)


def test_threads_change_nothing_and_the_choice_is_applied(
    bars: Bars, study: Study, chooser: Callable[..., Chooser]
) -> None:
    (one, strategy), (two, _) = (choose(chooser(threads=n), study, bars, SilentProgress()) for n in (1, 2))
    assert one.tuning == two.tuning
    chosen = one.tuning[0].chosen
    assert strategy.limits.max_positions == chosen["limits.max_positions"]
    assert strategy.policy.horizon == chosen["policy.horizon"]
    gates = RULES.gates._replace(min_confidence=chosen["ensemble.min_confidence"])
    np.testing.assert_array_equal(one.signal.side, regated(study.signal, gates).side)


def test_what_cannot_be_searched_is_refused(bars: Bars, study: Study, chooser: Callable[..., Chooser]) -> None:
    with pytest.raises(ConfigError, match=r"costs\.slippage_bps"):
        chooser(space={"costs.slippage_bps": {"low": 0, "high": 1}}).search()
    with pytest.raises(HistoryError, match="one test period"):
        choose(chooser(), dataclasses.replace(study, last_test=FIRST), bars, SilentProgress())


def test_a_refused_set_of_values_is_a_failed_trial(bars: Bars, study: Study, make_strategy: Callable[..., Any]) -> None:
    values = [{"ensemble.min_confidence": 2.0}, {"limits.max_positions": 3}, {"limits.max_weight": -1.0}]
    strategy = make_strategy(signal=study.source)
    rows = {"bars": bars.rows(FIRST, LAST_TEST), "signal": study.signal.rows(FIRST, LAST_TEST)}
    lived = simulate_all(values, **rows, rules=RULES, strategy=strategy, cash=1e4, threads=1)
    assert ["min_confidence" in lived[0].error, lived[1].error, "max_weight" in lived[2].error] == [True, "", True]
    assert lived[1].trades > 0
    only_bad = simulate_all(values[:1], **rows, rules=RULES, strategy=strategy, cash=1e4, threads=1)
    assert "min_confidence" in only_bad[0].error
    assert with_values(strategy, {}) == strategy


def backtest_of(study: Study, bars: Bars, strategy: Any, unseen_return: float) -> Backtest:
    """A run whose evidence wins and whose last period earns `unseen_return` a day or so."""
    signal = study.signal.rows(FIRST, LAST)
    ran = Scan(10_000.0).run(bars.rows(FIRST, LAST), signal, strategy, limits_on=False)
    rising = dataclasses.replace(ran, equity=np.linspace(10_001.0, 11_000.0, LAST - FIRST))
    rows = LAST_TEST, LAST
    last = Scan(10_000.0).run(bars.rows(*rows), study.signal.rows(*rows), strategy, limits_on=False)
    moved = dataclasses.replace(last, equity=10_000.0 * (1 + unseen_return * np.linspace(0.1, 1.0, LAST - LAST_TEST)))
    return Backtest(bars, bars.rows(FIRST, LAST), signal, study, strategy, rising, rising, moved)


def test_a_run_says_what_was_tried_and_what_nobody_had_seen(
    bars: Bars, study: Study, make_strategy: Callable[..., Any]
) -> None:
    trials = (
        Trial(0, {"x": 1.0, "c": []}, "complete", 1.0, returns=(0.01, 0.02, 0.0)),
        Trial(1, {"x": 2.0, "c": ["u"]}, "infeasible", None, returns=(0.0, 0.0, 0.0), note="few"),
        Trial(2, {"x": 3.0, "c": []}, "failed", None, note="no"),
    )
    stage = TuningStage(STRATEGY, "said", True, trials, 0, {})
    told = dataclasses.replace(study, tuning=(stage,))
    strategy = make_strategy(signal=study.source)
    loses, wins = (backtest_of(told, bars, strategy, r) for r in (-0.02, 0.02))
    tried = trials_of(loses)
    assert tried is not None
    assert tried.count == 3
    assert tried.returns is not None
    assert tried.sharpe is not None
    np.testing.assert_array_equal(tried.returns, [[0.01, 0.0], [0.02, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(tried.sharpe, [0.01 / 0.01, 0.0])
    assert "contradicts" in tuning_notes(loses)[0]
    assert "contradicts" not in tuning_notes(wins)[0]
    assert contradicts(loses, 0.0)
    numbers = last_period(wins)
    assert numbers is not None
    assert (numbers["total_return"], numbers["contradicts"]) == (pytest.approx(0.02), False)
    nothing = dataclasses.replace(loses, study=study, unseen=None)
    assert (trials_of(nothing), last_period(nothing), tuning_notes(nothing)) == (None, None, ())
    assert dict(chosen_keys((stage,))) == {"trading.x": 1.0, "trading.c": []}
    assert trial_table(stage).row_count == 3
    assert chosen_table((stage,)).row_count == 1
