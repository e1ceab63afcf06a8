"""One definition of a sound bar and of a sound funding rate, against definitions written without it."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from quantlab.core.compiled import compiled
from quantlab.core.errors import DataError
from quantlab.core.market import Bars, Funding, Instrument
from quantlab.core.soundness import (
    LARGEST,
    NOT_FINITE,
    ORDER,
    PRICE,
    SIZE,
    SMALLEST,
    VOLUME,
    is_sound_rate,
    refuse_rates,
)
from quantlab.data.quality.bar_checks import bar_codes, check_rows, fault_in_bar
from quantlab.data.quality.coverage import coverage
from quantlab.data.quality.gate import QualityGate
from quantlab.data.quality.live_suspects import LiveSuspects
from quantlab.data.series.alignment import align_bars, common_interval
from quantlab.features import compute
from quantlab.features.kernels.loops import MALFORMED, SOUND, judge

NAN, INF = math.nan, math.inf
VALUES = (NAN, INF, -INF, 0.0, -1.0, 5e-324, 1e-101, 1e-100, 1.0, 2.0, 1e100, 1e101)
STEP_MS = 300_000
RULES = Instrument(0.0, 0.0, 0.0, 0.005, 0.0, 0.0)


@pytest.fixture(scope="module")
def grid() -> np.ndarray:
    """float64 (12**5, 5): every combination of the values."""
    return np.array(list(itertools.product(VALUES, repeat=5)))


@compiled
def _judged(ohlcv, out):  # type: ignore[no-untyped-def]
    for i in range(ohlcv.shape[0]):
        out[i] = judge(ohlcv[i, 0], ohlcv[i, 1], ohlcv[i, 2], ohlcv[i, 3], ohlcv[i, 4])


def _sound(grid: np.ndarray) -> np.ndarray:
    """The page's definition, written once more in numpy."""
    o, h, lo, c, v = grid.T
    prices = grid[:, :4]
    in_range = (prices >= 1e-100).all(axis=1) & (prices <= 1e100).all(axis=1)
    enclosed = (h >= o) & (h >= c) & (lo <= o) & (lo <= c)
    return in_range & enclosed & ((v == 0.0) | ((v >= 1e-100) & (v <= 1e100)))


def test_checks_and_kernels_know_the_same_sound_bars(grid: np.ndarray) -> None:
    """248,832 bars; a check that accepted what a kernel refuses would end a session at every start."""
    expected = _sound(grid)
    assert 0 < expected.sum() < len(grid)
    np.testing.assert_array_equal(bar_codes(grid) == 0, expected)
    verdicts = np.empty(len(grid), dtype=np.int64)
    _judged(grid, verdicts)
    np.testing.assert_array_equal(verdicts == SOUND, expected)
    np.testing.assert_array_equal(verdicts == MALFORMED, ~expected & ~np.isnan(grid).all(axis=1))


def test_fault_bits_say_which_part_of_the_definition_fails(grid: np.ndarray) -> None:
    codes = bar_codes(grid)
    finite = np.isfinite(grid).all(axis=1)
    np.testing.assert_array_equal(codes == NOT_FINITE, ~finite)
    o, h, lo, c, v = grid[finite].T
    smallest, largest, found = (
        np.minimum(np.minimum(o, h), np.minimum(lo, c)),
        grid[finite, :4].max(axis=1),
        codes[finite],
    )
    np.testing.assert_array_equal((found & PRICE) != 0, smallest <= 0)
    np.testing.assert_array_equal((found & VOLUME) != 0, v < 0)
    np.testing.assert_array_equal((found & ORDER) != 0, (h < np.maximum(o, c)) | (lo > np.minimum(o, c)))
    small = ((smallest > 0) & (smallest < SMALLEST)) | ((v > 0) & (v < SMALLEST))
    np.testing.assert_array_equal((found & SIZE) != 0, small | (largest > LARGEST) | (v > LARGEST))


@pytest.mark.parametrize(
    "bar", [(1e101,) * 4 + (1.0,), (1.0, 1.0, 1.0, 1.0, 1e101), (1e-101,) * 4 + (1.0,), (1.0, 1.0, 1.0, 1.0, 1e-310)]
)
def test_what_a_kernel_would_refuse_no_check_lets_through(bar: tuple[float, ...]) -> None:
    """A price of 1e101 passed the checks once, and the features refused it in the middle of a session."""
    row = np.array(bar)
    with pytest.raises(DataError, match="between 1e-100 and 1e"):
        check_rows(row[None], np.array([0]), "a file")
    assert "1e-100" in fault_in_bar(row)
    gate = QualityGate(("A",), (RULES,), STEP_MS)
    with pytest.raises(DataError, match="sound bar of A"):
        gate.run(gate.begin(), row[None, None], np.array([0], dtype=np.int64))
    with pytest.raises(DataError, match="1e-100 <= low"):
        compute(row[None, None], np.array([0], dtype=np.int64), STEP_MS)


def _extreme_bars() -> Bars:
    """A price and a volume that jump from bound to bound and back, beside a symbol that pauses."""
    raw = np.empty((64, 2, 5))
    for t in range(64):
        raw[t, 0] = (1e-100, 1e-100, 1e-100, 1e-100, 1e-100) if t != 40 else (1e-100, 1e100, 1e-100, 1e100, 1e100)
        raw[t, 1] = (1e100, 1e100, 1e100, 1e100, 0.0) if t % 3 else NAN
    gate = QualityGate(("A", "B"), (RULES, RULES), STEP_MS)
    funding = Funding(np.array([0], dtype=np.int64), np.array([[0.05, NAN]]))
    return gate.run(gate.begin(), raw, STEP_MS * np.arange(64, dtype=np.int64), funding)[1]


def test_accepted_prices_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bars = _extreme_bars()
        assert {suspect.kind for suspect in coverage(bars).suspects} >= {"spike", "volume"}
        watch = LiveSuspects(bars.symbols)
        found = [suspect for t in range(bars.n_bars) for suspect in watch.update(bars.rows(t, t + 1))]
        assert {suspect.kind for suspect in found} >= {"jump", "spike", "volume"}
        series = {"A": (bars.open_time_ms, bars.ohlcv[:, 0])}
        align_bars(series, common_interval(series))
        assert np.isnan(compute(bars.ohlcv, bars.open_time_ms, STEP_MS)).all()


@pytest.mark.parametrize(
    ("rate", "sound"),
    [
        (0.05, True),
        (-0.05, True),
        (0.0, True),
        (0.0501, False),
        (-1000.0, False),
        (INF, False),
        (-INF, False),
        (NAN, False),
    ],
)
def test_a_rate_is_sound_up_to_the_cap(rate: float, sound: bool) -> None:
    assert bool(is_sound_rate(np.array([rate]), 0.05)[0]) is sound


def test_refused_rates_are_missing_and_counted() -> None:
    funding = Funding(np.array([0, 3_600_000]), np.array([[1e-4, -1000.0], [INF, NAN]]))
    cleaned, refused = refuse_rates(funding, 0.05)
    assert refused == 2
    np.testing.assert_array_equal(cleaned.rate, [[1e-4, NAN], [NAN, NAN]])
    assert refuse_rates(cleaned, 0.05) == (cleaned, 0)
