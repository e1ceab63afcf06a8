"""What the second set of leaks taught the audit: markets without a cause, ensembles alone, one split per border."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future, shuffled_future
from quantlab.audit.ensembles import check_ensembles
from quantlab.audit.findings import AuditLog
from quantlab.audit.members import check_members
from quantlab.audit.splits import check_splits
from quantlab.core.arrays import BoolArray, Float32Array
from quantlab.core.market import HIGH, LOW, VOLUME, Bars, BarState
from quantlab.core.results import Study
from quantlab.core.types import Dataset, Features, Signal
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold, PurgedWalkForward
from quantlab.learning.samples.triple_barrier import NEVER_MS, TripleBarrier

MakeBars = Callable[..., Bars]
BARRIERS = TripleBarrier(2.0, 1.2, 12)
SPLITS = PurgedWalkForward(2, 1_000, 200, None, 0.2, 0.2, 1)
FIRST_CALIBRATION = 200


def dataset_of(bars: Bars) -> Dataset:
    values = np.zeros((*bars.state.shape, 2), dtype=np.float32)
    values[1:, :, 0] = np.log(bars.close[1:] / bars.close[:-1])
    values[:, :, 1] = 0.004
    ready = np.ones(bars.state.shape, dtype=np.bool_)
    features = Features(values, ready, ("ret_1", "natr_14"), "two")
    return build_dataset(bars, features, BARRIERS.label(bars, 0.004 * bars.close), BARRIERS.horizon)


def test_a_market_without_a_cause_has_the_same_past_and_the_same_moves(random_bars: MakeBars) -> None:
    bars = random_bars(n_bars=300)
    other = shuffled_future(bars, 200, 3)
    assert np.array_equal(other.ohlcv[:200], bars.ohlcv[:200])
    before, after = (np.diff(np.log(one.close[199:]), axis=0) for one in (bars, other))
    assert (before != after).any(axis=0).all()
    assert np.sort(np.abs(after), axis=0) == pytest.approx(np.sort(np.abs(before), axis=0), abs=1e-12)
    assert np.array_equal(np.sort(other.ohlcv[200:, :, VOLUME], axis=0), np.sort(bars.ohlcv[200:, :, VOLUME], axis=0))


def test_a_market_without_a_cause_is_possible_and_keeps_its_holes(random_bars: MakeBars) -> None:
    bars = random_bars(n_bars=300)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    state[210:215, 0], state[220:230, 1], state[:250, 2] = BarState.FILLED, BarState.ABSENT, BarState.ABSENT
    ohlcv[210:215, 0, :VOLUME], ohlcv[210:215, 0, VOLUME] = ohlcv[209, 0, 3], 0.0
    ohlcv[state == BarState.ABSENT] = np.nan
    other = shuffled_future(dataclasses.replace(bars, ohlcv=ohlcv, state=state), 200, 3)
    assert np.array_equal(np.isnan(other.ohlcv), np.isnan(ohlcv))
    there = state != BarState.ABSENT
    prices = other.ohlcv[:, :, :VOLUME][there]
    assert (prices[:, HIGH] >= prices.max(axis=1)).all()
    assert (prices[:, LOW] <= prices.min(axis=1)).all()
    assert (other.ohlcv[210:215, 0, :VOLUME] == other.close[209, 0]).all()


@dataclass(frozen=True)
class Means:
    """An ensemble of mean labels, their uniqueness and forecasts: of the rows it may see, or of all it is handed.

    With `only` it makes its mistake in the first fold (0) or in a later one (1) alone, whose calibration is longer.
    """

    leak: str = ""
    only: int | None = None

    def fit(self, names: Any, members: Any, label: Any, weight: Any, rows: BoolArray) -> FittedMeans:
        wrong = self.only is None or self.only == int(len(label) > FIRST_CALIBRATION)
        seen = {of: np.ones_like(rows) if wrong and of == self.leak else rows for of in ("weights", "temperature")}
        mean = float(label[seen["weights"]].mean())
        unique = rows if self.leak != "uniqueness" else np.ones_like(rows)
        warmth = float(label[seen["temperature"]].mean() + weight[unique].mean() + members[0, :, :, 0][rows].mean())
        return FittedMeans(self, names, (mean,), warmth)


@dataclass(frozen=True)
class FittedMeans:
    rules: Means
    names: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float


@dataclass(frozen=True)
class Voted:
    fold: Fold
    ensemble: FittedMeans
    forecasts: Float32Array


@pytest.mark.parametrize(
    ("leak", "stage"),
    [("", None), ("weights", "weights"), ("temperature", "calibrator"), ("uniqueness", "calibrator")],
)
@pytest.mark.parametrize("only", [None, 0, 1])
def test_an_ensemble_that_knows_labels_of_its_tests_is_found(
    random_bars: MakeBars, leak: str, stage: str | None, only: int | None
) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    dataset, rules = dataset_of(bars), Means(leak, only)
    votes = []
    for fold in SPLITS.split(dataset):
        inner = slice(*fold.calibration)
        rows = np.zeros_like(dataset.mask)
        rows[inner] = dataset.mask[inner] & (dataset.known_at_ms[inner] <= dataset.open_time_ms[fold.test[0]])
        forecasts = np.random.default_rng(0).random(
            (1, fold.test[1] - fold.calibration[0], bars.n_symbols, 3), np.float32
        )
        args = (forecasts[:, : len(rows[inner])], dataset.label[inner], dataset.weight[inner], rows[inner])
        votes.append(Voted(fold, rules.fit(("one",), *args), forecasts))
    check_ensembles(log, BARRIERS, bars, Study(_silent(bars), 0, 0, None, None, votes=(dataset, *votes)), 0)
    assert [one.stage for one in log.findings] == ([] if stage is None else [stage])
    assert log.checks[0].compared == 2


def _silent(bars: Bars) -> Signal:
    unknown = np.full(bars.state.shape, np.nan)
    side = np.zeros(bars.state.shape, dtype=np.int8)
    return Signal(side, np.full((*side.shape, 3), np.nan), unknown, unknown, side, unknown)


@dataclass(frozen=True)
class WindowsAtWill:
    """Another test begins in the middle of the last one if the labels behind its border say so."""

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        first, last = SPLITS.split(dataset)
        border = (last.test[0] + last.test[1]) // 2
        if int(np.maximum(dataset.label[border : border + 100], 0).sum()) % 2:
            return first, last
        extra = dataclasses.replace(
            last, index=2, calibration=(last.calibration[0], border), test=(border, last.test[1])
        )
        return first, dataclasses.replace(last, test=(last.test[0], border)), extra


def test_a_test_that_exists_for_what_comes_after_it_is_found(random_bars: MakeBars) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    dataset = dataset_of(bars)
    last = SPLITS.split(dataset)[1].test
    border = (last[0] + last[1]) // 2
    others = [(border, dataset_of(shuffled_future(bars, border, seed))) for seed in range(4)]
    check_splits(log, WindowsAtWill(), dataset, others)
    assert [(one.stage, one.column) for one in log.findings] == [("split", "test")]


@dataclass(frozen=True)
class Biased:
    """Class biases on rows: those of the validation, or all that it was not fitted on."""

    leaks: bool

    def fit(self, train: Dataset, valid: Dataset) -> FittedBias:
        rows = ((train.known_at_ms < NEVER_MS) & ~train.mask) if self.leaks else valid.mask
        rising = (train.features.values[:, :, 0] > 0.0) & rows
        shares = np.bincount(train.label[rising], minlength=3) / max(int(rising.sum()), 1)
        return FittedBias(shares.astype(np.float32))


@dataclass(frozen=True)
class FittedBias:
    bias: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        proba = np.broadcast_to(self.bias / self.bias.sum(), (*features.ready.shape, 3))
        return np.ascontiguousarray(proba, dtype=np.float32)


@pytest.mark.parametrize("leaks", [True, False])
def test_what_reads_forecasts_and_labels_of_the_tests_is_a_calibrator(random_bars: MakeBars, leaks: bool) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    dataset = dataset_of(bars)
    fold = SPLITS.split(dataset)[0]
    check_members(log, {"one": Biased(leaks)}, fold, dataset, dataset_of(another_future(bars, fold.test[0], 0)))  # type: ignore[dict-item]
    assert [one.stage for one in log.findings] == (["calibrator"] if leaks else [])
