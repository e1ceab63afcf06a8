"""The linear member beyond the common checks: its optimum, its scale, its bits."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import sha256_file, write_json
from quantlab.core.fingerprint import fingerprint
from quantlab.core.types import Dataset, Features
from quantlab.learning.ensemble.calibration import fit_temperature
from quantlab.learning.ensemble.scores import directional_auc
from quantlab.learning.models.artifact import CARD_FILE
from quantlab.learning.models.linear import (
    MODEL_FILE,
    SCALE_RANGE,
    FittedLinear,
    Linear,
    fit_scale,
)
from quantlab.learning.models.linear_map import LinearMap, Standardizer
from quantlab.learning.models.rows import RowTable

CONF = Path(__file__).resolve().parents[3] / "conf" / "learning" / "models" / "linear.yaml"
T, S, F = 4_000, 5, 8
FIT, VALID, TEST = slice(0, 2_000), slice(2_000, 2_700), slice(2_700, T)
#: Of BUY against SELL: faint, as on a market.
TRUE_SLOPES = np.array([0.30, -0.25, 0.15, 0.10, 0.0, 0.0, 0.0, 0.0])


def member(**changes: Any) -> Linear:
    one: Linear = instantiate(OmegaConf.load(CONF))
    return dataclasses.replace(one, **changes)


@cache
def world(edge: float = 1.0, seed: int = 0, hold: float = 0.2) -> Dataset:
    """Columns of other means, sizes and tails than the standard's, two of them alike, and labels that are linear in them."""
    rng = np.random.default_rng(seed)
    standard = rng.normal(size=(T, S, F))
    standard[:, :, 4] = 0.9 * standard[:, :, 0] + np.sqrt(1 - 0.9**2) * standard[:, :, 4]
    odds = edge * standard @ TRUE_SLOPES
    logits = np.stack([-odds, np.full_like(odds, hold), odds], axis=-1)
    proba = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    label = (rng.random((T, S, 1)) > proba.cumsum(axis=-1)[:, :, :2]).sum(axis=-1).astype(np.int8)
    values = (standard * 10.0 ** np.arange(-4, F - 4) + np.arange(F)).astype(np.float32)
    times = 300_000 * np.arange(T, dtype=np.int64)
    return Dataset(
        features=Features(values, np.ones((T, S), bool), tuple(f"f{i}" for i in range(F)), "of the tests"),
        label=label,
        weight=rng.uniform(0.05, 0.3, (T, S)).astype(np.float32),
        known_at_ms=np.repeat(times[:, None] + 600_000, S, axis=1),
        forward_returns=np.zeros((T, S, 12), np.float32),
        open_time_ms=times,
        mask=np.ones((T, S), bool),
    )


def part(rows: slice, dataset: Dataset | None = None) -> Dataset:
    dataset = dataset or world()
    mask = np.zeros_like(dataset.mask)
    mask[rows] = dataset.mask[rows]
    return dataset.with_mask(mask)


def fit(dataset: Dataset | None = None, **changes: Any) -> FittedLinear:
    return member(**changes).fit(part(FIT, dataset), part(VALID, dataset))


@cache
def fitted() -> FittedLinear:
    return fit()


def with_values(dataset: Dataset, values: np.ndarray) -> Dataset:
    return dataclasses.replace(dataset, features=dataclasses.replace(dataset.features, values=values))


def flat(dataset: Dataset, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (N, F), labels and weights of some bars."""
    return (
        dataset.features.values[rows].reshape(-1, F),
        dataset.label[rows].reshape(-1).astype(np.int64),
        dataset.weight[rows].reshape(-1).astype(np.float64),
    )


def standardised(rows: np.ndarray, clip: float = 4.0) -> np.ndarray:
    """By the moments of the fit rows."""
    seen = flat(world(), FIT)[0].astype(np.float64)
    return np.asarray(np.clip((rows - seen.mean(axis=0)) / seen.std(axis=0), -clip, clip))


class TestFit:
    def test_speaks_as_scikit_learn_does_of_the_same_standardised_rows(self) -> None:
        """At scale 1, to a millionth: the penalty's unit, the weights, the intercepts, the order of classes."""
        values, label, weight = flat(world(), FIT)
        weight = weight / weight.mean()
        theirs = LogisticRegression(C=3.0 / (1.0 * len(label)), tol=1e-9, max_iter=1_000)
        theirs.fit(standardised(values), label, weight)
        rows = flat(world(), TEST)[0]
        ours = dataclasses.replace(fitted().map, scale=1.0).classify(rows)
        np.testing.assert_allclose(ours, theirs.predict_proba(standardised(rows)), atol=1e-6)

    def test_is_the_minimum_that_is_documented(self) -> None:
        """Of weighted mean log loss plus penalty / 6 times the sum of squares, found by another search."""
        values, label, weight = flat(world(), FIT)
        table, share = standardised(values), weight / weight.sum()

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            slopes, intercepts = parameters[: 3 * F].reshape(F, 3), parameters[3 * F :]
            odds = table @ slopes + intercepts
            total = np.log(np.exp(odds).sum(axis=1))
            pull = share[:, None] * (np.exp(odds - total[:, None]) - np.eye(3)[label])
            value = share @ (total - odds[np.arange(len(label)), label]) + 2.5 / 6 * (slopes**2).sum()
            return value, np.concatenate([(table.T @ pull + 2.5 / 3 * slopes).ravel(), pull.sum(axis=0)])

        found = minimize(loss, np.zeros(3 * F + 3), jac=True, method="BFGS", options={"gtol": 1e-9}).x
        ours = fit(penalty=2.5).map
        np.testing.assert_allclose(ours.coefficients, found[: 3 * F].reshape(F, 3), atol=2e-6)
        np.testing.assert_allclose(ours.intercepts, found[3 * F :], atol=2e-5)

    @pytest.mark.parametrize("penalty", [0.25, 1.0, 4.0])
    def test_the_penalty_is_that_of_a_ridge_regression(self, penalty: float) -> None:
        """On side as a number, `penalty` times the rows: the same direction and the same shrinkage."""
        dataset = world(edge=0.3, hold=0.0)
        values, label, weight = flat(dataset, FIT)
        table = standardised(values)
        ours, free = (fit(dataset, penalty=p).map.coefficients @ [-1, 0, 1] for p in (penalty, 1e-6))
        ridge, plain = (Ridge(alpha=p * weight.sum()).fit(table, label - 1.0, weight).coef_ for p in (penalty, 1e-6))
        assert np.corrcoef(ours, ridge)[0, 1] > 0.9995
        np.testing.assert_allclose(
            np.linalg.norm(ours) / np.linalg.norm(free), np.linalg.norm(ridge) / np.linalg.norm(plain), rtol=0.03
        )

    def test_a_column_like_no_other_shrinks_to_its_share(self) -> None:
        """1 / (1 + penalty), on a longer history just as on a shorter one."""
        dataset = world(edge=0.5, seed=1)
        for rows in (FIT, slice(0, 1_000)):
            for penalty in (0.5, 1.0, 3.0):
                strong, free = (
                    member(penalty=p).fit(part(rows, dataset), part(VALID, dataset)).map.coefficients[1]
                    for p in (penalty, 1e-6)
                )
                np.testing.assert_allclose((strong @ [-1, 0, 1]) / (free @ [-1, 0, 1]), 1 / (1 + penalty), atol=0.03)

    def test_finds_the_planted_direction(self) -> None:
        """Nearly without a penalty the true slopes come back; with it, their order."""
        free = fit(penalty=1e-4).map.coefficients
        np.testing.assert_allclose(free[:, 2], TRUE_SLOPES, atol=0.06)
        np.testing.assert_allclose(free[:, 0], -TRUE_SLOPES, atol=0.06)
        truth = standardised(flat(world(), TEST)[0]) @ TRUE_SLOPES
        scores = fitted().map.scores(flat(world(), TEST)[0])
        assert np.corrcoef(scores[2] - scores[0], truth)[0, 1] > 0.95

    def test_on_shuffled_labels_knows_nothing(self) -> None:
        dataset = world()
        label = np.random.default_rng(1).permutation(dataset.label.reshape(-1)).reshape(T, S)
        shuffled = dataclasses.replace(dataset, label=label)
        proba = fit(shuffled).predict_proba(dataset.features)
        # Every half hour counts as a day.
        auc = directional_auc(proba, label, part(TEST).mask, 48 * dataset.open_time_ms, bootstrap_samples=300, seed=1)
        assert auc.value is not None
        assert auc.se is not None
        assert abs(auc.value - 0.5) < 2 * auc.se
        assert np.ptp(proba[:, :, 2]) < 0.1

    def test_weights_are_as_if_rows_were_there_more_often(self) -> None:
        dataset = world()
        weight = np.where(np.arange(T)[:, None] % 2, 3.0, 1.0).astype(np.float32) * np.ones((1, S), np.float32)
        weighted = fit(dataclasses.replace(dataset, weight=weight))
        often = np.repeat(np.arange(2_000), np.where(np.arange(2_000) % 2, 3, 1))
        values, label = dataset.features.values[often], dataset.label[often]
        standard = weighted.map.standard
        theirs = LogisticRegression(C=3.0 / label.size, tol=1e-9, max_iter=1_000)
        rows = values.reshape(-1, F)
        theirs.fit(standard(rows), label.reshape(-1))
        ours = dataclasses.replace(weighted.map, scale=1.0).classify(rows[:500])
        np.testing.assert_allclose(ours, theirs.predict_proba(standard(rows[:500])), atol=2e-6)

    def test_a_class_that_never_occurs_is_very_unlikely(self) -> None:
        dataset = world()
        without = dataclasses.replace(dataset, label=np.where(dataset.label == 2, 1, dataset.label).astype(np.int8))
        proba = fit(without).predict_proba(dataset.features)
        assert np.isfinite(proba).all()
        assert proba[:, :, 2].max() < 0.001
        alone = fit(dataclasses.replace(dataset, label=np.ones_like(dataset.label))).predict_proba(dataset.features)
        assert alone[:, :, 1].min() > 0.99

    def test_threads_change_no_bit(self) -> None:
        """With as many columns as there are features: small products are never shared among threads."""
        dataset, names = world(), tuple(f"f{i}" for i in range(49))
        noise = np.random.default_rng(4).normal(size=(T, S, 49 - F)).astype(np.float32)
        values = np.concatenate([dataset.features.values, noise], axis=2)
        wide = dataclasses.replace(dataset, features=dataclasses.replace(dataset.features, values=values, names=names))
        found = []
        for threads in (1, 2):
            with threadpool_limits(limits=threads):
                found.append(fit(wide).map.payload())
        assert found[0] == found[1]

    def test_too_few_iterations_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"after 2 iteration.*linear\.max_iterations"):
            fit(max_iterations=2)

    @pytest.mark.parametrize(
        "changes",
        [{"penalty": 0.0}, {"penalty": -1.0}, {"clip": 0.0}, {"clip": float("nan")}, {"max_iterations": 0},
         {"max_iterations": 1.5}],
    )  # fmt: skip
    def test_impossible_values_are_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"linear.{next(iter(changes))}"):
            member(**changes)


class TestStandard:
    def test_moments_are_those_of_the_fit_rows_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("quantlab.learning.models.linear_map.BLOCK_ROWS", 700)
        standard = fit().map.standard
        seen = flat(world(), FIT)[0].astype(np.float64)
        np.testing.assert_allclose(standard.mean, seen.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(standard.deviation, seen.std(axis=0), rtol=1e-12)

    def test_small_blocks_lose_no_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("quantlab.learning.models.linear_map.BLOCK_ROWS", 700)
        np.testing.assert_allclose(fit().map.coefficients, fitted().map.coefficients, atol=1e-9)
        assert fit().map.scale == pytest.approx(fitted().map.scale, rel=1e-7)

    @pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -123_456.79, 1e-12])
    def test_a_constant_column_has_no_say(self, constant: float) -> None:
        values = world().features.values.copy()
        values[FIT, :, 3] = constant
        one = fit(with_values(world(), values))
        assert one.map.standard.deviation[3] == 1.0
        np.testing.assert_allclose(one.map.coefficients[3], 0.0, atol=1e-9)
        assert np.isfinite(one.predict_proba(with_values(world(), values).features)).all()

    def test_a_small_deviation_beside_a_large_mean_counts(self) -> None:
        values = world().features.values.copy()
        wobble = np.random.default_rng(3).integers(0, 2, (T, S))
        values[:, :, 3] = (1_000.0 + wobble * 2.0**-13).astype(np.float32)
        assert fit(with_values(world(), values)).map.standard.deviation[3] == pytest.approx(2.0**-14, rel=0.01)

    def test_outliers_say_no_more_than_the_clip(self) -> None:
        row = flat(world(), TEST)[0][:1].copy()
        standard = fitted().map.standard
        said = []
        for deviations in (3.0, 4.0, 5.0, 1e9):
            row[0, 0] = standard.mean[0] + deviations * standard.deviation[0]
            said.append(fitted().map.classify(row)[0])
        assert not np.array_equal(said[0], said[1])
        np.testing.assert_allclose(said[2], said[1], atol=1e-4)
        np.testing.assert_array_equal(said[2], said[3])


class TestScale:
    def test_is_the_best_on_the_validation_rows(self) -> None:
        """No other scale has a smaller weighted log loss there."""
        values, label, weight = flat(world(), VALID)

        def loss(scale: float) -> float:
            proba = dataclasses.replace(fitted().map, scale=scale).classify(values).astype(np.float64)
            return float(np.average(-np.log(proba[np.arange(len(label)), label]), weights=weight))

        found = fitted().map.scale
        assert 1.5 < found < 4.0
        assert loss(found) < min(loss(0.9 * found), loss(1.1 * found), loss(1.0))
        curve = np.linspace(0.5, 6.0, 111)
        assert curve[np.argmin([loss(scale) for scale in curve])] == pytest.approx(found, abs=0.05)

    def test_makes_the_forecast_side_honest(self) -> None:
        """Regressing the side that came on the side that was forecast has a slope of about 1, on rows never seen."""
        values, label, _ = flat(world(), TEST)

        def slope(one: LinearMap) -> float:
            proba = one.classify(values).astype(np.float64)
            return float(np.polyfit(proba[:, 2] - proba[:, 0], label - 1.0, 1)[0])

        assert slope(fitted().map) == pytest.approx(1.0, abs=0.12)
        assert slope(dataclasses.replace(fitted().map, scale=1.0)) > 1.6

    def test_undoes_what_another_penalty_does_to_sizes(self) -> None:
        rows = flat(world(), TEST)[0]
        sizes = []
        for penalty in (1.0, 10.0):
            proba = fit(penalty=penalty).map.classify(rows)
            sizes.append(float((proba[:, 2] - proba[:, 0]).std()))
        assert sizes[1] == pytest.approx(sizes[0], rel=0.1)

    def test_reads_validation_rows_only_and_the_map_fit_rows_only(self) -> None:
        dataset = world()
        label = dataset.label.copy()
        label[VALID] = 2 - label[VALID]
        turned = fit(dataclasses.replace(dataset, label=label)).map
        np.testing.assert_array_equal(turned.coefficients, fitted().map.coefficients)
        np.testing.assert_array_equal(turned.intercepts, fitted().map.intercepts)
        assert turned.scale == SCALE_RANGE[0]
        label[TEST] = 0
        assert fit(dataclasses.replace(dataset, label=label)).map.payload() == turned.payload()

    def test_weighs_validation_rows(self) -> None:
        """As if the rows without a weight were not there."""
        values = world().features.values
        scores = fitted().map.scores(values.reshape(-1, F))
        weight = np.where(np.arange(T)[:, None] % 3 == 0, world().weight, np.float32(0))
        some = np.zeros((T, S), bool)
        some[::3] = True
        all_rows = RowTable.of(dataclasses.replace(world(), weight=weight), "test")
        third = RowTable.of(world().with_mask(some), "test")
        found = fit_scale(scores, fitted().map.intercepts, all_rows)
        assert found == pytest.approx(fit_scale(scores[:, third.index], fitted().map.intercepts, third), rel=1e-6)
        assert found != pytest.approx(
            fit_scale(scores, fitted().map.intercepts, RowTable.of(world(), "test")), rel=1e-4
        )

    def test_without_intercepts_is_one_over_the_temperature(self) -> None:
        """The ensemble's own search, on the same rows."""
        values, label, weight = flat(world(), VALID)
        rows = RowTable.of(part(VALID), "test")
        scores = fitted().map.scores(values)
        powers = np.exp(scores.T)
        proba = powers / powers.sum(axis=1, keepdims=True)
        temperature = fit_temperature(proba, label.astype(np.int8), weight.astype(np.float32))
        assert fit_scale(scores, np.zeros(3), rows) == pytest.approx(1 / temperature, rel=1e-6)

    def test_stays_within_its_bounds(self) -> None:
        rows = RowTable.of(part(VALID), "test")
        certain = np.eye(3)[rows.label.astype(int)].T * 1e-3
        assert fit_scale(certain, np.zeros(3), rows) == SCALE_RANGE[1]
        assert fit_scale(-certain, np.zeros(3), rows) == SCALE_RANGE[0]


class TestBits:
    @pytest.mark.parametrize("n_features", [1, 2, 3, 7, 8, 49])
    def test_a_row_has_the_same_bits_in_any_company(self, n_features: int) -> None:
        rng = np.random.default_rng(n_features)
        one = LinearMap(
            Standardizer(rng.normal(size=n_features), rng.uniform(0.5, 2, n_features), 4.0),
            rng.normal(size=(n_features, 3)),
            rng.normal(size=3),
            1.7,
        )
        rows = rng.normal(size=(1_030, n_features)).astype(np.float32)
        whole = one.classify(rows)
        assert whole.dtype == np.float32
        assert whole.flags.c_contiguous
        alone = np.concatenate([one.classify(rows[i : i + 1]) for i in range(len(rows))])
        np.testing.assert_array_equal(alone, whole)
        # Before they are rounded to float32, which would hide most of what a matrix product does.
        scores = one.scores(rows)
        np.testing.assert_array_equal(np.hstack([one.scores(rows[i : i + 1]) for i in range(len(rows))]), scores)
        for size in (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 257):
            for start in (0, 1, 5):
                part_of_it = slice(start, start + size)
                np.testing.assert_array_equal(one.classify(rows[part_of_it]), whole[part_of_it])
                np.testing.assert_array_equal(one.scores(rows[part_of_it]), scores[:, part_of_it])
        np.testing.assert_array_equal(one.classify(np.asfortranarray(rows)), whole)
        np.testing.assert_array_equal(one.classify(rows[::3]), whole[::3])

    def test_bar_by_bar_is_the_whole_history(self) -> None:
        features = world().features
        whole = fitted().predict_proba(features)
        assert whole.dtype == np.float32
        for t in (0, 17, T - 1):
            np.testing.assert_array_equal(fitted().predict_proba(features.rows(t, t + 1))[0], whole[t])

    def test_saved_twice_is_the_same_file_and_says_the_same(self, tmp_path: Path) -> None:
        fitted().save(tmp_path)
        loaded = FittedLinear.load(tmp_path)
        assert loaded.map.payload() == fitted().map.payload() == (tmp_path / MODEL_FILE).read_bytes()
        np.testing.assert_array_equal(loaded.predict_proba(world().features), fitted().predict_proba(world().features))
        assert json.loads((tmp_path / CARD_FILE).read_text())["library"].startswith("scikit-learn ")


class TestFiles:
    def test_the_map_of_another_fit_is_refused(self, tmp_path: Path) -> None:
        """By its hash, and by golden predictions if somebody gave the card the hash that fits."""
        fitted().save(tmp_path / "one")
        fit(penalty=2.0).save(tmp_path / "two")
        (tmp_path / "one" / MODEL_FILE).write_bytes((tmp_path / "two" / MODEL_FILE).read_bytes())
        with pytest.raises(ArtifactError, match="sha256"):
            FittedLinear.load(tmp_path / "one")
        forge_card(tmp_path / "one")
        with pytest.raises(ArtifactError, match="golden"):
            FittedLinear.load(tmp_path / "one")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("scale", None), ("scale", "x"), ("scale", -1.0), ("scale", 0.0), ("scale", float("inf")), ("clip", 0.0),
            ("mean", [0.0]), ("mean", 3.0), ("mean", [float("nan")] * F), ("deviation", [0.0] * F),
            ("intercepts", [0.0, 0.0]), ("coefficients", [[0.0, 0.0]] * F), ("coefficients", [[0.0] * 3] * (F - 1)),
            ("coefficients", 1.0), ("coefficients", [[0.0], [0.0, 1.0]]), ("coefficients", ...),
        ],
    )  # fmt: skip
    def test_a_map_that_is_none_is_refused_though_its_hashes_fit(self, tmp_path: Path, name: str, value: Any) -> None:
        fitted().save(tmp_path)
        content = json.loads((tmp_path / MODEL_FILE).read_text())
        content[name] = value
        if value is ...:
            del content[name]
        (tmp_path / MODEL_FILE).write_text(json.dumps(content))
        forge_card(tmp_path)
        with pytest.raises(ArtifactError, match="a model of scikit-learn"):
            FittedLinear.load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"null", b"[]", b"3", b"\xff\xfe", b"{", b"[" * 100_000])
    def test_another_format_is_refused(self, tmp_path: Path, content: bytes) -> None:
        fitted().save(tmp_path)
        (tmp_path / MODEL_FILE).write_bytes(content)
        forge_card(tmp_path)
        with pytest.raises(ArtifactError, match="a model of scikit-learn"):
            FittedLinear.load(tmp_path)


def forge_card(folder: Path) -> None:
    """Give the card the hash of whatever map lies beside it."""
    card = json.loads((folder / CARD_FILE).read_text())
    del card["card_sha256"]
    card["sha256"] = sha256_file(folder / MODEL_FILE)
    write_json(folder / CARD_FILE, {**card, "card_sha256": fingerprint(card)})
