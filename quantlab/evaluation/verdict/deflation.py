"""Deflation of Sharpe ratios: the ratio that luck alone gives the best of all trials.

1. Every trial counts in full, pruned, failed and impossible ones and near copies of others too.
2. The paper estimates from the spread *between* trials how far luck moves one of them. Copies lie close to each
   other, and luck has fewer chances among them: the spread tells.
3. But trials also lie apart because they do and pay different things: one trades ten times as often and loses ten
   times the costs. That is no luck. The null hypothesis is that no trial has a true ratio above zero, and under it
   chance moves a ratio by its own standard error. So the estimate is capped there.

The best of trials whose true ratios are zero or less is, whatever they have in common, not expected above the best
of as many *independent* ones at zero, which is what the cap gives. ``docs/sweep.md`` shows what was measured.
"""

from __future__ import annotations

import math

import numpy as np

from quantlab.evaluation.statistics.metrics import Moments, Statistic, Undefined
from quantlab.evaluation.statistics.overfitting import expected_max_sharpe, probabilistic_sharpe
from quantlab.evaluation.verdict.rule import Trials


def chance_variance(days: int) -> float:
    """Variance of the daily Sharpe ratio of `days` returns whose true ratio is zero.

    Bailey and López de Prado (2012), eq. 8 at a ratio of zero, where skewness and kurtosis drop out: it holds for
    any shape, the better the more days there are. Infinite for a single day, of which there is no ratio.
    """
    return 1.0 / (days - 1) if days > 1 else math.inf


def luck_sharpe(trials: Trials, days: int) -> Statistic:
    """Daily Sharpe ratio expected of the best of `trials` if none has a true one above zero.

    Parameters
    ----------
    trials : Trials
    days : int
        Daily returns that the ratios were made of.
    """
    spread = _spread(trials)
    if isinstance(spread, Undefined):
        return spread
    return expected_max_sharpe(trials.count, min(spread, chance_variance(days)))


def uncapped_luck_sharpe(trials: Trials) -> Statistic:
    """The same with all of the spread taken for luck: the letter of the paper's formula (2014, eq. 7)."""
    spread = _spread(trials)
    return spread if isinstance(spread, Undefined) else expected_max_sharpe(trials.count, spread)


def deflated_sharpe(m: Moments, benchmark: Statistic) -> Statistic:
    """Probability that the true Sharpe ratio exceeds what luck gives, from :func:`luck_sharpe` or :func:`uncapped_luck_sharpe`."""
    return benchmark if isinstance(benchmark, Undefined) else probabilistic_sharpe(m, benchmark)


def _spread(trials: Trials) -> Statistic:
    """Variance between the trials' daily Sharpe ratios; 0 for a single one."""
    if trials.count == 1:
        return 0.0
    if trials.sharpe is None or len(trials.sharpe) < 2 or not np.all(np.isfinite(trials.sharpe)):
        return Undefined("the trials' Sharpe ratios are needed to deflate this one")
    return float(np.var(trials.sharpe, ddof=1))
