"""Stage 2 of tuning, joined: the learner's searches over what the compiled sweep makes of cached forecasts.

1. The first test window has the thresholds as they are configured: nothing that was tested lies before it.
2. For every other one a search runs on the tested rows before it, with the strategy as it is configured.
3. What it chooses holds in this window; where no trial is eligible the configured thresholds stay.
4. Only then two accounts that begin with the window say what its thresholds, and the configured ones, came to.

So every tested row is judged at thresholds that were chosen on rows before it: the account that is made of all of
them was looked at by no choice and is a single trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.backtest.sweep import sweep
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import Progress, Stage, ThresholdedLearner
from quantlab.core.results import Study, TuningStage, Window
from quantlab.core.types import Signal
from quantlab.jobs.output.run_folder import sources_fingerprint
from quantlab.learning.ensemble.thresholds import Thresholds, with_thresholds
from quantlab.learning.tuning.simulated_trial import ENSEMBLE, SimulatedTrial


@dataclass(frozen=True)
class ThresholdTuner:
    """Stage 2 of tuning: the search for thresholds, and all that it needs beside a study.

    Parameters
    ----------
    tuning : Tuning
    learner : ThresholdedLearner
    make_strategy : callable
        Takes ``signal=`` and gives the strategy.
    cash : float
        USD.
    threads : int
        Trials that are simulated at once; results do not depend on it.
    cache_dir : Path
    """

    tuning: Any
    learner: ThresholdedLearner
    make_strategy: Callable[..., Any]
    cash: float
    threads: int
    cache_dir: Path

    def search_for(self, window: int = 2) -> Any:
        """The search for a test window, counted from 1; None without one. Refuses a space that names nothing."""
        rules = self.learner.ensemble
        return self.tuning.threshold_search(
            {f"{ENSEMBLE}{name}": getattr(rules, name) for name in Thresholds._fields}, window
        )

    def with_cache(self, folder: Path) -> ThresholdTuner:
        """The same search with another folder for its finished rounds."""
        return dataclasses.replace(self, cache_dir=folder)

    def choose(self, study: Study, bars: Bars, progress: Progress) -> tuple[Study, Any]:
        """The study at the chosen thresholds, with its record, and the strategy that trades it.

        Parameters
        ----------
        study : Study
            Of ``learner``.
        bars : Bars, (T, S)
            All that was learned on.

        Raises
        ------
        HistoryError
            If there is one test window only.
        ConfigError
            If every trial of a search failed.
        ArtifactError
            If a stored round is damaged.
        """
        stages = self.search(study, bars, progress)
        chosen = [{}, *(ensemble_fields(stage.chosen) for stage in stages)]
        tuned = self.learner.with_thresholds(study, chosen)
        tuned = dataclasses.replace(tuned, tuning=(*study.tuning, *stages))
        return tuned, self.make_strategy(signal=tuned.source)

    def search(self, study: Study, bars: Bars, progress: Progress) -> tuple[TuningStage, ...]:
        """One finished search for each test window but the first; parameters and errors as of :meth:`choose`."""
        if len(study.windows) < 2:
            raise HistoryError(
                "two test windows or more, to choose thresholds on one and use them in the next",
                found=str(len(study.windows)),
                fix="raise learning.splits.n_folds, or set learning.tuning.thresholds=null",
            )
        walk = _ThresholdWalk(self, study, bars, self.make_strategy(signal=study.source))
        searches = [self.search_for(k + 1) for k in range(1, len(study.windows))]
        with progress.stage("tuning the thresholds", sum(search.trials for search in searches)) as stage:
            return tuple(
                walk.stage(search, window, stage) for search, window in zip(searches, study.windows[1:], strict=True)
            )


@dataclass(frozen=True)
class _ThresholdWalk:
    """A study on its way through the test windows, with the strategy as it is configured."""

    tuner: ThresholdTuner
    study: Study
    bars: Bars
    strategy: Any

    def stage(self, search: Any, window: tuple[int, int], stage: Stage) -> TuningStage:
        """A search on what was tested before `window`, then what became of its choice in there."""
        tuner = self.tuner
        seen = self.study.first_row, window[0]
        found: TuningStage = tuner.tuning.tune_thresholds(
            search,
            partial(self.simulate, rows=seen),
            context=self._context(seen),
            cache_dir=tuner.cache_dir,
            stage=stage,
        )
        return dataclasses.replace(found, window=self._window(found, window))

    def simulate(self, values: Sequence[dict[str, Any]], *, rows: tuple[int, int]) -> list[SimulatedTrial]:
        """One account per set of thresholds, each beginning with `rows`."""
        rules, tuner = self.tuner.learner.ensemble, self.tuner
        bars, signal = self.bars.rows(*rows), self.study.signal.rows(*rows)
        return simulate_all(
            values,
            bars=bars,
            signal=signal,
            rules=rules,
            strategy=self.strategy,
            cash=tuner.cash,
            threads=tuner.threads,
        )

    def _context(self, rows: tuple[int, int]) -> str:
        """Hash of all that a trial on these rows depends on."""
        what = self.bars.rows(*rows).fingerprint(), self.study.signal.rows(*rows), self.tuner.learner.ensemble
        return fingerprint(*what, self.strategy.fingerprint, self.tuner.cash, sources_fingerprint())

    def _window(self, found: TuningStage, rows: tuple[int, int]) -> Window:
        chosen, configured = self.simulate([found.chosen, {}], rows=rows)
        opens = self.bars.open_time_ms
        return Window(
            first=iso_utc(int(opens[rows[0]])),
            last=iso_utc(int(opens[rows[1] - 1])),
            chosen_return=_total_return(chosen),
            configured_return=_total_return(configured),
            chosen_trades=chosen.trades,
            configured_trades=configured.trades,
        )


def _total_return(simulated: SimulatedTrial) -> float:
    return float(np.prod(1.0 + np.array(simulated.returns)) - 1.0)


def simulate_all(
    values: Sequence[Mapping[str, Any]],
    *,
    bars: Bars,
    signal: Signal,
    rules: Any,
    strategy: Any,
    cash: float,
    threads: int,
) -> list[SimulatedTrial]:
    """One account per set of thresholds, limits off; a set that the ensemble refuses has its refusal instead."""
    made = [_thresholds_of(one, rules) for one in values]
    good = tuple(one for one in made if isinstance(one, Thresholds))
    simulated = iter(
        _simulate_thresholds(bars, _ThresholdedSignals(signal, good), strategy, cash, threads) if good else ()
    )
    return [one if isinstance(one, SimulatedTrial) else next(simulated) for one in made]


def _simulate_thresholds(
    bars: Bars, signals: _ThresholdedSignals, strategy: Any, cash: float, threads: int
) -> Iterator[SimulatedTrial]:
    result = sweep(bars, signals, [strategy] * len(signals), cash, threads=threads)
    for returns, trades in zip(result.daily_returns.tolist(), result.n_trades.tolist(), strict=True):
        yield SimulatedTrial(tuple(returns), trades)


def _thresholds_of(values: Mapping[str, Any], rules: Any) -> Thresholds | SimulatedTrial:
    try:
        thresholds: Thresholds = dataclasses.replace(rules, **ensemble_fields(values)).thresholds
    except ConfigError as error:
        return SimulatedTrial(error=str(error))
    return thresholds


@dataclass(frozen=True)
class _ThresholdedSignals(Sequence[Signal]):
    """One signal at many thresholds, each made when it is asked for."""

    signal: Signal
    thresholds: tuple[Thresholds, ...]

    def __len__(self) -> int:
        return len(self.thresholds)

    def __getitem__(self, index: Any) -> Any:
        return with_thresholds(self.signal, self.thresholds[index])


def ensemble_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stage 2's values by the names of the ensemble's own fields."""
    return {name.removeprefix(ENSEMBLE): value for name, value in values.items()}
