"""From a signal to two simulated accounts: what you would have lived, and the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from quantlab.core.market import Bars
from quantlab.core.ports import BacktestEngine, DataSource, Learner, Progress, SignalSource, ThresholdedLearner
from quantlab.core.results import Simulation, Study
from quantlab.core.types import Signal
from quantlab.data.series.history_cut import HistoryCut
from quantlab.evaluation.statistics.stress import NO_STRESS, StressPlan
from quantlab.evaluation.verdict.rule import VerdictRule
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import Barriers, barriers_of, history_cut
from quantlab.jobs.research.stress import check_stress
from quantlab.jobs.threshold_tuning.search import ThresholdTuner
from quantlab.learning.study.study_signal import study_signal


@dataclass(frozen=True)
class Setup:
    """Parts that a configuration names, constructed; an impossible one is refused before any work.

    Parameters
    ----------
    source : DataSource
    cut : HistoryCut
    barriers : Barriers
    signal : Learner or SignalSource
    make_strategy : callable
        Takes ``signal=`` and gives the strategy.
    engine : BacktestEngine
    rule : VerdictRule
    feature_fingerprint : str
    thresholds : ThresholdTuner or None
        Stage 2 of tuning; None where it is off or the signal is not learned.
    stress : StressPlan
        Which replays at other costs and with other accounts are made.
    """

    source: DataSource
    cut: HistoryCut
    barriers: Barriers
    signal: Learner | SignalSource
    make_strategy: Callable[..., Any]
    engine: BacktestEngine
    rule: VerdictRule
    feature_fingerprint: str
    thresholds: ThresholdTuner | None = None
    stress: StressPlan = NO_STRESS


def setup(cfg: DictConfig) -> Setup:
    """Construct what the configuration names.

    Raises
    ------
    ConfigError
        If a part is impossible or unknown.
    """
    barriers = barriers_of(cfg)
    signal: Learner | SignalSource = build(cfg.signal)
    make_strategy = build(cfg.strategy)
    strategy = make_strategy(signal=signal)  # refuses what does not fit now, not after the learning
    engine, plan = build(cfg.backtest), build(cfg.stress)
    check_stress(plan, strategy, engine)
    return Setup(
        source=build(cfg.data),
        cut=history_cut(cfg),
        barriers=barriers,
        signal=signal,
        make_strategy=make_strategy,
        engine=engine,
        rule=build(cfg.evaluation),
        feature_fingerprint=build(cfg.features).fingerprint,
        thresholds=_threshold_tuner(cfg, signal, make_strategy),
        stress=plan,
    )


def _threshold_tuner(
    cfg: DictConfig, signal: Learner | SignalSource, make_strategy: Callable[..., Any]
) -> ThresholdTuner | None:
    tuning = build(cfg.learning.tuning)
    if tuning is None or not isinstance(signal, ThresholdedLearner):
        return None
    tuner = ThresholdTuner(tuning, signal, make_strategy, float(cfg.cash), int(cfg.workers), Path(cfg.cache_dir))
    return tuner if tuner.search_for() is not None else None


@dataclass(frozen=True)
class Backtest:
    """A study, the strategy made of it and its two accounts.

    Parameters
    ----------
    history : Bars
        Everything that was loaded.
    bars : Bars
        The out-of-sample rows only.
    signal : Signal
        On these rows.
    study : Study
    strategy : Strategy
    evidence : Simulation
        Daily limit and breaker off: all statistics and the verdict rest on it.
    lived : Simulation
        Every limit on: what an account would have lived through.
    """

    history: Bars
    bars: Bars
    signal: Signal
    study: Study
    strategy: Any
    evidence: Simulation
    lived: Simulation


def backtest(parts: Setup, bars: Bars, progress: Progress) -> Backtest:
    """Learn or compute the signal over `bars`, then simulate twice.

    Raises
    ------
    QuantlabError
        If the history or a member is refused.
    """
    study, strategy = learn(parts, bars, progress)
    rows = bars.rows(study.first_row, study.last_row)
    signal = study.signal.rows(study.first_row, study.last_row)
    with progress.stage("simulation, limits off and on", 2) as stage:
        evidence = parts.engine.run(rows, signal, strategy, limits_on=False)
        stage.advance()
        lived = parts.engine.run(rows, signal, strategy, limits_on=True)
        stage.advance()
    return Backtest(bars, rows, signal, study, strategy, evidence, lived)


def learn(parts: Setup, bars: Bars, progress: Progress) -> tuple[Study, Any]:
    """The study, its members and thresholds as tuning chose them, and the strategy that trades it.

    Raises
    ------
    QuantlabError
        If the history, a member or every trial is refused.
    """
    study = study_signal(parts.signal, bars, progress)
    if parts.thresholds is None:
        return study, parts.make_strategy(signal=study.source)
    return parts.thresholds.choose(study, bars, progress)
