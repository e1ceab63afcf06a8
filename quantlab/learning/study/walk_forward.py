"""The learner: fit on the past, forecast what follows, step on.

1. Bars become features, labels and one dataset; the splits cut it into folds by time.
2. Where tuning is configured, the members' hyper-parameters are chosen on rows before the first test
   (``tuning``).
3. Every (fold, member) is fitted on its fold's past and forecasts the rows after it (``forecasts``).
4. Per fold, weights and temperature are fitted on the calibration rows, and the ensemble votes on the
   test rows. No row is forecast by a member that was fitted on it.
5. The test rows of all folds, joined, are the signal; elsewhere it is HOLD and NaN. The last fold's
   members are the source that a strategy carries on.

At a fold's border new members take over, and liveness is theirs: it is counted from the fold's first
calibration row on, so that at the first test row a whole window of *their own* outputs is behind it.
That is also why the last fold's rows are exactly what the returned source forecasts for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.checks import check_has, check_whole
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, HasColumns, Labeler, MemberTuner, Model, Progress, Splitter
from quantlab.core.results import SignalReport, Study, TuningStage
from quantlab.core.types import Dataset
from quantlab.learning.artifacts.code_versions import configuration_hash
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.signal_report import signal_report
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member, to_signal
from quantlab.learning.ensemble.thresholds import move_bps, thresholds_by_window, with_window_thresholds
from quantlab.learning.ensemble.voting import Vote, join_out_of_sample, join_votes, revote, vote
from quantlab.learning.parallel.workers import Workers, worker_processes
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold
from quantlab.learning.study.forecasts import Forecast, forecasts, make_task


@dataclass(frozen=True)
class WalkForward:
    """A :class:`~quantlab.core.ports.Learner` that never scores a row it has learned from.

    Parameters
    ----------
    features : FeatureSource
    labels : Labeler
    splits : Splitter
        Of :class:`~quantlab.learning.samples.splits.Fold`.
    members : dict of name to Model
        All of them are fitted, and all of them vote.
    ensemble : Ensemble
    workers : int
        Processes over (fold, member); results do not depend on it.
    cache_dir : str or Path
        Forecasts are kept in its folder ``forecasts``.
    seed : int
        Of the report's bootstrap; a member's seed is its own.
    bootstrap_samples : int
        Resamples of days for the AUC's standard error.
    tuning : MemberTuner or None
        None fits the members as they are configured.
    stride : int
        Members are asked about every stride-th bar of a fold's calibration and test rows, and their last
        forecast is carried forward between them: a cheaper look at a long history. The source that is
        returned forecasts every bar, so its rows are those of the last fold at a stride of 1 only.

    Raises
    ------
    ConfigError
        If a part is missing, the members cannot meet the quorum or the weight bounds, or a number is out of
        range.
    """

    features: FeatureSource
    labels: Labeler
    splits: Splitter
    members: dict[str, Model]
    ensemble: Ensemble
    workers: int
    cache_dir: str | Path
    seed: int
    bootstrap_samples: int
    tuning: MemberTuner | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        check_whole("workers", self.workers, low=1)
        check_whole("seed", self.seed, low=0)
        check_whole("learning.study.bootstrap_samples", self.bootstrap_samples, low=2)
        check_has("learning.study.features", self.features, "transform", "stream")
        check_has("learning.labels", self.labels, "label", "horizon")
        check_has("learning.splits", self.splits, "split")
        check_has("learning.members", self.members, "items")
        for name, model in self.members.items():
            check_has(f"learning.members.{name}", model, "fit")
            _check_columns(name, model, self.features)
        check_has("learning.ensemble", self.ensemble, "check", "fit")
        # A carried forecast does not move: over a whole liveness window it would be taken for a dead member's.
        check_whole("learning.study.stride", self.stride, low=1, high=self.ensemble.liveness_bars - 1)
        self.ensemble.check(len(self.members))
        # One order, whatever the configuration's: sums of floats, and so all bits, depend on it.
        object.__setattr__(self, "members", dict(sorted(self.members.items())))
        if self.tuning is not None:
            check_has("learning.tuning", self.tuning, "member_searches", "tune_members")
            self.tuning.member_searches(self.members)

    def study(self, bars: Bars, progress: Progress) -> Study:
        """Walk forward over `bars`.

        Raises
        ------
        HistoryError
            If there are too few bars for the warm-up, the folds or the calibration.
        ArtifactError
            If a cached forecast is damaged.
        ContractError
            If a member breaks its promises.
        InstallationError
            If a worker process died.
        """
        with _one_step(progress, "features"):
            features = self.features.transform(bars)
        with _one_step(progress, "labels"):
            atr = average_true_range(bars, features)
            labels = self.labels.label(bars, atr)
            dataset = build_dataset(bars, features, labels, self.labels.horizon)
            folds = self._folds(dataset)
        context = fingerprint(bars.fingerprint(), self.features.fingerprint, configuration_hash(self.labels))
        with worker_processes(self.workers, len(folds) * len(self.members)) as workers:
            members, tuning = self._tune_members(dataset, folds[0], context, workers, progress)
            cached = self._forecasts(members, dataset, folds, context, workers, progress)
        move = move_bps(bars, atr, self.ensemble.move_atr)
        with progress.stage("ensemble", len(folds)) as stage:
            votes = []
            for fold in folds:
                fold_forecasts = np.stack([forecast.proba for forecast in cached[fold].values()])
                fold_move = move[fold.calibration[0] : fold.test[1]]
                votes.append(vote(self.ensemble, tuple(members), fold_forecasts, fold_move, dataset, fold))
                stage.advance()
        with _one_step(progress, "scores"):
            report = self._report(votes, dataset)
        return Study(
            signal=to_signal(join_votes(votes, bars.n_bars, bars.n_symbols), atr),
            first_row=folds[0].test[0],
            last_row=folds[-1].test[1],
            source=_source(self.features, cached[folds[-1]], votes[-1].ensemble),
            report=report,
            windows=tuple(fold.test for fold in folds),
            tuning=tuning,
            votes=(dataset, *votes),
        )

    def with_thresholds(self, study: Study, thresholds: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Study:
        """The same study at other thresholds: no member is fitted or asked again.

        Parameters
        ----------
        study : Study
            Of this learner.
        thresholds : dict, or sequence of dict
            Any of the fields of :class:`~quantlab.learning.ensemble.thresholds.Thresholds`; others stay as they are configured. One
            for all test windows, or one for each. The source that is returned has the last window's.

        Raises
        ------
        ConfigError
            If a threshold is out of range.
        ContractError
            If there are not as many thresholds as test windows.
        """
        dataset, *old = study.votes
        rules = [self._rules_with(one) for one in thresholds_by_window(thresholds, len(old))]
        votes = [revote(one, other) for one, other in zip(old, rules, strict=True)]
        return dataclasses.replace(
            study,
            signal=with_window_thresholds(study.signal, study.windows, [one.thresholds for one in rules]),
            source=dataclasses.replace(study.source, ensemble=votes[-1].ensemble),
            report=self._report(votes, dataset),
            votes=(dataset, *votes),
        )

    def _rules_with(self, thresholds: Mapping[str, Any]) -> Ensemble:
        rules = dataclasses.replace(self.ensemble, **thresholds)
        rules.check(len(self.members))
        return rules

    def _report(self, votes: Sequence[Vote], dataset: Dataset) -> SignalReport:
        return signal_report(
            join_out_of_sample(votes, dataset), bootstrap_samples=self.bootstrap_samples, seed=self.seed
        )

    def _tune_members(
        self, dataset: Dataset, first: Fold, context: str, workers: Workers, progress: Progress
    ) -> tuple[dict[str, Model], tuple[TuningStage, ...]]:
        if self.tuning is None:
            return self.members, ()
        where = Path(self.cache_dir)
        return self.tuning.tune_members(
            self.members, dataset, first, context=context, cache_dir=where, workers=workers, progress=progress
        )

    def _folds(self, dataset: Dataset) -> tuple[Fold, ...]:
        """The splits' folds, if a walk forward can be made of them."""
        folds = tuple(self.splits.split(dataset))
        if not all(isinstance(fold, Fold) for fold in folds) or any(a.test[1] != b.test[0] for a, b in pairwise(folds)):
            raise ConfigError(
                "learning.splits whose test windows tile the future in one walk",
                found=type(self.splits).__name__,
                fix="use learning/splits=walk_forward",
            )
        for fold in folds:
            length = fold.calibration[1] - fold.calibration[0]
            if length < self.ensemble.liveness_bars:
                raise HistoryError(
                    f"at least {self.ensemble.liveness_bars} calibration bars, to know at the first test bar who is alive",
                    found=f"{length} in fold {fold.index}",
                    fix="raise learning.splits.calibration_fraction or lower learning.ensemble.liveness_bars",
                )
        return folds

    def _forecasts(
        self,
        members: dict[str, Model],
        dataset: Dataset,
        folds: tuple[Fold, ...],
        context: str,
        workers: Workers,
        progress: Progress,
    ) -> dict[Fold, dict[str, Forecast]]:
        root = Path(self.cache_dir) / "forecasts"
        tasks = [make_task(root, context, name, m, fold, self.stride) for fold in folds for name, m in members.items()]
        with progress.stage("members", len(tasks)) as stage:
            found = forecasts(tasks, dataset, workers, stage)
        cached: dict[Fold, dict[str, Forecast]] = {fold: {} for fold in folds}
        for task, forecast in zip(tasks, found, strict=True):
            cached[task.fold][task.member] = forecast
        return cached


def _check_columns(name: str, model: Model, features: FeatureSource) -> None:
    """ConfigError if a member reads a feature by name that the set does not have."""
    missing = (
        [column for column in model.columns if column not in features.names] if isinstance(model, HasColumns) else []
    )
    if missing:
        raise ConfigError(
            f"learning.members.{name} to read features of the configured set",
            found=f"{', '.join(missing)}, which it leaves out",
            fix=f"set learning.members.{name}.exogenous to some of the set's, or choose features=unified49",
        )


def _source(features: FeatureSource, cached: dict[str, Forecast], ensemble: FittedEnsemble) -> EnsembleSignal:
    members = tuple(Member(name, one.load(), one.digest, one.folder.parent.name) for name, one in cached.items())
    return EnsembleSignal(features=features, members=members, ensemble=ensemble)


@contextmanager
def _one_step(progress: Progress, name: str) -> Iterator[None]:
    with progress.stage(name, 1) as stage:
        yield
        stage.advance()
