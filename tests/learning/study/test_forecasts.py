from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_fakes import Buggy, Centroids, Dying, Forgetful, Recording, Refusing, SmallFeatures

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, InstallationError
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import Model
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Dataset, Features
from quantlab.learning.artifacts.code_versions import configuration_hash
from quantlab.learning.artifacts.sealed_folder import seal_folder, verify_folder
from quantlab.learning.ensemble.members import predict_rows
from quantlab.learning.parallel.shared_memory import map_dataset, write_dataset
from quantlab.learning.parallel.workers import worker_processes
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import PurgedWalkForward
from quantlab.learning.samples.triple_barrier import TripleBarrier
from quantlab.learning.study.forecasts import Forecast, Task, forecasts, make_task

SPLITS = PurgedWalkForward(
    n_folds=2,
    min_train_bars=300,
    min_test_bars=20,
    train_bars=None,
    early_stopping_fraction=0.2,
    calibration_fraction=0.25,
    every_k=2,
)


@pytest.fixture(scope="module")
def dataset(trending_bars: Callable[..., Bars]) -> Dataset:
    bars = trending_bars(0, 500)
    features = SmallFeatures().transform(bars)
    labels = TripleBarrier(take_profit_atr=1.0, stop_atr=0.8, horizon=6).label(bars, average_true_range(bars, features))
    return build_dataset(bars, features, labels, 6)


def _tasks(root: Path, dataset: Dataset, *models: Model, context: str = "context") -> list[Task]:
    return [make_task(root, context, m.name, m, fold) for fold in SPLITS.split(dataset) for m in models]


class StageProgress:
    """A stage that counts."""

    def __init__(self) -> None:
        self.done = 0.0

    def advance(self, steps: float = 1.0) -> None:
        self.done += steps


def _run(tasks: list[Task], dataset: Dataset, workers: int = 1) -> list[Forecast]:
    with SilentProgress().stage("members", len(tasks)) as stage:
        return _ask(tasks, dataset, workers, stage)


def _ask(tasks: list[Task], dataset: Dataset, workers: int, stage: Any) -> list[Forecast]:
    with worker_processes(workers, len(tasks)) as processes:
        return forecasts(tasks, dataset, processes, stage)


def test_a_forecast_is_the_fitted_members_own(tmp_path: Path, dataset: Dataset) -> None:
    tasks = _tasks(tmp_path, dataset, Centroids(lookback=3))
    for task, forecast in zip(tasks, _run(tasks, dataset), strict=True):
        start, stop = task.rows
        assert (start, stop) == (task.fold.calibration[0], task.fold.test[1])
        whole = forecast.load().predict_proba(dataset.features)
        np.testing.assert_array_equal(forecast.proba, whole[start:stop])


def test_one_and_two_workers_say_the_same_bits(tmp_path: Path, dataset: Dataset) -> None:
    models = Centroids(), Centroids(name="sharp", scale=3.0, lookback=4)
    one, two = StageProgress(), StageProgress()
    alone = _ask(_tasks(tmp_path / "one", dataset, *models), dataset, 1, one)
    together = _ask(_tasks(tmp_path / "two", dataset, *models), dataset, 2, two)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.proba, b.proba)
        assert a.digest == b.digest
    assert one.done == two.done == 4
    assert not list(tmp_path.rglob(".partial-*"))
    stored = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in ("one", "two")]
    assert stored[0] == stored[1]


def test_a_hit_does_not_refit(tmp_path: Path, dataset: Dataset) -> None:
    log = tmp_path / "log"
    log.mkdir()
    tasks = _tasks(tmp_path / "cache", dataset, Recording(str(log)))
    first, steps = _run(tasks, dataset), StageProgress()
    assert len(list(log.iterdir())) == 2
    again = _ask(tasks, dataset, 1, steps)
    assert len(list(log.iterdir())) == 2
    assert steps.done == 2
    np.testing.assert_array_equal(first[0].proba, again[0].proba)
    shutil.rmtree(tasks[1].entry)
    _run(tasks, dataset)
    assert len(list(log.iterdir())) == 3


def test_every_input_is_part_of_the_key(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(context: str = "c", model: Model | None = None, fold: int = 0, **changes: Any) -> str:
        chosen = dataclasses.replace(SPLITS.split(dataset)[fold], **changes)
        return make_task(tmp_path, context, "any", model or Centroids(), chosen).entry.name

    base = key()
    assert key() == base
    others = [key("d"), key(model=Centroids(scale=2.0)), key(fold=1), key(every_k=3), key(model=Recording("x"))]
    monkeypatch.setattr("quantlab.learning.study.forecasts.library_versions", lambda: {"numpy": "another"})
    others.append(key())
    monkeypatch.undo()
    monkeypatch.setattr("quantlab.learning.study.forecasts.package_code_hash", lambda: "another")
    others.append(key())
    assert len({base, *others}) == 8


def test_an_identity_needs_values_and_a_file() -> None:
    @dataclasses.dataclass(frozen=True)
    class Holder:
        thing: Any

    assert configuration_hash(Holder(1)) != configuration_hash(Holder(2))
    with pytest.raises(ConfigError, match="plain values"):
        configuration_hash(Holder(object()))
    Interactive = dataclasses.make_dataclass("Interactive", ["x"], frozen=True, namespace={"__module__": "sys"})
    with pytest.raises(ConfigError, match="module file"):
        configuration_hash(Interactive(1))


@pytest.mark.parametrize("file", ["proba.npy", "model/means.npy", "manifest.json"])
def test_a_flipped_byte_is_refused(tmp_path: Path, dataset: Dataset, file: str) -> None:
    tasks = _tasks(tmp_path, dataset, Centroids())
    _run(tasks, dataset)
    path = tasks[1].entry / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=f"delete {tasks[1].entry}"):
        _run(tasks, dataset)


def test_a_missing_and_an_extra_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    seal_folder(tmp_path, {"x": 1})
    assert verify_folder(tmp_path) == {"x": 1}
    (tmp_path / "b").write_text("b")
    with pytest.raises(ArtifactError, match="b not in the manifest"):
        verify_folder(tmp_path)
    (tmp_path / "b").unlink()
    (tmp_path / "a").unlink()
    with pytest.raises(ArtifactError, match="a missing"):
        verify_folder(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        verify_folder(tmp_path)


def test_every_single_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    seal_folder(tmp_path, {"class": "module:Name"})
    good = (tmp_path / "manifest.json").read_bytes()
    for i in range(len(good)):
        if good[i : i + 1].isspace():
            continue
        bad = bytearray(good)
        bad[i] ^= 1
        (tmp_path / "manifest.json").write_bytes(bad)
        with pytest.raises(ArtifactError):
            verify_folder(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_back_as_they_are(tmp_path: Path, dataset: Dataset, workers: int) -> None:
    tasks = _tasks(tmp_path, dataset, Refusing())
    with pytest.raises(ContractError, match="a model that can be fitted"):
        _run(tasks, dataset, workers)
    assert not list(tmp_path.rglob("*"))


def test_a_bug_in_a_worker_names_its_task(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _run(_tasks(tmp_path, dataset, Buggy()), dataset, 2)
    assert any("member buggy in fold" in note for note in caught.value.__notes__)


def test_a_worker_that_dies_is_an_error(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(InstallationError, match="died"):
        _run(_tasks(tmp_path, dataset, Dying()), dataset, 2)
    assert not list(tmp_path.rglob("*"))


def test_a_member_that_loads_as_another_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(ArtifactError, match="same forecasts after saving and loading"):
        _run(_tasks(tmp_path, dataset, Forgetful()), dataset)
    assert not list(tmp_path.rglob("*"))


def test_two_names_of_one_model_share_an_entry(tmp_path: Path, dataset: Dataset) -> None:
    fold = SPLITS.split(dataset)[0]
    tasks = [make_task(tmp_path, "c", name, Centroids(), fold) for name in ("a", "b")]
    one, other = _run(tasks, dataset)
    np.testing.assert_array_equal(one.proba, other.proba)


def test_a_dataset_survives_the_disk(tmp_path: Path, dataset: Dataset) -> None:
    write_dataset(dataset, tmp_path)
    mapped = map_dataset(tmp_path)
    assert not mapped.features.values.flags.writeable
    assert (mapped.features.names, mapped.features.fingerprint) == (dataset.features.names, "small")
    np.testing.assert_array_equal(mapped.features.values, dataset.features.values)
    np.testing.assert_array_equal(mapped.features.ready, dataset.features.ready)
    for name in ("label", "weight", "known_at_ms", "forward_returns", "open_time_ms", "mask"):
        np.testing.assert_array_equal(getattr(mapped, name), getattr(dataset, name))


@dataclasses.dataclass(frozen=True)
class Answer:
    """Says the same row everywhere, ready or not."""

    row: tuple[float, float, float]
    dtype: Any = np.float32
    everywhere: bool = False

    def predict_proba(self, features: Features) -> np.ndarray:
        proba = np.full((*features.ready.shape, 3), np.nan, dtype=self.dtype)
        proba[features.ready | self.everywhere] = self.row
        return proba


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer((0.3, 0.3, 0.3)), "sum to 1"),
        (Answer((-0.2, 0.6, 0.6)), "negative"),
        (Answer((0.3, 0.3, 0.4), dtype=np.float64), "float32"),
        (Answer((0.3, 0.3, 0.4), everywhere=True), "not ready"),
    ],
)
def test_promises_of_a_member_are_checked(dataset: Dataset, answer: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        predict_rows("a", answer, dataset.features, 0, 50)
