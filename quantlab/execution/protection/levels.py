"""Levels of a position in whole ticks, measured from its fill by the backtest's own functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from quantlab.core.venue.grid import Grid
from quantlab.trading.account.matching import stop_level, take_level, tighter_stop


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances from the fill, USD, as an opening order carries them; infinite where there is none.

    Parameters
    ----------
    stop, take, trail : float
    """

    stop: float
    take: float
    trail: float


@dataclass(frozen=True, slots=True)
class Levels:
    """Prices at which a position is to be closed.

    Parameters
    ----------
    stop_ticks, take_ticks : int or None
        None = no such level.
    """

    stop_ticks: int | None
    take_ticks: int | None


def levels_of_fill(side: int, price: float, distances: Distances, grid: Grid, coarsest_tick: float) -> Levels:
    """Measure levels from the mean price of the fill that opened a position, as ``set_levels`` of the account does.

    Parameters
    ----------
    side : int
        +1 long, -1 short.
    price : float
        USD.
    distances : Distances
    grid : Grid
    coarsest_tick : float
        Share of a price beyond which a tick counts as unknown (``trading.costs.coarsest_tick``).
    """
    tick, sign = float(grid.tick), float(side)
    fixed = stop_level(sign, price, distances.stop, tick, coarsest_tick)
    trailing = stop_level(sign, price, distances.trail, tick, coarsest_tick)
    take = take_level(sign, price, distances.take, tick, coarsest_tick)
    return Levels(level_ticks(tighter_stop(sign, fixed, trailing), grid), level_ticks(take, grid))


def level_ticks(level: float, grid: Grid) -> int | None:
    """Return a level of the account in whole ticks; None where it is no price (NaN, infinite, 0 or less)."""
    return grid.nearest_ticks(level) if math.isfinite(level) and level > 0.0 else None


def clamp(ticks: int, grid: Grid, mark: Decimal, lowest: Decimal | None, highest: Decimal | None) -> int:
    """Move a level into the band of prices that the venue takes; it is never dropped.

    Parameters
    ----------
    ticks : int
    grid : Grid
    mark : Decimal
        USD.
    lowest, highest : Decimal or None
        Shares of the mark; None = no bound.
    """
    least = 1 if lowest is None else max(1, math.ceil(mark * lowest / grid.tick))
    most = ticks if highest is None else math.floor(mark * highest / grid.tick)
    return max(least, min(ticks, most))
