"""Checks that every row must pass before it is stored, whichever way it came."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import DataError
from quantlab.data.quality.bar_checks import check_rows
from quantlab.data.series.alignment import Series
from quantlab.data.series.steps import check_one_step
from quantlab.data.series.timestamp_checks import (
    check_increasing,
    check_on_grid,
    check_years,
    drop_repeats,
    floor_to_hour,
)
from quantlab.data.store.day_files import BARS


def check_series(
    kind: str, time_ms: Int64Array, values: Float64Array, interval_ms: int, origin: str, *, one_step: bool = False
) -> tuple[Series, int]:
    """Rows that may be stored, and how many exact repeats were dropped from them.

    Parameters
    ----------
    kind : {"bars", "funding"}
    time_ms : int64 (N,)
        Bar opens, or the stamps of funding rates.
    values : float64 (N, 5) or (N, 1)
    interval_ms : int
    origin : str
        For messages.
    one_step : bool
        True for a file of bars, which may not change its step: a stretch of every fifth bar is another interval.

    Raises
    ------
    DataError
        If a row is not sound, contradicts another, or stands at a wrong place or time.
    """
    check_years(time_ms, origin)
    time_ms, values, dropped = drop_repeats(time_ms, values, origin)
    check_increasing(time_ms, origin)
    if kind == BARS:
        if one_step:
            check_one_step(time_ms, interval_ms, origin)
        check_on_grid(time_ms, interval_ms, origin)
        check_rows(values, time_ms, origin)
    else:
        floor_to_hour(time_ms, origin)
        if not np.isfinite(values).all():
            raise DataError(f"finite funding rates in {origin}", found="missing ones", fix="ask for them again")
    return (time_ms, values), dropped
