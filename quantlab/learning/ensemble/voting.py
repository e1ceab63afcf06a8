"""Votes of the members' forecasts: one fold at a time, then all test rows joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.core.types import Dataset
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.influence import Influence, measure_influence
from quantlab.learning.ensemble.pooling import PooledForecast
from quantlab.learning.ensemble.signal_report import OutOfSampleRows
from quantlab.learning.samples.splits import Fold, part


@dataclass(frozen=True, eq=False)
class Vote:
    """One fold's ensemble, and its vote on the fold's test rows.

    Parameters
    ----------
    fold : Fold
    ensemble : FittedEnsemble
    forecasts : float32 (M, T_calibration + T_test, S, 3)
        Of the members; the calibration rows warm the liveness.
    move : float64 (T_calibration + T_test, S)
        The labels' move in basis points on these rows.
    pooled : PooledForecast, (T_test, S)
    influence : Influence
    """

    fold: Fold
    ensemble: FittedEnsemble
    forecasts: Float32Array
    move: Float64Array
    pooled: PooledForecast
    influence: Influence

    @property
    def members(self) -> Float32Array:
        """float32 (M, T_test, S, 3)."""
        return self.forecasts[:, self.fold.test[0] - self.fold.calibration[0] :]


def vote(
    rules: Ensemble, names: tuple[str, ...], members: Float32Array, move: Float64Array, dataset: Dataset, fold: Fold
) -> Vote:
    """Fit the ensemble on the fold's calibration rows and let it vote on the test rows.

    Parameters
    ----------
    members : float32 (M, T, S, 3)
        Rows ``fold.calibration[0]`` to ``fold.test[1]``; the first of them warm the liveness.
    move : float64 (T, S)
        The labels' move in basis points on these rows.
    """
    start, first = fold.calibration
    inner = slice(start, first)
    ensemble = rules.fit(
        names,
        members[:, : first - start],
        dataset.label[inner],
        dataset.weight[inner],
        part(dataset, fold, "calibration").mask[inner],
    )
    return _count_vote(ensemble, members, move, fold)


def revote(one: Vote, rules: Ensemble) -> Vote:
    """The same votes at other thresholds: no weight, no temperature and no probability changes.

    Parameters
    ----------
    rules : Ensemble
        May differ from the vote's own in its thresholds only.
    """
    return _count_vote(dataclasses.replace(one.ensemble, rules=rules), one.forecasts, one.move, one.fold)


def _count_vote(ensemble: FittedEnsemble, forecasts: Float32Array, move: Float64Array, fold: Fold) -> Vote:
    first = fold.test[0] - fold.calibration[0]
    pooled, _ = ensemble.pool(forecasts, ensemble.begin(forecasts.shape[2]), move)
    return Vote(
        fold=fold,
        ensemble=ensemble,
        forecasts=forecasts,
        move=move,
        pooled=pooled.rows(first, forecasts.shape[1]),
        influence=measure_influence(ensemble, forecasts, move, pooled, first),
    )


def join_votes(votes: Sequence[Vote], n_bars: int, n_symbols: int) -> PooledForecast:
    """Every vote in its place over all bars; HOLD and NaN where no fold tested."""
    joined = PooledForecast.empty(n_bars, n_symbols)
    for one in votes:
        for field in dataclasses.fields(PooledForecast):
            getattr(joined, field.name)[slice(*one.fold.test)] = getattr(one.pooled, field.name)
    return joined


def join_out_of_sample(votes: Sequence[Vote], dataset: Dataset) -> OutOfSampleRows:
    """Test rows of all folds, which follow each other, for the report."""
    rows = slice(votes[0].fold.test[0], votes[-1].fold.test[1])
    names = votes[0].ensemble.names
    weights = np.mean([one.ensemble.weights for one in votes], axis=0)
    return OutOfSampleRows(
        members={name: np.concatenate([one.members[m] for one in votes]) for m, name in enumerate(names)},
        weights=dict(zip(names, weights.tolist(), strict=True)),
        influence=reduce(add, (one.influence for one in votes)),
        pooled=join_votes(votes, len(dataset.label), dataset.label.shape[1]).rows(rows.start, rows.stop),
        label=dataset.label[rows],
        weight=dataset.weight[rows],
        rows=dataset.mask[rows],
        open_time_ms=dataset.open_time_ms[rows],
    )
