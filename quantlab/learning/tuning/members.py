"""Stage 1: hyper-parameters of the members, by log loss on purged folds *inside* the first training part.

Rows from the first test window on are never looked at, neither they nor labels that settle in them: so every
tested row lies in the future of the choice, and what was chosen here needs no deflation there.

The inner folds tile the newest `test_share` of that part; each is fitted on what came before it, with its own
early-stopping rows and purged like any fold. Losses are averaged by UTC day, weighted by the labels'
uniqueness; days are the steps that pruning compares, and their mean is the objective.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import HistoryError, InstallationError, QuantlabError
from quantlab.core.files import partial_prefix
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Model, Progress
from quantlab.core.results import TuningStage
from quantlab.core.types import Dataset
from quantlab.learning.artifacts.code_versions import configuration_hash, library_versions, package_code_hash
from quantlab.learning.ensemble.calibration import log_losses
from quantlab.learning.ensemble.members import predict_rows
from quantlab.learning.ensemble.pooling import has_forecast
from quantlab.learning.parallel.shared_memory import map_dataset, write_dataset
from quantlab.learning.parallel.workers import Workers
from quantlab.learning.samples.splits import Fold, Rows, part, tile
from quantlab.learning.tuning.rounds import Candidate, Outcome, Search, run_search
from quantlab.learning.tuning.store import RoundStore

OBJECTIVE = "log loss, nats: mean over the days of the inner folds"


@dataclass(frozen=True)
class FoldFit:
    """One trial in one inner fold.

    Parameters
    ----------
    name : str
    model : Model
        The member with the trial's values.
    fold : Fold
    """

    name: str
    model: Model
    fold: Fold


@dataclass(frozen=True)
class FoldLosses:
    """Mean loss of every day, or why there is none."""

    losses: tuple[float, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class TuningRows:
    """Rows and folds that stage 1 may look at.

    Parameters
    ----------
    dataset : Dataset, (T, S)
        From :func:`rows_before`.
    folds : tuple of Fold
        From :func:`inner_folds`.
    context : str
        sha256 over bars, features and labels.
    """

    dataset: Dataset
    folds: tuple[Fold, ...]
    context: str


def rows_before(dataset: Dataset, row: int) -> Dataset:
    """The rows before `row`, without labels and forward returns that were not known when it opened."""
    rows = slice(0, row)
    horizon = dataset.forward_returns.shape[2]
    returns = np.array(dataset.forward_returns[rows])
    for ahead in range(horizon):
        returns[max(row - 1 - ahead, 0) :, :, ahead] = np.nan
    return Dataset(
        features=dataset.features.rows(0, row),
        label=dataset.label[rows],
        weight=dataset.weight[rows],
        known_at_ms=dataset.known_at_ms[rows],
        forward_returns=returns,
        open_time_ms=dataset.open_time_ms[rows],
        mask=dataset.mask[rows] & (dataset.known_at_ms[rows] <= dataset.open_time_ms[row]),
    )


def inner_folds(first: Fold, count: int, test_share: float, early_stopping_fraction: float) -> tuple[Fold, ...]:
    """Folds inside the training part of the walk's first fold; their calibration part is empty.

    Raises
    ------
    HistoryError
        If that part is too short for them.
    """
    start, stop = first.fit[0], first.test[0]
    folds = []
    for index, (begin, end) in enumerate(tile(stop - int(test_share * (stop - start)), stop, count)):
        cut = begin - int(early_stopping_fraction * (begin - start))
        if not start < cut < begin < end:
            raise HistoryError(
                f"a first training part with {count} inner folds to tune on",
                found=f"{stop - start} bars",
                fix="raise learning.splits.min_train_bars, or set learning.tuning=null",
            )
        folds.append(Fold(index, (start, cut), (cut, begin), (begin, begin), (begin, end), first.every_k))
    return tuple(folds)


def tune_members(
    searches: Mapping[str, Search],
    members: Mapping[str, Model],
    tuning_rows: TuningRows,
    root: Path,
    workers: Workers,
    progress: Progress,
) -> tuple[TuningStage, ...]:
    """Search every member's space, one member after the other.

    Parameters
    ----------
    searches, members : dict of member name to Search and to Model
    tuning_rows : Past
    root : Path
        Folder of all stored searches.
    workers : Workers
        Over the trials of a round; results do not depend on how many they are.

    Raises
    ------
    ConfigError
        If every trial of a member failed.
    ArtifactError
        If a stored round is damaged.
    InstallationError
        If a worker process died.
    """
    root.mkdir(parents=True, exist_ok=True)
    stages = []
    with tempfile.TemporaryDirectory(dir=root, prefix=partial_prefix("dataset")) as folder:
        write_dataset(tuning_rows.dataset, Path(folder))
        for name, search in searches.items():
            store = RoundStore(root / search_key(search, members[name], tuning_rows))
            evaluate = partial(
                _evaluate, workers=workers, member=members[name], tuning_rows=tuning_rows, folder=Path(folder)
            )
            with progress.stage(f"tuning {name}", search.trials) as stage:
                stages.append(run_search(search, evaluate, store, stage))
    return tuple(stages)


def search_key(search: Search, member: Model, tuning_rows: TuningRows) -> str:
    """sha256 over everything that the search's result depends on."""
    code = (package_code_hash(), library_versions(), version("optuna"))
    return fingerprint("member", search, configuration_hash(member), tuning_rows.folds, tuning_rows.context, code)


def _evaluate(
    candidates: Sequence[Candidate],
    *,
    workers: Workers,
    member: Any,
    tuning_rows: TuningRows,
    folder: Path,
) -> list[Outcome]:
    """All candidates fold by fold, so that one that is behind need not see the next."""
    errors: dict[int, str] = {}
    models: dict[int, Model] = {}
    for one in candidates:
        try:
            models[one.number] = dataclasses.replace(member, **one.values)
        except QuantlabError as error:
            errors[one.number] = str(error)
    for fold in tuning_rows.folds:
        running = [one for one in candidates if one.number not in errors and not one.pruned]
        fits = [FoldFit(member.name, models[one.number], fold) for one in running]
        for one, found in zip(running, workers.map(partial(score_mapped_fold, folder), fits), strict=True):
            if found.error:
                errors[one.number] = found.error
            else:
                one.report(found.losses, last=fold is tuning_rows.folds[-1])
    return [_outcome(one, errors.get(one.number)) for one in candidates]


def _outcome(one: Candidate, error: str | None) -> Outcome:
    if error is not None:
        return Outcome(None, "failed", note=error)
    return Outcome(float(np.mean(one.steps)))


def score_mapped_fold(folder: Path, fit: FoldFit) -> FoldLosses:
    """:func:`score_fold` on a dataset in files; in the worker process."""
    return score_fold(map_dataset(folder), fit)


def score_fold(dataset: Dataset, fit: FoldFit) -> FoldLosses:
    """Fit, predict, and average the losses by day.

    A member that refuses its values or its rows has failed, and says why; anything else that it raises is a
    bug and ends the search, as does an installation that is not fit for it.
    """
    try:
        model = fit.model.fit(part(dataset, fit.fold, "fit"), part(dataset, fit.fold, "early_stopping"))
        proba = predict_rows(fit.name, model, dataset.features, *fit.fold.test)
        return FoldLosses(daily_losses(fit.name, proba, part(dataset, fit.fold, "test"), fit.fold.test))
    except InstallationError:
        raise
    except QuantlabError as error:
        return FoldLosses(error=str(error))


def daily_losses(name: str, proba: Float32Array, dataset: Dataset, rows: Rows) -> tuple[float, ...]:
    """Weighted mean log loss of every UTC day with masked rows.

    Parameters
    ----------
    name : str
    proba : float32 (T_rows, S, 3)
    dataset : Dataset, (T, S)
    rows : (start, stop)

    Raises
    ------
    HistoryError
        If `proba` has no forecast on one of these days: trials are compared day by day.
    """
    inside = slice(*rows)
    mask = dataset.mask[inside]
    present = mask & has_forecast(proba)
    day = np.broadcast_to((dataset.open_time_ms[inside] // MS_PER_DAY)[:, None], mask.shape)
    days = np.unique(day[mask])
    index = np.searchsorted(days, day[present])
    weight = dataset.weight[inside][present].astype(np.float64)
    losses = weight * log_losses(proba[present], dataset.label[inside][present])
    total, lost = (np.bincount(index, weights=w, minlength=len(days)) for w in (weight, losses))
    if len(days) == 0 or not (total > 0.0).all():
        raise HistoryError(
            f"labelled rows for which {name} has forecasts on every day of the inner folds",
            found="a day without",
            fix="use a longer history, or set learning.tuning=null",
        )
    return tuple((lost / total).tolist())
