"""The paired test: what it computes, how often it is wrong, and what it refuses to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.types import Labels
from quantlab.learning.ensemble.comparison import PairedTest
from quantlab.learning.samples.splits import LastFold
from quantlab.learning.samples.triple_barrier import NEVER_MS

RULES = PairedTest(confidence=0.95, min_days=3, resamples=400, block_days=2, seed=1)
BARS_A_DAY, STEP_MS = 24, 3_600_000


def labels_of(label: np.ndarray, weight: np.ndarray | None = None) -> Labels:
    weight = np.where(label >= 0, 1.0, 0.0) if weight is None else weight
    return Labels(label.astype(np.int8), weight.astype(np.float32), np.full(label.shape, NEVER_MS))


def times(days: int) -> np.ndarray:
    return STEP_MS * np.arange(days * BARS_A_DAY, dtype=np.int64)


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits)
    proba: np.ndarray = odds / odds.sum(axis=-1, keepdims=True)
    return proba


def test_the_numbers_are_the_ones_worked_out_by_hand() -> None:
    """Four rows a day; the candidate gives .5 where the active gives .25, on weights 1 and 3."""
    days, shape = 4, (4 * BARS_A_DAY, 1)
    label = np.full(shape, -1)
    label[::6] = 2
    weight = np.where(label >= 0, 1.0, 0.0)
    weight[::12] *= 3.0
    old = np.tile([0.5, 0.25, 0.25], (*shape, 1))
    new = np.tile([0.25, 0.25, 0.5], (*shape, 1))
    new[::12] = [0.375, 0.375, 0.25]
    found = RULES.compare(old, new, labels_of(label, weight), times(days))
    assert (found.rows, found.days) == (16, 4)
    assert found.active == pytest.approx(np.log(4))
    assert found.candidate == pytest.approx(0.75 * np.log(4) + 0.25 * np.log(2))
    assert found.improvement == pytest.approx(0.25 * np.log(2))
    assert found.low == pytest.approx(found.improvement), "every day is the same: no draw differs"
    assert found.better
    assert not RULES.compare(new, old, labels_of(label, weight), times(days)).better
    assert not RULES.compare(old, old, labels_of(label, weight), times(days)).better


def test_only_rows_on_which_both_speak_and_that_have_a_label_count() -> None:
    rng = np.random.default_rng(0)
    shape = (5 * BARS_A_DAY, 3)
    label = rng.integers(-1, 3, shape)
    old, new = softmax(rng.normal(size=(*shape, 3))), softmax(rng.normal(size=(*shape, 3)))
    whole = RULES.compare(old, new, labels_of(label), times(5))
    silent = rng.random(shape) < 0.3
    cut, kept = np.where(silent[..., None], np.nan, old), np.where(silent, -1, label)
    assert RULES.compare(cut, new, labels_of(label), times(5)) == RULES.compare(old, new, labels_of(kept), times(5))
    assert RULES.compare(cut, new, labels_of(label), times(5)) != whole
    unlabelled = new.copy()
    unlabelled[label < 0] = [0.98, 0.01, 0.01]
    assert RULES.compare(old, unlabelled, labels_of(label), times(5)) == whole


def shares(days: int, edge: float, worlds: int) -> float:
    """How often a candidate with an edge is called better, where rows of one day share a shock."""
    better = 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        shape = (days * BARS_A_DAY, 4)
        shock = np.repeat(rng.normal(size=(days, 1, 3)), BARS_A_DAY, axis=0)
        truth = softmax(0.5 * shock + 0.3 * rng.normal(size=(*shape, 3)))
        label = (rng.random(shape)[..., None] > truth.cumsum(axis=-1)).sum(axis=-1).clip(0, 2)
        noise = (0.3 * np.repeat(rng.normal(size=(days, 1, 3)), BARS_A_DAY, axis=0) for _ in range(2))
        old, new = (
            softmax(np.log(truth) * share + error) for share, error in zip((0.5, 0.5 + edge), noise, strict=True)
        )
        rules = dataclasses.replace(RULES, seed=seed)
        better += rules.compare(
            np.broadcast_to(old, (*shape, 3)), np.broadcast_to(new, (*shape, 3)), labels_of(label), times(days)
        ).better
    return better / worlds


def test_two_equals_are_rarely_told_apart_and_a_better_one_often() -> None:
    """About 5 % of promotions may be chance; the bound must not be too sure of so few days."""
    assert shares(14, 0.0, 120) <= 0.09
    assert shares(30, 0.5, 40) >= 0.4


def test_too_few_days_are_refused() -> None:
    label = np.zeros((2 * BARS_A_DAY, 1))
    proba = np.full((2 * BARS_A_DAY, 1, 3), 1 / 3)
    with pytest.raises(HistoryError, match="at least 3 days"):
        RULES.compare(proba, proba, labels_of(label), times(2))
    with pytest.raises(HistoryError, match="0 days"):
        RULES.compare(proba, np.full_like(proba, np.nan), labels_of(label), times(2))


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 1.0}, {"confidence": 0.4}, {"min_days": 1}, {"resamples": 10}, {"block_days": 0}, {"seed": -1}],
)
def test_impossible_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"job.test.{next(iter(wrong))}"):
        dataclasses.replace(RULES, **wrong)


def test_the_last_fold_is_the_last_of_the_splits() -> None:
    class Three:
        def split(self, dataset: object) -> list[str]:
            return ["old", "newer", "newest"]

    assert LastFold(Three()).split(None) == ("newest",)  # type: ignore[arg-type]
