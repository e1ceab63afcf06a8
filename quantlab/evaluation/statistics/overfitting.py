"""Statistics of luck: probabilistic Sharpe ratio, expected best of many, PBO, bootstrap.

All Sharpe ratios here are per observation (daily), *not* annualised. ``kurtosis`` is 3 for a normal.

References
----------
Bailey and López de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk 15(2).
Bailey and López de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio Management 40(5).
Bailey, Borwein, López de Prado and Zhu (2017; SSRN 2015), "The probability of backtest overfitting",
Journal of Computational Finance 20(4).
Politis and Romano (1994), "The stationary bootstrap", JASA 89(428).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from arch.bootstrap import StationaryBootstrap
from scipy.special import ndtr, ndtri

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ConfigError
from quantlab.evaluation.statistics.metrics import Moments, Statistic, Undefined, moments, sharpe_error

#: Cells (choices x trials) scored at a time, so that memory grows with neither.
_CELLS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean daily return (fractions)."""

    lower: float
    upper: float
    confidence: float


def probabilistic_sharpe(m: Moments, benchmark: float = 0.0) -> Statistic:
    """Probability that the true Sharpe ratio exceeds `benchmark` (2012, eq. 14); both daily."""
    error = sharpe_error(m)
    return float(ndtr((m.sharpe - benchmark) / error)) if error > 0.0 else Undefined("the Sharpe ratio has no error")


def expected_max_sharpe(trials: int, variance: float) -> float:
    """Daily Sharpe ratio that the best of `trials` without any skill is expected to show (2014, eq. 7).

    Parameters
    ----------
    trials : int
        Number of independent trials, every one that was looked at; 1 gives 0.
    variance : float
        Variance of the trials' daily Sharpe ratios.

    Raises
    ------
    ConfigError
        If `trials` is below 1 or `variance` is negative or not finite.
    """
    if trials < 1 or not (math.isfinite(variance) and variance >= 0.0):
        raise ConfigError(
            "at least one trial and a finite variance >= 0",
            found=f"{trials} trials, variance {variance!r}",
            fix="count every trial, pruned and failed ones too",
        )
    if trials == 1:
        return 0.0
    high, higher = ndtri(1.0 - 1.0 / trials), ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * float((1.0 - np.euler_gamma) * high + np.euler_gamma * higher)


def min_track_record_days(m: Moments, confidence: float, benchmark: float = 0.0) -> Statistic:
    """Days after which a Sharpe ratio like this one would be above `benchmark` with `confidence` (2012, eq. 17)."""
    if m.sharpe <= benchmark:
        return Undefined("the Sharpe ratio does not exceed its benchmark, no length would prove it")
    bracket = sharpe_error(m) ** 2 * (m.n - 1)
    return 1.0 + bracket * float(ndtri(confidence) / (m.sharpe - benchmark)) ** 2


def backtest_overfitting(returns: Float64Array, blocks: int) -> Statistic:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

    The days are cut into `blocks` pieces; for every choice of half of them the trial with the best
    Sharpe ratio there is ranked among all trials on the other half. PBO is the share of choices in
    which it lands in the lower half (its logit is <= 0).

    Parameters
    ----------
    returns : float64 (D, N)
        Daily returns of all N trials over the same days.
    blocks : int
        Even, >= 2; the paper uses 16 (12,870 choices).

    Notes
    -----
    A trial that never traded has Sharpe ratio 0. Ties share their mean rank.

    Raises
    ------
    ConfigError
        If `blocks` is odd or below 2.
    """
    if blocks < 2 or blocks % 2:
        raise ConfigError("an even number of PBO blocks >= 2", found=str(blocks), fix="set pbo_blocks to 16")
    days, trials = returns.shape
    if trials < 2:
        return Undefined("fewer than two trials with returns")
    if days < max(blocks, 4):
        return Undefined(f"{days} days are too few for {blocks} blocks")
    shift = np.mean(returns, axis=0)
    edges = np.linspace(0, days, blocks + 1).astype(np.int64)
    sums = np.stack([_block_sums(returns[a:b] - shift) for a, b in pairwise(edges)])
    chosen = np.array(list(combinations(range(blocks), blocks // 2)), dtype=np.int64)
    below, step = 0, max(1, _CELLS // trials)
    for start in range(0, len(chosen), step):
        below += _overfitted(sums, shift, chosen[start : start + step])
    return below / len(chosen)


def _block_sums(centred: Float64Array) -> Float64Array:
    """float64 (3, N): days, sum and sum of squares."""
    sums: Float64Array = np.stack([np.full(centred.shape[1], float(len(centred))), centred.sum(0), (centred**2).sum(0)])
    return sums


def _overfitted(sums: Float64Array, shift: Float64Array, chosen: Int64Array) -> int:
    """Count the choices (C, blocks / 2) that put the in-sample winner into the lower half outside."""
    member = np.zeros((len(chosen), len(sums)))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    inside = _sharpe(np.einsum("cb,bkn->kcn", member, sums), shift)
    outside = _sharpe(np.einsum("cb,bkn->kcn", 1.0 - member, sums), shift)
    winner = outside[np.arange(len(chosen)), np.argmax(inside, axis=1)][:, None]
    # The mean rank among ties, of the one that is asked for: sorting all of them took most of the time.
    rank = np.sum(outside < winner, axis=1) + (np.sum(outside == winner, axis=1) + 1) / 2
    relative = rank / (outside.shape[1] + 1)
    return int(np.sum(relative <= 0.5))


def _sharpe(sums: Float64Array, shift: Float64Array) -> Float64Array:
    count, total, squares = sums
    mean = shift + total / count
    variance = np.maximum((squares - total**2 / count) / (count - 1.0), 0.0)
    flat = variance <= 1e-20 * mean**2
    ratio: Float64Array = np.where(flat, 0.0, mean) / np.sqrt(np.where(flat, 1.0, variance))
    return ratio


def bootstrap_mean(
    returns: Float64Array, *, samples: int, block_days: int, confidence: float, seed: int
) -> Interval | Undefined:
    """Two-sided percentile interval of the mean daily return by the stationary bootstrap.

    Parameters
    ----------
    returns : float64 (D,)
        Daily net returns.
    samples : int
        Bootstrap samples.
    block_days : int
        Mean length of the geometric blocks, which keep the dependence between neighbouring days.
    confidence : float
        E.g. 0.95: the lower end is the 2.5 % quantile.
    seed : int
    """
    shape = moments(returns)
    if isinstance(shape, Undefined):
        return shape
    bootstrap = StationaryBootstrap(block_days, returns, seed=seed)
    bounds = bootstrap.conf_int(np.mean, reps=samples, method="percentile", size=confidence)
    return Interval(float(bounds[0, 0]), float(bounds[1, 0]), confidence)
