"""How much does a member decide? Leave it out, and count the decisions that change."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.types import Float32Array
from quantlab.learning.ensemble import FittedEnsemble
from quantlab.learning.pooling import Pooled


@dataclass(frozen=True)
class Influence:
    """How many gated decisions there were, and how many each member carried.

    Parameters
    ----------
    decided : int
        Rows whose side, after all gates, is BUY or SELL.
    flipped : dict of member name to int
        Of these, rows whose side changes when the member is left out, the other weights are
        renormalised, and every gate, the quorum too, stays as it is.
    """

    decided: int
    flipped: dict[str, int]

    def __add__(self, other: Influence) -> Influence:
        return Influence(
            decided=self.decided + other.decided,
            flipped={name: count + other.flipped[name] for name, count in self.flipped.items()},
        )


def measure_influence(ensemble: FittedEnsemble, members: Float32Array, pooled: Pooled, first: int) -> Influence:
    """Vote again without each member in turn.

    Parameters
    ----------
    ensemble : FittedEnsemble
    members : float32 (M, T, S, 3)
    pooled : Pooled
        The vote of all over the same bars.
    first : int
        Rows before it only warm the liveness and are not counted.
    """
    side = pooled.side[first:]
    decided = side != 0
    state = ensemble.begin(members.shape[2])
    return Influence(
        decided=int(decided.sum()),
        flipped={
            name: int((decided & (ensemble.pool(members, state, without=name)[0].side[first:] != side)).sum())
            for name in ensemble.names
        },
    )
