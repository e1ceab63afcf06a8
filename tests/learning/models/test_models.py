"""Every member in the folder against the same checks: fit, speak, save, load, refuse.

A new member is checked as soon as its module and its yaml are there. A member that reads a window of
bars is checked on the same data, because the data keep their time axis.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError, InstallationError
from quantlab.core.files import sha256_file
from quantlab.core.types import Dataset, Features
from quantlab.features import NAMES
from quantlab.learning import models
from quantlab.learning.ensemble.scores import directional_auc
from quantlab.learning.models.artifact import CARD_FILE
from quantlab.learning.models.rows import BLOCK_ROWS, RowTable, classify_ready_rows

CONF = Path(__file__).resolve().parents[3] / "conf" / "learning" / "models"
RECIPES = sorted(path.stem for path in CONF.glob("*.yaml"))
TREES = ("lightgbm", "xgboost")
#: Members that draw at random; the others have no seed.
SEEDED = {recipe for recipe in RECIPES if "seed" in OmegaConf.load(CONF / f"{recipe}.yaml")}
#: Networks learn these worlds in seconds when they are small.
SMALL: dict[str, dict[str, Any]] = {
    "nhits": {"hidden_units": 32, "max_steps": 80, "check_every_steps": 20},
    "patchtst": {"hidden_units": 16, "layers": 1, "max_steps": 80, "check_every_steps": 20, "learning_rate": 0.004},
}
#: A class of `quantlab.learning.models` is a member if it has these.
FITTED_METHODS = ("predict_proba", "save", "load")

T, S = 900, 6
FIT, VALID, TEST = slice(40, 500), slice(500, 650), slice(650, T)


def member(recipe: str, **changes: Any) -> Any:
    config = OmegaConf.create({"seed": 7, "member": OmegaConf.load(CONF / f"{recipe}.yaml")})
    return instantiate(config.member, **{**SMALL.get(recipe, {}), **changes})


@cache
def world(edge: float = 1.0, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Forty-nine columns, the first warm-up rows not ready, labels and returns carried by three of them.

    Returns the dataset with every ready row, and the true probabilities (T, S, 3).
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(T, S, len(NAMES))).astype(np.float32)
    ready = np.ones((T, S), bool)
    ready[:40] = False
    ready[100:103, 2] = False
    values[~ready] = np.nan
    drive = edge * np.nan_to_num(values[:, :, 0] + 0.7 * values[:, :, 12] * np.sign(values[:, :, 26]))
    logits = np.stack([-drive, np.zeros_like(drive), drive], axis=-1)
    proba = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    label = (rng.random((T, S, 1)) > proba.cumsum(axis=-1)[:, :, :2]).sum(axis=-1).astype(np.int8)
    open_time_ms = 1_700_000_100_000 + 300_000 * np.arange(T, dtype=np.int64)
    label[~ready] = -1
    return (
        Dataset(
            features=Features(values, ready, NAMES, "fingerprint of the tests"),
            label=label,
            weight=np.where(ready, rng.uniform(0.05, 0.3, (T, S)), 0).astype(np.float32),
            known_at_ms=np.repeat(open_time_ms[:, None] + 600_000, S, axis=1),
            forward_returns=(drive[:, :, None] + rng.normal(size=(T, S, 12))).astype(np.float32),
            open_time_ms=open_time_ms,
            mask=ready,
        ),
        proba,
    )


def rows_of(dataset: Dataset, rows: slice) -> Dataset:
    mask = np.zeros_like(dataset.mask)
    mask[rows] = dataset.mask[rows]
    return dataset.with_mask(mask)


def fit(recipe: str, dataset: Dataset, **changes: Any) -> Any:
    return member(recipe, **changes).fit(rows_of(dataset, FIT), rows_of(dataset, VALID))


@cache
def fitted(recipe: str) -> Any:
    return fit(recipe, world()[0])


def forecast_rows(recipe: str, features: Features) -> np.ndarray:
    """bool (T, S): ready, and so are the rows before that a member reads."""
    lookback = getattr(fitted(recipe), "lookback", 1)
    complete = np.zeros_like(features.ready)
    for t in range(lookback - 1, T):
        complete[t] = features.ready[t - lookback + 1 : t + 1].all(axis=0)
    return complete


def log_loss(proba: np.ndarray, dataset: Dataset, rows: slice = TEST) -> float:
    mask = dataset.mask[rows]
    chosen = np.take_along_axis(proba[rows][mask], dataset.label[rows][mask][:, None].astype(int), axis=1)
    return float(-np.log(chosen).mean())


def auc_and_error(one: Any, dataset: Dataset) -> tuple[float, float]:
    """Directional AUC of the test rows, and its standard error over days."""
    rows = rows_of(dataset, TEST).mask
    proba = one.predict_proba(dataset.features)
    # The world is three days long; here every half hour is a day.
    auc = directional_auc(proba, dataset.label, rows, 288 // 6 * dataset.open_time_ms, bootstrap_samples=200, seed=1)
    assert auc.value is not None
    assert auc.se is not None
    return auc.value, auc.se


def entropy(dataset: Dataset) -> float:
    """Log loss of knowing the class shares and nothing else."""
    shares = np.bincount(dataset.label[dataset.mask]) / dataset.mask.sum()
    return float(-np.sum(shares * np.log(shares)))


def test_every_member_class_has_a_recipe_and_every_recipe_a_class() -> None:
    classes = set()
    for module in pkgutil.walk_packages(models.__path__, f"{models.__name__}."):
        for kind in vars(importlib.import_module(module.name)).values():
            is_ours = isinstance(kind, type) and kind.__module__ == module.name
            if (
                is_ours
                and dataclasses.is_dataclass(kind)
                and not inspect.isabstract(kind)
                and callable(getattr(kind, "fit", None))
            ):
                classes.add(f"{kind.__module__}.{kind.__qualname__}")
    targets = {OmegaConf.load(CONF / f"{recipe}.yaml")["_target_"] for recipe in RECIPES}
    assert classes == targets
    assert set(TREES) <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
class TestEveryMember:
    def test_is_a_frozen_value_with_a_name(self, recipe: str) -> None:
        one = member(recipe)
        assert one.name == recipe
        assert one == member(recipe)
        assert recipe not in SEEDED or one != member(recipe, seed=8)
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.name = "another"
        assert all(callable(getattr(fitted(recipe), method)) for method in FITTED_METHODS)

    def test_speaks_in_probabilities_where_ready_and_nowhere_else(self, recipe: str) -> None:
        features = world()[0].features
        proba = fitted(recipe).predict_proba(features)
        assert proba.shape == (T, S, 3)
        assert proba.dtype == np.float32
        covered = forecast_rows(recipe, features)
        np.testing.assert_array_equal(np.isnan(proba), np.repeat(~covered[:, :, None], 3, axis=2))
        present = proba[covered]
        np.testing.assert_allclose(present.sum(axis=1, dtype=np.float64), 1.0, atol=1e-6)
        assert present.min() >= 0

    def test_finds_a_planted_edge(self, recipe: str) -> None:
        dataset, truth = world()
        loss = log_loss(fitted(recipe).predict_proba(dataset.features), dataset)
        oracle = log_loss(truth, dataset)
        assert oracle < loss < entropy(dataset) - 0.1
        auc, se = auc_and_error(fitted(recipe), dataset)
        assert auc > 0.5 + 5 * se

    def test_finds_nothing_in_shuffled_labels(self, recipe: str) -> None:
        dataset, _ = world()
        rng = np.random.default_rng(1)
        label = dataset.label.copy()
        label[dataset.mask] = rng.permutation(label[dataset.mask])
        shuffled = dataclasses.replace(dataset, label=label)
        one = fit(recipe, shuffled)
        loss = log_loss(one.predict_proba(dataset.features), shuffled)
        auc, se = auc_and_error(one, shuffled)
        assert abs(auc - 0.5) < 2.5 * se
        assert loss == pytest.approx(entropy(shuffled), abs=0.02)
        assert loss == pytest.approx(np.log(3), abs=0.04)

    def test_fits_the_same_bits_twice_and_others_for_another_seed(self, recipe: str) -> None:
        dataset, _ = world()
        one, again = fitted(recipe), fit(recipe, dataset)
        first = one.predict_proba(dataset.features)
        np.testing.assert_array_equal(first, again.predict_proba(dataset.features))
        if recipe in SEEDED:
            other = fit(recipe, dataset, seed=8)
            assert not np.array_equal(first, other.predict_proba(dataset.features), equal_nan=True)

    def test_learns_from_masked_rows_only(self, recipe: str) -> None:
        """Labels and weights outside fit and validation rows change nothing: nor do later features."""
        dataset, _ = world()
        label, weight, values = dataset.label.copy(), dataset.weight.copy(), dataset.features.values.copy()
        label[TEST] = 2 - label[TEST]
        weight[TEST] *= 5
        values[TEST] += 1
        features = dataclasses.replace(dataset.features, values=values)
        changed = dataclasses.replace(dataset, label=label, weight=weight, features=features)
        np.testing.assert_array_equal(
            fitted(recipe).predict_proba(dataset.features), fit(recipe, changed).predict_proba(dataset.features)
        )

    def test_weights_matter_but_not_their_scale(self, recipe: str) -> None:
        dataset, _ = world()
        first = fitted(recipe).predict_proba(dataset.features)
        scaled = fit(recipe, dataclasses.replace(dataset, weight=dataset.weight * np.float32(0.25)))
        np.testing.assert_array_equal(first, scaled.predict_proba(dataset.features))
        tilted = np.where(dataset.label == 2, dataset.weight * 4, dataset.weight).astype(np.float32)
        buys = fit(recipe, dataclasses.replace(dataset, weight=tilted)).predict_proba(dataset.features)
        covered = forecast_rows(recipe, dataset.features)
        assert buys[covered][:, 2].mean() > first[covered][:, 2].mean() + 0.1

    def test_says_the_same_alone_and_in_any_company(self, recipe: str) -> None:
        features = world()[0].features
        whole = fitted(recipe).predict_proba(features)
        lookback = getattr(fitted(recipe), "lookback", 1)
        for t in (TEST.start, T - 1):
            row = fitted(recipe).predict_proba(features.rows(t - lookback + 1, t + 1))[-1]
            np.testing.assert_allclose(row, whole[t], atol=1e-6)

    def test_later_rows_change_nothing(self, recipe: str) -> None:
        features = world()[0].features
        values = features.values.copy()
        values[700:] = 9.0
        changed = fitted(recipe).predict_proba(dataclasses.replace(features, values=values))
        np.testing.assert_array_equal(changed[:700], fitted(recipe).predict_proba(features)[:700])

    def test_survives_saving_bit_for_bit(self, recipe: str, tmp_path: Path) -> None:
        features = world()[0].features
        fitted(recipe).save(tmp_path)
        loaded = type(fitted(recipe)).load(tmp_path)
        np.testing.assert_array_equal(loaded.predict_proba(features), fitted(recipe).predict_proba(features))
        again = tmp_path / "again"
        again.mkdir()
        loaded.save(again)
        for path in tmp_path.glob("*.*"):
            assert sha256_file(path) == sha256_file(again / path.name), path.name

    def test_refuses_other_features(self, recipe: str) -> None:
        features = world()[0].features
        swapped = (NAMES[1], NAMES[0], *NAMES[2:])
        renamed = (*NAMES[:-1], "something_else")
        for bad in (
            dataclasses.replace(features, names=swapped),
            dataclasses.replace(features, names=renamed),
            dataclasses.replace(features, fingerprint="another"),
            dataclasses.replace(features, values=np.ascontiguousarray(features.values[:, :, :22]), names=NAMES[:22]),
        ):
            with pytest.raises(ContractError):
                fitted(recipe).predict_proba(bad)

    @pytest.mark.parametrize("poison", [np.nan, np.inf])
    def test_refuses_a_hole_in_a_ready_row(self, recipe: str, poison: float) -> None:
        dataset, _ = world()
        values = dataset.features.values.copy()
        values[300, 3, 5] = poison
        features = dataclasses.replace(dataset.features, values=values)
        with pytest.raises(ContractError, match="finite"):
            fitted(recipe).predict_proba(features)
        with pytest.raises(ContractError, match="finite"):
            fit(recipe, dataclasses.replace(dataset, features=features))

    def test_refuses_to_fit_on_nothing(self, recipe: str) -> None:
        dataset, _ = world()
        empty = dataset.with_mask(np.zeros_like(dataset.mask))
        with pytest.raises(HistoryError, match="rows to fit on"):
            member(recipe).fit(empty, rows_of(dataset, VALID))
        with pytest.raises(HistoryError, match=r"rows to (stop early|fit the scale) on"):
            member(recipe).fit(rows_of(dataset, FIT), empty)

    def test_refuses_validation_rows_of_other_features(self, recipe: str) -> None:
        dataset, _ = world()
        other = dataclasses.replace(dataset, features=dataclasses.replace(dataset.features, fingerprint="another"))
        with pytest.raises(ContractError, match="fingerprint"):
            member(recipe).fit(rows_of(dataset, FIT), rows_of(other, VALID))

    def test_a_flipped_bit_is_refused_before_the_library_sees_it(self, recipe: str, tmp_path: Path) -> None:
        fitted(recipe).save(tmp_path)
        natives = [path for path in tmp_path.iterdir() if path.name != CARD_FILE]
        assert natives
        for path in natives:
            whole = path.read_bytes()
            damaged = bytearray(whole)
            damaged[len(damaged) // 2] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError, match="sha256"):
                type(fitted(recipe)).load(tmp_path)
            path.write_bytes(whole)
        type(fitted(recipe)).load(tmp_path)

    def test_missing_files_are_refused(self, recipe: str, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="readable"):
            type(fitted(recipe)).load(tmp_path)
        fitted(recipe).save(tmp_path)
        for path in tmp_path.iterdir():
            if path.name != CARD_FILE:
                path.unlink()
        with pytest.raises(ArtifactError, match="no such file"):
            type(fitted(recipe)).load(tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"golden_outputs": None},
            {"library": ...},
            {"file": "../elsewhere"},
        ],
    )
    def test_a_card_that_is_wrong_is_refused(self, recipe: str, tmp_path: Path, change: dict[str, Any]) -> None:
        fitted(recipe).save(tmp_path)
        card = json.loads((tmp_path / CARD_FILE).read_text())
        for name, value in change.items():
            if value is None:
                card[name][0] = [0.2, 0.3, 0.5]
            elif value is ...:
                del card[name]
            else:
                card[name] = value
        (tmp_path / CARD_FILE).write_text(json.dumps(card))
        with pytest.raises(ArtifactError):
            type(fitted(recipe)).load(tmp_path)

    def test_is_silent(self, recipe: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        one = fit(recipe, world()[0])
        one.predict_proba(world()[0].features)
        one.save(tmp_path)
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("recipe", TREES)
def test_impossible_hyper_parameters_are_refused(recipe: str) -> None:
    share = {"xgboost": "subsample", "lightgbm": "bagging_fraction"}[recipe]
    for changes in ({"max_rounds": 0}, {"threads": 0}, {"learning_rate": 0.0}, {share: 1.5}, {"max_bin": 1}):
        with pytest.raises(ConfigError, match=recipe):
            dataclasses.replace(member(recipe), **changes)


@pytest.mark.parametrize("recipe", TREES)
def test_trees_keep_the_best_round_only(recipe: str) -> None:
    """Stopping early and asking for exactly that many rounds give the same model."""
    dataset, _ = world()
    booster = fitted(recipe).booster
    rounds = {"xgboost": lambda b: b.num_boosted_rounds(), "lightgbm": lambda b: b.num_trees() // 3}[recipe](booster)
    assert 5 < rounds < member(recipe).max_rounds
    longer = fit(recipe, dataset, max_rounds=rounds + 5)
    np.testing.assert_array_equal(
        longer.predict_proba(dataset.features), fitted(recipe).predict_proba(dataset.features)
    )
    best = validation_loss(fitted(recipe), dataset)
    for fewer in (1, 2, 10):
        assert validation_loss(fit(recipe, dataset, max_rounds=rounds - fewer), dataset) > best


def validation_loss(one: Any, dataset: Dataset) -> float:
    """What early stopping watches: weighted log loss of the validation rows."""
    mask = rows_of(dataset, VALID).mask
    proba = one.predict_proba(dataset.features)[mask]
    chosen = proba[np.arange(len(proba)), dataset.label[mask]].astype(np.float64)
    return float(np.average(-np.log(chosen), weights=dataset.weight[mask]))


@pytest.mark.parametrize("recipe", TREES)
def test_trees_fit_a_world_without_one_class(recipe: str) -> None:
    dataset, _ = world()
    label = np.where(dataset.label == 2, 1, dataset.label).astype(np.int8)
    one = fit(recipe, dataclasses.replace(dataset, label=label))
    proba = one.predict_proba(dataset.features)[dataset.features.ready]
    assert np.isfinite(proba).all()
    assert proba[:, 2].max() < 0.05


def gpu_is_there() -> bool:
    return Path("/dev/nvidia0").exists()


def test_xgboost_never_uses_the_cpu_where_cuda_was_asked() -> None:
    """On a machine without a GPU it would say so only in its log."""
    asked = member("xgboost", device="cuda", max_rounds=2)
    if gpu_is_there():
        one = asked.fit(rows_of(world()[0], FIT), rows_of(world()[0], VALID))
        assert np.isfinite(one.predict_proba(world()[0].features)[world()[0].features.ready]).all()
        return
    with pytest.raises(InstallationError, match="it would use 'cpu'"):
        asked.fit(rows_of(world()[0], FIT), rows_of(world()[0], VALID))


def test_xgboost_block_by_block_sees_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks move quantile sketches a little and lose no row: the edge is found just the same."""
    dataset, truth = world()
    module = importlib.import_module("quantlab.learning.models.xgboost")
    rows = RowTable.of(rows_of(dataset, FIT), "fit on")
    seen: list[np.ndarray] = []
    monkeypatch.setattr(module, "BLOCK_ROWS", 700)
    blocks = module._RowBlocks(rows)
    while blocks.next(lambda data, label, weight: seen.append(np.column_stack([data, label, weight]))):
        pass
    np.testing.assert_array_equal(
        np.concatenate(seen), np.column_stack([rows.block(0, len(rows)), rows.label, rows.weight])
    )
    assert len(seen) == -(-len(rows) // 700)
    loss = log_loss(fit("xgboost", dataset).predict_proba(dataset.features), dataset)
    assert log_loss(truth, dataset) < loss < entropy(dataset) - 0.1


def test_rows_follow_time_and_then_symbols_and_weights_average_to_one() -> None:
    dataset, _ = world()
    rows = RowTable.of(rows_of(dataset, FIT), "fit on")
    mask = rows_of(dataset, FIT).mask
    np.testing.assert_array_equal(rows.block(0, len(rows)), dataset.features.values[mask])
    np.testing.assert_array_equal(rows.label, dataset.label[mask])
    np.testing.assert_allclose(rows.weight, dataset.weight[mask] / dataset.weight[mask].mean(), rtol=1e-5)
    assert rows.weight.mean(dtype=np.float64) == pytest.approx(1.0, abs=1e-6)
    assert np.shares_memory(rows.values, dataset.features.values)
    assert len(rows.golden()) == 32


def test_scoring_is_bounded_and_blind_to_block_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    features = world()[0].features
    sizes: list[int] = []

    def classify(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        return np.ascontiguousarray(rows[:, :3])

    def check(present: Callable[..., Any]) -> np.ndarray:
        proba = classify_ready_rows(features, present)
        np.testing.assert_array_equal(proba[features.ready], features.values[features.ready][:, :3])
        return proba

    whole = check(classify)
    assert sizes == [int(features.ready.sum())]
    assert max(sizes) <= BLOCK_ROWS
    sizes.clear()
    monkeypatch.setattr("quantlab.learning.models.rows.BLOCK_ROWS", 100)
    np.testing.assert_array_equal(check(classify), whole)
    assert max(sizes) <= 100
    assert sum(sizes) == int(features.ready.sum())
