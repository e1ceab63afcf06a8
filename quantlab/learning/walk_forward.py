"""The learner: fit on the past, speak about the future, step on.

1. Bars become features, labels and one dataset; the splits cut it into folds by time.
2. Every (fold, member) is fitted on its fold's past and forecasts the rows after it (``forecasts``).
3. Per fold, weights and temperature are fitted on the calibration rows, and the ensemble votes on the
   test rows. Nobody speaks about a row that anything of his was fitted on.
4. The test rows of all folds, joined, are the signal; elsewhere it is HOLD and NaN. The last fold's
   members are the source that a strategy carries on.

At a fold's border new members take over, and liveness is theirs: it is counted from the fold's first
calibration row on, so that at the first test row a whole window of *their own* outputs is behind it.
That is also why the last fold's rows are exactly what the returned source says about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import average_true_range
from quantlab.core.ports import FeatureSource, Model, Progress
from quantlab.core.results import Study
from quantlab.core.types import Bars, Dataset, Float64Array, check_has, check_whole
from quantlab.learning.dataset import build_dataset
from quantlab.learning.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.forecasts import Forecast, forecasts, make_task
from quantlab.learning.labels import Labels
from quantlab.learning.provenance import identity
from quantlab.learning.signal import EnsembleSignal, Member, to_signal
from quantlab.learning.signal_report import signal_report
from quantlab.learning.splits import Fold
from quantlab.learning.voting import gather, join, vote


class Labeler(Protocol):
    """Answers, in hindsight, what should have been done at each bar."""

    @property
    def horizon(self) -> int: ...

    def label(self, bars: Bars, atr: Float64Array) -> Labels: ...


class Splitter(Protocol):
    """Cuts a dataset into folds whose tests tile the future."""

    def split(self, dataset: Dataset) -> Sequence[Any]: ...


@dataclass(frozen=True)
class WalkForward:
    """A :class:`~quantlab.core.ports.Learner` that never scores a row it has learned from.

    Parameters
    ----------
    features : FeatureSource
    labels : Labeler
    splits : Splitter
        Of :class:`~quantlab.learning.splits.Fold`.
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
        check_has("learning.ensemble", self.ensemble, "check", "fit")
        self.ensemble.check(len(self.members))
        # One order, whatever the configuration's: sums of floats, and so all bits, depend on it.
        object.__setattr__(self, "members", dict(sorted(self.members.items())))

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
            labels = self.labels.label(bars, average_true_range(bars, features))
            dataset = build_dataset(bars, features, labels, self.labels.horizon)
            folds = self._folds(dataset)
        said = self._forecasts(bars, dataset, folds, progress)
        with progress.stage("ensemble", len(folds)) as stage:
            votes = []
            for fold in folds:
                members = np.stack([forecast.proba for forecast in said[fold].values()])
                votes.append(vote(self.ensemble, tuple(self.members), members, dataset, fold))
                stage.advance()
        with _one_step(progress, "scores"):
            report = signal_report(gather(votes, dataset), bootstrap_samples=self.bootstrap_samples, seed=self.seed)
        return Study(
            signal=to_signal(join(votes, bars.n_bars, bars.n_symbols), bars, features),
            first_row=folds[0].test[0],
            last_row=folds[-1].test[1],
            source=self._source(said[folds[-1]], votes[-1].ensemble),
            report=report,
        )

    def _folds(self, dataset: Dataset) -> tuple[Fold, ...]:
        """The splits' folds, if a walk forward can be made of them."""
        folds = tuple(self.splits.split(dataset))
        if not all(isinstance(fold, Fold) for fold in folds) or any(a.test[1] != b.test[0] for a, b in pairwise(folds)):
            raise ConfigError(
                "learning.splits whose test windows tile the future in one walk",
                found=type(self.splits).__name__,
                mend="use learning/splits=walk_forward",
            )
        for fold in folds:
            length = fold.calibration[1] - fold.calibration[0]
            if length < self.ensemble.liveness_bars:
                raise HistoryError(
                    f"at least {self.ensemble.liveness_bars} calibration bars, to know at the first test bar who is alive",
                    found=f"{length} in fold {fold.index}",
                    mend="raise learning.splits.calibration_fraction or lower learning.ensemble.liveness_bars",
                )
        return folds

    def _forecasts(
        self, bars: Bars, dataset: Dataset, folds: tuple[Fold, ...], progress: Progress
    ) -> dict[Fold, dict[str, Forecast]]:
        context = fingerprint(bars.fingerprint(), self.features.fingerprint, identity(self.labels))
        root = Path(self.cache_dir) / "forecasts"
        tasks = [make_task(root, context, name, m, fold) for fold in folds for name, m in self.members.items()]
        with progress.stage("members", len(tasks)) as stage:
            found = forecasts(tasks, dataset, self.workers, stage)
        said: dict[Fold, dict[str, Forecast]] = {fold: {} for fold in folds}
        for task, forecast in zip(tasks, found, strict=True):
            said[task.fold][task.member] = forecast
        return said

    def _source(self, said: dict[str, Forecast], ensemble: FittedEnsemble) -> EnsembleSignal:
        members = tuple(Member(name, one.load(), one.digest, one.folder.parent.name) for name, one in said.items())
        return EnsembleSignal(features=self.features, members=members, ensemble=ensemble)


@contextmanager
def _one_step(progress: Progress, name: str) -> Iterator[None]:
    with progress.stage(name, 1) as stage:
        yield
        stage.advance()
