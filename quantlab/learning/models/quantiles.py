"""Calibrator: a map from forecast quantiles to class probabilities.

A network says how the next returns are distributed; whether a barrier is met first is another question.
The map between them is a small multinomial logistic regression on three numbers per forecast: where it
lies, how wide it is, and which way it leans. It has eight parameters, because the rows that it is fitted on
overlap in time and move together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from quantlab.core.arrays import Float32Array, Float64Array, Int8Array
from quantlab.core.types import HOLD

#: Fewer cannot show both width and lean.
MIN_QUANTILES = 3
#: A forecast of (almost) no width would have an unbounded logarithm.
_MIN_WIDTH = 1e-3
#: Standardised summaries beyond are cut: outside of what it was fitted on the map does not extrapolate.
_CLIP = 4.0
#: Holds the intercept of a class that never occurred at about -11 instead of minus infinity.
_INTERCEPT_PENALTY = 1e-6
_MAX_NEWTON_STEPS = 100
_DIRECTIONS = [k for k in range(3) if k != HOLD]


def summary(forecast: Float32Array) -> Float64Array:
    """Location, log width and lean of forecasts.

    Quantiles that cross are put in order first (Chernozhukov, Fernandez-Val and Galichon 2010: a
    rearranged forecast is never worse).

    Parameters
    ----------
    forecast : float32 (N, H, Q)
        Quantiles, lowest level first, in units of the window's scale.

    Returns
    -------
    float64 (N, 3)
        Mean over steps and levels; log of the mean distance of the outer quantiles; distance of their
        middle from the central quantile, twice, in units of that width.
    """
    steps = np.sort(forecast.astype(np.float64), axis=2)
    low, centre, high = (steps[:, :, q].mean(axis=1) for q in (0, steps.shape[2] // 2, -1))
    width = np.maximum(high - low, _MIN_WIDTH)
    return np.stack([steps.mean(axis=(1, 2)), np.log(width), (high + low - 2.0 * centre) / width], axis=1)


@dataclass(frozen=True, eq=False)
class Calibrator:
    """Multinomial logistic regression with HOLD as the reference class.

    Parameters
    ----------
    mean, deviation : float64 (D,)
        Of the summaries that it was fitted on.
    coefficients : float64 (D + 1, 2)
        Log odds of SELL and BUY against HOLD; the first row is the intercepts.
    """

    mean: Float64Array
    deviation: Float64Array
    coefficients: Float64Array

    def __call__(self, summaries: Float64Array) -> Float32Array:
        """float32 (N, 3): class probabilities of summaries (N, D)."""
        # Not a matrix product: a row's bits must not depend on how many others there are.
        terms = self.design(summaries)[:, :, None] * self.coefficients
        odds = np.zeros((len(summaries), 3))
        odds[:, _DIRECTIONS] = terms.sum(axis=1)
        powers = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def design(self, summaries: Float64Array) -> Float64Array:
        """float64 (N, D + 1): a one, and the standardised summaries."""
        standard = np.clip((summaries - self.mean) / self.deviation, -_CLIP, _CLIP)
        return np.column_stack([np.ones(len(standard)), standard])


def fit_calibrator(summaries: Float64Array, label: Int8Array, weight: Float64Array, penalty: float) -> Calibrator:
    """The smallest weighted log loss plus ``penalty * sum of squared slopes``, by Newton's method.

    The problem is strictly convex, so the start does not matter.

    Parameters
    ----------
    summaries : float64 (N, D)
    label : int8 (N,)
        Class indices; a class may be missing.
    weight : float64 (N,)
        Of mean 1.
    penalty : float
        > 0.
    """
    mean, deviation = summaries.mean(axis=0), summaries.std(axis=0)
    deviation[deviation < np.sqrt(np.finfo(np.float64).eps)] = 1.0
    start = Calibrator(mean, deviation, np.zeros((summaries.shape[1] + 1, len(_DIRECTIONS))))
    wanted = np.stack([label == k for k in _DIRECTIONS], axis=1).astype(np.float64)
    ridge = np.full(start.coefficients.shape, penalty)
    ridge[0] = _INTERCEPT_PENALTY
    # Products over many rows have other bits when threads share them, and a search that follows other bits may stop
    # elsewhere: in a process that shares them, fits differed by 1e-8.
    with threadpool_limits(limits=1):
        coefficients = _newton(start.design(summaries), wanted, weight / len(weight), ridge)
    return Calibrator(mean, deviation, coefficients)


def _newton(design: Float64Array, wanted: Float64Array, share: Float64Array, ridge: Float64Array) -> Float64Array:
    """Coefficients (D + 1, 2) at the minimum; `share` (N,) sums to 1."""
    coefficients = np.zeros(ridge.shape)
    loss, proba = _loss(coefficients, design, wanted, share, ridge)
    for _ in range(_MAX_NEWTON_STEPS):
        slope = design.T @ (share[:, None] * (proba - wanted)) + 2.0 * ridge * coefficients
        step = np.linalg.solve(_curvature(design, proba, share, ridge), slope.T.reshape(-1))
        step = step.reshape(slope.T.shape).T
        gain = float((slope * step).sum())
        if gain < 1e-16:
            break
        length = 1.0
        while True:
            trial = coefficients - length * step
            trial_loss, trial_proba = _loss(trial, design, wanted, share, ridge)
            if trial_loss <= loss - 1e-4 * length * gain or length < 1e-6:
                break
            length /= 2.0
        coefficients, loss, proba = trial, trial_loss, trial_proba
    return coefficients


def _loss(
    coefficients: Float64Array, design: Float64Array, wanted: Float64Array, share: Float64Array, ridge: Float64Array
) -> tuple[float, Float64Array]:
    """Penalised log loss, and probabilities (N, 2) of SELL and BUY."""
    odds = design @ coefficients
    top = np.maximum(odds.max(axis=1), 0.0)
    total = top + np.log(np.exp(-top) + np.exp(odds - top[:, None]).sum(axis=1))
    losses = total - (wanted * odds).sum(axis=1)
    return float(share @ losses + (ridge * coefficients**2).sum()), np.exp(odds - total[:, None])


def _curvature(design: Float64Array, proba: Float64Array, share: Float64Array, ridge: Float64Array) -> Float64Array:
    """Second derivatives ((D + 1) * 2, (D + 1) * 2), class by class."""
    blocks = [
        [
            design.T @ ((share * (proba[:, a] * ((a == b) - proba[:, b])))[:, None] * design)
            for b in range(len(_DIRECTIONS))
        ]
        for a in range(len(_DIRECTIONS))
    ]
    return np.asarray(np.block(blocks) + 2.0 * np.diag(ridge.T.reshape(-1)))


def are_symmetric_levels(levels: tuple[float, ...]) -> bool:
    """Tell whether quantile levels are rising, inside (0, 1), symmetric, and with the median in the middle."""
    array: Float64Array = np.asarray(levels, dtype=np.float64)
    if len(array) < MIN_QUANTILES or len(array) % 2 == 0 or not 0.0 < array[0] < array[-1] < 1.0:
        return False
    return bool(np.all(np.diff(array) > 0.0) and np.allclose(array + array[::-1], 1.0, atol=1e-9))
