"""The sizers that ship: five rules for how much of the equity a position gets.

Each is one compiled formula. Whatever comes in, a weight lies between 0 and the sizer's largest, and
an input that the formula reads and that is not finite (or not possible, such as a price of 0) gives
NaN: no trade, counted ``not_finite``.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.trading.interface.sizer import SIZE, Entry, Sizer, bounded, compiled_size

__all__ = [
    "SIZE",
    "ConfidenceFraction",
    "Entry",
    "FixedFraction",
    "KellyFraction",
    "RiskPerTrade",
    "VolatilityTarget",
    "compiled_size",
]

#: No weight is larger than this multiple of equity.
HIGHEST_WEIGHT = 100.0

#: Expected range of a random walk's bar in standard deviations of its move (Parkinson 1980, eq. 3):
#: the square root of 8 / pi.
RANGE_PER_SIGMA = 1.5957691216057308


@compiled(forceinline=True, _nrt=False)
def _is_probability(value: float) -> bool:
    return 0.0 <= value <= 1.0


@compiled(forceinline=True, _nrt=False)
def _is_amount(value: float) -> bool:
    """Positive and finite."""
    return 0.0 < value < np.inf


def _fixed_fraction(params: Float64Array, entry: Entry) -> float:
    return bounded(params[0], params[0], entry.strength)


@dataclass(frozen=True)
class FixedFraction(Sizer):
    """Every position gets the same weight, whatever the strength of its signal.

    Parameters
    ----------
    weight : float
        Fraction of equity, > 0; 0.1 is 10 %.

    Raises
    ------
    ConfigError
        If `weight` is outside 1e-6 .. 100.
    """

    weight: float

    rule = staticmethod(_fixed_fraction)
    highest: ClassVar = {"weight": HIGHEST_WEIGHT}


def _confidence_fraction(params: Float64Array, entry: Entry) -> float:
    if not _is_probability(entry.confidence):
        return np.nan
    return bounded(params[0] * entry.confidence, params[0], entry.strength)


@dataclass(frozen=True)
class ConfidenceFraction(Sizer):
    """A position's weight is proportional to the pooled probability of its decision.

    Where there are more entries than slots, the risk guard fills the slots by |target|: with this sizer
    the most confident entries get them, with equal weights the first in symbol order would.

    Parameters
    ----------
    weight : float
        Fraction of equity at a confidence of 1, > 0: 0.25 makes 9 % of a confidence of 0.36.

    Raises
    ------
    ConfigError
        If `weight` is outside 1e-6 .. 100.
    """

    weight: float

    rule = staticmethod(_confidence_fraction)
    highest: ClassVar = {"weight": HIGHEST_WEIGHT}


def _risk_per_trade(params: Float64Array, entry: Entry) -> float:
    if not (_is_amount(entry.stop_distance) and _is_amount(entry.close)):
        return np.nan
    return bounded(params[0] * entry.close / entry.stop_distance, params[1], entry.strength)


@dataclass(frozen=True)
class RiskPerTrade(Sizer):
    """So many units that a stop, filled at its level, costs a fixed share of equity.

    ``weight = risk x close / stop_distance``. Slippage, fees and gaps come on top. Without a stop the
    risk is unknown: no trade.

    Parameters
    ----------
    risk : float
        Fraction of equity lost at the stop, > 0; 0.01 is 1 %.
    max_weight : float
        Largest weight, however near the stop is.

    Raises
    ------
    ConfigError
        If `risk` is outside 1e-6 .. 1, or `max_weight` outside 1e-6 .. 100.
    """

    risk: float
    max_weight: float

    rule = staticmethod(_risk_per_trade)
    highest: ClassVar = {"risk": 1.0, "max_weight": HIGHEST_WEIGHT}


def _volatility_target(params: Float64Array, entry: Entry) -> float:
    if not (_is_amount(entry.atr) and _is_amount(entry.close)):
        return np.nan
    return bounded(params[0] * entry.close * RANGE_PER_SIGMA / entry.atr, params[1], entry.strength)


@dataclass(frozen=True)
class VolatilityTarget(Sizer):
    """Every position brings the same standard deviation to equity.

    ``weight = volatility / sigma`` with a bar's ``sigma = atr / close / sqrt(8 / pi)``: the mean range of a
    random walk's bar is sqrt(8 / pi) of its standard deviations (Parkinson 1980).

    Parameters
    ----------
    volatility : float
        Standard deviation that one position brings to equity in one *bar*, as a fraction, > 0.
        A day's is that times the square root of its bars: 0.0006 at 5 minutes is 1.02 % a day.
    max_weight : float
        Largest weight, however still the market is.

    Raises
    ------
    ConfigError
        If `volatility` is outside 1e-6 .. 1, or `max_weight` outside 1e-6 .. 100.
    """

    volatility: float
    max_weight: float

    rule = staticmethod(_volatility_target)
    highest: ClassVar = {"volatility": 1.0, "max_weight": HIGHEST_WEIGHT}


def _kelly_fraction(params: Float64Array, entry: Entry) -> float:
    known = _is_amount(entry.stop_distance) and _is_amount(entry.take_distance) and _is_amount(entry.close)
    if not (known and _is_probability(entry.confidence)):
        return np.nan
    payoff = entry.take_distance / entry.stop_distance
    risked = entry.confidence - (1.0 - entry.confidence) / payoff
    if not risked > 0.0:
        return 0.0
    return bounded(params[0] * risked * entry.close / entry.stop_distance, params[1], entry.strength)


@dataclass(frozen=True)
class KellyFraction(Sizer):
    """A fraction of the growth-optimal bet on a calibrated confidence.

    A bet that wins `R` times its stake with probability `p`, and loses the stake otherwise, grows fastest
    when ``K = p - (1 - p) / R`` of the capital is staked (Kelly 1956; Thorp 2006, eq. 2.1). Here ``p`` is the
    confidence, ``R = take_distance / stop_distance``, and the stake is what a stop costs, so that
    ``weight = fraction x K x close / stop_distance``. All that is not the decided class counts as a lost stake,
    which is too dark for time exits. ``K <= 0`` is no trade: the target is flat.

    Parameters
    ----------
    fraction : float
        Of the full Kelly stake, > 0; estimates are uncertain, so 0.25 is already bold.
    max_weight : float
        Largest weight.

    Raises
    ------
    ConfigError
        If `fraction` is outside 1e-6 .. 1, or `max_weight` outside 1e-6 .. 100.
    """

    fraction: float
    max_weight: float

    rule = staticmethod(_kelly_fraction)
    highest: ClassVar = {"fraction": 1.0, "max_weight": HIGHEST_WEIGHT}
