"""Common checks: every feature of the catalogue, every check."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.features import GROUPS, NAMES, WARMUP, compute
from quantlab.features.catalogue import CATALOGUE

INTERVAL = 300_000
BARS = 2_000
SPECS = {spec.name: spec for spec in CATALOGUE}
EVERY = pytest.mark.parametrize("name", NAMES)
ORDER = [
    "ret_1",
    "hl_range",
    "drawdown_288",
    "upper_wick",
    "lower_wick",
    "vwap_dist_288",
    "rsi_14",
    "macd_atr",
    "macd_hist_atr",
    "stoch_k_14",
    "stoch_d_3",
    "mom_z_12",
    "mom_z_48",
    "ema_dist_atr_9",
    "ema_dist_atr_21",
    "ema_dist_atr_50",
    "sma_dist_atr_200",
    "adx_14",
    "plus_di_14",
    "minus_di_14",
    "aroon_osc_25",
    "linreg_slope_z_20",
    "linreg_r2_20",
    "efficiency_20",
    "mom_z_288",
    "donchian_pos_55",
    "natr_14",
    "bb_width_20",
    "bb_pos_20",
    "yang_zhang_24",
    "rv_288",
    "vol_ratio_24_288",
    "parkinson_share_48",
    "downside_share_48",
    "rel_volume_20",
    "volume_trend_24_288",
    "obv_20",
    "cmf_20",
    "mfi_14",
    "doji",
    "pin_bar",
    "engulfing",
    "inside_outside",
    "streak",
    "clv",
    "amihud_share_24_288",
    "autocorr_48",
    "corwin_schultz_24",
    "bvc_imbalance_48",
]


@pytest.fixture(scope="module")
def wild(world):
    """Eight symbols of ticks, calm, jumps and bars without volume."""
    return world(11, BARS, 8)


@pytest.fixture(scope="module")
def features(wild, grid):
    return compute(wild, grid(BARS), INTERVAL, dtype=np.float64)


@pytest.fixture(scope="module")
def dead(grid):
    """A market where nothing moves and nothing trades."""
    bars = np.tile([7.3, 7.3, 7.3, 7.3, 0.0], (BARS, 1, 1))
    return compute(bars, grid(BARS), INTERVAL, dtype=np.float64)[WARMUP:, 0]


@pytest.fixture(scope="module")
def two_futures(wild, grid):
    """The features of two histories that part after row 1,800."""
    other = wild.copy()
    other[1_801:] = other[1_801:, ::-1] * [3.0, 3.0, 3.0, 3.0, 9.0]
    return tuple(compute(bars, grid(BARS), INTERVAL) for bars in (wild, other))


def test_names_and_order_are_the_agreed_ones():
    assert tuple(ORDER) == NAMES
    assert [len(names) for names in GROUPS.values()] == [6, 7, 13, 8, 5, 5, 5]
    assert tuple(GROUPS) == ("price", "momentum", "trend", "volatility", "volume", "patterns", "microstructure")
    assert tuple(name for names in GROUPS.values() for name in names) == NAMES


@EVERY
def test_spec_is_complete(name):
    spec = SPECS[name]
    assert spec.low <= spec.neutral <= spec.high
    assert spec.formula
    assert spec.windows
    assert all(1 <= n <= 288 for n in spec.windows)
    assert spec.version >= 1


@EVERY
def test_stays_in_its_range(name, features):
    spec, values = SPECS[name], features[WARMUP - 1 :, :, NAMES.index(name)]
    assert np.isfinite(values).all()
    assert values.min() >= spec.low
    assert values.max() <= spec.high


@EVERY
def test_varies(name, features):
    assert len(np.unique(features[WARMUP - 1 :, :, NAMES.index(name)])) > 1


@EVERY
def test_is_neutral_in_a_dead_market(name, dead):
    spec, values = SPECS[name], dead[:, NAMES.index(name)]
    assert (values == spec.neutral).all()


@EVERY
def test_is_not_ready_before_the_warm_up(name, features):
    column = features[:, :, NAMES.index(name)]
    assert np.isnan(column[: WARMUP - 1]).all()
    assert np.isfinite(column[WARMUP - 1 :]).all()


@EVERY
def test_reads_the_past_only(name, two_futures):
    one, other = (values[:, :, NAMES.index(name)] for values in two_futures)
    assert one[:1_801].tobytes() == other[:1_801].tobytes()


def test_the_other_future_is_another(two_futures):
    one, other = two_futures
    assert all((one[1_801:, :, i] != other[1_801:, :, i]).any() for i in range(len(NAMES)))


@pytest.mark.parametrize("name", ["doji", "engulfing", "inside_outside"])
def test_patterns_are_whole_numbers(name, features):
    values = features[WARMUP - 1 :, :, NAMES.index(name)]
    assert set(np.unique(values)) <= {-1.0, 0.0, 1.0}
