"""Long series made short enough for a page, without losing an extreme."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY

#: Most points of one drawn line.
MAX_POINTS = 2_000
#: Spans before the end of a line that a reader can zoom to: name and days.
ZOOMS = (("1 week", 7), ("1 month", 30), ("3 months", 91))


def extreme_rows(values: Float64Array, limit: int = MAX_POINTS) -> Int64Array:
    """Rows of at most `limit` points that keep the first, the last, and every bucket's minimum and maximum.

    Parameters
    ----------
    values : float64 (N,)
        Values that are not finite are left out.
    limit : int
        Even, >= 4.

    Returns
    -------
    int64 (M,), M <= limit, increasing
    """
    finite = np.flatnonzero(np.isfinite(values)).astype(np.int64)
    if len(finite) <= limit:
        return finite
    seen = values[finite]
    edges = np.linspace(0, len(finite), (limit - 2) // 2 + 1).astype(np.int64)
    kept = {0, len(finite) - 1}
    for start, stop in pairwise(edges):
        bucket = seen[start:stop]
        kept |= {int(start + bucket.argmin()), int(start + bucket.argmax())}
    return finite[sorted(kept)]


def zoomable_rows(values: Float64Array, times_ms: Int64Array, limit: int = MAX_POINTS) -> Int64Array:
    """As :func:`extreme_rows`, with a share of the points spent on each of the last spans of :data:`ZOOMS`.

    Parameters
    ----------
    values : float64 (N,)
    times_ms : int64 (N,), increasing
    limit : int

    Returns
    -------
    int64 (M,), M <= limit, increasing
    """
    share = 2 * (limit // (2 * (len(ZOOMS) + 2)))
    kept = [extreme_rows(values, limit - len(ZOOMS) * share)]
    for _, days in ZOOMS:
        first = int(times_ms.searchsorted(times_ms[-1] - days * MS_PER_DAY))
        kept.append(first + extreme_rows(values[first:], share))
    return np.unique(np.concatenate(kept))
