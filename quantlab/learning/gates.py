"""When an opinion becomes a BUY or a SELL: a pure function of what the vote said.

Nothing is fitted here and no member is asked, so that other thresholds cost one pass over the rows.
"""

from __future__ import annotations

import dataclasses

from quantlab.core.compiled import compiled
from quantlab.core.types import Float64Array, Int8Array, Signal
from quantlab.learning.pooling import Pooled, decisions


@compiled
def _open_gates(
    confidence: Float64Array,
    consensus: Float64Array,
    live_members: Int8Array,
    min_confidence: float,
    min_consensus: float,
    quorum: int,
    side: Int8Array,
) -> None:
    for t in range(side.shape[0]):
        for s in range(side.shape[1]):
            # Written so that a NaN stays outside.
            passes = confidence[t, s] >= min_confidence and consensus[t, s] >= min_consensus
            if not (passes and live_members[t, s] >= quorum):
                side[t, s] = 0


def gated(said: Pooled | Signal, gates: tuple[float, float, int]) -> Int8Array:
    """int8 (T, S): the decisions that have enough confidence, consensus and live members; HOLD elsewhere.

    Parameters
    ----------
    said : Pooled or Signal, (T, S)
        Its own side is not looked at.
    gates : (min_confidence, min_consensus, quorum)
    """
    side: Int8Array = decisions(said.proba)
    confidence, consensus, quorum = gates
    _open_gates(
        said.confidence, said.consensus, said.live_members, float(confidence), float(consensus), int(quorum), side
    )
    return side


def regated(signal: Signal, gates: tuple[float, float, int]) -> Signal:
    """The same opinions behind other gates."""
    return dataclasses.replace(signal, side=gated(signal, gates))
