"""A signal made of a user's own arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, read_only
from quantlab.core.errors import ContractError
from quantlab.core.types import Signal

#: Arrays that a user may give beside `side` and `target`; each float64 (T, S), NaN = not known.
DISTANCES = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")


def signal_of(
    *,
    side: Any = None,
    target: Float64Array | None = None,
    confidence: Float64Array | None = None,
    atr: Float64Array | None = None,
    **distances: Float64Array,
) -> Signal:
    """Make a :class:`Signal` of arrays (T, S), for a backtest without features or models.

    Parameters
    ----------
    side : int8 (T, S), optional
        -1 SELL, 0 HOLD, +1 BUY; the sign of the target where it is left out.
    target : float64 (T, S), optional
        Signed weight of equity, 0 = close, NaN = keep.
    confidence : float64 (T, S), optional
        Probability of the decision, 0 .. 1; 1 where something is decided if it is left out.
    atr : float64 (T, S), optional
        USD; unknown (NaN) if it is left out.
    stop_distance, take_distance, trail_distance, break_even_distance : float64 (T, S), optional
        USD from the fill, +inf = deliberately none; NaN blocks the increase.

    Raises
    ------
    ContractError
        If neither side nor target is given, a name is unknown, an array is not of that dtype and shape,
        a target is infinite, or a side or a confidence is outside its range.

    Examples
    --------
    >>> signal_of(target=np.array([[0.1], [np.nan], [0.0]])).side.ravel().tolist()
    [1, 0, 0]
    """
    unknown = set(distances) - set(DISTANCES)
    if unknown or (side is None and target is None):
        found = f"the unknown {', '.join(sorted(unknown))}" if unknown else "neither"
        raise ContractError("a side or a target, and known distances", found=found, fix="name the arrays so")
    if target is not None:
        target = read_only(target, np.float64, (None, None), "signal.target")
        _check_finite_or_missing(target)
    if side is None:
        side = np.sign(np.nan_to_num(np.asarray(target, dtype=np.float64), nan=0.0)).astype(np.int8)
    side = read_only(side, np.int8, (None, None), "signal.side")
    decided = side != 0 if target is None else (side != 0) | ~np.isnan(target)
    confidence = np.where(decided, 1.0, np.nan) if confidence is None else confidence
    _check_within("side", side, -1, 1)
    _check_within("confidence", confidence, 0.0, 1.0)
    unknown_atr = np.full(decided.shape, np.nan)
    return Signal(
        side=side,
        proba=np.full((*decided.shape, 3), np.nan),
        confidence=confidence,
        consensus=np.where(decided, 1.0, np.nan),
        live_members=decided.astype(np.int8),
        atr=unknown_atr if atr is None else atr,
        target=target,
        **distances,
    )


def _check_finite_or_missing(target: Float64Array) -> None:
    infinite = int(np.sum(np.isinf(target)))
    if infinite:
        row, column = np.argwhere(np.isinf(target))[0]
        raise ContractError(
            "every target finite, or NaN to keep what is held",
            found=f"{infinite} infinite, the first in row {row}, column {column}",
            fix="look for a division by zero where the weights are made",
        )


def _check_within(name: str, array: Any, low: float, high: float) -> None:
    outside = (array < low) | (array > high)
    if np.any(outside):
        found = f"{array[outside].ravel()[0]} in {int(np.sum(outside))} cells"
        raise ContractError(f"every {name} between {low:g} and {high:g}", found=found, fix=f"check the {name}")
