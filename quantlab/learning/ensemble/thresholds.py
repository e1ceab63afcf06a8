"""Thresholds that a pooled forecast must exceed to become a BUY or a SELL: a pure function of the vote.

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
from quantlab.learning.ensemble.pooling import PooledForecast, decisions


class Thresholds(NamedTuple):
    """Values that a decision must reach to become a side.

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
def _hold_below_thresholds(
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


def apply_thresholds(forecast: PooledForecast | Signal, thresholds: Thresholds) -> Int8Array:
    """int8 (T, S): the decisions that pass all thresholds; HOLD elsewhere.

    Parameters
    ----------
    forecast : PooledForecast or Signal, (T, S)
        Its own side is not looked at.
    thresholds : Thresholds
    """
    side: Int8Array = decisions(forecast.proba)
    assert forecast.gain_bps is not None  # noqa: S101 - every learned signal has it
    _hold_below_thresholds(
        forecast.confidence,
        forecast.consensus,
        forecast.live_members,
        forecast.gain_bps,
        float(thresholds.min_confidence),
        float(thresholds.min_consensus),
        int(thresholds.quorum),
        float(thresholds.min_gain_bps),
        side,
    )
    return side


def with_thresholds(signal: Signal, thresholds: Thresholds) -> Signal:
    """The same signal at other thresholds."""
    return dataclasses.replace(signal, side=apply_thresholds(signal, thresholds))


def with_window_thresholds(
    signal: Signal, windows: Sequence[tuple[int, int]], thresholds: Sequence[Thresholds]
) -> Signal:
    """The same signal, each window at thresholds of its own; HOLD outside.

    Parameters
    ----------
    signal : Signal, (T, S)
    windows : sequence of (int, int)
        First row and end of each.
    thresholds : sequence of Thresholds
        One for each window.
    """
    side = np.zeros_like(signal.side)
    for (first, end), one in zip(windows, thresholds, strict=True):
        side[first:end] = apply_thresholds(signal.rows(first, end), one)
    return dataclasses.replace(signal, side=side)


def thresholds_by_window(
    thresholds: Mapping[str, Any] | Sequence[Mapping[str, Any]], n_windows: int
) -> Sequence[Mapping[str, Any]]:
    """Thresholds for each test window, where they were given for all of them or one by one.

    Raises
    ------
    ContractError
        If there are not as many as test windows.
    """
    each = [thresholds] * n_windows if isinstance(thresholds, Mapping) else thresholds
    if len(each) != n_windows:
        raise ContractError(
            f"thresholds for all test windows, or for each of {n_windows}",
            found=str(len(each)),
            fix="give one for each",
        )
    return each
