"""Scores of probabilities: AUC with its day-block error, log loss, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.compiled import compiled
from quantlab.core.types import BUY, SELL
from quantlab.learning.ensemble.calibration import log_losses
from quantlab.learning.ensemble.pooling import has_forecast


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve.

    Parameters
    ----------
    value : float or None
    se : float or None
        Standard error over day blocks.
    undefined : dict of ``auc``, ``auc_se`` to the reason why they are None
    """

    value: float | None
    se: float | None
    undefined: dict[str, str]


def directional_auc(
    proba: Float32Array,
    label: Int8Array,
    rows: BoolArray,
    open_time_ms: Int64Array,
    *,
    bootstrap_samples: int,
    seed: int,
) -> Auc:
    """AUC of pB / (pB + pS) on BUY and SELL rows, with a standard error by day-block bootstrap.

    Rows of one day and of all symbols move together, so whole UTC days are drawn (Kuensch 1989, with
    the day as block). The pairs that an AUC counts fall into pairs of days: with ``A[d, e]`` the
    concordant pairs of a BUY in day d and a SELL in day e (a tie is half a pair), a resample that
    draws day d ``k[d]`` times has the AUC ``k A k / ((k . buys) (k . sells))``: exact, without
    sorting again.

    Parameters
    ----------
    proba : float32 (T, S, 3)
    label : int8 (T, S)
    rows : bool (T, S)
        Rows that may be scored; those without a finite forecast or of class HOLD are left out.
    open_time_ms : int64 (T,)
    bootstrap_samples : int
        Resamples, >= 2.
    seed : int
        Of the resamples.
    """
    chosen = rows & has_forecast(proba) & ((label == BUY) | (label == SELL))
    is_buy = label[chosen] == BUY
    if not (is_buy.any() and (~is_buy).any()):
        reason = "no out-of-sample row of each class BUY and SELL"
        return Auc(None, None, {"auc": reason, "auc_se": reason})
    day_of_bar = np.broadcast_to((open_time_ms // MS_PER_DAY)[:, None], label.shape)
    days, day = np.unique(day_of_bar[chosen], return_inverse=True)
    pairs = _pairs_by_day(_buy_share(proba[chosen]), is_buy, day, len(days))
    buys = np.bincount(day[is_buy], minlength=len(days)).astype(np.float64)
    sells = np.bincount(day[~is_buy], minlength=len(days)).astype(np.float64)
    value = float(pairs.sum() / (buys.sum() * sells.sum()))
    if len(days) < 2:
        return Auc(value, None, {"auc_se": "all out-of-sample rows fall on one day"})
    return Auc(value, _bootstrap_se(pairs, buys, sells, bootstrap_samples, seed), {})


def _buy_share(proba: Float32Array) -> Float64Array:
    """float64 (N,): pB / (pB + pS), one half where both are 0."""
    sell, buy = proba[:, SELL].astype(np.float64), proba[:, BUY].astype(np.float64)
    both = sell + buy
    buy_share: Float64Array = np.divide(buy, both, out=np.full(len(both), 0.5), where=both > 0.0)
    return buy_share


def _pairs_by_day(score: Float64Array, is_buy: BoolArray, day: Int64Array, n_days: int) -> Float64Array:
    order = np.argsort(score, kind="stable")
    pairs: Float64Array = _count_pairs(score[order], is_buy[order], day[order].astype(np.int64), n_days)
    return pairs


@compiled
def _count_pairs(score: Float64Array, is_buy: BoolArray, day: Int64Array, n_days: int) -> Float64Array:
    """float64 (D, D): concordant pairs of a BUY in day d and a SELL in day e, of rows in ascending score."""
    pairs = np.zeros((n_days, n_days))
    below = np.zeros(n_days)
    tied = np.zeros(n_days)
    start = 0
    while start < len(score):
        stop = start
        tied[:] = 0.0
        while stop < len(score) and score[stop] == score[start]:
            if not is_buy[stop]:
                tied[day[stop]] += 1.0
            stop += 1
        for i in range(start, stop):
            if is_buy[i]:
                for e in range(n_days):
                    pairs[day[i], e] += below[e] + 0.5 * tied[e]
        below += tied
        start = stop
    return pairs


def _bootstrap_se(pairs: Float64Array, buys: Float64Array, sells: Float64Array, samples: int, seed: int) -> float:
    n_days = len(buys)
    draws = np.random.default_rng(seed).multinomial(n_days, np.full(n_days, 1.0 / n_days), size=samples)
    times = draws.astype(np.float64)
    possible = (times @ buys) * (times @ sells)
    concordant = ((times @ pairs) * times).sum(axis=1)
    # A resample of days that hold only one class has no AUC.
    return float(np.std((concordant[possible > 0.0] / possible[possible > 0.0]), ddof=1))


def log_loss(
    proba: Float32Array | Float64Array, label: Int8Array, weight: Float32Array, rows: BoolArray
) -> float | None:
    """Mean ``-ln p[label]`` over `rows` with a forecast, by uniqueness weight; None if there is none.

    Knowing nothing costs ln 3 = 1.0986.
    """
    chosen = rows & has_forecast(proba)
    weights = weight[chosen].astype(np.float64)
    if not weights.sum() > 0.0:
        return None
    return float(np.average(log_losses(proba[chosen], label[chosen]), weights=weights))


def reliability(
    confidence: Float64Array, correct: BoolArray, *, n_bins: int = 10
) -> tuple[tuple[float, float, int], ...]:
    """Reliability curve: bins of equal count by confidence; equal values are never parted.

    Parameters
    ----------
    confidence : float64 (N,)
        Probability of the decided class.
    correct : bool (N,)
        The label was that class.
    n_bins : int
        At most so many bins.

    Returns
    -------
    tuple of (mean predicted, observed share, count)
        In ascending confidence, without empty bins.
    """
    if len(confidence) == 0:
        return ()
    edges = np.unique(np.quantile(confidence, np.arange(1, n_bins) / n_bins))
    bins = np.searchsorted(edges, confidence, side="left")
    count = np.bincount(bins)
    held = count > 0
    predicted = np.bincount(bins, weights=confidence)[held] / count[held]
    observed = np.bincount(bins, weights=correct)[held] / count[held]
    return tuple(zip(predicted.tolist(), observed.tolist(), count[held].tolist(), strict=True))
