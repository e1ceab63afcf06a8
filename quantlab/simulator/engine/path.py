"""Prices inside the running bar: its open in lockstep, a seeded path through its four prices in wall mode."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.market import Cell
from quantlab.simulator.engine.state import VenueState

_KEPT_PATHS = 4096


@dataclass(frozen=True, slots=True)
class Path:
    """A path of a bar: straight from open to one extreme, to the other, to the close.

    Parameters
    ----------
    times : tuple of 4 floats
        Shares of the bar, from 0 to 1, rising.
    prices : tuple of 4 floats
    """

    times: tuple[float, float, float, float]
    prices: tuple[float, float, float, float]

    def price(self, at: float) -> float:
        """The price after a share `at` of the bar: ``numpy.interp`` to the last bit, at a tenth of its time for one number."""
        times, prices = self.times, self.prices
        leg = 2 if at >= times[2] else 1 if at >= times[1] else 0
        start, end = times[leg], times[leg + 1]
        if at <= start:
            return prices[leg]
        if at >= end:
            return prices[leg + 1]
        return (prices[leg + 1] - prices[leg]) / (end - start) * (at - start) + prices[leg]

    def legs(self, after: float, until: float) -> tuple[tuple[float, float, float, float], ...]:
        """Straight legs between two shares of the bar: (from time, from price, to time, to price) of each."""
        knots = [after, *(time for time in self.times if after < time < until), until]
        points = [(time, self.price(time)) for time in knots]
        return tuple((*one, *other) for one, other in itertools.pairwise(points))


@lru_cache(maxsize=_KEPT_PATHS)
def path_of(seed: int, row: int, column: int, cell: Cell) -> Path:
    """The path of one bar of one symbol, the same for the same seed.

    Parameters
    ----------
    seed : int
    row, column : int
    cell : Cell
        Its prices are finite.
    """
    rng = np.random.default_rng([seed, row, column])
    first, second = np.sort(rng.uniform(0.05, 0.95, 2)).tolist()
    extremes = (cell.low, cell.high) if rng.random() < 0.5 else (cell.high, cell.low)
    return Path((0.0, first, second, 1.0), (cell.open, *extremes, cell.close))


def share_of_bar(state: VenueState, at_ms: int) -> float:
    """Part of the running bar that is over, 0 to 1."""
    begun = state.market.open_ms(state.row)
    return min(max((at_ms - begun) / state.market.step_ms, 0.0), 1.0)


def running_price(state: VenueState, listing: Listing) -> float | None:
    """The price at which the market stands now; None for a symbol that never printed.

    In lockstep it is the open of the running bar, in wall mode the price on its path; without a bar the mark.
    """
    if not state.ended:
        cell = state.cell(listing)
        if math.isfinite(cell.open):
            if state.rules.mode == "lockstep":
                return cell.open
            path = path_of(state.market.seed, state.row, listing.column, cell)
            return path.price(share_of_bar(state, state.now_ms))
    return state.marks.get(listing.symbol)
