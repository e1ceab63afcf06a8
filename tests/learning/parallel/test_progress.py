"""Progress inside long fits, from this process and from others, and strides of forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_fakes import Centroids, SmallFeatures

from quantlab.core.errors import ConfigError
from quantlab.core.fakes import ConstantModel
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Dataset, Features
from quantlab.learning.ensemble.members import predict_part, predict_rows
from quantlab.learning.models.xgboost import XGBoost
from quantlab.learning.parallel.progress import (
    ProgressReportingModel,
    StageProgress,
    fit_member,
    no_progress,
    scaled_progress,
)
from quantlab.learning.parallel.workers import worker_processes
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import PurgedWalkForward
from quantlab.learning.samples.triple_barrier import TripleBarrier
from quantlab.learning.study.forecasts import forecasts, make_task
from quantlab.learning.study.walk_forward import WalkForward

SPLITS = PurgedWalkForward(
    n_folds=2,
    min_train_bars=300,
    min_test_bars=20,
    train_bars=None,
    early_stopping_fraction=0.2,
    calibration_fraction=0.25,
    every_k=2,
)
TREES = XGBoost(
    name="trees",
    max_rounds=30,
    early_stopping_rounds=30,
    learning_rate=0.1,
    max_bin=32,
    increasing=(),
    decreasing=(),
    class_weights=(1.0, 1.0, 1.0),
    seed=1,
    threads=1,
    max_depth=3,
    min_child_weight=1.0,
    reg_lambda=1.0,
    subsample=1.0,
    colsample_bytree=1.0,
    device="cpu",
)


class Advances:
    """A stage that writes down every advance."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def advance(self, steps: float = 1.0) -> None:
        self.steps.append(steps)

    def set_remark(self, text: str) -> None:
        """Nothing to show."""


@pytest.fixture(scope="module")
def dataset(trending_bars: Callable[..., Bars]) -> Dataset:
    bars = trending_bars(0, 500)
    features = SmallFeatures().transform(bars)
    labels = TripleBarrier(take_profit_atr=1.0, stop_atr=0.8, horizon=6).label(bars, average_true_range(bars, features))
    return build_dataset(bars, features, labels, 6)


def run(root: Path, dataset: Dataset, workers: int, stride: int = 1, *models: Any) -> tuple[list[Any], Advances]:
    stage = Advances()
    tasks = [
        make_task(root, "context", m.name, m, fold, stride) for fold in SPLITS.split(dataset) for m in models or [TREES]
    ]
    with worker_processes(workers, len(tasks)) as processes:
        return forecasts(tasks, dataset, processes, stage), stage


def test_a_piece_of_work_is_one_step_however_finely_it_tells() -> None:
    stage = Advances()
    steps = StageProgress(stage)
    for share in np.linspace(0.0, 1.0, 1_001):
        steps.update(0, float(share))
    for share in (0.3, 0.3, 0.1, 1.0, 1.0):
        steps.update(1, share)
    steps.update(2, 1.0)
    assert sum(stage.steps) == 3.0
    assert min(stage.steps) > 0.0
    assert len(stage.steps) == 64 + 2 + 1


def test_a_part_of_the_work_tells_its_place_in_the_whole() -> None:
    shares: list[float] = []
    for share in (0.0, 0.5, 1.0):
        scaled_progress(shares.append, 0.5, 1.0)(share)
    assert shares == [0.5, 0.75, 1.0]


def test_a_member_that_does_not_tell_is_done_when_it_is_done(dataset: Dataset) -> None:
    shares: list[float] = []
    assert not isinstance(ConstantModel(), ProgressReportingModel)
    assert isinstance(TREES, ProgressReportingModel)
    fit_member(ConstantModel(), dataset, dataset, shares.append)
    assert shares == [1.0]


def test_whoever_overrides_fit_alone_is_heard(dataset: Dataset) -> None:
    """A subclass of a member that tells its steps: its own fit counts, not the inherited telling one."""

    class Stubborn(XGBoost):
        def fit(self, train: Dataset, valid: Dataset) -> Any:
            return "mine"

    shares: list[float] = []
    assert fit_member(Stubborn(**vars(TREES)), dataset, dataset, shares.append) == "mine"
    assert shares == [1.0]


def test_the_stage_moves_inside_a_fit_and_ends_whole(tmp_path: Path, dataset: Dataset) -> None:
    _, stage = run(tmp_path, dataset, 1)
    assert sum(stage.steps) == 2.0
    assert len(stage.steps) > 30


def test_a_worker_is_heard_while_it_works(tmp_path: Path, dataset: Dataset) -> None:
    slow = dataclasses.replace(TREES, max_rounds=1_500, early_stopping_rounds=1_500)
    _, stage = run(tmp_path, dataset, 2, 1, slow)
    assert sum(stage.steps) == 2.0
    assert len(stage.steps) > 2


def test_watching_changes_no_bit(tmp_path: Path, dataset: Dataset) -> None:
    alone, _ = run(tmp_path / "one", dataset, 1)
    together, _ = run(tmp_path / "two", dataset, 2)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.proba, b.proba)
        assert a.digest == b.digest


def test_a_stride_carries_the_last_opinion_forward(tmp_path: Path, dataset: Dataset) -> None:
    every, _ = run(tmp_path, dataset, 1, 1, Centroids(lookback=3))
    some, _ = run(tmp_path, dataset, 1, 5, Centroids(lookback=3))
    start = SPLITS.split(dataset)[0].calibration[0]
    for all_rows, held in zip(every, some, strict=True):
        for row in range(len(held.proba)):
            expected = all_rows.proba[row - row % 5].copy()
            expected[~dataset.features.ready[start + row]] = np.nan
            np.testing.assert_array_equal(held.proba[row], expected, str(row))
        start = SPLITS.split(dataset)[1].calibration[0]
        assert held.facts["stride"] == 5


def test_a_stride_never_peeks(dataset: Dataset) -> None:
    fitted = Centroids(lookback=3).fit(dataset, dataset)
    values = dataset.features.values.copy()
    values[403:] += 1.0
    changed = dataclasses.replace(dataset.features, values=values)
    before, after = (predict_part("x", fitted, f, 300, 450, 8, no_progress) for f in (dataset.features, changed))
    # Row 396 was asked about, row 404 is the first that may know better.
    np.testing.assert_array_equal(before[:104], after[:104])
    assert not np.array_equal(before[104], after[104], equal_nan=True)


def test_a_stride_is_part_of_the_key_and_at_least_one(tmp_path: Path, dataset: Dataset) -> None:
    fold = SPLITS.split(dataset)[0]
    keys = {make_task(tmp_path, "c", "m", Centroids(), fold, stride).entry for stride in (1, 2, 3)}
    assert len(keys) == 3
    with pytest.raises(ConfigError, match="stride"):
        make_task(tmp_path, "c", "m", Centroids(), fold, 0)


def test_parts_are_the_same_bits_as_one_call(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Centroids(lookback=4).fit(dataset, dataset)
    whole = predict_rows("x", fitted, dataset.features, 100, 473)
    monkeypatch.setattr("quantlab.learning.ensemble.members._CELLS_AT_ONCE", 7 * 4)
    shares: list[float] = []
    np.testing.assert_array_equal(predict_part("x", fitted, dataset.features, 100, 473, 1, shares.append), whole)
    assert len(shares) == -(-373 // 7)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_member_that_can_leave_rows_out_is_asked_for_a_stride(dataset: Dataset) -> None:
    asked: list[int] = []
    fitted = Centroids(lookback=2).fit(dataset, dataset)

    class Sparse:
        lookback = 2

        def predict_proba(self, features: Features) -> np.ndarray:
            raise AssertionError

        def predict_every(self, features: Features, stride: int) -> np.ndarray:
            asked.append(stride)
            proba = fitted.predict_proba(features).copy()
            rows = (len(proba) - 1 - np.arange(len(proba))) % stride == 0
            proba[~rows] = np.nan
            return proba

    sparse: Any = Sparse()
    said = predict_part("x", sparse, dataset.features, 200, 340, 6, no_progress)
    np.testing.assert_array_equal(said, predict_part("x", fitted, dataset.features, 200, 340, 6, no_progress))
    assert set(asked) == {6}


def test_a_study_asks_every_stride_th_bar(
    tmp_path: Path, trending_bars: Callable[..., Bars], walk_forward: Callable[..., WalkForward]
) -> None:
    bars = trending_bars(0, 500)
    every = walk_forward(tmp_path).study(bars, SilentProgress())
    some = walk_forward(tmp_path, stride=4).study(bars, SilentProgress())
    assert (every.first_row, every.last_row) == (some.first_row, some.last_row)
    assert not np.array_equal(every.signal.proba, some.signal.proba, equal_nan=True)
    with pytest.raises(ConfigError, match=r"learning.study.stride"):
        walk_forward(tmp_path, stride=48)
