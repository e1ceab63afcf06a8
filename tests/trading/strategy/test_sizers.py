"""Sizers: their formulas by hand and against an independent optimum, and bounds that nothing breaks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from quantlab.core.errors import ConfigError
from quantlab.trading import (
    ConfidenceFraction,
    EnsembleThreshold,
    Entry,
    FixedFraction,
    KellyFraction,
    RiskPerTrade,
    VolatilityTarget,
)

NAN, INF = math.nan, math.inf
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]
USUAL = {
    "strength": 1.0,
    "confidence": 0.6,
    "atr": 0.5,
    "close": 100.0,
    "equity": 1e4,
    "stop_distance": 2.0,
    "take_distance": 3.0,
}
SIZERS = {
    "fixed": (FixedFraction(0.1), 0.1, ()),
    "confidence": (ConfidenceFraction(0.25), 0.25, ("confidence",)),
    "risk": (RiskPerTrade(0.01, 0.7), 0.7, ("stop_distance", "close")),
    "volatility": (VolatilityTarget(0.0006, 0.5), 0.5, ("atr", "close")),
    "kelly": (KellyFraction(0.25, 8.0), 8.0, ("confidence", "stop_distance", "take_distance", "close")),
}
BY_HAND = {
    "fixed": 0.1,
    "confidence": 0.25 * 0.6,
    "risk": 0.01 * 100.0 / 2.0,
    "volatility": 0.0006 / (0.005 / math.sqrt(8.0 / math.pi)),
    "kelly": 0.25 * (0.6 - 0.4 / 1.5) * 50.0,
}


def weight(sizer, **changed):
    return sizer.size(sizer.params(), Entry(**{**USUAL, **changed}))


@pytest.mark.parametrize("name", SIZERS)
def test_by_hand(name):
    sizer = SIZERS[name][0]
    assert weight(sizer) == pytest.approx(BY_HAND[name], rel=1e-14)
    assert weight(sizer, strength=-0.3) == -weight(sizer)


anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, NAN, INF, -INF, 5e-324, -5e-324, 1.7e308, -1.7e308, 1.0, 0.5]),
)


@pytest.mark.parametrize("name", SIZERS)
@settings(max_examples=200, deadline=None)
@given(entry=st.builds(Entry, *[anything] * 7))
def test_no_input_breaks_the_bounds(name, entry):
    sizer, largest, _ = SIZERS[name]
    result = sizer.size(sizer.params(), entry)
    assert math.isnan(result) or 0.0 <= abs(result) <= largest
    assert math.isnan(result) or result == 0.0 or (result > 0.0) == (entry.strength > 0.0)


@pytest.mark.parametrize("name", SIZERS)
def test_no_combination_of_extremes_breaks_the_bounds(name):
    sizer, largest, _ = SIZERS[name]
    size, params, least, most = sizer.size, sizer.params(), 0.0, 0.0
    for values in itertools.product((NAN, INF, -1.0, 1.7e308, 1.0), repeat=7):
        result = size(params, Entry(*values))
        if not math.isnan(result):
            least, most = min(least, result), max(most, result)
    assert -largest <= least <= 0.0 <= most <= largest
    assert most > 0.0


@pytest.mark.parametrize("name", SIZERS)
@pytest.mark.parametrize("bad", [NAN, INF, -INF, 0.0, -1.0])
@pytest.mark.parametrize("field", USUAL)
def test_what_is_read_must_be_known(name, field, bad):
    """An impossible value of what the formula reads is no trade; what it does not read, it does not ask for."""
    sizer, _, reads = SIZERS[name]
    result = weight(sizer, **{field: bad})
    if field == "strength":
        assert math.isnan(result) == (not math.isfinite(bad))
    elif field == "confidence" and bad == 0.0 and field in reads:
        assert result == 0.0
    elif field in reads:
        assert math.isnan(result)
    else:
        assert result == weight(sizer)


@given(confidence=st.floats(0.3, 0.9), stop=st.floats(0.5, 4.0), take=st.floats(0.5, 8.0), close=st.floats(20.0, 200.0))
@settings(max_examples=100, deadline=None)
def test_full_kelly_maximises_the_expected_growth(confidence, stop, take, close):
    """Against a numerical optimum of E log(1 + weight x return), which knows no formula."""
    sizer = KellyFraction(1.0, 100.0)
    found = weight(sizer, confidence=confidence, stop_distance=stop, take_distance=take, close=close)

    def loss(w):
        return -(confidence * math.log1p(w * take / close) + (1 - confidence) * math.log1p(-w * stop / close))

    best = minimize_scalar(loss, bounds=(0.0, min(100.0, close / stop * (1 - 1e-9))), method="bounded")
    assert loss(found) <= best.fun + 1e-9


def test_a_stake_that_is_not_worth_it_is_no_trade(market, play):
    """K = 0.3 - 0.7 / 2 < 0: nothing is opened; on a flip the old position goes and no new one comes."""
    policy = EnsembleThreshold(1.0, 2.0, None, False)
    given = {"policy": policy, "sizer": KellyFraction(0.5, 0.1)}
    result = play(market([FLAT] * 3), side=[1, 0, 0], confidence=[0.3] * 3, **given)
    assert len(result.orders) == 0
    assert not any(result.cuts.values())
    result = play(market([FLAT] * 4), side=[1, -1, 0, 0], confidence=[0.6, 0.3, NAN, NAN], **given)
    assert result.orders["side"].tolist() == [0, 1]
    assert result.units[0] == 0.0


@pytest.mark.parametrize("sizer", [s for s, _, reads in SIZERS.values() if "confidence" in reads])
def test_an_unknown_input_is_counted(market, play, sizer):
    policy = EnsembleThreshold(1.0, 2.0, None, False)
    result = play(market([FLAT] * 2), policy=policy, sizer=sizer, side=[1, 0], confidence=[NAN, NAN])
    assert len(result.orders) == 0
    assert result.cuts["not_finite"] == 1


def test_a_stop_costs_the_risk(market, play):
    rows = [FLAT, FLAT, [100.0, 100.0, 95.0, 97.0, 1e9]]
    policy = EnsembleThreshold(3.0, None, None, False)
    result = play(market(rows), policy=policy, sizer=RiskPerTrade(0.01, 1.0), side=[1, 0, 0], atr=[1.0] * 3)
    assert result.equity[-1] == pytest.approx(9_900.0, rel=1e-12)


def test_the_volatility_estimate_is_right_on_a_random_walk():
    """Ranges of simulated walks against the standard deviation of their moves."""
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(0.0, 0.01 / math.sqrt(1_000), (2_000, 1_000)), axis=1)
    mean_range = float((np.maximum(paths.max(axis=1), 0.0) - np.minimum(paths.min(axis=1), 0.0)).mean())
    sizer = VolatilityTarget(0.001, 10.0)
    found = weight(sizer, atr=mean_range * 100.0, close=100.0)
    assert found * 0.01 == pytest.approx(0.001, rel=0.06)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (FixedFraction, {"weight": 0.0}),
        (ConfidenceFraction, {"weight": 101.0}),
        (RiskPerTrade, {"risk": 1.5, "max_weight": 0.1}),
        (RiskPerTrade, {"risk": 0.01, "max_weight": NAN}),
        (VolatilityTarget, {"volatility": -1.0, "max_weight": 0.1}),
        (KellyFraction, {"fraction": 1.01, "max_weight": 0.1}),
        (KellyFraction, {"fraction": True, "max_weight": 0.1}),
    ],
)
def test_impossible_parameters_are_refused(kind, values):
    with pytest.raises(ConfigError, match="sizer"):
        kind(**values)
