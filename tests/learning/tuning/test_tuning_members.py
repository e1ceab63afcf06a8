"""Stage 1: what it looks at, what it chooses, and that workers do not matter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_fakes import Centroids, Refusing

from quantlab.core.errors import ConfigError, ContractError, HistoryError
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study
from quantlab.core.types import Dataset
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold, part
from quantlab.learning.study.walk_forward import WalkForward
from quantlab.learning.tuning.members import inner_folds, rows_before
from quantlab.learning.tuning.search import MemberTuning, Tuning

Make = Callable[..., WalkForward]
SPACE = {"scale": {"low": 0.05, "high": 10.0, "log": True}}


def tuning(**searches: Any) -> Tuning:
    nodes = searches or {"plain": {"trials": 6, "space": SPACE}}
    members = MemberTuning(folds=2, test_share=0.5, early_stopping_fraction=0.3, prune_below=0.1, searches=nodes)
    return Tuning(round_size=4, seed=3, members=members, thresholds=None)


@pytest.fixture(scope="module")
def bars(trending_bars: Callable[..., Bars]) -> Bars:
    return trending_bars(0, 700)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def study(walk_forward: Make, bars: Bars, cache: Path) -> Study:
    return walk_forward(cache, tuning=tuning()).study(bars, SilentProgress())


def dataset_of(learner: WalkForward, bars: Bars) -> Dataset:
    features = learner.features.transform(bars)
    return build_dataset(bars, features, learner.labels.label(bars, average_true_range(bars, features)), 6)


def test_the_choice_is_the_best_by_a_loss_computed_by_hand(
    walk_forward: Make, bars: Bars, study: Study, tmp_path: Path
) -> None:
    learner = walk_forward(tmp_path)
    dataset = dataset_of(learner, bars)
    first = learner.splits.split(dataset)[0]
    (stage,) = study.tuning
    assert stage.name == "plain"
    complete = [t for t in stage.trials if t.value is not None]
    assert stage.trials[stage.best].value == min(t.value for t in complete) <= complete[0].value
    border = bars.open_time_ms[first.test[0]]
    for trial in complete[:2]:
        days: list[float] = []
        for begin, end in ((158, 233), (233, 308)):
            cut = begin - int(0.3 * (begin - first.fit[0]))
            fold = Fold(0, (first.fit[0], cut), (cut, begin), (begin, begin), (begin, end), first.every_k)
            model = Centroids(scale=trial.values["scale"]).fit(
                part(dataset, fold, "fit"), part(dataset, fold, "early_stopping")
            )
            proba = model.predict_proba(dataset.features)
            for day in np.unique(bars.open_time_ms[begin:end] // 86_400_000):
                lost = weights = 0.0
                for t in range(begin, end):
                    for s in range(bars.n_symbols):
                        known = dataset.known_at_ms[t, s] <= border
                        if bars.open_time_ms[t] // 86_400_000 == day and dataset.mask[t, s] and known:
                            lost -= dataset.weight[t, s] * np.log(float(proba[t, s, dataset.label[t, s]]))
                            weights += dataset.weight[t, s]
                days.append(lost / weights)
        assert trial.steps == pytest.approx(days, rel=1e-6)
        assert trial.value == pytest.approx(np.mean(days), rel=1e-6)


def test_the_walk_goes_on_with_the_chosen_values(walk_forward: Make, bars: Bars, study: Study, tmp_path: Path) -> None:
    scale = study.tuning[0].chosen["scale"]
    assert scale != 1.0
    members = {"plain": Centroids(scale=scale), "sharp": Centroids(name="sharp", scale=3.0, lookback=4)}
    by_hand = walk_forward(tmp_path, members=members).study(bars, SilentProgress())
    np.testing.assert_array_equal(study.signal.proba, by_hand.signal.proba)
    assert study.source.fingerprint == by_hand.source.fingerprint


def test_workers_and_what_is_stored_change_nothing(
    walk_forward: Make, bars: Bars, cache: Path, study: Study, tmp_path: Path
) -> None:
    other = walk_forward(tmp_path, workers=2, tuning=tuning()).study(bars, SilentProgress())
    again = walk_forward(cache, tuning=tuning()).study(bars, SilentProgress())
    assert other.tuning == again.tuning == study.tuning
    np.testing.assert_array_equal(other.signal.proba, study.signal.proba)


def test_nothing_from_the_first_test_on_can_change_the_choice(
    walk_forward: Make, bars: Bars, study: Study, tmp_path: Path
) -> None:
    ohlcv = bars.ohlcv.copy()
    ohlcv[study.first_row :, :, :4] *= np.random.default_rng(1).uniform(0.8, 1.2, (700 - study.first_row, 4, 1))
    other = walk_forward(tmp_path, tuning=tuning()).study(dataclasses.replace(bars, ohlcv=ohlcv), SilentProgress())
    assert other.tuning == study.tuning
    assert not np.array_equal(other.signal.proba, study.signal.proba, equal_nan=True)
    # ... and the rows before it can.
    ohlcv = bars.ohlcv.copy()
    ohlcv[200:300, :, :4] *= 1.01 ** np.arange(100)[:, None, None]
    other = walk_forward(tmp_path, tuning=tuning()).study(dataclasses.replace(bars, ohlcv=ohlcv), SilentProgress())
    assert other.tuning != study.tuning


def test_what_was_not_known_is_cut_off(walk_forward: Make, bars: Bars, tmp_path: Path) -> None:
    learner = walk_forward(tmp_path)
    dataset = dataset_of(learner, bars)
    row = learner.splits.split(dataset)[0].test[0]
    past = rows_before(dataset, row)
    assert len(past.open_time_ms) == len(past.features.values) == row
    assert (past.known_at_ms[past.mask] <= bars.open_time_ms[row]).all()
    kept = dataset.mask[:row] & (dataset.known_at_ms[:row] <= bars.open_time_ms[row])
    np.testing.assert_array_equal(past.mask, kept)
    for t in range(row - 8, row):
        for ahead in range(6):
            known = t + 1 + ahead < row
            assert np.isnan(past.forward_returns[t, 0, ahead]) == (not known)
            assert not known or past.forward_returns[t, 0, ahead] == dataset.forward_returns[t, 0, ahead]


def test_inner_folds_tile_the_newest_part_in_order() -> None:
    first = Fold(0, (100, 700), (700, 850), (850, 1000), (1000, 1200), 6)
    folds = inner_folds(first, 3, 0.5, 0.2)
    assert [fold.test for fold in folds] == [(550, 700), (700, 850), (850, 1000)]
    for fold in folds:
        assert fold.fit[0] == 100
        assert fold.fit[1] == fold.early_stopping[0]
        assert fold.early_stopping[1] == fold.calibration[0] == fold.calibration[1] == fold.test[0]
        assert fold.early_stopping[1] - fold.early_stopping[0] == int(0.2 * (fold.test[0] - 100))
    with pytest.raises(HistoryError, match="inner folds"):
        inner_folds(Fold(0, (0, 2), (2, 3), (3, 4), (4, 9), 1), 3, 0.5, 0.2)


def test_a_member_that_always_fails_is_refused_with_its_reason(walk_forward: Make, bars: Bars, tmp_path: Path) -> None:
    members = {"plain": Centroids(), "sour": Refusing()}
    search = {"trials": 2, "space": {"name": {"choices": ["refusing"]}}}
    with pytest.raises(ConfigError, match="a model that can be fitted"):
        walk_forward(tmp_path, members=members, tuning=tuning(sour=search)).study(bars, SilentProgress())


def test_every_trial_of_a_search_is_kept(walk_forward: Make, bars: Bars, tmp_path: Path) -> None:
    search = {"trials": 8, "space": {"lookback": {"choices": [1, 4]}, "scale": SPACE["scale"]}}
    stage = walk_forward(tmp_path, tuning=tuning(sharp=search)).study(bars, SilentProgress()).tuning[0]
    assert len(stage.trials) == 8
    assert {t.values["lookback"] for t in stage.trials} == {1, 4}


def test_other_gates_are_a_whole_new_study_bit_for_bit(walk_forward: Make, bars: Bars, tmp_path: Path) -> None:
    loose = walk_forward(tmp_path)
    study = loose.study(bars, SilentProgress())
    thresholds = {"min_confidence": 0.45, "min_consensus": 0.9}
    strict = walk_forward(tmp_path, ensemble=dataclasses.replace(loose.ensemble, **thresholds))
    expected, found = strict.study(bars, SilentProgress()), loose.with_thresholds(study, thresholds)
    for field in dataclasses.fields(expected.signal):
        one, other = getattr(expected.signal, field.name), getattr(found.signal, field.name)
        assert (one is other is None) or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    assert found.report == expected.report
    assert found.report != study.report
    assert found.source.fingerprint == expected.source.fingerprint
    assert 0 < np.count_nonzero(found.signal.side) < np.count_nonzero(study.signal.side)
    with pytest.raises(ConfigError, match="min_confidence"):
        loose.with_thresholds(study, {"min_confidence": 2.0})


def test_every_window_has_its_own_gates_bit_for_bit(walk_forward: Make, bars: Bars, tmp_path: Path) -> None:
    """Side by side with three whole walks, each at the thresholds of one of the windows."""
    learner = walk_forward(tmp_path)
    study = learner.study(bars, SilentProgress())
    thresholds = ({}, {"min_confidence": 0.45}, {"min_consensus": 0.9, "min_gain_bps": 5.0})
    found = learner.with_thresholds(study, thresholds)
    alone = [learner.with_thresholds(study, one) for one in thresholds]
    influences = []
    for k, ((first, end), walk) in enumerate(zip(study.windows, alone, strict=True)):
        np.testing.assert_array_equal(found.signal.side[first:end], walk.signal.side[first:end])
        assert found.votes[k + 1].ensemble == walk.votes[k + 1].ensemble
        influences.append(walk.votes[k + 1].influence)
    assert len({int(np.count_nonzero(walk.signal.side)) for walk in alone}) == len(thresholds)
    np.testing.assert_array_equal(found.signal.proba, study.signal.proba)
    assert found.source.fingerprint == alone[-1].source.fingerprint != study.source.fingerprint
    assert found.report is not None
    for name, member in found.report.members.items():
        flipped, decided = sum(one.flipped[name] for one in influences), sum(one.decided for one in influences)
        assert member.influence == flipped / decided
    said = found.source.signal(bars)
    np.testing.assert_array_equal(said.side[study.last_test :], found.signal.side[study.last_test :])
    with pytest.raises(ContractError, match="each of 3; found 2"):
        learner.with_thresholds(study, thresholds[:2])
