"""Any market that the quality gate lets through: finite in every ready row, in range, and a pure function of the past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.soundness import LARGEST, SMALLEST
from quantlab.features import NAMES, WARMUP, compute
from quantlab.features.catalogue import CATALOGUE

INTERVAL = 300_000
BARS = WARMUP + 350
LOW = np.array([spec.low for spec in CATALOGUE], dtype=np.float32)
HIGH = np.array([spec.high for spec in CATALOGUE], dtype=np.float32)
ROWS = st.integers(0, BARS - 1)


@st.composite
def markets(draw) -> tuple[np.ndarray, int]:
    """One symbol (T, 1, 5) with a few troubles, and the row after which it has no hole."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = rng.standard_t(3, BARS) * draw(st.sampled_from([0.0, 1e-9, 1e-4, 2e-3, 0.02]))
    steps[rng.random(BARS) < draw(st.sampled_from([0.0, 0.5, 0.98]))] = 0.0
    for row in draw(st.lists(ROWS, max_size=3)):  # jumps of up to ten times, up or down
        steps[row] += draw(st.floats(-2.303, 2.303))
    price = 10.0 ** draw(st.floats(-8, 6))
    close = price * np.exp(np.cumsum(steps).clip(-9, 9))
    if draw(st.booleans()):  # on a coarse tick
        tick = price * 0.01
        close = np.maximum(np.round(close / tick), 1.0) * tick
    open_ = np.concatenate([close[:1], close[:-1]])
    reach = rng.exponential(draw(st.sampled_from([0.0, 1e-4, 1e-2])), (2, BARS))
    high, low = np.maximum(open_, close) * (1 + reach[0]), np.minimum(open_, close) / (1 + reach[1])
    volume = rng.lognormal(0, 2, BARS) * 10.0 ** draw(st.integers(-6, 6))
    volume[rng.random(BARS) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0.0
    for row in draw(st.lists(ROWS, max_size=2)):
        volume[row] = 1e12
    start = draw(ROWS)
    if draw(st.booleans()):  # from here on dead
        for column in (open_, high, low, close):
            column[start:] = close[start - 1] if start else close[0]
        volume[start:] = 0.0
    bars = np.stack([open_, high, low, close, volume], axis=-1)[:, np.newaxis].copy()
    hole_end = 0
    for row in draw(st.lists(st.integers(0, 200), max_size=2)):  # holes, and late listings, before the warm-up
        length = draw(st.integers(1, 30))
        bars[row : row + length] = np.nan
        hole_end = max(hole_end, row + length)
    return bars, hole_end


@given(markets())
@settings(max_examples=150, deadline=None)
def test_ready_rows_are_finite_and_in_range(market):
    bars, hole_end = market
    times = INTERVAL * np.arange(BARS, dtype=np.int64)
    values = compute(bars, times, INTERVAL, threads=1)[:, 0]
    ready = np.isfinite(values).all(axis=1)
    assert ready[hole_end + WARMUP - 1 :].all(), [NAMES[i] for i in np.nonzero(~np.isfinite(values[-1]))[0]]
    assert np.isnan(values[: hole_end + WARMUP - 1]).all()
    out = (values[ready] < LOW) | (values[ready] > HIGH)
    assert not out.any(), [NAMES[i] for i in np.unique(np.nonzero(out)[1])]


@given(markets(), st.integers(WARMUP, BARS - 1), st.integers(-20, 20), st.integers(-30, 30))
@settings(max_examples=60, deadline=None)
def test_the_future_and_the_units_do_not_show(market, now, price, volume):
    bars, _ = market
    times = INTERVAL * np.arange(BARS, dtype=np.int64)
    values = compute(bars, times, INTERVAL, threads=1)
    assert compute(bars[:now].copy(), times[:now], INTERVAL, threads=1).tobytes() == values[:now].tobytes()
    scaled = bars * np.array([2.0**price] * 4 + [2.0**volume])
    assert compute(scaled, times, INTERVAL, threads=1).tobytes() == values.tobytes()


@pytest.mark.parametrize("volume", [0.0, 3.0])
def test_thirty_thousand_flat_bars_stay_neutral(volume):
    bars = np.tile([0.017, 0.017, 0.017, 0.017, volume], (30_000, 1, 1))
    bars[:2_000, 0, :4] *= np.exp(np.cumsum(np.random.default_rng(0).normal(0, 1e-3, 2_000)))[:, np.newaxis]
    values = compute(bars, INTERVAL * np.arange(30_000), INTERVAL, dtype=np.float64)[4_000:, 0]
    moving = {"rel_volume_20"} if volume else set()
    neutral = np.array([spec.neutral for spec in CATALOGUE])
    columns = [i for i, name in enumerate(NAMES) if name not in moving]
    np.testing.assert_allclose(values[:, columns], np.tile(neutral[columns], (len(values), 1)), rtol=0, atol=1e-12)
    assert (np.abs(values[values != 0.0]) > 1e-300).all()  # nothing decays into subnormal numbers


@pytest.mark.parametrize("length", range(1, 31))
def test_a_hole_of_any_length_starts_the_warm_up_again_and_leaves_no_trace(length, world, grid):
    bars = world(31, 2 * WARMUP + 60, 2).copy()
    whole = compute(bars, grid(len(bars)), INTERVAL)
    bars[WARMUP : WARMUP + length, 0] = np.nan
    holed = compute(bars, grid(len(bars)), INTERVAL)
    again = WARMUP + length + WARMUP - 1
    assert np.isnan(holed[WARMUP:again, 0]).all()
    assert holed[again:, 0].tobytes() == whole[again:, 0].tobytes()
    assert holed[:, 1].tobytes() == whole[:, 1].tobytes()


@pytest.mark.parametrize(("price", "volume"), [(SMALLEST * 4, 0.0), (LARGEST / 4, LARGEST / 4), (1.0, SMALLEST)])
def test_the_ends_of_what_a_bar_may_be(price, volume, world, grid):
    bars = world(32, BARS, 1).copy()
    bars[:, :, :4] *= price / bars[:, :, :4].min() if price < 1 else price / bars[:, :, :4].max()
    bars[:, :, 4] = volume
    values = compute(bars, grid(BARS), INTERVAL)[WARMUP - 1 :]
    assert np.isfinite(values).all()
