"""The step of a table's columns, judged by the rows that say something.

A table of hourly values, each stamped with the open of its hour, looks like any table on 5-minute bars. Played
there it decides 55 minutes before its values are known: a random walk becomes a Sharpe ratio of 110.

Each column is read in five ways, since such a table may have been put on the bars' grid with NaN, with zeros, filled
forward, kept on some bars only, or scaled by something of the bars' own:

1. all rows with a value;
2. of these the rows that are not 0;
3. the changes of the value from one row to the next;
4. the changes of the value from one row that is not 0 to the next such;
5. the changes of its sign between these.

A column is *coarse* if in one of these readings

- all rows or changes lie a multiple of k > 1 bars apart, or nine in ten do; rows set without regard to the clock lie so
  with a chance of k to the power of minus (rows - 2), and from one in a million on nothing is said: 8 hourly rows or 5
  daily rows are enough on 5-minute bars;
- many of them have one place of the k bars of an hour, a day, a week and their parts, against a chance of one in a
  billion (:mod:`quantlab.trading.signals.step_places`);
- they lie on the first days of months (:mod:`quantlab.trading.signals.calendar_steps`).

A column that has rows on a longer step already is read in units of it. Columns of fewer than 64 rows are judged together
too, by the bars in which one of them has a row. What happens now and then, whenever it happens, is not coarse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK
from quantlab.trading.signals.calendar_steps import Months, month_steps
from quantlab.trading.signals.step_places import Moves, Place, by_chance, crossings, one_place

#: One column of a table: its name, int64 (N,) stamps in ms, strictly increasing, and float64 (N,) values.
Column = tuple[str, Int64Array, Float64Array]

#: The readings, in order; those from the third on are of changes.
READINGS = ("rows", "rows that are not 0", "changes", "changes between rows that are not 0", "changes of sign")
#: Columns of fewer rows are judged together too.
_FEW_ROWS = 64
#: Rows from which on their greatest common step is taken for theirs.
_SURE_ROWS = 5
#: Weeks begin on Monday; 1970-01-01 was a Thursday.
_MONDAY_MS = 4 * MS_PER_DAY


@dataclass(frozen=True)
class CoarseStep:
    """A step of a column that is longer than the bars'.

    Parameters
    ----------
    step_ms : int
        The longest that it can last.
    months : int
        Of a step of whole months; 0 for one of fixed length.
    column : str
        Of the table; empty for all columns together.
    reading : str
        One of `READINGS`.
    hits, moves : int
        How many of the reading's rows or changes have this step, of how many.
    filled : bool
        The column has rows between these: it was filled.
    late : bool
        Filled, and its changes do not come with the beginning of such a step: they may come before their stamps.
    known : bool
        They come with the bar that closes as a step ends: a value of the step is known there.
    stray_ms : int or None
        Stamp of the first row without this step, where the rows of a column are mixed.
    """

    step_ms: int
    months: int
    column: str
    reading: str
    hits: int
    moves: int
    filled: bool = False
    late: bool = False
    known: bool = False
    stray_ms: int | None = None


def coarse_steps(columns: Iterable[Column], interval_ms: int) -> tuple[CoarseStep, ...]:
    """Every step that is longer than the bars', column by column and reading by reading.

    Parameters
    ----------
    columns : iterable of Column
        Values are NaN where a row says nothing.
    interval_ms : int
        Of the bars; stamps are their opens.

    Examples
    --------
    >>> hourly = 300_000 * np.arange(0, 240, 12)
    >>> values = np.random.default_rng(0).normal(size=20)
    >>> [found.step_ms // 60_000 for found in coarse_steps([("BTC", hourly, values)], 300_000)]
    [60]
    >>> coarse_steps([("BTC", 300_000 * np.arange(20), values)], 300_000)
    ()
    """
    listed = list(columns)
    tried = len(READINGS) * max(len(listed), 1)
    found = [one for column in listed for one in _of_column(column, interval_ms, tried)]
    return tuple(found) + tuple(_of_few(listed, interval_ms, tried))


@dataclass(frozen=True)
class _Scale:
    """Bars counted in units of a column's own step, from its first row on."""

    first_ms: int
    unit_ms: int
    interval_ms: int

    def steps(self) -> tuple[int, ...]:
        """Hours, days, weeks and their parts, in units."""
        days = (2, 3, 4, 5, 6, 7, 14) if self.interval_ms == MS_PER_DAY else (7,)
        parts = [MS_PER_DAY // n for n in range(1, MS_PER_DAY // self.unit_ms + 1) if MS_PER_DAY % n == 0]
        lengths = parts + [n * MS_PER_DAY for n in days]
        return tuple(ms // self.unit_ms for ms in lengths if ms % self.unit_ms == 0 and ms > self.unit_ms)

    def units(self, time_ms: Int64Array) -> Int64Array:
        return (time_ms - self.first_ms) // self.unit_ms

    def time_ms(self, units: Int64Array) -> Int64Array:
        return self.first_ms + units * self.unit_ms


def _of_column(column: Column, interval_ms: int, tried: int) -> Iterator[CoarseStep]:
    """The steps of one column, at most one of each kind per reading."""
    name, time_ms, value = column
    there = ~np.isnan(value)
    time_ms, value = time_ms[there], value[there]
    if len(time_ms) < 2:
        return
    fine = _Scale(int(time_ms[0]), interval_ms, interval_ms)
    apart = int(np.gcd.reduce(np.diff(time_ms)))
    own = _Scale(fine.first_ms, apart if len(time_ms) >= _SURE_ROWS else interval_ms, interval_ms)
    by_months = False
    for reading, before_ms, at_ms in _readings(time_ms, value):
        scale = fine if reading == READINGS[0] else own
        changes = reading not in READINGS[:2]
        if not changes:
            before_ms = at_ms - scale.unit_ms
        if len(at_ms) and not by_months:
            months_unit = before_ms if changes else at_ms - own.unit_ms
            months = month_steps(months_unit, at_ms, interval_ms, changes=changes, tried=tried)
            by_months = months is not None and reading == READINGS[0]
            if months is not None:
                yield _in_months(months, name, reading)
        moves = Moves(scale.units(before_ms), scale.units(at_ms))
        place = one_place(moves, scale.steps(), tried)
        if place is not None:
            yield _fixed(place, moves, scale, name, reading, time_ms)


def _readings(time_ms: Int64Array, value: Float64Array) -> Iterator[tuple[str, Int64Array, Int64Array]]:
    """The five readings of a column: its name, and the rows before and at each move."""
    yield READINGS[0], time_ms, time_ms
    some = value != 0.0
    yield READINGS[1], time_ms[some], time_ms[some]
    changed = value[1:] != value[:-1]
    yield READINGS[2], time_ms[:-1][changed], time_ms[1:][changed]
    time_ms, value = time_ms[some], value[some]
    changed = value[1:] != value[:-1]
    yield READINGS[3], time_ms[:-1][changed], time_ms[1:][changed]
    changed = np.sign(value[1:]) != np.sign(value[:-1])
    yield READINGS[4], time_ms[:-1][changed], time_ms[1:][changed]


def _in_months(months: Months, name: str, reading: str) -> CoarseStep:
    filled = reading not in READINGS[:2]
    return CoarseStep(
        months.longest_ms, months.months, name, reading, months.hits, months.moves, filled, late=months.late
    )


def _fixed(place: Place, moves: Moves, scale: _Scale, name: str, reading: str, time_ms: Int64Array) -> CoarseStep:
    """A step of fixed length, with what its place on the clock says."""
    step_ms = place.step * scale.unit_ms
    counts, narrow, _ = crossings(moves, place.step)
    most = int(counts.max(initial=0))
    off = time_ms[scale.units(time_ms) % place.step != place.place]
    filled = 2 * len(off) > len(time_ms) and reading not in READINGS[:2]
    late, known = False, False
    clock_ms = _clock(step_ms, scale.interval_ms)
    if clock_ms is not None and most > 0:
        times_ms = scale.first_ms + scale.unit_ms * np.arange(place.step)
        opens, closes = ((times_ms + ms - _MONDAY_MS) % clock_ms == 0 for ms in (0, scale.interval_ms))
        late = filled and 2 * narrow > place.moves and int(counts[opens].max(initial=0)) < 0.9 * most
        known = int(counts[closes].max(initial=0)) == most
    mixed = reading == READINGS[0] and len(off) > 0
    stray_ms = int(off[0]) if mixed else None
    return CoarseStep(step_ms, 0, name, reading, place.hits, place.moves, filled, late, known, stray_ms)


def _clock(step_ms: int, interval_ms: int) -> int | None:
    """Distance of the times at which steps of this length may begin, from a Monday on; None where the clock does not say.

    Steps of several days may begin on any midnight, of several weeks on any Monday.
    """
    if step_ms <= MS_PER_DAY:
        return step_ms
    if interval_ms < MS_PER_DAY:
        return MS_PER_DAY
    one_week = step_ms == MS_PER_WEEK or interval_ms < MS_PER_WEEK
    return MS_PER_WEEK if step_ms % MS_PER_WEEK == 0 and one_week else None


def _of_few(columns: list[Column], interval_ms: int, tried: int) -> Iterator[CoarseStep]:
    """The steps of all columns of few rows together."""
    parts: dict[str, list[Int64Array]] = {reading: [] for reading in READINGS[:3]}
    for _, time_ms, value in columns:
        there = ~np.isnan(value)
        for reading, _, at_ms in _readings(time_ms[there], value[there]):
            if reading in parts and len(at_ms) < _FEW_ROWS:
                parts[reading].append(at_ms)
    if len(columns) < 2 or not any(len(one) for one in parts[READINGS[0]]):
        return
    rows_ms = np.unique(np.concatenate(parts[READINGS[0]]))
    unit_ms = interval_ms
    for reading, several in parts.items():
        at_ms = np.unique(np.concatenate(several)) if several else rows_ms[:0]
        if len(at_ms) < 2:
            continue
        months = month_steps(at_ms - unit_ms, at_ms, interval_ms, changes=False, tried=tried)
        if months is not None:
            yield _in_months(months, "", reading)
        scale = _Scale(int(at_ms[0]), unit_ms, interval_ms)
        at = scale.units(at_ms)
        place = one_place(Moves(at - 1, at), (), tried)
        if place is not None:
            yield _fixed(place, Moves(at - 1, at), scale, "", reading, at_ms)
        if (
            reading == READINGS[0]
            and len(rows_ms) >= _SURE_ROWS
            and not by_chance(_apart(rows_ms, unit_ms), len(rows_ms))
        ):
            unit_ms *= _apart(rows_ms, unit_ms)


def _apart(time_ms: Int64Array, unit_ms: int) -> int:
    return int(np.gcd.reduce(np.diff(time_ms))) // unit_ms
