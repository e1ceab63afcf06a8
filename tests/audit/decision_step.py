"""Compiled parts that the planted decisions share: a step that follows tables, and a size that is looked up.

A step is told no time. So it finds its row by the closes that it sees, once, and counts from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.lib.stride_tricks import sliding_window_view

from quantlab.core.arrays import Float64Array
from quantlab.core.market import CLOSE, HIGH, LOW, Bars
from quantlab.core.results import OrderReason

TIME_EXIT = int(OrderReason.TIME_EXIT)
#: Numbers before the tables: rows and symbols of each, multiples of ATR for stop and take-profit, bars until a time exit,
#: entries at turns of the side only.
HEAD = 6
#: Tables (T, S) in order: the closes, a side, distances in USD, and which side is left (2 = both). NaN = as ever.
CLOSES, SIDE, STOP, TAKE, LEAVE = range(5)


@register_jitable
def find_row(params: Any, closes: Any) -> int:
    """The first row of the first table that holds these closes; -1 if none does."""
    symbols = len(closes)
    if symbols != int(params[1]):
        return -1
    for row in range(int(params[0])):
        same = True
        for s in range(symbols):
            held = params[HEAD + row * symbols + s]
            if held != closes[s] and not (np.isnan(held) and np.isnan(closes[s])):
                same = False
                break
        if same:
            return row
    return -1


@register_jitable
def wish(params: Any, table: int, row: int, symbols: int, s: int) -> float:
    """One cell of a table; NaN outside its rows."""
    rows = int(params[0])
    if row < 0 or row >= rows:
        return np.nan
    return params[HEAD + (table * rows + row) * symbols + s]


def planned(params: Any, memory: Any, market: Any, account: Any, intents: Any) -> None:
    symbols = len(market.close)
    row = int(memory[0, 0]) if memory[0, 0] > 0.0 else find_row(params, market.close)
    memory[0, 0] = row + 1.0
    for s in range(symbols):
        told, stop = wish(params, SIDE, row, symbols, s), wish(params, STOP, row, symbols, s)
        take, leave = wish(params, TAKE, row, symbols, s), wish(params, LEAVE, row, symbols, s)
        side = float(market.side[s]) if np.isnan(told) else told
        turned = side != memory[1, s] or params[5] == 0.0
        memory[1, s] = side
        held = account.units[s]
        if held != 0.0:
            if leave == 2.0 or leave * held > 0.0 or account.bars_held[s] >= params[4]:
                intents.target[s] = 0.0
                intents.reason[s] = TIME_EXIT
                continue
            if side * held >= 0.0:
                continue
        elif side == 0.0 or not turned or account.stopped[s] != 0.0:
            continue
        intents.strength[s] = side
        intents.stop_distance[s] = params[2] * market.atr[s] if np.isnan(stop) else stop
        intents.take_distance[s] = params[3] * market.atr[s] if np.isnan(take) else take


def looked_up(params: Any, entry: Any) -> float:
    """The weight beside this ATR, by the side that is wanted: one of two columns; the first number where there is none."""
    count = (len(params) - 1) // 3
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if params[1 + middle] < entry.atr:
            low = middle + 1
        else:
            high = middle
    weight = params[0]
    if low < count and params[1 + low] == entry.atr:
        weight = params[1 + (1 if entry.strength > 0.0 else 2) * count + low]
    return weight if entry.strength > 0.0 else -weight


def tables(bars: Bars, head: Sequence[float], wishes: dict[int, Float64Array]) -> Float64Array:
    """float64 (P,): the parameters of :func:`planned`."""
    nothing = np.full(bars.close.shape, np.nan)
    parts = [bars.close, *(wishes.get(table, nothing) for table in (SIDE, STOP, TAKE, LEAVE))]
    return np.concatenate([[float(bars.n_bars), float(bars.n_symbols), *head], *(part.ravel() for part in parts)])


def lookup(default: float, keys: Float64Array, longs: Float64Array, shorts: Float64Array) -> Float64Array:
    """float64 (P,): the parameters of :func:`looked_up`; of equal keys (T, S) the earliest counts."""
    finite = np.isfinite(keys.ravel())
    found, first = np.unique(keys.ravel()[finite], return_index=True)
    return np.concatenate([[default], found, longs.ravel()[finite][first], shorts.ravel()[finite][first]])


def window(values: Float64Array, length: int, ahead: bool) -> Float64Array:
    """float64 (T, S, length): the rows after each row if `ahead`, else those up to it; NaN where there are none."""
    none = np.full((length, values.shape[1]), np.nan)
    start = length + 1 if ahead else 1
    return sliding_window_view(np.concatenate([none, values, none]), length, axis=0)[start : start + len(values)]


def move(bars: Bars, length: int, ahead: bool) -> Float64Array:
    """float64 (T, S): the log move over the coming, or the last, `length` bars."""
    steps = np.diff(np.log(bars.close), axis=0, prepend=np.nan)
    return window(steps, length, ahead).sum(axis=2)


def reach(bars: Bars, length: int, ahead: bool) -> tuple[Float64Array, Float64Array]:
    """Highest high and lowest low (T, S) of the coming, or the last, `length` bars; NaN where there is none."""
    highs, lows = window(bars.ohlcv[:, :, HIGH], length, ahead), window(bars.ohlcv[:, :, LOW], length, ahead)
    return np.fmax.reduce(highs, axis=2), np.fmin.reduce(lows, axis=2)


def trend(bars: Bars, length: int) -> Float64Array:
    """float64 (T, S): the sign of the close against its mean over `length` bars, NaN before there is one."""
    return np.sign(bars.close - window(bars.ohlcv[:, :, CLOSE], length, ahead=False).mean(axis=2))
