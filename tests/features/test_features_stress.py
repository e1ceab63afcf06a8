"""Markets that break indicators: dead, silent, bursting, gapping, holed, tiny, huge."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.features import NAMES, WARMUP, compute
from quantlab.features.catalogue import CATALOGUE

INTERVAL = 300_000
BARS = 3_600
LOW = np.array([spec.low for spec in CATALOGUE])
HIGH = np.array([spec.high for spec in CATALOGUE])


def flat_after_noise(bars):
    bars[1_000:] = bars[999, :, 3][None, :, None] * np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    return bars


def silent(bars):
    bars[:, :, 4] = 0.0
    return bars


def burst(bars):
    bars[1_700, :, 4] *= 1e12
    return bars


def crash_and_back(bars):
    bars[1_800:1_900, :, :4] *= 1e-3
    return bars


def price_burst(bars):
    bars[1_800, :, 1] *= 1e6
    return bars


def tiny_prices(bars):
    bars[:, :, :4] *= 1e-12
    return bars


def huge_everything(bars):
    bars *= 1e12
    return bars


def one_tick_ladder(bars):
    bars[:, :, :4] = (100.0 + np.arange(len(bars)))[:, None, None]
    return bars


def dead_with_one_trade(bars):
    bars[:, :, :4] = 5.0
    bars[:, :, 4] = 0.0
    bars[2_000, :, 4] = 1e-9
    return bars


WORLDS = (
    flat_after_noise,
    silent,
    burst,
    crash_and_back,
    price_burst,
    tiny_prices,
    huge_everything,
    one_tick_ladder,
    dead_with_one_trade,
)


@pytest.mark.parametrize("disaster", WORLDS, ids=lambda f: f.__name__)
def test_ready_values_are_finite_and_in_range(disaster, world, grid):
    bars = disaster(world(21, BARS, 3).copy())
    values = compute(bars, grid(BARS), INTERVAL)[WARMUP - 1 :]
    assert np.isfinite(values).all(), [NAMES[i] for i in np.unique(np.nonzero(~np.isfinite(values))[2])]
    out = (values < LOW.astype(np.float32)) | (values > HIGH.astype(np.float32))
    assert not out.any(), [NAMES[i] for i in np.unique(np.nonzero(out)[2])]


def test_a_volume_burst_leaves_no_trace(world, grid):
    calm = world(22, BARS, 2)
    burst_bars = burst(calm.copy())
    one, other = (compute(bars, grid(BARS), INTERVAL, dtype=np.float64) for bars in (calm, burst_bars))
    window = max(max(spec.windows) for spec in CATALOGUE)
    assert one[1_700 + window :].tobytes() == other[1_700 + window :].tobytes()
    assert one[1_700].tobytes() != other[1_700].tobytes()


def test_a_price_spike_leaves_no_trace_after_the_warm_up(world, grid):
    calm = world(23, BARS, 2)
    spike = calm.copy()
    spike[1_700, :, 1] *= 1e3
    one, other = (compute(bars, grid(BARS), INTERVAL, dtype=np.float64) for bars in (calm, spike))
    assert one[1_700 + WARMUP :].tobytes() == other[1_700 + WARMUP :].tobytes()


def test_a_flat_market_is_exactly_neutral_once_everything_has_decayed(world, grid):
    bars = flat_after_noise(world(24, BARS, 3).copy())
    values = compute(bars, grid(BARS), INTERVAL, dtype=np.float64)[-1]
    neutral = np.array([spec.neutral for spec in CATALOGUE])
    np.testing.assert_allclose(values, np.tile(neutral, (3, 1)), rtol=0, atol=1e-14)


def test_a_hole_resets_its_own_symbol_only(world, grid):
    bars = world(25, BARS, 3).copy()
    whole = compute(bars, grid(BARS), INTERVAL)
    bars[2_000:2_010, 1] = np.nan
    holed = compute(bars, grid(BARS), INTERVAL)
    assert holed[:, [0, 2]].tobytes() == whole[:, [0, 2]].tobytes()
    assert holed[:2_000].tobytes() == whole[:2_000].tobytes()
    assert np.isnan(holed[2_000 : 2_010 + WARMUP - 1, 1]).all()
    assert holed[2_010 + WARMUP - 1 :, 1].tobytes() == whole[2_010 + WARMUP - 1 :, 1].tobytes()


def test_hand_computed_bars(grid):
    """The last bars of a quiet market, small enough to compute by hand."""
    bars = np.tile([100.0, 100.0, 100.0, 100.0, 10.0], (2_000, 1, 1))
    bars[-2, 0] = [100.0, 101.0, 98.0, 99.0, 30.0]
    bars[-1, 0] = [98.0, 104.0, 97.0, 102.0, 50.0]
    last = dict(zip(NAMES, compute(bars, grid(2_000), INTERVAL, dtype=np.float64)[-1, 0], strict=True))
    expected = {
        "ret_1": np.log(102 / 99),
        "hl_range": np.log(104 / 97),
        "drawdown_288": np.log(102 / 104),
        "upper_wick": np.log(104 / 102),
        "lower_wick": np.log(98 / 97),
        "stoch_k_14": 5 / 7,
        "stoch_d_3": (0.5 + 1 / 3 + 5 / 7) / 3,
        "rsi_14": 3 / (3 + 13 / 14),
        "natr_14": (3 / 14 * 13 / 14 + 7 / 14) / 102,
        "aroon_osc_25": 0.0,
        "efficiency_20": 2 / 4,
        "obv_20": (50 - 30) / 260,
        "rel_volume_20": np.log(1 + 50 * 20 / 260),
        "doji": 0.0,
        "pin_bar": (1 - 2) / 7,
        "engulfing": 1.0,
        "inside_outside": 1.0,
        "streak": 0.1,
        "clv": 3 / 7,
    }
    assert {name: last[name] for name in expected} == pytest.approx(expected, rel=1e-12)
