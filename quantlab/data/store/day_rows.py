"""Rows on their way into files of one UTC day: cut at midnight, put together with what is there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from quantlab.core.errors import DataError
from quantlab.data.series.alignment import Series
from quantlab.data.series.timestamp_checks import drop_repeats
from quantlab.data.store.day_files import DAY_MS, day_of


def split_by_day(series: Mapping[str, Series]) -> dict[str, dict[str, Series]]:
    """UTC day -> symbol -> its rows of that day, days in order."""
    days: dict[str, dict[str, Series]] = {}
    for symbol, (time_ms, values) in series.items():
        edges = np.flatnonzero(np.diff(time_ms // DAY_MS)) + 1
        for a, b in zip([0, *edges], [*edges, len(time_ms)], strict=True):
            if a < b:
                days.setdefault(day_of(int(time_ms[a])), {})[symbol] = (time_ms[a:b], values[a:b])
    return dict(sorted(days.items()))


def merge_rows(old: Series | None, new: Series, origin: str) -> tuple[Series, int]:
    """Stored and new rows in time order, and how many of the new ones were there already.

    Raises
    ------
    DataError
        If a new row contradicts a stored one.
    """
    if old is None:
        return new, 0
    try:
        time_ms, values, repeated = drop_repeats(
            np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]]), origin
        )
    except DataError as error:
        raise DataError(
            f"new rows of {origin} that agree with the stored ones",
            found=error.found,
            fix="find out which source is wrong; to take the new ones, collect into another folder",
        ) from error
    order = np.argsort(time_ms)
    return (time_ms[order], values[order]), repeated
