"""The sliding aggregates against brute force, for every phase of their blocks."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.features.kernels.recursions import follow
from quantlab.features.kernels.windows import (
    latest_max_window,
    line_window,
    max_window,
    phase,
    slide_latest_max,
    slide_line,
    slide_max,
    slide_spread,
    slide_sum,
    spread_window,
    sum_window,
)

BARS = [1, 2, 3, 14, 26]


def windows(values: np.ndarray, bars: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(values, bars, axis=0)


@pytest.mark.parametrize("start", [0, 5, 1_000_003])
@pytest.mark.parametrize("bars", BARS)
def test_sums_and_maxima(bars, start):
    values = np.random.default_rng(bars).integers(-50, 50, (120, 2)).astype(float)  # integers: sums are exact
    sums, tops = np.zeros(1, sum_window(bars, 2))[0], np.zeros(1, max_window(bars, 2))[0]
    tops["block"][:], tops["prefix"][:] = -np.inf, -np.inf
    got_sum, got_top = np.empty((2, 2, len(values)))
    for t, value in enumerate(values):
        p = (start + t) % bars
        assert phase.py_func(start + t, bars) == p
        slide_sum(sums, p, tuple(value), got_sum, t)
        slide_max(tops, p, tuple(value), got_top, t)
    np.testing.assert_array_equal(got_sum.T[bars - 1 :], windows(values, bars).sum(axis=-1))
    np.testing.assert_array_equal(got_top.T[bars - 1 :], windows(values, bars).max(axis=-1))


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("bars", BARS)
def test_of_equal_maxima_the_latest_counts(bars, start):
    values = np.random.default_rng(bars).integers(0, 4, (150, 1)).astype(float)  # many ties
    window = np.zeros(1, latest_max_window(bars, 1))[0]
    window["block"][:], window["prefix"][:] = -np.inf, -np.inf
    when = np.empty((1, len(values)))
    for t, value in enumerate(values):
        p = (start + t) % bars
        slide_latest_max(window, p, tuple(value), start + t, when, t)
        seen = values[max(0, t - bars + 1) : t + 1, 0]
        assert start + t - when[0, t] == np.argmax(seen[::-1])


@pytest.mark.parametrize("start", [0, 7, 1_000_003])
@pytest.mark.parametrize("bars", [2, 3, 20, 24])
def test_spread_about_the_mean_keeps_its_digits_far_from_zero(bars, start):
    values = 1e6 + np.cumsum(np.random.default_rng(bars).normal(0.0, 1e-3, 200))
    values[60:90] = 3e-7  # a crash and back: what left the window leaves no trace
    window, spread = np.zeros(1, spread_window(bars))[0], np.empty((3, len(values)))
    for t, value in enumerate(values):
        slide_spread(window, (start + t) % bars, value, spread, t)
    rows = windows(values.astype(np.longdouble), bars)  # good to 1e-13 at this level
    now, first, second = spread[:, bars - 1 :]
    deviations = ((rows - rows.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    np.testing.assert_allclose(second - first**2 / bars, deviations.astype(float), rtol=1e-12, atol=1e-25)
    np.testing.assert_allclose(
        now - first / bars, (rows[:, -1] - rows.mean(axis=-1)).astype(float), rtol=1e-9, atol=1e-13
    )


@pytest.mark.parametrize("start", [0, 7, 1_000_003])
@pytest.mark.parametrize("bars", [2, 3, 20])
def test_line_through_levels_given_by_their_steps(bars, start):
    steps = np.random.default_rng(bars).normal(0.0, 1e-3, 200)
    steps[70], steps[80] = 9.0, -9.0
    window, line = np.zeros(1, line_window(bars))[0], np.empty((3, len(steps)))
    for t, step in enumerate(steps):
        slide_line(window, (start + t) % bars, step, line, t)
    rows = windows(np.cumsum(steps.astype(np.longdouble)), bars)
    centred = rows - rows.mean(axis=-1, keepdims=True)
    first, second, cross = line[:, bars - 1 :]
    x = np.arange(bars) - (bars - 1) / 2
    np.testing.assert_allclose(second - first**2 / bars, (centred**2).sum(axis=-1).astype(float), rtol=1e-11)
    np.testing.assert_allclose(cross, (centred * x).sum(axis=-1).astype(float), rtol=1e-9, atol=1e-12)


def test_averages_forget_their_start_and_never_stick_or_turn_subnormal():
    a, b = 0.1, 3e5
    for _ in range(2_000):
        a, b = follow(a, 77.7, 2 / 51, 1e-10), follow(b, 77.7, 2 / 51, 1e-10)
    assert a == b == 77.7
    for _ in range(2_000):
        a = follow(a, 0.0, 1 / 14, 1e-10)
    assert a == 0.0
