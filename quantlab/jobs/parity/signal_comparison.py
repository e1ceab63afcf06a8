"""Comparison of two signals over the same bars: equal decisions, and probabilities that are as close as promised."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.types import Signal


def count_differing_decisions(ours: Signal, theirs: Signal) -> int:
    """Count cells (bar, symbol) in which BUY, SELL or HOLD is another one."""
    return int((ours.side != theirs.side).sum())


def compare_probabilities(ours: Signal, theirs: Signal, tolerance: float) -> dict[str, Any]:
    """Measure how far two signals are apart; strict JSON.

    Parameters
    ----------
    ours, theirs : Signal, (T, S)
    tolerance : float
        Largest absolute difference of a probability.
    """
    known = np.isfinite(ours.proba).all(axis=2)
    known_too = np.isfinite(theirs.proba).all(axis=2)
    largest = _largest_difference(ours.proba, theirs.proba)
    return {
        "tolerance": tolerance,
        "compared": int((known | known_too).sum()) * 3,
        "spoken_by_one_side_only": int((known ^ known_too).sum()),
        "not_bit_equal": int((_bits(ours.proba) != _bits(theirs.proba))[known & known_too].sum()),
        "largest_difference": largest,
        "largest_difference_of_confidence": _largest_difference(ours.confidence, theirs.confidence),
        "atr_not_bit_equal": int((_bits(ours.atr) != _bits(theirs.atr))[np.isfinite(ours.atr)].sum()),
        "within_tolerance": largest <= tolerance and bool((known == known_too).all()),
    }


def _largest_difference(ours: Float64Array, theirs: Float64Array) -> float:
    both = np.isfinite(ours) & np.isfinite(theirs)
    return float(np.abs(ours[both] - theirs[both]).max(initial=0.0))


def _bits(values: Float64Array) -> Any:
    return np.ascontiguousarray(values).view(np.uint64)
