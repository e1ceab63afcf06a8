"""Which stage a member's mistake belongs to: small members, each with one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.members import check_members
from quantlab.core.arrays import BoolArray, Float32Array
from quantlab.core.market import Bars
from quantlab.core.types import NO_LABEL, Dataset, Features
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import PurgedWalkForward
from quantlab.learning.samples.triple_barrier import TripleBarrier

MakeBars = Callable[..., Bars]
BARRIERS = TripleBarrier(2.0, 1.2, 12)
FIRST_TEST = 1_000
SPLITS = PurgedWalkForward(2, FIRST_TEST, 200, None, 0.2, 0.2, 1)


def dataset_of(bars: Bars) -> Dataset:
    """Two columns that move, all rows ready."""
    values = np.zeros((*bars.state.shape, 2), dtype=np.float32)
    values[1:, :, 0] = np.log(bars.close[1:] / bars.close[:-1])
    values[:, :, 1] = 0.004
    features = Features(values, np.ones(bars.state.shape, dtype=np.bool_), ("ret_1", "natr_14"), "two")
    return build_dataset(bars, features, BARRIERS.label(bars, 0.004 * bars.close), BARRIERS.horizon)


class Trained:
    """A trained model of the house (by the name of its module): class shares where the first column rises or falls."""

    __module__ = "quantlab.of_the_tests"

    def __init__(self, dataset: Dataset, rows: BoolArray, weight: Any) -> None:
        rises = dataset.features.values[:, :, 0] > 0.0
        self.shares = [self._shares(dataset.label, rows & side, weight) for side in (~rises, rises)]

    @staticmethod
    def _shares(label: Any, rows: BoolArray, weight: Any) -> Float32Array:
        counted = np.bincount(label[rows], weights=weight[rows], minlength=3) + 1.0
        return (counted / counted.sum()).astype(np.float32)

    def predict_proba(self, features: Features) -> Float32Array:
        rises = (features.values[:, :, 0] > 0.0).astype(np.int64)
        return np.stack(self.shares)[rises]


@dataclass(frozen=True)
class Fitted:
    """A trained model behind a shift of its inputs, and numbers that multiply its outputs."""

    trained: Trained
    shift: Float32Array
    numbers: Any
    batch: bool = False

    def predict_proba(self, features: Features) -> Float32Array:
        shift = features.values.mean(axis=(0, 1)) if self.batch else self.shift
        moved = Features(features.values - shift, features.ready, features.names, features.fingerprint)
        prior = self.numbers["prior"] if isinstance(self.numbers, dict) else self.numbers[0]
        proba = self.trained.predict_proba(moved) * prior
        return np.asarray(proba / proba.sum(axis=-1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class Member:
    """An honest member, and what it does wrong."""

    wrong: str = ""

    def fit(self, train: Dataset, valid: Dataset) -> Fitted:
        everything = train.features.ready & (train.label != NO_LABEL)
        rows, weight = train.mask, train.weight.astype(np.float64)
        if self.wrong == "mask forgotten":
            rows = everything
        if self.wrong in ("not purged", "not purged, and a prior"):
            rows, weight = everything.copy(), np.ones_like(weight)
            rows[FIRST_TEST:] = False
        if self.wrong == "clipped weights":
            weight = np.minimum(weight, weight[everything].mean())
        if self.wrong == "balanced":
            weight = weight * np.bincount(train.label[everything], minlength=3)[train.label]
        if self.wrong == "shifted towards the test":
            weight = weight * np.where(train.features.values[:, :, 0] > train.features.values[:, :, 0].mean(), 1.0, 3.0)
        shift = np.zeros(2, dtype=np.float32)
        if self.wrong == "scaled":
            shift = train.features.values.mean(axis=(0, 1))
        seen = everything if "prior" in self.wrong else train.mask
        prior = Trained._shares(train.label, seen, np.ones_like(weight))
        numbers: Any = (prior,) if self.wrong == "prior in a tuple" else {"prior": prior}
        return Fitted(Trained(train, rows, weight), shift, numbers, self.wrong == "scaled by the batch")


def found_in(member: Member, bars: Bars) -> list[LeakFinding]:
    log, dataset = AuditLog(), dataset_of(bars)
    fold = SPLITS.split(dataset)[0]
    other = dataset_of(another_future(bars, fold.test[0], 0))
    check_members(log, {"one": member}, fold, dataset, other)  # type: ignore[dict-item]
    return log.findings


@pytest.mark.parametrize(
    ("wrong", "stage", "column"),
    [
        ("mask forgotten", "weights", "weights"),
        ("clipped weights", "weights", "weights"),
        ("balanced", "weights", "labels"),
        ("shifted towards the test", "weights", "features"),
        ("not purged", "split", "labels"),
        ("not purged, and a prior", "split", "numbers.prior"),
        ("scaled", "scaler", "ret_1"),
        ("scaled by the batch", "scaler", "ret_1"),
        ("prior", "calibrator", "numbers.prior"),
        ("prior in a tuple", "calibrator", "numbers[0]"),
    ],
)
def test_a_members_mistake_is_named(random_bars: MakeBars, wrong: str, stage: str, column: str) -> None:
    found = found_in(Member(wrong), random_bars(n_bars=1_600))
    assert [(one.stage, one.column) for one in found] == [(stage, column)]
    assert found[0].where.startswith("member one, fold 0")


def test_an_honest_member_is_not_accused(random_bars: MakeBars) -> None:
    assert found_in(Member(), random_bars(n_bars=1_600)) == []
