"""A change of the step between the bars of one file, named with its rows and times."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import iso_exact
from quantlab.core.durations import duration_text
from quantlab.core.errors import DataError

#: Equal steps in a row that are no accident. A market that prints every other bar has two steps of one length in
#: a row half the time, and sixteen never.
_RUN = 16


def check_one_step(time_ms: Int64Array, interval_ms: int, origin: str) -> None:
    """Refuse bars that stand at another step than `interval_ms` for a stretch of rows, or throughout.

    Parameters
    ----------
    time_ms : int64 (N,)
        Strictly increasing. Missing bars are no change of the step.
    interval_ms : int
    origin : str
        For the message.

    Raises
    ------
    DataError
        Naming the first such stretch.
    """
    steps = np.diff(time_ms)
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    lengths = np.diff(starts, append=len(steps))
    fewest = max(2, min(_RUN, len(steps)))
    changed = np.flatnonzero((steps[starts] != interval_ms) & (lengths >= fewest))
    if len(changed):
        first = int(starts[changed[0]])
        last = first + int(lengths[changed[0]])
        raise DataError(
            f"one step of {duration_text(interval_ms)} between the bars of {origin}",
            found=f"steps of {duration_text(int(steps[first]))} from row {first} ({iso_exact(int(time_ms[first]))}) "
            f"to row {last} ({iso_exact(int(time_ms[last]))})",
            fix="keep each interval in files of its own, or set the timeframe to the one of this file",
        )
