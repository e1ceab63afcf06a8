"""Rows and changes on the first days of months: a step of 28 to 31 days, which no number of bars divides.

pandas stamps a month (``MS``, ``QS``, ``YS``) with its first day, which knows nothing of it. A row on the *last* day
(``ME``) is known at that day's close and is no coarse row of daily bars. The first weekday of a month (``BMS``) counts as
its first day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.trading.signals.step_places import CHANCE, crowded, log_chance

#: Moves wider than the shortest month say nothing.
_WIDEST_MS = 28 * MS_PER_DAY
_USUAL_MONTH_MS = 365.2425 / 12 * MS_PER_DAY
_DAYS = {1: 31, 3: 92, 6: 184, 12: 366}


@dataclass(frozen=True)
class Months:
    """A step of whole months.

    Parameters
    ----------
    months : int
    hits, moves : int
        How many moves begin such a step, of how many.
    late : bool
        They come one bar after its first: values changed before their stamps.
    """

    months: int
    hits: int
    moves: int
    late: bool

    @property
    def longest_ms(self) -> int:
        """The longest that so many months can last."""
        return _DAYS.get(self.months, 31 * self.months) * MS_PER_DAY


def month_steps(
    before_ms: Int64Array, at_ms: Int64Array, interval_ms: int, *, changes: bool, tried: int
) -> Months | None:
    """The step of months on whose first days nearly all or very many moves lie, or None.

    Parameters
    ----------
    before_ms, at_ms : int64 (N,)
        Opens of the bars between which each move happened, see :class:`quantlab.trading.signals.step_places.Moves`.
    interval_ms : int
        Of the bars; nothing is found from bars of more than a day.
    changes : bool
        Changes of a value may also come one bar after the first day: a table that was filled backward.
    tried : int
        How many sets of moves are looked at.
    """
    if interval_ms > MS_PER_DAY:
        return None
    narrow = at_ms - before_ms < _WIDEST_MS
    before_ms, at_ms = before_ms[narrow], at_ms[narrow]
    if len(at_ms) < 2:
        return None
    mean = float((at_ms - before_ms).sum()) / _USUAL_MONTH_MS
    for first_ms in _beginnings(int(before_ms[0]), int(at_ms[-1])):
        for back in (0, interval_ms) if changes else (0,):
            month = np.searchsorted(first_ms + back, at_ms, side="right")
            begins = np.searchsorted(first_ms + back, before_ms, side="right") != month
            hits = int(begins.sum())
            whole = 1 < hits == len(begins) and log_chance(hits, hits, mean) < math.log(CHANCE)
            if whole or crowded(hits, len(begins), mean, 4 * tried):
                apart = int(np.gcd.reduce(np.diff(month[begins])))
                return Months(max(apart, 1), hits, len(begins), late=back > 0)
    return None


def _beginnings(from_ms: int, to_ms: int) -> tuple[Int64Array, Int64Array]:
    """Times at which the months about a span begin, by their first days and by their first weekdays."""
    span = np.array([from_ms, to_ms], dtype="datetime64[ms]").astype("datetime64[M]")
    months = np.arange(span[0] - 1, span[1] + 2)
    first: Int64Array = months.astype("datetime64[D]").astype(np.int64)
    weekday = (first + 3) % 7  # Monday = 0; 1970-01-01 was a Thursday
    return first * MS_PER_DAY, (first + np.where(weekday >= 5, 7 - weekday, 0)) * MS_PER_DAY
