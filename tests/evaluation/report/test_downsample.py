"""Reduction of long series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.evaluation.report.downsample import MAX_POINTS, extreme_rows


@given(st.integers(0, 3_000), st.integers(2, 50), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_few_rows_in_order_with_every_extreme(n: int, half: int, seed: int):
    values = np.random.default_rng(seed).normal(size=n).cumsum()
    rows = extreme_rows(values, 2 * half)
    assert len(rows) <= 2 * half
    assert np.all(np.diff(rows) > 0)
    if n:
        assert values[rows].max() == values.max()
        assert values[rows].min() == values.min()
        assert {0, n - 1} <= set(rows.tolist())


def test_a_single_spike_survives():
    values = np.zeros(26_208)
    values[17_003] = 1.0
    assert 17_003 in extreme_rows(values)
    assert len(extreme_rows(values)) <= MAX_POINTS == 2_000


@pytest.mark.parametrize("n", [10, 10_000])
def test_what_is_not_finite_is_left_out(n):
    values = np.arange(float(n))
    values[::3] = np.nan
    rows = extreme_rows(values)
    assert np.all(np.isfinite(values[rows]))
    assert len(extreme_rows(np.full(n, np.nan))) == 0
