"""The step of a table's rows, judged by the rows that say something.

A table of hourly values, each stamped with the open of its hour, looks like any table on 5-minute bars. Played
there it decides 55 minutes before its values are known: a random walk becomes a Sharpe ratio of 110.

The rule, for one column, in three readings of it:

1. all rows with a value, since an hourly table put on the bars' grid has NaN between its rows;
2. of these the rows that are not 0, since it may have been filled with zeros;
3. of these the rows whose value differs from the one before, since it may have been filled forward.

The column is *coarse* if in one of the readings all rows lie a multiple of k > 1 bars apart. It is *mixed* if nine
in ten rows do, with k the usual step, and the others do not. Rows set without regard to the clock lie so by chance
as well, if there are few of them: the chance is k to the power of minus (rows - 2), and from one in a million on
nothing is said. So 8 hourly rows or 5 daily rows are enough on 5-minute bars; columns of fewer rows are judged
together, by the bars in which one of them has a row. What happens now and then, whenever it happens, is not coarse.

Not seen: fewer rows than that; coarse values that were interpolated, or mixed with values of the finer step, so that
they change on every bar.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.durations import usual_step

#: Chance of a coarse look, from which on rows are taken to lie so by accident.
_CHANCE = 1e-6
#: Share of the rows on one multiple from which on a column with other rows is mixed.
_MOSTLY = 0.9
#: Columns of fewer rows are judged together too.
_FEW_ROWS = 64
_READINGS = ("its rows", "its rows that are not 0", "the rows in which its value changes")


@dataclass(frozen=True)
class CoarseStep:
    """A step that is longer than the bars'.

    Parameters
    ----------
    bars : int
        The step in bars, > 1.
    column : str
        Of the table; empty for all columns together.
    rows : str
        The rows that lie so, in words.
    stray : int or None
        Bar of the first row that does not lie so, in a mixed column; None where all do.
    """

    bars: int
    column: str
    rows: str
    stray: int | None


def coarse_step(columns: Iterable[tuple[str, Int64Array, Float64Array]]) -> CoarseStep | None:
    """The first column whose step is longer than the bars', or None.

    Parameters
    ----------
    columns : iterable of (name, bar, value)
        Per column: int64 (N,) numbers of the bars that its rows are stamped with, strictly increasing; float64 (N,)
        values, NaN where a row says nothing.

    Examples
    --------
    >>> hourly = np.arange(0, 240, 12), np.random.default_rng(0).normal(size=20)
    >>> coarse_step([("BTC", *hourly)]).bars
    12
    >>> coarse_step([("BTC", np.arange(20), hourly[1])]) is None
    True
    """
    few: dict[str, list[Int64Array]] = {reading: [] for reading in _READINGS}
    for name, bar, value in columns:
        for reading, rows in _readings(bar, value):
            found = _judge(name, reading, rows)
            if found is not None:
                return found
            if len(rows) < _FEW_ROWS:
                few[reading].append(rows)
    for reading, parts in few.items():
        if len(parts) > 1:
            found = _judge("", reading, np.unique(np.concatenate(parts)))
            if found is not None:
                return found
    return None


def _readings(bar: Int64Array, value: Float64Array) -> Iterator[tuple[str, Int64Array]]:
    """The three readings of a column: what counts as a row, and the bars of these rows."""
    there = ~np.isnan(value)
    bar, value = bar[there], value[there]
    changed = np.ones(len(value), dtype=np.bool_)
    changed[1:] = value[1:] != value[:-1]
    yield from zip(_READINGS, (bar, bar[value != 0.0], bar[changed]), strict=True)


def _judge(column: str, reading: str, rows: Int64Array) -> CoarseStep | None:
    if len(rows) < 3:
        return None
    step = int(np.gcd.reduce(np.diff(rows)))
    if not _by_chance(step, len(rows)):
        return CoarseStep(step, column, reading, None)
    usual = usual_step(rows)
    places, counts = np.unique(rows % max(usual, 1), return_counts=True)
    most = int(counts.max())
    if most >= _MOSTLY * len(rows) and not _by_chance(usual, most):
        stray = int(rows[rows % usual != places[np.argmax(counts)]][0])
        return CoarseStep(usual, column, reading, stray)
    return None


def _by_chance(step: int, rows: int) -> bool:
    """True if so many rows may lie multiples of `step` bars apart by accident; a step of 1 always does."""
    return (rows - 2) * math.log(max(step, 1)) < -math.log(_CHANCE)
