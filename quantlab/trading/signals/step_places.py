"""The step on which something happens: one place of every k bars, more often than chance would have it.

A *move* is something that happens after one bar and not later than another: a row on a bar (after the bar before it), or
a change between two rows that have a value, wherever between them it took place. Whatever happens without regard to the
clock crosses one place of k bars with a probability of its width / k. The chance of so many crossings on one place is at
most exp(-n KL(share, mean)), the bound of Chernoff and Hoeffding, times the number of places, steps and columns tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.durations import usual_step

#: Chance from which on moves that all have one place are taken to have it by accident.
CHANCE = 1e-6
#: The same where only many of them have it, over all places, steps and columns.
SMALL_CHANCE = 1e-9
#: Share of the moves that must lie on one place beyond what chance puts there: markets have hours of their own.
BEYOND = 0.2
#: Share of the moves on one multiple of their usual step from which on a column with others is mixed.
_MOSTLY = 0.9


@dataclass(frozen=True)
class Moves:
    """Things that happened, each between two bars.

    Parameters
    ----------
    before, at : int64 (N,)
        After bar `before` and not later than bar `at` > `before`; `at` strictly increasing.
    """

    before: Int64Array
    at: Int64Array


@dataclass(frozen=True)
class Place:
    """One place of a step.

    Parameters
    ----------
    step : int
        Bars, > 1.
    place : int
        Bar modulo `step`.
    hits, moves : int
        How many moves lie there, of how many.
    """

    step: int
    place: int
    hits: int
    moves: int


def one_place(moves: Moves, steps: tuple[int, ...], tried: int) -> Place | None:
    """The step of which nearly all or very many moves have one place, or None.

    Parameters
    ----------
    moves : Moves
    steps : tuple of int
        Steps in bars, > 1, on one of which many may lie. Where nearly all lie on one, any step is found.
    tried : int
        How many sets of moves are looked at.

    Examples
    --------
    >>> hourly = np.arange(0, 240, 12)
    >>> one_place(Moves(hourly - 1, hourly), (12, 288), tried=1)
    Place(step=12, place=0, hits=20, moves=20)
    >>> one_place(Moves(np.arange(19), np.arange(1, 20)), (12, 288), tried=1) is None
    True
    """
    at = moves.at
    if len(at) >= 3:
        step = int(np.gcd.reduce(np.diff(at)))
        if not by_chance(step, len(at)):
            return Place(step, int(at[0]) % step, len(at), len(at))
        usual = _usual(at)
        places, counts = np.unique(at % usual, return_counts=True) if usual > 1 else (at[:1], np.zeros(1))
        most = int(counts.max())
        if most >= _MOSTLY * len(at) and not by_chance(usual, most):
            return Place(usual, int(places[np.argmax(counts)]), most, len(at))
    return _crowded(moves, steps, tried)


def by_chance(step: int, moves: int) -> bool:
    """True if so many moves may lie multiples of `step` bars apart by accident; a step of 1 always does."""
    return (moves - 2) * math.log(max(step, 1)) < -math.log(CHANCE)


def crossings(moves: Moves, step: int) -> tuple[Int64Array, int, float]:
    """Moves narrower than a step: how many may have each place, how many there are, how many chance puts on a place.

    Returns
    -------
    int64 (step,), int, float
    """
    width = moves.at - moves.before
    narrow = width < step
    width = width[narrow]
    first = (moves.before[narrow] + 1) % step
    begun = np.bincount(first, minlength=2 * step + 1)
    ended = np.bincount(first + width, minlength=2 * step + 1)
    open_ = np.cumsum(begun - ended)[: 2 * step]
    counts: Int64Array = (open_[:step] + open_[step:]).astype(np.int64)
    return counts, len(width), float(width.sum()) / step


def log_chance(hits: int, moves: int, mean: float) -> float:
    """Upper bound of the log of the chance of `hits` or more of independent `moves`, of which `mean` are expected."""
    share, usual = hits / moves, mean / moves
    if share <= usual:
        return 0.0
    rest = 0.0 if hits == moves else (1.0 - share) * math.log((1.0 - share) / (1.0 - usual))
    return -moves * (share * math.log(share / usual) + rest)


def crowded(hits: int, moves: int, mean: float, tries: int) -> bool:
    """True if so many of the moves on one of `tries` places are no accident, and a good part of all."""
    if moves == 0 or hits - mean < BEYOND * (moves - mean):
        return False
    return log_chance(hits, moves, mean) + math.log(tries) < math.log(SMALL_CHANCE)


def _usual(at: Int64Array) -> int:
    """The usual step, found at once where moves mostly follow bar on bar."""
    return 1 if 2 * np.count_nonzero(np.diff(at) == 1) >= len(at) else usual_step(at)


def _crowded(moves: Moves, steps: tuple[int, ...], tried: int) -> Place | None:
    """The least likely of all places on which many moves lie."""
    best, least = None, 0.0
    single = moves.at - moves.before == 1  # nearly all moves of a dense table: counted once, for every step
    often = math.lcm(*steps)
    folded = np.bincount(moves.at[single] % often, minlength=often)
    wide = Moves(moves.before[~single], moves.at[~single])
    for step in steps:
        counts, narrow, mean = crossings(wide, step)
        counts = counts + folded.reshape(-1, step).sum(axis=0)
        narrow, mean = narrow + int(single.sum()), mean + float(single.sum()) / step
        hits = int(counts.max(initial=0))
        if crowded(hits, narrow, mean, step * len(steps) * tried):
            chance = log_chance(hits, narrow, mean) + math.log(step)
            if chance < least:
                best, least = Place(step, int(np.argmax(counts)), hits, narrow), chance
    return best
