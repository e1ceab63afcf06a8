"""When an opinion becomes a BUY or a SELL: a pure function of what the vote said.

Nothing is fitted here and no member is asked, so that other thresholds cost one pass over the rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from quantlab.core.arrays import Float64Array, Int8Array
from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.learning.ensemble.pooling import Pooled, decisions


class Gates(NamedTuple):
    """What a decision must have to become a side.

    Parameters
    ----------
    min_confidence : float
        Pooled probability of the decision.
    min_consensus : float
        Weight share of the live members that agree.
    quorum : int
        Live members.
    min_gain_bps : float
        Expected gain, basis points of price; 0 asks for none.
    """

    min_confidence: float
    min_consensus: float
    quorum: int
    min_gain_bps: float


def move_bps(bars: Bars, atr: Float64Array, multiple: float) -> Float64Array:
    """float64 (T, S): a move of so many ATR in basis points of the close; NaN where either is unknown."""
    move: Float64Array = 1e4 * multiple * atr / bars.close
    return move


def gain_bps(proba: Float64Array, move: Float64Array) -> Float64Array:
    """float64 (T, S): what BUY or SELL, whichever is likelier, is expected to gain before costs.

    A BUY label is a move of `move` up and a SELL label one of as much down, both before the opposite stop;
    HOLD is worth nothing. So one unit of the likelier side gains ``|pB - pS| * move``.
    """
    gain: Float64Array = np.abs(proba[..., 2] - proba[..., 0]) * move
    return gain


@compiled
def _open_gates(
    confidence: Float64Array,
    consensus: Float64Array,
    live_members: Int8Array,
    gain: Float64Array,
    min_confidence: float,
    min_consensus: float,
    quorum: int,
    min_gain: float,
    side: Int8Array,
) -> None:
    for t in range(side.shape[0]):
        for s in range(side.shape[1]):
            # Written so that a NaN stays outside.
            passes = confidence[t, s] >= min_confidence and consensus[t, s] >= min_consensus
            if not (passes and live_members[t, s] >= quorum and gain[t, s] >= min_gain):
                side[t, s] = 0


def gated(said: Pooled | Signal, gates: Gates) -> Int8Array:
    """int8 (T, S): the decisions that pass all gates; HOLD elsewhere.

    Parameters
    ----------
    said : Pooled or Signal, (T, S)
        A forecast; its own side is not looked at.
    gates : Gates
    """
    side: Int8Array = decisions(said.proba)
    assert said.gain_bps is not None  # noqa: S101 - every learned signal has it
    _open_gates(
        said.confidence,
        said.consensus,
        said.live_members,
        said.gain_bps,
        float(gates.min_confidence),
        float(gates.min_consensus),
        int(gates.quorum),
        float(gates.min_gain_bps),
        side,
    )
    return side


def regated(signal: Signal, gates: Gates) -> Signal:
    """The same opinions behind other gates."""
    return dataclasses.replace(signal, side=gated(signal, gates))


def regated_by_window(signal: Signal, windows: Sequence[tuple[int, int]], gates: Sequence[Gates]) -> Signal:
    """The same opinions, each window behind gates of its own; HOLD outside.

    Parameters
    ----------
    signal : Signal, (T, S)
    windows : sequence of (int, int)
        First row and end of each.
    gates : sequence of Gates
        One for each window.
    """
    side = np.zeros_like(signal.side)
    for (first, end), one in zip(windows, gates, strict=True):
        side[first:end] = gated(signal.rows(first, end), one)
    return dataclasses.replace(signal, side=side)


def one_each(gates: Mapping[str, Any] | Sequence[Mapping[str, Any]], n_windows: int) -> Sequence[Mapping[str, Any]]:
    """Gates for each test window, where they were given for all of them or one by one.

    Raises
    ------
    ContractError
        If there are not as many as test windows.
    """
    each = [gates] * n_windows if isinstance(gates, Mapping) else gates
    if len(each) != n_windows:
        raise ContractError(
            f"gates for all test windows, or for each of {n_windows}", found=str(len(each)), fix="give one for each"
        )
    return each
