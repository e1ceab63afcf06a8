"""Windows and calibrator of the network members: numpy only, held against plain loops and other solvers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from quantlab.core.errors import ContractError, HistoryError
from quantlab.core.types import Dataset, Features
from quantlab.learning.models.quantiles import Calibrator, are_symmetric_levels, fit_calibrator, summary
from quantlab.learning.models.windows import (
    CLIP,
    Moments,
    ValidationSplit,
    WindowTable,
    complete_rows,
    known_rows,
    normalized_weights,
    targets,
)

T, S, L, H = 60, 3, 5, 4
BAR_MS = 300_000


@pytest.fixture
def dataset() -> Dataset:
    """Labels known after two bars, returns after four; a hole in symbol 1."""
    rng = np.random.default_rng(5)
    ready = np.ones((T, S), bool)
    ready[:3] = False
    ready[20:22, 1] = False
    values = rng.normal(size=(T, S, 3)).astype(np.float32)
    values[~ready] = np.nan
    open_time_ms = BAR_MS * np.arange(T, dtype=np.int64)
    return Dataset(
        features=Features(values, ready, ("a", "ret_1", "b"), "here"),
        label=np.where(ready, 1, -1).astype(np.int8),
        weight=np.where(ready, rng.uniform(0.1, 1.0, (T, S)), 0).astype(np.float32),
        known_at_ms=np.repeat(open_time_ms[:, None] + 3 * BAR_MS, S, axis=1),
        forward_returns=rng.normal(size=(T, S, H)).astype(np.float32),
        open_time_ms=open_time_ms,
        mask=ready,
    )


def masked(dataset: Dataset, start: int, stop: int) -> Dataset:
    mask = np.zeros_like(dataset.mask)
    mask[start:stop] = dataset.mask[start:stop]
    return dataset.with_mask(mask)


def table_of(features: Features, **moments: Any) -> WindowTable:
    moments = Moments(np.array([0.5, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    return WindowTable.of(features, ("ret_1", "a", "b"), moments, L)


def test_rows_are_complete_where_a_loop_finds_no_gap(dataset: Dataset) -> None:
    ready = dataset.features.ready
    found = complete_rows(ready, L)
    for t in range(T):
        for s in range(S):
            assert found[t, s] == (t >= L - 1 and ready[t - L + 1 : t + 1, s].all()), (t, s)
    assert not complete_rows(ready[: L - 1], L).any()
    np.testing.assert_array_equal(complete_rows(ready, 1), ready)


def test_windows_are_the_past_oldest_first_in_their_own_units(dataset: Dataset) -> None:
    index = np.flatnonzero(complete_rows(dataset.features.ready, L))
    batch = table_of(dataset.features).gather(index)
    for n, row in enumerate(index):
        t, s = divmod(int(row), S)
        window = dataset.features.values[t - L + 1 : t + 1, s]
        scale = np.sqrt(np.mean(window[:, 1].astype(np.float64) ** 2))
        np.testing.assert_allclose(batch.returns[n], window[:, 1] / scale, rtol=1e-6)
        np.testing.assert_allclose(batch.exogenous[n, :, 0], (window[:, 0] - 0.5) / 2.0, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(batch.exogenous[n, :, 1], window[:, 2])
    np.testing.assert_array_equal(table_of(dataset.features).scale(index), batch.scale)
    assert batch.returns.dtype == batch.exogenous.dtype == batch.scale.dtype == np.float32


def test_a_window_is_cut_from_one_array_of_a_few_columns(dataset: Dataset) -> None:
    """What a table holds grows with bars and symbols, not with the windows or the features."""
    table = table_of(dataset.features)
    assert table.returns.nbytes + table.exogenous.nbytes == 4 * 3 * T * S
    assert table.returns.flags.c_contiguous


def test_a_dead_window_stays_zero_and_extremes_are_cut(dataset: Dataset) -> None:
    values = dataset.features.values.copy()
    values[30:40, 0, 1] = 0.0
    values[45, 0, 0] = 1e6
    features = dataclasses.replace(dataset.features, values=values)
    batch = table_of(features).gather(np.array([39 * S, 45 * S]))
    assert (batch.returns[0] == 0.0).all()
    assert batch.scale[0] == 1.0
    assert batch.exogenous[1, -1, 0] == CLIP
    tiny = np.full(1, 1e-9, np.float32)
    assert np.abs(targets(dataset, np.array([39 * S]), tiny)).max() == CLIP


def test_moments_are_those_of_the_given_rows_only(dataset: Dataset) -> None:
    index = np.flatnonzero(masked(dataset, 10, 30).mask)
    found = Moments.of(dataset.features, ("a", "b"), index)
    values = dataset.features.values[10:30][dataset.mask[10:30]].astype(np.float64)
    np.testing.assert_allclose(found.mean, values[:, [0, 2]].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation, values[:, [0, 2]].std(axis=0), rtol=1e-5)
    still = dataclasses.replace(dataset.features, values=np.full_like(dataset.features.values, 3.0))
    assert (Moments.of(still, ("a",), index).deviation == 1.0).all()
    with pytest.raises(ContractError, match="ret_9"):
        Moments.of(dataset.features, ("ret_9",), index)


def test_returns_must_be_known_when_the_part_ends(dataset: Dataset) -> None:
    """The last label of rows 10..39 is known at the close of bar 41; row 37's returns end there, row 38's later."""
    rows = known_rows(masked(dataset, 10, 40), L)
    assert rows.max() // S == 37
    # Row by row: the close of bar t + H, which is when the last forward return is known.
    assert (dataset.open_time_ms[rows // S + H] + BAR_MS).max() == dataset.known_at_ms[39, 0]
    earlier = known_rows(masked(dataset, 10, 40), L, deadline_ms=int(dataset.open_time_ms[30]))
    assert earlier.max() // S == 30 - H - 1
    assert set(rows[rows % S == 1] // S) == {*range(10, 20), *range(26, 38)}  # five ready bars after the hole
    beyond = dataset.forward_returns.copy()
    beyond[15, 0, -1] = np.nan
    assert 15 * S not in known_rows(dataclasses.replace(masked(dataset, 10, 40), forward_returns=beyond), L)
    assert len(known_rows(masked(dataset, 0, 0), L)) == 0


def test_validation_rows_are_used_once_each_and_purged(dataset: Dataset) -> None:
    valid = masked(dataset, 24, 44)
    validation = ValidationSplit.of(valid, L, 0.5)
    stopping, calibrating = validation.stopping // S, validation.calibrating // S
    assert (calibrating.min(), calibrating.max()) == (34, 43)
    assert stopping.max() + H < calibrating.min()
    assert stopping.min() == 24
    assert not set(validation.stopping) & set(validation.calibrating)
    assert ValidationSplit.of(valid, L, 0.2).calibrating.min() // S == 40
    with pytest.raises(HistoryError, match="rows to stop early on"):
        ValidationSplit.of(masked(dataset, 24, 28), L, 0.5)
    with pytest.raises(HistoryError, match="rows to stop early on"):
        ValidationSplit.of(masked(dataset, 0, 0), L, 0.5)


def test_weights_average_to_one(dataset: Dataset) -> None:
    index = np.array([30, 31, 32])
    found = normalized_weights(dataset, index)
    assert found.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(found[0] / found[1], dataset.weight.reshape(-1)[30] / dataset.weight.reshape(-1)[31])


def test_a_summary_says_where_how_wide_and_which_way() -> None:
    steady = np.tile(np.array([-1.0, 0.0, 3.0], np.float32), (1, 2, 1))
    np.testing.assert_allclose(summary(steady), [[2.0 / 3.0, np.log(4.0), 0.5]], rtol=1e-12)
    crossed = steady[:, :, ::-1]
    np.testing.assert_array_equal(summary(crossed), summary(steady))
    np.testing.assert_allclose(summary(-steady)[0, [0, 2]], -summary(steady)[0, [0, 2]], rtol=1e-12)
    assert np.isfinite(summary(np.zeros((1, 2, 3), np.float32))).all()


def regression(n: int = 3_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(n, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, -2.0]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    odds = np.stack([-z[:, 0] + 0.3, 0.5 * z[:, 1], z[:, 0] - 0.4 * z[:, 2]], axis=1)
    proba = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    label = (rng.random((n, 1)) > proba.cumsum(axis=1)[:, :2]).sum(axis=1).astype(np.int8)
    weight = rng.uniform(0.2, 1.8, n)
    return x, label, weight / weight.mean()


def test_the_calibrator_is_the_multinomial_regression_of_others() -> None:
    x, label, weight = regression()
    ours = fit_calibrator(x, label, weight, 1e-10)
    z = np.clip((x - ours.mean) / ours.deviation, -4, 4)
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1_000).fit(z, label, sample_weight=weight)
    np.testing.assert_allclose(ours(x), theirs.predict_proba(z), atol=2e-5)


@pytest.mark.parametrize("seed", [1, 6, 15, 48])
def test_threads_change_no_bit_of_a_calibrator(seed: int) -> None:
    """Rows on which a search that threads share ended elsewhere."""
    rng, n = np.random.default_rng(seed), 40_000 if seed == 1 else 13_000
    x = rng.normal(size=(n, 3))
    x[:, 1] = np.abs(x[:, 1])
    label = rng.integers(0, 3, n).astype(np.int8)
    weight = rng.random(n)
    x[:, 0] += 0.3 * (label - 1.0)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(fit_calibrator(x, label, weight / weight.mean(), 0.01).coefficients)
    np.testing.assert_array_equal(found[0], found[1])


def test_the_calibrator_pays_for_its_slopes() -> None:
    """At its answer the penalised loss, written out here, is at its minimum."""
    x, label, weight = regression(400)
    ours = fit_calibrator(x, label, weight, 0.05)
    z = np.column_stack([np.ones(len(x)), np.clip((x - ours.mean) / ours.deviation, -4, 4)])

    def loss(flat: np.ndarray) -> float:
        b = flat.reshape(4, 2)
        odds = np.stack([z @ b[:, 0], np.zeros(len(z)), z @ b[:, 1]], axis=1)
        log_proba = odds - np.log(np.exp(odds).sum(axis=1, keepdims=True))
        fit = -np.average(log_proba[np.arange(len(z)), label], weights=weight)
        return float(fit + 0.05 * (b[1:] ** 2).sum() + 1e-6 * (b[0] ** 2).sum())

    best = minimize(loss, np.zeros(8), method="BFGS", options={"gtol": 1e-9}).x.reshape(4, 2)
    np.testing.assert_allclose(ours.coefficients, best, atol=1e-5)
    assert np.abs(ours.coefficients[1:]).sum() < np.abs(fit_calibrator(x, label, weight, 1e-9).coefficients[1:]).sum()


def test_the_calibrator_bears_a_missing_class_and_summaries_that_never_move() -> None:
    x, label, weight = regression(300)
    proba = fit_calibrator(x, np.where(label == 2, 1, label).astype(np.int8), weight, 0.01)(x)
    assert np.isfinite(proba).all()
    assert 0 < proba[:, 2].max() < 1e-3
    still = fit_calibrator(np.full_like(x, 7.0), label, weight, 0.01)(x[:1])
    shares = [weight[label == k].sum() / weight.sum() for k in range(3)]
    np.testing.assert_allclose(still[0], shares, atol=1e-4)


def test_a_calibrated_row_has_the_same_bits_in_any_company_and_far_away_it_is_cut() -> None:
    x, label, weight = regression(500)
    one = fit_calibrator(x, label, weight, 0.01)
    whole = one(x)
    for row in (0, 137, 499):
        np.testing.assert_array_equal(one(x[row : row + 1])[0], whole[row])
    far = one.mean + np.array([[4.0, 0, 0], [400.0, 0, 0]]) * one.deviation
    np.testing.assert_array_equal(one(far)[0], one(far)[1])
    np.testing.assert_allclose(whole.sum(axis=1, dtype=np.float64), 1.0, atol=3e-7)
    assert isinstance(one, Calibrator)


@pytest.mark.parametrize(
    ("levels", "good"),
    [
        ((0.1, 0.5, 0.9), True),
        ((0.1, 0.25, 0.5, 0.75, 0.9), True),
        ((0.5,), False),
        ((0.1, 0.9), False),
        ((0.1, 0.4, 0.6, 0.9), False),
        ((0.1, 0.5, 0.8), False),
        ((0.0, 0.5, 1.0), False),
        ((0.9, 0.5, 0.1), False),
        ((0.1, 0.5, 0.5, 0.5, 0.9), False),
        ((), False),
    ],
)
def test_levels_are_central_or_refused(levels: tuple[float, ...], good: bool) -> None:
    assert are_symmetric_levels(levels) == good
