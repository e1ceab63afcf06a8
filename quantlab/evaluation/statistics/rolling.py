"""The Sharpe ratio over a moving window, with how sure each value is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Moments, moments, sharpe_error

#: Days in one window.
WINDOW_DAYS = 30
#: Fewer windows than this are not drawn: neighbours share almost all of their days.
_MIN_WINDOWS = 10


@dataclass(frozen=True)
class RollingSharpe:
    """Annualised Sharpe ratios of all windows with variation.

    Parameters
    ----------
    last_day : int64 (M,)
        Index into the daily returns of each window's last day.
    sharpe, lower, upper : float64 (M,)
        The ratio and its two-sided interval, each window taken for itself.
    """

    last_day: Int64Array
    sharpe: Float64Array
    lower: Float64Array
    upper: Float64Array


def rolling_sharpe(returns: Float64Array, confidence: float, window: int = WINDOW_DAYS) -> RollingSharpe | None:
    """Every `window` days in a row; None where the run is too short.

    Parameters
    ----------
    returns : float64 (D,)
        Daily.
    confidence : float
        E.g. 0.95; the error is :func:`quantlab.evaluation.statistics.metrics.sharpe_error`.
    window : int
    """
    seen = [(end, moments(returns[end - window : end])) for end in range(window, len(returns) + 1)]
    shapes = [(end - 1, shape) for end, shape in seen if isinstance(shape, Moments)]
    if len(shapes) < _MIN_WINDOWS:
        return None
    year, wide = math.sqrt(DAYS_PER_YEAR), float(ndtri(0.5 + confidence / 2.0))
    sharpe = year * np.array([shape.sharpe for _, shape in shapes])
    margin = year * wide * np.array([sharpe_error(shape) for _, shape in shapes])
    return RollingSharpe(np.array([day for day, _ in shapes], np.int64), sharpe, sharpe - margin, sharpe + margin)
