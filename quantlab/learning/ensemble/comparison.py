"""Paired test of a new ensemble against the one that serves, on rows that neither has seen.

The measure is the log loss of the pooled probabilities: a proper score (Gneiting and Raftery 2007), which only
better probabilities improve, and which every labelled row informs. After-cost returns would be nearer to the
goal, but a retraining's few days hold a few dozen trades, from which a difference of two strategies cannot be
told from chance; and they would mix the members' skill with a policy that was tuned around the older ones.

1. ``d`` = loss of the active ensemble - loss of the candidate, for each row for which both have forecasts; rows weigh by
   the average uniqueness of their labels.
2. Rows of one day share the market's shocks, and labels overlap: so whole UTC days are drawn, in blocks of random
   length (stationary bootstrap, Politis and Romano 1994), and the weighted mean of ``d`` is taken of each draw.
3. Their standard deviation is the mean's standard error; the bound is Student's, with as many draws as there are
   blocks, because quantiles of so few days promise too much: of equal ensembles over 14 days they call every eighth
   candidate better at a stated 95 %.
4. The candidate is better if the lower bound is above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import HistoryError
from quantlab.core.types import Labels
from quantlab.learning.ensemble.calibration import log_losses
from quantlab.learning.ensemble.pooling import has_forecast


@dataclass(frozen=True)
class Comparison:
    """Result of a paired test.

    Parameters
    ----------
    rows, days : int
        Labelled rows for which both have forecasts, and the UTC days that they fall on.
    active, candidate : float
        Weighted log losses, nats.
    improvement : float
        ``active - candidate``: above 0, the candidate is better.
    low : float
        One-sided lower bound of the improvement.
    confidence : float
        Of that bound.
    """

    rows: int
    days: int
    active: float
    candidate: float
    improvement: float
    low: float
    confidence: float

    @property
    def better(self) -> bool:
        """Tell whether the candidate is better with that confidence."""
        return self.low > 0.0

    def __str__(self) -> str:
        return (
            f"log loss {self.candidate:.5f} against {self.active:.5f}, improvement {self.improvement:+.5f}, "
            f"{self.confidence:.0%} lower bound {self.low:+.5f}, over {self.rows} rows of {self.days} days"
        )


@dataclass(frozen=True)
class PairedTest:
    """Rules of the comparison; what Hydra instantiates.

    Parameters
    ----------
    confidence : float
        Of the lower bound, one-sided, in 0.5 .. 0.9999.
    min_days : int
        A comparison over fewer UTC days is refused, >= 2.
    resamples : int
        >= 100.
    block_days : int
        Mean length of a block, >= 1.
    seed : int

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    confidence: float
    min_days: int
    resamples: int
    block_days: int
    seed: int

    def __post_init__(self) -> None:
        check_range("job.test.confidence", self.confidence, low=0.5, high=0.9999)
        check_whole("job.test.min_days", self.min_days, low=2)
        check_whole("job.test.resamples", self.resamples, low=100)
        check_whole("job.test.block_days", self.block_days, low=1)
        check_whole("job.test.seed", self.seed, low=0)

    def compare(
        self, active: Float64Array, candidate: Float64Array, labels: Labels, open_time_ms: Int64Array
    ) -> Comparison:
        """Hold two ensembles' probabilities against the labels of the same rows.

        Parameters
        ----------
        active, candidate : float64 (T, S, 3)
            NaN where an ensemble has no forecast.
        labels : Labels, (T, S)
        open_time_ms : int64 (T,)

        Raises
        ------
        HistoryError
            If both have forecasts for labelled rows of fewer than `min_days` days.
        """
        rows = (labels.weight > 0.0) & has_forecast(active) & has_forecast(candidate)
        weight = labels.weight[rows].astype(np.float64)
        days, day = np.unique(
            np.broadcast_to((open_time_ms // MS_PER_DAY)[:, None], rows.shape)[rows], return_inverse=True
        )
        if len(days) < self.min_days:
            raise HistoryError(
                f"labelled rows on at least {self.min_days} days that neither ensemble has seen",
                found=f"{len(days)} days",
                fix="wait for more data, or lower job.test.min_days",
            )
        old, new = (log_losses(proba[rows], labels.label[rows]) for proba in (active, candidate))
        gain = np.bincount(day, weights=weight * (old - new)).astype(np.float64)
        mass = np.bincount(day, weights=weight).astype(np.float64)
        return Comparison(
            rows=int(rows.sum()),
            days=len(days),
            active=float(np.average(old, weights=weight)),
            candidate=float(np.average(new, weights=weight)),
            improvement=float(gain.sum() / mass.sum()),
            low=self._lower_bound(gain, mass),
            confidence=self.confidence,
        )

    def _lower_bound(self, gain: Float64Array, mass: Float64Array) -> float:
        drawn = StationaryBootstrap(self.block_days, gain, mass, seed=self.seed)
        means = drawn.apply(lambda g, m: g.sum() / m.sum(), self.resamples)
        blocks = max(len(gain) / self.block_days, 2.0)
        error = float(np.std(means, ddof=1)) * math.sqrt(blocks / (blocks - 1.0))
        return float(gain.sum() / mass.sum() - stats.t.ppf(self.confidence, blocks - 1.0) * error)
