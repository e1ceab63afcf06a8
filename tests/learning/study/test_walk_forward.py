from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from learning_fakes import Centroids, Recording, SmallFeatures

from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fakes import ConstantModel
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import Learner
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study
from quantlab.core.types import Signal
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold
from quantlab.learning.samples.triple_barrier import NEVER_MS
from quantlab.learning.study.walk_forward import WalkForward

Make = Callable[..., WalkForward]
Market = Callable[..., Bars]


@pytest.fixture(scope="module")
def bars(trending_bars: Market) -> Bars:
    return trending_bars(0, 700)


@pytest.fixture(scope="module")
def study(walk_forward: Make, bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return walk_forward(tmp_path_factory.mktemp("cache")).study(bars, SilentProgress())


def _folds(learner: WalkForward, bars: Bars) -> tuple[Fold, ...]:
    features = learner.features.transform(bars)
    labels = learner.labels.label(bars, average_true_range(bars, features))
    return tuple(learner.splits.split(build_dataset(bars, features, labels, 6)))


def _same(one: Signal, other: Signal, rows: slice = slice(None)) -> None:
    for field in dataclasses.fields(Signal):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if a is not None:
            np.testing.assert_array_equal(a[rows], b[rows], err_msg=field.name)


def test_signals_lie_in_the_tests_and_nowhere_else(
    walk_forward: Make, tmp_path: Path, bars: Bars, study: Study
) -> None:
    learner = walk_forward(tmp_path)
    assert isinstance(learner, Learner)
    folds = _folds(learner, bars)
    assert (study.first_row, study.last_row) == (folds[0].test[0], folds[-1].test[1]) == (308, 700)
    signal, inside = study.signal, slice(study.first_row, study.last_row)
    ready = SmallFeatures().transform(bars).ready[inside]
    np.testing.assert_array_equal(np.isfinite(signal.proba[inside]).all(axis=-1), signal.live_members[inside] > 0)
    assert (signal.live_members[inside][ready] > 0).all()
    assert not signal.live_members[inside][~ready].any()
    assert np.isnan(signal.proba[: study.first_row]).all()
    assert not signal.side[: study.first_row].any()
    assert signal.side[inside].any()
    np.testing.assert_array_equal(signal.atr, average_true_range(bars, SmallFeatures().transform(bars)))


def test_the_last_folds_rows_are_what_the_source_says(
    walk_forward: Make, tmp_path: Path, bars: Bars, study: Study
) -> None:
    last = _folds(walk_forward(tmp_path), bars)[-1]
    _same(study.signal, study.source.signal(bars), slice(*last.test))


def test_the_future_cannot_be_heard(walk_forward: Make, tmp_path: Path, bars: Bars, study: Study) -> None:
    """Other bars from any row on: every signal before it has the same bits."""
    for fold, row in zip(_folds(walk_forward(tmp_path), bars), (308, 500, 620), strict=True):
        assert fold.test[0] <= row < fold.test[1]
        ohlcv = bars.ohlcv.copy()
        ohlcv[row:, :, :4] *= np.random.default_rng(row).uniform(0.9, 1.1, (bars.n_bars - row, bars.n_symbols, 1))
        other = walk_forward(tmp_path).study(dataclasses.replace(bars, ohlcv=ohlcv), SilentProgress())
        _same(other.signal, study.signal, slice(0, row))
        assert not np.array_equal(other.signal.proba[row:], study.signal.proba[row:], equal_nan=True)


def test_what_members_learn_from_was_known_in_time(walk_forward: Make, tmp_path: Path, bars: Bars) -> None:
    log = tmp_path / "log"
    log.mkdir()
    learner = walk_forward(tmp_path, members={"a": Recording(str(log)), "b": Centroids()})
    learner.study(bars, SilentProgress())
    features = learner.features.transform(bars)
    known = learner.labels.label(bars, average_true_range(bars, features)).known_at_ms
    folds, used = _folds(learner, bars), sorted(log.glob("*.npz"))
    assert len(used) == len(folds)
    purged = 0
    for fold, path in zip(folds, used, strict=True):
        masks = np.load(path)
        fit, stop = masks["fit"], masks["early_stopping"]
        assert fit.any()
        assert stop.any()
        assert not (fit & stop).any()
        assert not fit[fold.fit[1] :].any()
        assert not stop[: fold.early_stopping[0]].any()
        assert not stop[fold.calibration[0] :].any()
        assert known[fit].max() <= bars.open_time_ms[fold.early_stopping[0]]
        assert known[stop].max() <= bars.open_time_ms[fold.calibration[0]]
        purged += int((known[slice(*fold.early_stopping)] < NEVER_MS).sum() - stop.sum())
    assert purged > 0


def test_calibration_labels_were_known_before_the_test(
    walk_forward: Make, tmp_path: Path, bars: Bars, study: Study
) -> None:
    """Labels that settle inside a test window are not looked at: changing them changes no vote."""
    learner = walk_forward(tmp_path)

    @dataclasses.dataclass(frozen=True)
    class Liar:
        horizon: int = 6

        def label(self, bars: Bars, atr: np.ndarray) -> object:
            true = learner.labels.label(bars, atr)
            wrong = true.label.copy()
            for fold in _folds(learner, bars):
                late = (true.known_at_ms > bars.open_time_ms[fold.test[0]]) & (true.label >= 0)
                late[fold.test[0] :] = False
                wrong[late] = 2 - wrong[late]
            return dataclasses.replace(true, label=wrong)

    other = walk_forward(tmp_path / "liar", labels=Liar(), splits=dataclasses.replace(learner.splits, n_folds=1))
    honest = walk_forward(tmp_path / "honest", splits=dataclasses.replace(learner.splits, n_folds=1))
    a, b = (one.study(bars, SilentProgress()) for one in (other, honest))
    _same(a.signal, b.signal)


def test_neither_workers_nor_order_nor_cache_change_a_bit(
    walk_forward: Make, tmp_path: Path, bars: Bars, study: Study
) -> None:
    members = {"sharp": Centroids(name="sharp", scale=3.0, lookback=4), "plain": Centroids()}
    first = walk_forward(tmp_path, workers=2, members=members).study(bars, SilentProgress())
    cached = walk_forward(tmp_path).study(bars, SilentProgress())
    for other in (first, cached):
        _same(other.signal, study.signal)
        assert other.report == study.report
        assert other.source.fingerprint == study.source.fingerprint


def test_the_report_names_every_member(study: Study) -> None:
    report = study.report
    assert report is not None
    assert set(report.members) == {"plain", "sharp"}
    assert sum(member.weight for member in report.members.values()) == pytest.approx(1.0)
    for member in report.members.values():
        assert member.undefined.keys() == {f for f in ("auc", "auc_se", "influence") if getattr(member, f) is None}
        assert 0.5 < member.log_loss < 3.0
    assert report.evaluated_rows > 1_000
    assert report.buy_share is not None


def test_a_constant_member_is_out_from_the_first_test_bar(walk_forward: Make, tmp_path: Path, bars: Bars) -> None:
    """Liveness is counted from the fold's calibration rows on, so borders give nobody a holiday."""
    members = {"constant": ConstantModel(), "one": Centroids(), "two": Centroids(name="two", scale=2.0)}
    study = walk_forward(tmp_path, members=members).study(bars, SilentProgress())
    inside = slice(study.first_row, study.last_row)
    ready = SmallFeatures().transform(bars).ready[inside]
    assert (study.signal.live_members[inside][ready] == 2).all()
    assert study.report is not None
    assert study.report.members["constant"].influence == 0.0


def test_progress_counts_every_task(walk_forward: Make, tmp_path: Path, bars: Bars) -> None:
    seen: dict[str, list[float]] = {}

    class Counting:
        @contextmanager
        def stage(self, name: str, total: float) -> Iterator[Counting]:
            seen[name] = [total, 0.0]
            self.name = name
            yield self

        def advance(self, steps: float = 1.0) -> None:
            seen[self.name][1] += steps

    walk_forward(tmp_path).study(bars, Counting())
    expected = {"features": [1, 1], "labels": [1, 1], "members": [6, 6], "ensemble": [3, 3], "scores": [1, 1]}
    assert seen == expected


def test_impossible_configurations_are_refused(walk_forward: Make, tmp_path: Path, bars: Bars) -> None:
    with pytest.raises(ConfigError, match="quorum"):
        walk_forward(tmp_path, members={"a": Centroids()})
    with pytest.raises(ConfigError, match="quorum"):
        walk_forward(tmp_path, members={})
    with pytest.raises(ConfigError, match="workers"):
        walk_forward(tmp_path, workers=0)
    splits = walk_forward(tmp_path).splits
    backwards = SimpleNamespace(split=lambda dataset: splits.split(dataset)[::-1])
    with pytest.raises(ConfigError, match="tile the future"):
        walk_forward(tmp_path, splits=backwards).study(bars, SilentProgress())
    short = dataclasses.replace(splits, calibration_fraction=0.1)
    with pytest.raises(HistoryError, match="at least 48 calibration bars"):
        walk_forward(tmp_path, splits=short).study(bars, SilentProgress())


@dataclasses.dataclass(frozen=True)
class Reading(Centroids):
    """A member that reads features by name."""

    columns: tuple[str, ...] = ("ret_1",)


def test_a_member_that_reads_a_feature_that_the_set_lacks_is_refused_before_anything(
    walk_forward: Make, tmp_path: Path
) -> None:
    both = {"plain": Centroids(), "sharp": Reading(name="sharp")}
    walk_forward(tmp_path, members=both)
    both["sharp"] = Reading(name="sharp", columns=("ret_1", "bvc_imbalance_48"))
    with pytest.raises(ConfigError, match=r"members\.sharp .*found bvc_imbalance_48.*features=unified49"):
        walk_forward(tmp_path, members=both)
