"""The marks of an account's holdings after the last bar, from the bars alone."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.market import Bars, PrintFlag


def last_marks(bars: Bars, units: Float64Array) -> Float64Array:
    """float64 (S,): last finite close of every symbol in USD, NaN where there is none.

    Where a suspicion stands at it, a holding counts at the worse of it and the last close at which none stood.

    Parameters
    ----------
    bars : Bars, (T, S)
    units : float64 (S,)
        Held after the last bar; only their sign matters.
    """
    finite, columns = np.isfinite(bars.close), np.arange(bars.n_symbols)
    last = _last_true(finite)
    marks: Float64Array = bars.close[last, columns]
    if bars.suspect is None:
        return marks
    stands = bars.suspect == PrintFlag.STANDS
    agreed = bars.close[_last_true(finite & ~stands), columns]
    worse = np.where(units > 0.0, np.minimum(agreed, marks), np.maximum(agreed, marks))
    return np.where(stands[last, columns] & (units != 0.0), worse, marks)


def _last_true(where: BoolArray) -> Int64Array:
    """int64 (S,): the last row that is True; the last of all where none is."""
    rows: Int64Array = len(where) - 1 - np.argmax(where[::-1], axis=0)
    return rows
