"""Splits: time order, exact purging, tiling, and clear words when the history is too short."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.types import Dataset, Features
from quantlab.learning.samples.splits import Fold, PurgedWalkForward, part

INTERVAL = 300_000
PARTS = ("fit", "early_stopping", "calibration", "test")


def dataset_of(n_bars: int, n_symbols: int = 3, *, warmup: int = 0, horizon: int = 12, seed: int = 0) -> Dataset:
    """Labels that become known 1..horizon bars later, at the close; some rows unlabelled; one late listing."""
    rng = np.random.default_rng(seed)
    ready = np.zeros((n_bars, n_symbols), bool)
    ready[warmup:] = True
    ready[: warmup + 20, -1] = False
    open_time_ms = 1_700_000_100_000 + INTERVAL * np.arange(n_bars, dtype=np.int64)
    settled = np.arange(n_bars)[:, None] + rng.integers(1, horizon + 1, (n_bars, n_symbols))
    mask = ready & (rng.random((n_bars, n_symbols)) < 0.9) & (settled < n_bars)
    return Dataset(
        features=Features(np.zeros((n_bars, n_symbols, 2), np.float32), ready, ("a", "b"), "f"),
        label=np.where(mask, 1, -1).astype(np.int8),
        weight=mask.astype(np.float32),
        known_at_ms=open_time_ms[0] + INTERVAL * (settled + 1),
        forward_returns=np.zeros((n_bars, n_symbols, 1), np.float32),
        open_time_ms=open_time_ms,
        mask=mask,
    )


def walk_forward(**changes: object) -> PurgedWalkForward:
    splits = PurgedWalkForward(
        n_folds=4,
        min_train_bars=200,
        min_test_bars=20,
        train_bars=None,
        early_stopping_fraction=0.15,
        calibration_fraction=0.2,
        every_k=1,
    )
    return dataclasses.replace(splits, **changes)


def ranges(fold: Fold) -> list[tuple[int, int]]:
    return [fold.fit, fold.early_stopping, fold.calibration, fold.test]


def test_folds_by_hand() -> None:
    folds = walk_forward(n_folds=2).split(dataset_of(400, warmup=100))
    assert folds == (
        Fold(0, (100, 230), (230, 260), (260, 300), (300, 350), every_k=1),
        Fold(1, (100, 263), (263, 300), (300, 350), (350, 400), every_k=1),
    )


def test_rolling_window_by_hand() -> None:
    folds = walk_forward(n_folds=2, train_bars=200).split(dataset_of(400, warmup=100))
    assert [ranges(fold)[0][0] for fold in folds] == [100, 150]
    assert folds[1].calibration == (310, 350)


@settings(max_examples=60, deadline=None)
@given(
    n_bars=st.integers(300, 700),
    warmup=st.integers(0, 60),
    n_folds=st.integers(1, 6),
    rolling=st.one_of(st.none(), st.integers(200, 400)),
    shares=st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4)),
    every_k=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_every_fold_keeps_the_promises(
    n_bars: int,
    warmup: int,
    n_folds: int,
    rolling: int | None,
    shares: tuple[float, float],
    every_k: int,
    seed: int,
) -> None:
    assume(n_bars - warmup >= 200 + 20 * n_folds)
    dataset = dataset_of(n_bars, warmup=warmup, seed=seed)
    splits = walk_forward(
        n_folds=n_folds,
        train_bars=rolling,
        early_stopping_fraction=shares[0],
        calibration_fraction=shares[1],
        every_k=every_k,
    )
    folds = splits.split(dataset)

    tests = [fold.test for fold in folds]
    assert tests[0][0] == warmup + 200
    assert tests[-1][1] == n_bars
    assert all(one[1] == following[0] for one, following in pairwise(tests))
    assert len({stop - start for start, stop in tests} | {(n_bars - warmup - 200) // n_folds}) <= 2

    for fold in folds:
        assert all(one[1] == following[0] for one, following in pairwise(ranges(fold)))
        assert all(start < stop for start, stop in ranges(fold))
        assert fold.fit[0] == (warmup if rolling is None else max(warmup, fold.test[0] - rolling))
        masks = {name: part(dataset, fold, name).mask for name in PARTS}
        assert np.all(np.sum([m.astype(int) for m in masks.values()], axis=0) <= 1)
        for name, (start, stop) in zip(PARTS, ranges(fold), strict=True):
            row = np.arange(n_bars)[:, None]
            wanted = dataset.mask & (row >= start) & (row < stop)
            if name != "test":
                wanted &= dataset.known_at_ms <= dataset.open_time_ms[min(stop, n_bars - 1)]
            if name == "fit":
                wanted &= (row - start) % every_k == 0
            np.testing.assert_array_equal(masks[name], wanted)


def test_a_label_known_exactly_at_the_next_open_stays() -> None:
    dataset = dataset_of(400)
    fold = walk_forward().split(dataset)[0]
    start, stop = fold.fit
    known = dataset.known_at_ms.copy()
    known[stop - 2, 0] = dataset.open_time_ms[stop]
    known[stop - 2, 1] = dataset.open_time_ms[stop] + 1
    mask = np.ones_like(dataset.mask)
    dataset = dataclasses.replace(
        dataset,
        known_at_ms=known,
        mask=mask,
        label=mask.astype(np.int8),
        features=dataclasses.replace(dataset.features, ready=mask),
    )
    assert part(dataset, fold, "fit").mask[stop - 2].tolist()[:2] == [True, False]
    assert start == 0


def test_parts_are_views_of_the_same_arrays() -> None:
    dataset = dataset_of(400)
    fit = part(dataset, walk_forward().split(dataset)[1], "fit")
    for name in ("label", "weight", "known_at_ms", "open_time_ms", "forward_returns"):
        assert np.shares_memory(getattr(fit, name), getattr(dataset, name))
    assert fit.features.values.base is dataset.features.values.base or np.shares_memory(
        fit.features.values, dataset.features.values
    )


def test_purging_reads_no_later_part() -> None:
    """Changing labels of later rows changes nothing about an earlier part's rows."""
    dataset = dataset_of(400)
    fold = walk_forward().split(dataset)[0]
    later = dataset.known_at_ms.copy()
    later[fold.early_stopping[0] :] += INTERVAL
    changed = dataclasses.replace(dataset, known_at_ms=later)
    np.testing.assert_array_equal(part(dataset, fold, "fit").mask, part(changed, fold, "fit").mask)


def test_too_little_history_says_what_is_missing() -> None:
    dataset = dataset_of(300, warmup=50)
    with pytest.raises(HistoryError, match=r"at least 280 bars.*found 250 of 300 bars.*Load a longer history"):
        walk_forward().split(dataset)
    assert len(walk_forward(n_folds=2).split(dataset)) == 2


def test_nothing_ready_is_too_little_history() -> None:
    with pytest.raises(HistoryError, match="found 0 of 300"):
        walk_forward().split(dataset_of(300, warmup=300))


def test_too_few_training_bars_to_share_out() -> None:
    with pytest.raises(HistoryError, match="at least one bar each"):
        walk_forward(min_train_bars=4, early_stopping_fraction=0.1).split(dataset_of(300))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_folds": 0},
        {"n_folds": 2.5},
        {"every_k": 0},
        {"min_test_bars": 0},
        {"train_bars": 199},
        {"calibration_fraction": 0.0},
        {"early_stopping_fraction": 0.8},
        {"early_stopping_fraction": float("nan")},
    ],
)
def test_impossible_splits_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"learning\.splits"):
        walk_forward(**changes)
