"""Which stage a member's mistake belongs to: small members, each with one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.carried import is_recalibrated
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


@dataclass(frozen=True)
class Enclosed:
    """A calibrated member that shows no number: its map is a function."""

    trained: Any
    calibrate: Callable[[Any], Any]

    def predict_proba(self, features: Features) -> Float32Array:
        return np.asarray(self.calibrate(self.trained(features)), dtype=np.float32)


@dataclass(frozen=True)
class Hidden:
    """Linear in its columns, and calibrated on all labels; nothing of it is a field."""

    wrong: str

    def fit(self, train: Dataset, valid: Dataset) -> Any:
        everything = train.features.ready & (train.label != NO_LABEL)
        rows = everything if self.wrong == "trained" else train.mask
        columns = _returns(train.features)
        slopes = np.array([[np.corrcoef(x[rows], train.label[rows] == c)[0, 1] for c in range(3)] for x in columns])
        shares = np.bincount(train.label[everything if self.wrong != "trained" else rows], minlength=3)
        power, secret = float(shares[2] / shares.sum()), _SECRETS.setdefault(len(_SECRETS), shares)

        def forecast(features: Features) -> Any:
            logits = sum(300.0 * x[:, :, None] * slope for x, slope in zip(_returns(features), slopes, strict=True))
            proba = np.exp(logits)
            return proba / proba.sum(axis=-1, keepdims=True)

        def calibrated(proba: Any) -> Any:
            used = float(secret[2] / secret.sum()) if self.wrong == "unseen" else power
            tempered = proba ** (0.5 + used)
            return tempered / tempered.sum(axis=-1, keepdims=True)

        if self.wrong == "unseen":
            return Enclosed(_Opaque(forecast), _Opaque(calibrated))
        return Enclosed(forecast, calibrated if self.wrong == "enclosed" else _plain)


def _returns(features: Features) -> list[Any]:
    """The last return, and the one before it."""
    last = features.values[:, :, 0].astype(np.float64)
    return [last, np.vstack([last[:1] * 0.0, last[:-1]])]


#: Out of a fitted member's sight, as in a library's object.
_SECRETS: dict[int, Any] = {}


def _plain(proba: Any) -> Any:
    return proba


class _Opaque:
    """A callable whose parts cannot be read, as those of compiled code."""

    def __init__(self, function: Any) -> None:
        _HIDDEN[id(self)] = (function, self)  # kept, so that no other gets its id

    def __call__(self, value: Any) -> Any:
        return _HIDDEN[id(self)][0](value)


_HIDDEN: dict[int, Any] = {}


@pytest.mark.parametrize("wrong", ["enclosed", "unseen"])
def test_a_calibration_on_test_labels_is_named_wherever_it_is_kept(random_bars: MakeBars, wrong: str) -> None:
    """Its forecasts rank all rows as before: what was trained is the same, and a map of it is not."""
    assert [one.stage for one in found_in(Hidden(wrong), random_bars(n_bars=1_600))] == ["calibrator"]  # type: ignore[arg-type]


def test_a_model_that_was_trained_on_test_rows_is_no_calibrator(random_bars: MakeBars) -> None:
    found = found_in(Hidden("trained"), random_bars(n_bars=1_600))  # type: ignore[arg-type]
    assert [one.stage for one in found] in (["split"], ["weights"])


def test_an_order_that_stays_is_a_calibration_and_one_that_turns_is_not() -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([2.0, 3.0, 2.0], (300, 2)).astype(np.float32)
    colder = proba.astype(np.float64) ** 0.7 * [1.0, 0.8, 1.3]
    colder = (colder / colder.sum(axis=2, keepdims=True)).astype(np.float32)
    other = (0.95 * proba + 0.05 * rng.dirichlet([2.0, 3.0, 2.0], (300, 2))).astype(np.float32)
    assert is_recalibrated(proba, colder, few=False)
    assert not is_recalibrated(proba, other, few=False)
    assert not is_recalibrated(proba[:5], colder[:5], few=False), "five rows keep an order by accident"


def test_an_honest_member_is_not_accused(random_bars: MakeBars) -> None:
    assert found_in(Member(), random_bars(n_bars=1_600)) == []
