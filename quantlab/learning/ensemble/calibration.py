"""One temperature: makes pooled probabilities mean what they say.

A linear pool of calibrated forecasts is less confident than it should be (Ranjan and Gneiting 2010),
and members that were stopped early on few rows may be too confident. One exponent repairs both without
changing any decision, because it is the same for every row and class (Guo et al. 2017, "On calibration
of modern neural networks"; for a pool, the "generalised" linear opinion pool).

There is no calibrator per tree member: they are fitted *and* stopped on log loss, so their output is a
probability already, and a second set of parameters on the same inner rows would only add noise. A
member whose output is no probability brings its own map inside :meth:`FittedModel.predict_proba`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from quantlab.core.arrays import Float32Array, Float64Array, Int8Array
from quantlab.core.errors import HistoryError

#: Smallest probability that a loss looks at: the resolution of a float32 near 1. It bounds a loss, and
#: never touches a forecast.
MIN_PROBABILITY = float(np.finfo(np.float32).eps)
#: Temperatures that a fit may return; at a bound the pool knows (almost) nothing or (almost) everything.
TEMPERATURE_RANGE = (0.1, 10.0)


def fit_temperature(proba: Float64Array, label: Int8Array, weight: Float32Array) -> float:
    """The temperature at which `proba` has the smallest weighted log loss.

    ``1 / temperature`` scales the logarithms of `proba`, see :func:`scale_of_least_loss`.

    Parameters
    ----------
    proba : float64 (N, 3)
        Rows that sum to 1.
    label : int8 (N,)
        Class indices.
    weight : float32 (N,)
        Average uniqueness of the labels.

    Returns
    -------
    float
        In :data:`TEMPERATURE_RANGE`; 1 leaves probabilities alone, above 1 softens them.

    Raises
    ------
    HistoryError
        If there are no rows, or none with a weight.
    """
    if not weight.sum() > 0.0:
        raise HistoryError(
            "labelled calibration rows for which the ensemble has forecasts",
            found=f"{len(label)} rows of total weight {float(weight.sum()):g}",
            fix="use a longer history or a larger learning.splits.calibration_fraction",
        )
    log_proba = np.log(np.maximum(proba, MIN_PROBABILITY))
    log_proba -= log_proba.max(axis=1, keepdims=True)
    chosen = log_proba[np.arange(len(label)), label]
    share = weight.astype(np.float64) / weight.sum(dtype=np.float64)

    def excess_score(inverse: float) -> Float64Array:
        powers = np.exp(inverse * log_proba)
        mean: Float64Array = (powers * log_proba).sum(axis=1) / powers.sum(axis=1)
        return mean - chosen

    coldest, hottest = TEMPERATURE_RANGE
    return 1.0 / scale_of_least_loss(excess_score, share, (1.0 / hottest, 1.0 / coldest))


def scale_of_least_loss(
    excess_score: Callable[[float], Float64Array], weight: Float32Array | Float64Array, bounds: tuple[float, float]
) -> float:
    """The scale of scores at which the log loss of their softmax is smallest.

    The loss is convex in the scale, and its slope is ``sum w (E_p[score] - score of the label)`` under the
    probabilities p at that scale. So the minimum is the root of a monotone function: no start value and no step
    size to choose.

    Parameters
    ----------
    excess_score : callable
        Takes a scale and gives float64 (N,): ``E_p[score] - score of the label``.
    weight : float (N,)
    bounds : (float, float)
        The smallest and the largest scale, either of which may be the result.
    """

    def slope(scale: float) -> float:
        # Not a dot product: its bits depend on how many threads share it.
        return float((weight * excess_score(scale)).sum())

    smallest, largest = bounds
    if slope(smallest) >= 0.0:
        return smallest
    if slope(largest) <= 0.0:
        return largest
    return float(brentq(slope, smallest, largest, xtol=1e-12, rtol=1e-12))


def log_losses(proba: Float64Array | Float32Array, label: Int8Array) -> Float64Array:
    """float64 (N,): ``-ln p[label]`` of rows (N, 3); a probability below :data:`MIN_PROBABILITY` counts as that."""
    chosen = proba[np.arange(len(label)), label].astype(np.float64)
    losses: Float64Array = -np.log(np.maximum(chosen, MIN_PROBABILITY))
    return losses
