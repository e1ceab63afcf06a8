"""Out-of-sample forecasts of every (fold, member), each fitted once and kept.

1. A task's *key* is the sha256 of all that its forecast can depend on: bars, features, labels, the fold,
   the member's configuration (its seed is part of it), our own code, and library versions.
2. Entries that exist are verified, every file against its hash, before anything is computed. A damaged
   one is refused with the folder to delete: a cache that has lost a bit is a disk to look at, and
   nothing here is ever read on trust or quietly made again.
3. What is missing is fitted, here or in worker processes, by the same function. Each task writes its own
   entry, which appears under its name only when it is whole; results are read back in task order. So the
   number of workers, and which one finished first, cannot be seen in them.

An entry holds the probabilities for the calibration and test rows, the fitted member, saved, loaded
again and found to forecast the same, and golden rows that the registry goes on checking it with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.checks import check_whole
from quantlab.core.errors import ArtifactError
from quantlab.core.files import partial_prefix, staged_folder
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import FittedModel, Model, ProgressCallback, Stage
from quantlab.core.trust import Trust
from quantlab.core.types import Dataset
from quantlab.learning.artifacts.code_versions import configuration_hash, library_versions, package_code_hash
from quantlab.learning.artifacts.golden_rows import Golden
from quantlab.learning.artifacts.sealed_folder import files_digest, seal_folder, verify_folder
from quantlab.learning.ensemble.members import class_path, load_member, predict_part, predict_rows
from quantlab.learning.parallel.progress import StageProgress, fit_member, scaled_progress
from quantlab.learning.parallel.shared_memory import map_dataset, write_dataset
from quantlab.learning.parallel.workers import Workers
from quantlab.learning.samples.splits import Fold, Part, part, part_facts

#: Rows on which a stored member is compared with the one that was saved.
_GOLDEN_ROWS = 64

_FITTED_ON: tuple[Part, Part] = ("fit", "early_stopping")


@dataclass(frozen=True)
class Task:
    """One member in one fold.

    Parameters
    ----------
    member : str
        Its name in the configuration.
    model : Model
    fold : Fold
    entry : Path
        Where its forecast is, or will be.
    stride : int
        The member is asked about every stride-th bar and its forecast carried forward between them, see
        :func:`quantlab.learning.ensemble.members.predict_part`; 1 asks about all.
    """

    member: str
    model: Model
    fold: Fold
    entry: Path
    stride: int = 1

    @property
    def rows(self) -> tuple[int, int]:
        """Rows that are forecast: calibration and test."""
        return self.fold.calibration[0], self.fold.test[1]

    def __str__(self) -> str:
        return f"member {self.member} in fold {self.fold.index}"


@dataclass(frozen=True)
class Forecast:
    """A verified entry.

    Parameters
    ----------
    proba : float32 (rows, S, 3)
        Mapped read-only from the entry.
    digest : str
        sha256 of the fitted member's files.
    folder : Path
    class_path : str
    facts : dict
        What the entry says of itself: features, rows and dates of the fold's parts, library versions.
    """

    proba: Float32Array
    digest: str
    folder: Path
    class_path: str
    facts: dict[str, Any]

    def load(self) -> FittedModel:
        """The fitted member."""
        # The cache is this machine's own work and is never carried anywhere: what it names was fitted here.
        return load_member(self.class_path, self.folder, Trust((self.class_path.replace(":", "."),)))


def make_task(root: Path, context: str, member: str, model: Model, fold: Fold, stride: int = 1) -> Task:
    """A task with the entry that its key names.

    Parameters
    ----------
    root : Path
        Folder of all entries.
    context : str
        sha256 over bars, features and labels.
    stride : int
        See :class:`Task`.

    Raises
    ------
    ConfigError
        If `stride` is below 1, or the model has no stable identity, see :func:`quantlab.learning.artifacts.code_versions.configuration_hash`.
    """
    check_whole("the stride of forecasts", stride, low=1)
    key = fingerprint(context, fold, configuration_hash(model), stride, package_code_hash(), library_versions())
    return Task(member=member, model=model, fold=fold, entry=root / key, stride=stride)


def forecasts(tasks: Sequence[Task], dataset: Dataset, workers: Workers, stage: Stage) -> list[Forecast]:
    """Every task's forecast, from the cache or computed, in task order.

    Parameters
    ----------
    tasks : sequence of Task
    dataset : Dataset, (T, S)
    workers : Workers
        Results do not depend on how many they are.
    stage : Stage
        Advanced by one per task, in parts while it is fitted and forecasts.

    Raises
    ------
    ArtifactError
        If a cached entry is damaged.
    InstallationError
        If a worker process died.
    """
    found: dict[Path, Forecast] = {}
    for task in tasks:
        if task.entry.is_dir():
            found[task.entry] = read_forecast(task.entry)
            stage.advance()
    missing = [task for task in tasks if task.entry not in found]
    _compute_missing(missing, dataset, workers, StageProgress(stage).update)
    return [found[task.entry] if task.entry in found else read_forecast(task.entry) for task in tasks]


def _compute_missing(
    tasks: list[Task], dataset: Dataset, workers: Workers, on_progress: Callable[[int, float], None]
) -> None:
    if min(workers.count, len(tasks)) <= 1:
        for index, task in enumerate(tasks):
            compute_forecast(task, dataset, partial(on_progress, index))
            on_progress(index, 1.0)
        return
    root = tasks[0].entry.parent
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=partial_prefix("dataset")) as folder:
        write_dataset(dataset, Path(folder))
        workers.run(_compute_mapped, [(task, Path(folder)) for task in tasks], on_progress)


def _compute_mapped(task: Task, folder: Path, on_progress: ProgressCallback) -> None:
    compute_forecast(task, map_dataset(folder), on_progress)


def compute_forecast(task: Task, dataset: Dataset, on_progress: ProgressCallback) -> None:
    """Fit on the past, forecast what follows, and store both under the task's entry.

    `on_progress` gets the share of the fit up to a half, and then that of the forecast rows.
    """
    fit_on, stop_on = (part(dataset, task.fold, name) for name in _FITTED_ON)
    model = fit_member(task.model, fit_on, stop_on, scaled_progress(on_progress, 0.0, 0.5))
    proba = predict_part(
        task.member, model, dataset.features, *task.rows, task.stride, scaled_progress(on_progress, 0.5, 1.0)
    )
    try:
        with staged_folder(task.entry) as folder:
            np.save(folder / "proba.npy", proba)
            (folder / "model").mkdir()
            model.save(folder / "model")
            _require_same_forecasts(task, model, type(model).load(folder / "model"), dataset)
            Golden.of(task.member, model, dataset.features, task.rows[1]).save(folder)
            seal_folder(folder, _facts(task, model, dataset))
    except OSError:
        # Another run may have stored the same key meanwhile; whichever came first is verified like any other.
        if not task.entry.is_dir():
            raise


def _facts(task: Task, model: FittedModel, dataset: Dataset) -> dict[str, Any]:
    return {
        "class": class_path(model),
        "member": task.member,
        "rows": list(task.rows),
        "stride": task.stride,
        "parts": part_facts(dataset, task.fold),
        "feature_names": list(dataset.features.names),
        "feature_fingerprint": dataset.features.fingerprint,
        **library_versions(),
    }


def _require_same_forecasts(task: Task, saved: FittedModel, loaded: FittedModel, dataset: Dataset) -> None:
    stop = task.rows[1]
    start = max(task.rows[0], stop - _GOLDEN_ROWS)
    before, after = (predict_rows(task.member, model, dataset.features, start, stop) for model in (saved, loaded))
    if not np.array_equal(before, after, equal_nan=True):
        raise ArtifactError(
            f"{task} to make the same forecasts after saving and loading",
            found="other probabilities",
            fix="fix the save and load of its class",
        )


def read_forecast(entry: Path) -> Forecast:
    """A stored forecast, after every file of its entry has been verified.

    Raises
    ------
    ArtifactError
        If the entry is damaged.
    """
    facts = verify_folder(entry)
    proba = np.load(entry / "proba.npy", mmap_mode="r", allow_pickle=False)
    return Forecast(
        proba=proba.view(np.ndarray),
        digest=files_digest(entry, "model"),
        folder=entry / "model",
        class_path=facts["class"],
        facts=facts,
    )
