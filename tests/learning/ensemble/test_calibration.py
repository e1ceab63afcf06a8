from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits

from quantlab.core.errors import HistoryError
from quantlab.learning.ensemble.calibration import MIN_PROBABILITY, TEMPERATURE_RANGE, fit_temperature, log_losses


def _tempered(proba: np.ndarray, temperature: float) -> np.ndarray:
    powers = proba ** (1.0 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def _drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that were really drawn with them."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet((4.0, 5.0, 4.0), n)
    label = (rng.random(n)[:, None] > proba.cumsum(axis=1)).sum(axis=1).astype(np.int8)
    return proba, label


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    true, label = _drawn(0, 60_000)
    # If the forecast is the truth at 1 / T, then tempering by T gives the truth back.
    forecast = _tempered(true, 1.0 / temperature)
    found = fit_temperature(forecast, label, np.ones(len(label), dtype=np.float32))
    assert found == pytest.approx(temperature, rel=0.03)


def test_it_is_the_minimum_of_the_weighted_log_loss() -> None:
    true, label = _drawn(1, 2_000)
    forecast = _tempered(true, 0.6)
    weight = np.random.default_rng(2).random(len(label)).astype(np.float32)

    def loss(temperature: float) -> float:
        p = _tempered(forecast, temperature)[np.arange(len(label)), label]
        return float(np.average(-np.log(p), weights=weight))

    oracle = minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(forecast, label, weight) == pytest.approx(oracle.x, abs=1e-5)


def test_weights_count_rows() -> None:
    forecast, label = _drawn(3, 500)
    twice = np.concatenate([forecast, forecast[:100]]), np.concatenate([label, label[:100]])
    weight = np.ones(500, dtype=np.float32)
    weight[:100] = 2.0
    assert fit_temperature(forecast, label, weight) == pytest.approx(
        fit_temperature(*twice, np.ones(600, dtype=np.float32)), rel=1e-9
    )


def test_bounds_for_a_pool_that_knows_nothing_and_one_that_knows_all() -> None:
    proba = np.tile([0.6, 0.3, 0.1], (300, 1))
    ones = np.ones(300, dtype=np.float32)
    assert fit_temperature(proba, np.full(300, 2, dtype=np.int8), ones) == TEMPERATURE_RANGE[1]
    assert fit_temperature(proba, np.zeros(300, dtype=np.int8), ones) == TEMPERATURE_RANGE[0]


def test_certainty_is_no_trouble() -> None:
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.5, 0.3]])
    assert np.isfinite(fit_temperature(proba, np.array([0, 0, 1], dtype=np.int8), np.ones(3, dtype=np.float32)))
    losses = log_losses(proba, np.array([0, 0, 1], dtype=np.int8))
    np.testing.assert_allclose(losses, [0.0, -np.log(MIN_PROBABILITY), np.log(2.0)])


@pytest.mark.parametrize("seed", [14, 22])
def test_threads_change_no_bit(seed: int) -> None:
    """On rows where a dot product that threads share moves the result."""
    forecast, label = _drawn(seed, 30_000)
    weight = np.random.default_rng(seed).random(len(label)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(fit_temperature(_tempered(forecast, 1 / 1.7), label, weight))
    assert found[0] == found[1]


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_to_fit_on_is_refused(n: int) -> None:
    with pytest.raises(HistoryError, match="calibration rows"):
        fit_temperature(np.full((n, 3), 1 / 3), np.zeros(n, dtype=np.int8), np.zeros(n, dtype=np.float32))
