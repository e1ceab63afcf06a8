"""Levels at which a position should be closed now: the account's, or, until its bar is settled, the opening order's.

Both are the same numbers: the account measures them from the same fills with the same functions when the bar is settled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantlab.core.events import Leg
from quantlab.core.results import OrderReason
from quantlab.core.venue.grid import Grid
from quantlab.execution.live.inbox import mean_price
from quantlab.execution.live.venue_facts import Fill
from quantlab.execution.protection.levels import Distances, Levels, level_ticks, levels_of_fill

NO_LEVELS = Levels(None, None)


@dataclass(frozen=True, slots=True)
class SettledPosition:
    """A position as the account held it after the last bar.

    Parameters
    ----------
    lots : int
    stop_level, take_level : float
        USD; NaN or infinite where there is none.
    """

    lots: int
    stop_level: float
    take_level: float


FLAT = SettledPosition(0, math.nan, math.nan)


def wanted_levels(
    settled: SettledPosition, fills: Sequence[Fill], legs: Mapping[str, Leg], grid: Grid, coarsest_tick: float
) -> Levels:
    """Return the levels of a symbol's position.

    Parameters
    ----------
    settled : SettledPosition
    fills : sequence of Fill
        Of the symbol, after the last bar, oldest first.
    legs : mapping of client id to Leg
        Legs of the last decision by the client ids of their orders.
    grid : Grid
    coarsest_tick : float
        Share of a price beyond which a tick counts as unknown.

    Returns
    -------
    Levels
        Empty where the position was opened by nobody's leg.
    """
    opening = _opening_fills(settled.lots, fills)
    if opening is None:
        return Levels(level_ticks(settled.stop_level, grid), level_ticks(settled.take_level, grid))
    own = [fill for fill in opening if fill.reason == OrderReason.SIGNAL.name]
    leg = legs.get(own[0].client_id or "") if own else None
    if leg is None:
        return NO_LEVELS
    same = [fill for fill in own if fill.side == own[0].side]
    distances = Distances(_distance(leg.stop_distance), _distance(leg.take_distance), _distance(leg.trail_distance))
    return levels_of_fill(own[0].side, mean_price(same, grid), distances, grid, coarsest_tick)


def _opening_fills(lots: int, fills: Sequence[Fill]) -> list[Fill] | None:
    """Fills from the one that took the position from zero, or through it; None if none did."""
    first = None
    for i, fill in enumerate(fills):
        after = lots + fill.side * fill.lots
        if after != 0 and (lots == 0 or (after > 0) != (lots > 0)):
            first = i
        lots = after
    return None if first is None else list(fills[first:])


def _distance(value: float | None) -> float:
    return math.inf if value is None else value
