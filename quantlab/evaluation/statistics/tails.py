"""Tails and shape of daily returns."""

from __future__ import annotations

import math

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.evaluation.statistics.metrics import Moments, Statistic, Undefined, moments

#: Days that must lie beyond a quantile before it is called known; their mean is the expected shortfall.
_TAIL_DAYS = 3
#: Fewer days than this do not show a shape.
_SHAPE_DAYS = 30
LEVELS = (0.95, 0.99)


def tails(returns: Float64Array) -> dict[str, Statistic]:
    """Worst and best day, value at risk, expected shortfall, skewness and excess kurtosis of daily returns (D,).

    Historical, without a model: ``var_95`` is minus the 5 % quantile (linear between days, as in empyrical's
    ``value_at_risk``), ``cvar_95`` minus the mean of all days at or below it (Rockafellar and Uryasev 2000); both are
    positive for a loss. They need three days beyond the quantile: 60 days for 95 %, 300 for 99 %. Skewness and excess
    kurtosis (0 for a normal) are the population's, ``m3 / m2^1.5`` and ``m4 / m2^2 - 3``, beside the standard errors that
    they have for a normal, ``sqrt(6 / D)`` and ``sqrt(24 / D)``; they need 30 days.
    """
    n = len(returns)
    none = Undefined("no day")
    found: dict[str, Statistic] = {
        "worst_day": float(np.min(returns)) if n else none,
        "best_day": float(np.max(returns)) if n else none,
    }
    for level in LEVELS:
        var, cvar = _shortfall(returns, level)
        found[f"var_{level * 100:.0f}"] = var
        found[f"cvar_{level * 100:.0f}"] = cvar
    return found | _shape(returns)


def _shortfall(returns: Float64Array, level: float) -> tuple[Statistic, Statistic]:
    """Value at risk and expected shortfall at `level`, e.g. 0.95."""
    needed = days_needed(level)
    if len(returns) < needed:
        why = Undefined(f"{len(returns)} of the {needed} days that {level * 100:.0f} % needs")
        return why, why
    edge = float(np.quantile(returns, 1.0 - level))
    return -edge, -float(np.mean(returns[returns <= edge]))


def days_needed(level: float) -> int:
    """Days of which three lie beyond the quantile at `level`."""
    return math.ceil(round(_TAIL_DAYS / (1.0 - level), 6))


def _shape(returns: Float64Array) -> dict[str, Statistic]:
    n, names = len(returns), ("skew", "skew_se", "excess_kurtosis", "excess_kurtosis_se")
    if n < _SHAPE_DAYS:
        return dict.fromkeys(names, Undefined(f"{n} of the {_SHAPE_DAYS} days that a shape needs"))
    m = moments(returns)
    if not isinstance(m, Moments):
        return dict.fromkeys(names, m)
    return dict(zip(names, (m.skew, math.sqrt(6.0 / n), m.kurtosis - 3.0, math.sqrt(24.0 / n)), strict=True))
