"""Daily returns of an account against those of a market: beta, alpha and correlation, with standard errors."""

from __future__ import annotations

import math

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.evaluation.statistics.metrics import Statistic, Undefined

#: Fewer days than this give errors that are themselves not known.
_MIN_DAYS = 20
_NAMES = ("beta", "beta_se", "alpha_daily", "alpha_daily_se", "correlation", "correlation_se")


def market_relation(returns: Float64Array, market: Float64Array) -> dict[str, Statistic]:
    """Least squares of ``returns = alpha + beta x market`` (Jensen 1968) and the correlation.

    With residuals e and D days: ``beta_se = sqrt(sum e^2 / (D - 2) / Sxx)``, ``alpha_se = beta_se sqrt(mean(x^2))``,
    ``correlation_se = sqrt((1 - r^2) / (D - 2))``, for independent days of one variance.

    Parameters
    ----------
    returns, market : float64 (D,)
        Of the same days; the risk-free rate is 0.
    """
    n = len(returns)
    if n < _MIN_DAYS:
        return dict.fromkeys(_NAMES, Undefined(f"{n} of the {_MIN_DAYS} days that a relation needs"))
    x, y = market - market.mean(), returns - returns.mean()
    if not (np.any(x) and np.any(y)):
        return dict.fromkeys(_NAMES, Undefined("the daily returns of one of both do not vary"))
    sxx, syy, sxy = (float(np.sum(a)) for a in (x * x, y * y, x * y))
    beta, r = sxy / sxx, max(-1.0, min(1.0, sxy / math.sqrt(sxx * syy)))
    beta_error = math.sqrt(max(syy - beta * sxy, 0.0) / (n - 2) / sxx)
    alpha = float(returns.mean() - beta * market.mean())
    alpha_error = beta_error * math.sqrt(float(np.mean(market**2)))
    values = beta, beta_error, alpha, alpha_error, r, math.sqrt((1.0 - r * r) / (n - 2))
    return dict(zip(_NAMES, values, strict=True))
