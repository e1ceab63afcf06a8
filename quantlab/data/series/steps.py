"""Steps between the bars of one file: bars of another interval, named with their rows and times.

1. A stretch of equal steps of another length is no accident: sixteen in a row, or all of a short file.
2. A stretch of steps that are all multiples of a usual longer interval (hourly bars with holes, taken for 5 minutes)
   is none either, once a market that leaves bars out by chance would print it once in 10^12: at least one step in k
   is a multiple of k by chance, so k^n > 10^12 for n steps. 12 steps for an hour of 5-minute bars, 40 for 10 minutes.
3. In a file of three bars or more, hardly any step that is one interval (fewer than 1 %, or none) says that the whole
   is of another interval, be its steps equal or not (calendar months as days).

Missing bars are otherwise no change of the step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import iso_exact
from quantlab.core.durations import duration_text, usual_step
from quantlab.core.errors import DataError

#: Equal steps in a row that are no accident. A market that prints every other bar has two steps of one length in
#: a row half the time, and sixteen never.
RUN = 16
#: Intervals that files are written in, in minutes.
_USUAL_MINUTES = (2, 3, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 10080)
#: One in so many stretches of a market that leaves bars out by chance.
_ODDS = 1e12
#: Steps of a sound file that are one interval, as a share.
_FEWEST = 0.01
#: Steps of a sound file that are multiples of its interval, as a share: the rest are stray stamps.
_MOST = 0.95
#: The way out where the interval is a setting.
SET_TIMEFRAME = "keep each interval in files of its own, or set the timeframe to the one of this file"


def told_step(time_ms: Int64Array) -> int | None:
    """The interval that the steps of one file tell; None where too many bars are missing to tell it.

    The usual step is the interval if it holds for a stretch of rows, or nearly all steps are multiples of it. In a file of
    mostly missing bars any multiple may be the usual one: there the longest step that nearly all are multiples of is it.

    Parameters
    ----------
    time_ms : int64 (N,)
        Strictly increasing.

    Examples
    --------
    >>> told_step(60_000 * np.array([0, 1, 2, 3, 10])), told_step(60_000 * np.array([0, 31, 59, 90]))
    (60000, None)
    """
    steps = np.diff(time_ms)
    if not len(steps):
        return None
    usual = usual_step(time_ms)
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    longest = np.diff(starts, append=len(steps))[steps[starts] == usual].max()
    if longest >= RUN or _divides_most(usual, steps):
        return usual
    lengths, counts = np.unique(steps, return_counts=True)
    known = lengths[counts >= max(1.0, _FEWEST * len(steps))]
    return next((int(step) for step in known[::-1] if _divides_most(int(step), steps)), None)


def _divides_most(step: int, steps: Int64Array) -> bool:
    return bool(np.mean(steps % step == 0) >= _MOST)


class _Stretch(NamedTuple):
    first: int
    last: int
    step_ms: int


def check_one_step(time_ms: Int64Array, interval_ms: int, origin: str, fix: str = SET_TIMEFRAME) -> None:
    """Refuse bars that stand at another step than `interval_ms` for a stretch of rows, or throughout.

    Parameters
    ----------
    time_ms : int64 (N,)
        Strictly increasing. Missing bars are no change of the step.
    interval_ms : int
    origin : str
        For the message.
    fix : str
        The way out.

    Raises
    ------
    DataError
        Naming the first such stretch.
    """
    steps = np.diff(time_ms)
    others = np.flatnonzero(steps != interval_ms)
    if not len(others):
        return
    stretches = [*_equal_stretch(steps, interval_ms), *_multiple_stretches(steps, others, interval_ms)]
    if stretches:
        earliest = min(stretches)
        # Hourly steps are multiples of 10 minutes, too: the longest step of one place is the interval.
        same_place = [stretch for stretch in stretches if stretch.first < earliest.last]
        first, last, step_ms = max(same_place, key=lambda stretch: (stretch.step_ms, stretch.last - stretch.first))
        raise DataError(
            f"one step of {duration_text(interval_ms)} between the bars of {origin}",
            found=f"steps of {duration_text(step_ms)}{'' if steps[first:last].max() == step_ms else ' and more'} "
            f"from row {first} ({iso_exact(int(time_ms[first]))}) to row {last} ({iso_exact(int(time_ms[last]))})",
            fix=fix,
        )
    single = len(steps) - len(others)
    if len(steps) > 1 and single < max(1.0, _FEWEST * len(steps)):
        middle = duration_text(int(np.median(steps)))
        raise DataError(
            f"bars of {origin} one step of {duration_text(interval_ms)} apart",
            found=f"{single} of {len(steps)} neighbouring rows, from row 0 ({iso_exact(int(time_ms[0]))}) on; half of the "
            f"steps are {middle} or longer",
            fix=f"{fix}; a market that printed so few bars cannot be traded at this interval",
        )


def _equal_stretch(steps: Int64Array, interval_ms: int) -> list[_Stretch]:
    """The first stretch of equal steps of another length, if there is one."""
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    lengths = np.diff(starts, append=len(steps))
    fewest = max(2, min(RUN, len(steps)))
    changed = np.flatnonzero((steps[starts] != interval_ms) & (lengths >= fewest))[:1]
    return [_Stretch(int(starts[k]), int(starts[k] + lengths[k]), int(steps[starts[k]])) for k in changed]


def _multiple_stretches(steps: Int64Array, others: Int64Array, interval_ms: int) -> list[_Stretch]:
    """The first stretch of multiples of each longer interval."""
    found = []
    for longer in (minutes * 60_000 for minutes in _USUAL_MINUTES):
        if longer <= interval_ms or longer % interval_ms:
            continue
        rows = others[steps[others] % longer == 0]
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        lengths = np.diff(starts, append=len(rows))
        fewest = math.log(_ODDS) / math.log(longer // interval_ms)
        for place in np.flatnonzero(lengths >= fewest)[:1]:
            first = int(rows[starts[place]])
            found.append(_Stretch(first, first + int(lengths[place]), longer))
    return found
