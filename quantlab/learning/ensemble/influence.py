"""Influence of a member: the decisions that change when it is left out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.ensemble.pooling import PooledForecast


@dataclass(frozen=True)
class Influence:
    """Number of decisions above all thresholds, and of those that each member carried.

    Parameters
    ----------
    decided : int
        Rows whose side, after all thresholds, is BUY or SELL.
    flipped : dict of member name to int
        Of these, rows whose side changes when the member is left out and the other weights are
        renormalised. Confidence and consensus are asked for as before; the quorum is what the others
        can still meet, or else every member of a pair would decide everything by mere presence.
    """

    decided: int
    flipped: dict[str, int]

    def __add__(self, other: Influence) -> Influence:
        return Influence(
            decided=self.decided + other.decided,
            flipped={name: count + other.flipped[name] for name, count in self.flipped.items()},
        )


def measure_influence(
    ensemble: FittedEnsemble, members: Float32Array, move: Float64Array, pooled: PooledForecast, first: int
) -> Influence:
    """Vote again without each member in turn.

    Parameters
    ----------
    ensemble : FittedEnsemble
    members : float32 (M, T, S, 3)
    move : float64 (T, S)
        The labels' move in basis points.
    pooled : PooledForecast
        The vote of all over the same bars.
    first : int
        Rows before it only warm the liveness and are not counted.
    """
    others = max(len(ensemble.names) - 1, 1)
    rules = dataclasses.replace(ensemble.rules, quorum=min(ensemble.rules.quorum, others))
    relaxed = dataclasses.replace(ensemble, rules=rules)
    side = pooled.side[first:]
    decided = side != 0
    state = ensemble.begin(members.shape[2])
    return Influence(
        decided=int(decided.sum()),
        flipped={
            name: int((decided & (relaxed.pool(members, state, move, without=name)[0].side[first:] != side)).sum())
            for name in ensemble.names
        },
    )
