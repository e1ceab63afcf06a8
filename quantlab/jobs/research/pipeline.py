"""From a signal to two simulated accounts: what you would have lived, and the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from omegaconf import DictConfig

from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, Learner, Progress, SignalSource
from quantlab.core.results import Simulation, Study
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.stress import NO_STRESS, StressPlan
from quantlab.evaluation.verdict.rule import VerdictRule
from quantlab.jobs.config.barriers import Barriers, barriers_of
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.history import HistoryCut, history_cut
from quantlab.jobs.research.stress import check_stress
from quantlab.jobs.threshold_tuning.search import Chooser, Regatable, choose


class Engine(Protocol):
    """Runs a strategy over bars; ``conf/backtest`` names the one that is used."""

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        """One simulated account."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a configuration names, constructed: what is impossible is refused before any work.

    Parameters
    ----------
    source : DataSource
    cut : HistoryCut
    barriers : Barriers
    signal : Learner or SignalSource
    make_strategy : callable
        Takes ``signal=`` and gives the strategy.
    engine : Engine
    rule : VerdictRule
    feature_fingerprint : str
    chooser : Chooser or None
        Stage 2 of tuning; None where it is off or the signal is not learned.
    stress : StressPlan
        Which replays at other costs and with other accounts are made.
    """

    source: DataSource
    cut: HistoryCut
    barriers: Barriers
    signal: Learner | SignalSource
    make_strategy: Callable[..., Any]
    engine: Engine
    rule: VerdictRule
    feature_fingerprint: str
    chooser: Chooser | None = None
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
        chooser=_chooser(cfg, signal, make_strategy),
        stress=plan,
    )


def _chooser(cfg: DictConfig, signal: Learner | SignalSource, make_strategy: Callable[..., Any]) -> Chooser | None:
    tuning = build(cfg.learning.tuning)
    if tuning is None or not isinstance(signal, Regatable):
        return None
    chooser = Chooser(tuning, signal, make_strategy, float(cfg.cash), int(cfg.workers), Path(cfg.cache_dir))
    return chooser if chooser.search() is not None else None


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
    """The study, its members and gates as tuning chose them, and the strategy that trades it.

    Raises
    ------
    QuantlabError
        If the history, a member or every trial is refused.
    """
    study = study_signal(parts.signal, bars, progress)
    if parts.chooser is None:
        return study, parts.make_strategy(signal=study.source)
    return choose(parts.chooser, study, bars, progress)


def study_signal(source: Learner | SignalSource, bars: Bars, progress: Progress) -> Study:
    """Walk a learner forward; ask a plain source once, from the first row on which it knows or says anything.

    That is the first one past the warm-up, or a signal of the user's own before it: what was brought is played whole.

    Raises
    ------
    HistoryError
        If there is no such row.
    """
    if isinstance(source, Learner):
        return source.study(bars, progress)
    with progress.stage("signal", 1) as stage:
        signal = source.signal(bars)
        stage.advance()
    ready = (np.isfinite(signal.atr) | (signal.live_members > 0)).any(axis=1)
    if not ready.any():
        raise HistoryError(
            "a history longer than the features' warm-up",
            found=f"{bars.n_bars} bars, none of them ready",
            mend="load a longer history (history.start, history.bars)",
        )
    return Study(signal, int(np.argmax(ready)), bars.n_bars, source, None)
