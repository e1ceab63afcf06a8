"""The sliding aggregates against brute force, for every phase of their blocks."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.features.kernels.recursions import follow
from quantlab.features.kernels.windows import (
    latest_max_window,
    max_window,
    phase,
    slide_latest_max,
    slide_max,
    slide_sum,
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
    got_sum, got_top = np.empty((2, *values.shape))
    for t, value in enumerate(values):
        p = (start + t) % bars
        assert phase.py_func(start + t, bars) == p
        slide_sum(sums, p, tuple(value))
        slide_max(tops, p, tuple(value))
        got_sum[t], got_top[t] = sums["total"], tops["top"]
    np.testing.assert_array_equal(got_sum[bars - 1 :], windows(values, bars).sum(axis=-1))
    np.testing.assert_array_equal(got_top[bars - 1 :], windows(values, bars).max(axis=-1))


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("bars", BARS)
def test_of_equal_maxima_the_latest_counts(bars, start):
    values = np.random.default_rng(bars).integers(0, 4, (150, 1)).astype(float)  # many ties
    window = np.zeros(1, latest_max_window(bars, 1))[0]
    window["block"][:], window["prefix"][:] = -np.inf, -np.inf
    for t, value in enumerate(values):
        p = (start + t) % bars
        slide_latest_max(window, p, tuple(value), start + t)
        seen = values[max(0, t - bars + 1) : t + 1, 0]
        assert start + t - window["when"][0] == np.argmax(seen[::-1])


def test_averages_forget_their_start_and_never_stick_or_turn_subnormal():
    a, b = 0.1, 3e5
    for _ in range(2_000):
        a, b = follow(a, 77.7, 2 / 51, 1e-10), follow(b, 77.7, 2 / 51, 1e-10)
    assert a == b == 77.7
    for _ in range(2_000):
        a = follow(a, 0.0, 1 / 14, 1e-10)
    assert a == 0.0
