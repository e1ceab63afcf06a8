"""Candles of the replayed market: ended bars as the data has them, and the running bar as far as it has come.

A longer interval is made of the data's bars, cut where that interval begins in the data's own time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK, floor_to_open
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, BarState
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.market import Cell, Market
from quantlab.simulator.engine.path import path_of, share_of_bar
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.surface.scale import plain
from quantlab.simulator.wire.messages import RefusedError

_HOUR = 3_600_000
#: The venue's intervals, ms.
INTERVALS = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": MS_PER_DAY,
    "3d": 3 * MS_PER_DAY,
    "1w": MS_PER_WEEK,
}
_PRINTED = (BarState.TRADED, BarState.ZERO_VOLUME, BarState.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle.

    Parameters
    ----------
    open_ms, close_ms : int
        Venue time of its first and its last millisecond.
    cell : Cell
        Prices in USD, volume in units.
    closed : bool
        False for the one that runs.
    """

    open_ms: int
    close_ms: int
    cell: Cell
    closed: bool


def bars_in_interval(market: Market, interval: str) -> int:
    """Bars of the data in one candle.

    Raises
    ------
    RefusedError
        -1120 for an interval that the venue does not know, or that the data's bars do not fill.
    """
    length = INTERVALS.get(interval)
    if length is None or length % market.bars.interval_ms:
        raise RefusedError(-1120, "Invalid interval.")
    return length // market.bars.interval_ms


def candles_between(
    state: VenueState, listing: Listing, interval: str, start_ms: int | None, end_ms: int | None, limit: int
) -> tuple[Candle, ...]:
    """Candles by time: the first `limit` from a start on, else the last `limit` before an end.

    Parameters
    ----------
    state : VenueState
    listing : Listing
    interval : str
        One of :data:`INTERVALS`.
    start_ms, end_ms : int or None
        Venue time of their opens.
    limit : int
    """
    market, width = state.market, bars_in_interval(state.market, interval)
    last = min(state.row, market.bars.n_bars - 1)
    end = last if end_ms is None else min(last, row_at(market, end_ms))
    if start_ms is None:
        begin = group_start(market, end, width) - (limit - 1) * width
    else:
        row = -(-(start_ms - market.open_ms(0)) // market.step_ms)
        begin = group_start(market, row + width - 1, width)
    begin = max(begin, group_start(market, 0, width))
    found = (candle_of(state, listing, first, width) for first in range(begin, end + 1, width)[:limit])
    return tuple(candle for candle in found if candle is not None)


def candle_of(state: VenueState, listing: Listing, first: int, width: int) -> Candle | None:
    """The candle of `width` of the data's bars from row `first` on; None where nothing was printed."""
    market = state.market
    if width == 1:
        cell = seen_cell(state, listing, first)
    else:
        cell = _joined(cells_between(state, listing, first, first + width))
    if cell is None:
        return None
    open_ms = market.open_ms(first)
    return Candle(open_ms, open_ms + width * market.step_ms - 1, cell, closed=first + width <= state.row)


def seen_cell(state: VenueState, listing: Listing, row: int) -> Cell | None:
    """One bar as far as it can be seen now; None where nothing was printed."""
    market = state.market
    if row > state.row or row >= market.bars.n_bars or market.bars.state[row, listing.column] not in _PRINTED:
        return None
    cell = market.cell(row, listing.column)
    if row < state.row:
        return cell
    if state.rules.mode == "lockstep" or not math.isfinite(cell.open):
        return Cell(cell.open, cell.open, cell.open, cell.open, 0.0) if math.isfinite(cell.open) else None
    share = share_of_bar(state, state.now_ms)
    path = path_of(market.seed, row, listing.column, cell)
    last = on_tick(listing, path.price(share))
    prices = [cell.open, last, *(p for t, p in zip(path.times, path.prices, strict=True) if t <= share)]
    lot = float(listing.grid.lot)
    return Cell(cell.open, max(prices), min(prices), last, float(int(cell.volume * share / lot) * listing.grid.lot))


def on_tick(listing: Listing, price: float) -> float:
    """A price inside a bar as the venue prints it: on the nearest tick, where there is one."""
    if listing.grid.fine_ticks:
        return price
    step = listing.tick_step * listing.grid.tick
    return float(round(price / float(step)) * step)


def cells_between(state: VenueState, listing: Listing, first: int, stop: int) -> Float64Array:
    """Bars from row `first` to before `stop`, the running one as far as it can be seen: shape (bars, 5), only those that were printed."""
    bars, first = state.market.bars, max(first, 0)
    ended = slice(first, min(stop, state.row))
    rows = bars.ohlcv[ended, listing.column][np.isin(bars.state[ended, listing.column], _PRINTED)]
    running = seen_cell(state, listing, state.row) if first <= state.row < stop else None
    return rows if running is None else np.vstack([rows, running])


def row_at(market: Market, time_ms: int) -> int:
    """The data's bar that runs at a venue time; negative before the first one."""
    return (time_ms - market.open_ms(0)) // market.step_ms


def kline_row(candle: Candle) -> list[object]:
    """A candle in the venue's twelve columns; who took, and how many trades there were, the data does not say."""
    cell = candle.cell
    return [
        candle.open_ms,
        *(number(value) for value in (cell.open, cell.high, cell.low, cell.close, cell.volume)),
        candle.close_ms,
        plain(exact(cell.close) * exact(cell.volume)),
        0,
        "0",
        "0",
        "0",
    ]


def number(value: float) -> str:
    """A float as the text that reads back as the same float.

    Examples
    --------
    >>> number(1e-07), number(84255.1), number(12.0)
    ('0.0000001', '84255.1', '12.0')
    """
    return plain(exact(value))


def total(values: Float64Array) -> float:
    """A sum of sizes or values, to eight decimals."""
    return round(math.fsum(values.tolist()), 8)


def group_start(market: Market, row: int, width: int) -> int:
    """First row of the candle that a row lies in; negative where the data begins inside one."""
    interval = market.bars.interval_ms
    opened = int(market.bars.open_time_ms[0]) + row * interval
    return row - (opened - floor_to_open(opened, width * interval)) // interval


def _joined(cells: Float64Array) -> Cell | None:
    if len(cells) == 0:
        return None
    high, low = float(cells[:, HIGH].max()), float(cells[:, LOW].min())
    return Cell(float(cells[0, OPEN]), high, low, float(cells[-1, CLOSE]), total(cells[:, VOLUME]))
