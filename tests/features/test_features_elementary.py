"""The kernel's own logarithm, exponential and error function against extended precision."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy.special import erf as scipy_erf

from quantlab.features.kernels.elementary import erf, exp_minus_1, log_ratio

ULP = 2.0**-52


@njit(error_model="numpy")
def each(f, x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = f(x[i])
    return out


@njit(error_model="numpy")
def log_ratios(a, b):
    out = np.empty_like(a)
    for i in range(len(a)):
        out[i] = log_ratio(a[i], b[i])
    return out


@pytest.mark.parametrize("spread", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 100.0])
def test_log_ratio_keeps_the_digits_of_small_and_of_large_returns(spread):
    rng = np.random.default_rng(1)
    b = np.exp(rng.normal(0.0, 30.0, 50_000))
    a = b * np.exp(rng.normal(0.0, spread, len(b)))
    wide = (a.astype(np.longdouble) - b) / b
    exact = np.log(a.astype(np.longdouble)) - np.log(b.astype(np.longdouble))
    expected = np.where(abs(wide) < 0.5, np.log1p(np.clip(wide, -0.5, 0.5)), exact)
    error = np.abs(log_ratios(a, b) - expected)
    # Where k ln 2 and the series nearly cancel (a quotient just off 1 with k = +-1) the larger is the measure.
    assert (error <= 3 * ULP * np.maximum(np.abs(expected), np.where(abs(wide) < 0.25, 0.0, 0.7))).all()


def test_log_ratio_of_equals_is_0_and_units_do_not_show():
    x = np.exp(np.random.default_rng(2).normal(0.0, 40.0, 1_000))
    y = x * np.exp(np.random.default_rng(3).normal(0.0, 0.5, len(x)))
    assert (log_ratios(x, x) == 0.0).all()
    for unit in (2.0**-60, 8.0, 2.0**90):
        assert log_ratios(x * unit, y * unit).tobytes() == log_ratios(x, y).tobytes()
    assert (log_ratios(x, y) == -log_ratios(y, x)).mean() > 0.9
    np.testing.assert_allclose(log_ratios(x, y), -log_ratios(y, x), rtol=4 * ULP)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 30.0])
def test_exp_minus_1(scale):
    x = np.random.default_rng(4).normal(0.0, scale, 50_000)
    expected = np.expm1(x.astype(np.longdouble))
    assert (np.abs(each(exp_minus_1, x) - expected) <= 3 * ULP * np.abs(expected)).all()


def test_erf_is_odd_bounded_and_right():
    x = np.concatenate([np.linspace(-20.0, 20.0, 80_001), np.linspace(-1.1, 1.1, 20_001), [1e-12, 6.0, 17.0]])
    got = each(erf, x)
    assert np.abs(got - scipy_erf(x)).max() <= 4e-16
    assert np.abs(got).max() == 1.0
    assert (each(erf, -x) == -got).all()
    assert each(erf, np.zeros(1))[0] == 0.0
