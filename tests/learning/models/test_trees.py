"""What the tree members share beyond the common checks: bound features, class weights, one booster file."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.types import Dataset, Features
from quantlab.learning.models.rows import RowTable

CONF = Path(__file__).resolve().parents[3] / "conf" / "learning" / "models"
TREES = ("lightgbm", "xgboost")
NAMES = ("ret_1", "bent", "noise")
T, S = 800, 5


def member(name: str, **changes: Any) -> Any:
    config = OmegaConf.create({"seed": 7, "member": OmegaConf.load(CONF / f"{name}.yaml")})
    plain = {"xgboost": {"min_child_weight": 1.0}, "lightgbm": {"min_data_in_leaf": 5}}[name]
    quick = instantiate(config.member, _convert_="all", **plain, max_rounds=40, learning_rate=0.2)
    return dataclasses.replace(quick, **changes)


@cache
def world() -> Dataset:
    """BUY where ``bent`` is far from 0 on either side, so that a score bound to rise has to give one side up."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(T, S, 3)).astype(np.float32)
    odds = np.stack([values[:, :, 0], np.full((T, S), 0.5), 2.0 * np.abs(values[:, :, 1]) - 1.0], axis=2)
    proba = np.exp(odds) / np.exp(odds).sum(axis=2, keepdims=True)
    label = (rng.random((T, S, 1)) > proba.cumsum(axis=2)[:, :, :2]).sum(axis=2).astype(np.int8)
    times = 300_000 * np.arange(T, dtype=np.int64)
    return Dataset(
        features=Features(values, np.ones((T, S), bool), NAMES, "of the tests"),
        label=label,
        weight=rng.uniform(0.1, 0.3, (T, S)).astype(np.float32),
        known_at_ms=np.repeat(times[:, None] + 600_000, S, axis=1),
        forward_returns=np.zeros((T, S, 12), np.float32),
        open_time_ms=times,
        mask=np.ones((T, S), bool),
    )


def part(rows: slice) -> Dataset:
    mask = np.zeros((T, S), bool)
    mask[rows] = True
    return world().with_mask(mask)


def fit(name: str, **changes: Any) -> Any:
    return member(name, **changes).fit(part(slice(0, 500)), part(slice(500, 650)))


def scores(name: str, fitted: Any, column: int) -> np.ndarray:
    """Raw scores (40, 60, 3): 40 rows, each with one column swept from low to high."""
    rows = np.repeat(world().features.values[700, :1], 40, axis=0).copy()
    rows[:] = np.random.default_rng(5).normal(size=rows.shape)
    swept = np.repeat(rows[:, None], 60, axis=1)
    swept[:, :, column] = np.linspace(-3, 3, 60)
    flat = np.ascontiguousarray(swept.reshape(-1, 3), dtype=np.float32)
    if name == "xgboost":
        said = fitted.booster.inplace_predict(flat, predict_type="margin", validate_features=False)
    else:
        said = fitted.booster.predict(flat, raw_score=True)
    return np.asarray(said, np.float64).reshape(40, 60, 3)


@pytest.mark.parametrize("name", TREES)
class TestEveryTree:
    def test_a_bound_score_never_moves_against_its_bound(self, name: str) -> None:
        free = np.diff(scores(name, fit(name), 1), axis=1)
        assert free.min() < -0.01
        assert free.max() > 0.01
        assert np.diff(scores(name, fit(name, increasing=["bent"]), 1), axis=1).min() >= -1e-9
        assert np.diff(scores(name, fit(name, decreasing=["bent"]), 1), axis=1).max() <= 1e-9

    def test_a_bound_is_by_name_and_leaves_the_others_free(self, name: str) -> None:
        steps = np.diff(scores(name, fit(name, increasing=["bent"]), 0), axis=1)
        assert steps.min() < -0.01

    def test_a_bound_on_an_unknown_feature_is_refused(self, name: str) -> None:
        with pytest.raises(ContractError, match="none called nothing"):
            fit(name, increasing=["nothing"])
        with pytest.raises(ConfigError, match="common feature"):
            member(name, increasing=["bent"], decreasing=["bent"])

    def test_class_weights_are_those_of_rows(self, name: str) -> None:
        """As if the dataset itself had weighed its BUY rows three times."""
        tilt = np.where(world().label == 2, np.float32(3.0), np.float32(1.0))
        heavier = dataclasses.replace(world(), weight=world().weight * tilt)
        by_hand = member(name).fit(
            heavier.with_mask(part(slice(0, 500)).mask), heavier.with_mask(part(slice(500, 650)).mask)
        )
        by_yaml = fit(name, class_weights=[1.0, 1.0, 3.0])
        features = world().features
        np.testing.assert_allclose(by_yaml.predict_proba(features), by_hand.predict_proba(features), atol=2e-3)
        plain = fit(name).predict_proba(features)[650:, :, 2].mean()
        assert by_yaml.predict_proba(features)[650:, :, 2].mean() > plain + 0.1

    @pytest.mark.parametrize("bad", [[1.0, 1.0], [1.0, 0.0, 1.0], [1.0, float("nan"), 1.0], [1.0, -1.0, 1.0]])
    def test_impossible_class_weights_are_refused(self, name: str, bad: list[float]) -> None:
        with pytest.raises(ConfigError, match=f"{name}.class_weights"):
            member(name, class_weights=bad)

    def test_every_round_is_told_and_changes_nothing(self, name: str) -> None:
        shares: list[float] = []
        watched = member(name).fit_with_progress(part(slice(0, 500)), part(slice(500, 650)), shares.append)
        assert shares[0] == 1 / 40
        assert len(shares) > 5
        np.testing.assert_allclose(np.diff(shares), 1 / 40)
        assert shares[-1] <= 1.0
        features = world().features
        np.testing.assert_array_equal(watched.predict_proba(features), fit(name).predict_proba(features))


def test_equal_class_weights_leave_every_bit_alone() -> None:
    rows = part(slice(0, 500))
    np.testing.assert_array_equal(
        RowTable.of(rows, "fit on").weight, RowTable.of(rows, "fit on", (1.0, 1.0, 1.0)).weight
    )
