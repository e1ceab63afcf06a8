"""Other futures: the same past, and from some row on another market.

What comes after is mirrored in logarithms around the last close, ``x -> -k x`` with a ``k`` per symbol, and volumes
are drawn anew: falling turns into rising, calm into wild, thin into thick. Bars stay possible bars (low <= open,
close <= high), states stay what they are, so that a stage which reads the past only cannot notice.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array, UInt8Array
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, BarState, Funding
from quantlab.core.types import Signal

_STRENGTHS = (0.5, 1.0, 2.0)
#: By what a signal's numbers are multiplied in another future.
_SIGNAL_FACTORS = {
    "confidence": 0.7,
    "atr": 1.7,
    "target": -0.5,
    "stop_distance": 1.7,
    "take_distance": 1.7,
    "trail_distance": 1.7,
    "break_even_distance": 1.7,
}
#: Spread of the symbols' volume factors and of every bar's, in logarithms.
_VOLUME_SPREAD, _BAR_SPREAD = 2.0, 0.5
#: A symbol that lists in another future does so at another price: nobody knew it before.
_LISTED_AT = 1.25


def another_future(bars: Bars, row: int, seed: int) -> Bars:
    """The same bars before `row`, and another market from it on.

    Parameters
    ----------
    bars : Bars, (T, S)
    row : int
        First replaced row, 1 .. T; the close of the row before it is the last thing that both markets know.
    seed : int
    """
    rng = np.random.default_rng([seed, row])
    ohlcv = bars.ohlcv.copy()
    if row < bars.n_bars:
        ohlcv[row:, :, :VOLUME] = _mirrored(bars, row, rng.choice(_STRENGTHS, bars.n_symbols))
        spread = rng.normal(0.0, _VOLUME_SPREAD, bars.n_symbols)
        ohlcv[row:, :, VOLUME] *= np.exp(spread + rng.normal(0.0, _BAR_SPREAD, ohlcv[row:, :, VOLUME].shape))
    return dataclasses.replace(bars, ohlcv=ohlcv, funding=_other_funding(bars, row))


def shuffled_future(bars: Bars, row: int, seed: int) -> Bars:
    """The same bars before `row`; from it on their moves in another order, each up or down by a coin.

    A mirrored market keeps what leads to what, and a choice by results may come out the same in it. Here nothing
    leads to anything, so that what earned in one market is a matter of luck in the other.

    Parameters
    ----------
    bars : Bars, (T, S)
    row : int
        First replaced row, 1 .. T.
    seed : int
    """
    rng = np.random.default_rng([seed, row, 1])
    ohlcv = bars.ohlcv.copy()
    anchor = _last_close(bars, row)
    for s in range(bars.n_symbols):
        traded = row + np.flatnonzero(np.isin(bars.state[row:, s], (BarState.TRADED, BarState.OUTSIDE)))
        if len(traded):
            _reorder(ohlcv[:, s], traded, anchor[s], rng)
            _hold_prices(ohlcv[:, s], bars.state[:, s], row, anchor[s])
    return dataclasses.replace(bars, ohlcv=ohlcv, funding=_other_funding(bars, row))


def _reorder(ohlcv: Float64Array, traded: Int64Array, anchor: float, rng: np.random.Generator) -> None:
    """Chain the bars `traded` of one symbol anew from `anchor` on, in place."""
    shapes = np.log(ohlcv[traded, :VOLUME])
    shapes -= np.concatenate([[np.log(anchor)], shapes[:-1, CLOSE]])[:, None]
    order = rng.permutation(len(traded))
    moves = shapes[order] * rng.choice([-1.0, 1.0], len(traded))[:, None]
    moves[:, HIGH], moves[:, LOW] = np.maximum(moves[:, HIGH], moves[:, LOW]), np.minimum(moves[:, HIGH], moves[:, LOW])
    before = np.concatenate([[0.0], np.cumsum(moves[:-1, CLOSE])])
    ohlcv[traded, :VOLUME] = anchor * np.exp(before[:, None] + moves)
    ohlcv[traded, VOLUME] = ohlcv[traded[order], VOLUME]


def _hold_prices(ohlcv: Float64Array, state: UInt8Array, row: int, anchor: float) -> None:
    """Bars that did not trade stand at the last close, in place; absent ones stay absent."""
    last = anchor
    for t in range(row, len(ohlcv)):
        if state[t] in (BarState.ZERO_VOLUME, BarState.FILLED):
            ohlcv[t, :VOLUME] = last
        elif state[t] != BarState.ABSENT:
            last = ohlcv[t, CLOSE]


def delisted(bars: Bars, row: int, seed: int) -> Bars:
    """Half of the symbols that print to the end, drawn by `seed`, stop at `row`; a single one does not."""
    alive = _survivors(bars, row, seed)
    return _without(bars, row, alive[: len(alive) // 2])


def other_half_delisted(bars: Bars, row: int, seed: int) -> Bars:
    """Those that :func:`delisted` leaves stop printing at `row`; a single one does not."""
    alive = _survivors(bars, row, seed)
    return _without(bars, row, alive[len(alive) // 2 :] if len(alive) > 1 else alive[:0])


def _survivors(bars: Bars, row: int, seed: int) -> Int64Array:
    """Columns that print to the end, in an order drawn by `seed`."""
    return np.random.default_rng([seed, row]).permutation(np.flatnonzero(bars.state[-1] != BarState.ABSENT))


def _without(bars: Bars, row: int, gone: Int64Array) -> Bars:
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[row:, gone] = np.nan
    state[row:, gone] = BarState.ABSENT
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


def another_inside(bars: Bars, row: int, seed: int) -> Bars:
    """Another future after `row`, and in `row` itself all that its open does not tell: high, low and close.

    The volume of `row` stays: SIMULATION.md lets a fill read it.
    """
    changed = another_future(bars, row + 1, seed)
    ohlcv = changed.ohlcv.copy()
    bar = ohlcv[row]
    mirrored = bar[:, OPEN] ** 2 / bars.ohlcv[row, :, CLOSE]
    close = np.where(mirrored == bar[:, OPEN], bar[:, OPEN] * 1.01, mirrored)
    bar[:, CLOSE] = close
    bar[:, HIGH] = np.maximum(bar[:, OPEN], close) * 1.002
    bar[:, LOW] = np.minimum(bar[:, OPEN], close) * 0.998
    return dataclasses.replace(changed, ohlcv=ohlcv)


def another_signal(signal: Signal, row: int) -> Signal:
    """The same signal before `row`; from it on the opposite side, with another confidence, at other distances."""
    side, proba = signal.side.copy(), signal.proba.copy()
    side[row:] = -side[row:]
    proba[row:] = proba[row:, :, ::-1]
    changed: dict[str, Any] = {"side": side, "proba": proba}
    for name, factor in _SIGNAL_FACTORS.items():
        if (array := getattr(signal, name)) is not None:
            changed[name] = array.copy()
            changed[name][row:] *= factor
    return dataclasses.replace(signal, **changed)


def _mirrored(bars: Bars, row: int, strength: Float64Array) -> Float64Array:
    """float64 (T - row, S, 4): prices from `row` on, mirrored around each symbol's last close before it."""
    prices = bars.ohlcv[row:, :, :VOLUME]
    anchor = _last_close(bars, row)
    powered = anchor[None, :, None] * (anchor[None, :, None] / prices) ** strength[None, :, None]
    # A mirror turns the highest into the lowest.
    mirrored = powered.copy()
    mirrored[:, :, HIGH], mirrored[:, :, LOW] = powered[:, :, LOW], powered[:, :, HIGH]
    return mirrored


def _last_close(bars: Bars, row: int) -> Float64Array:
    """float64 (S,): the last finite close before `row`; where there is none, another than the first open after it."""
    before, after = bars.close[:row], bars.ohlcv[row:, :, OPEN]
    anchor = np.full(bars.n_symbols, np.nan)
    for s in range(bars.n_symbols):
        known, coming = np.flatnonzero(np.isfinite(before[:, s])), np.flatnonzero(np.isfinite(after[:, s]))
        if len(known):
            anchor[s] = before[known[-1], s]
        elif len(coming):
            anchor[s] = _LISTED_AT * after[coming[0], s]
    return anchor


def _other_funding(bars: Bars, row: int) -> Funding | None:
    if bars.funding is None:
        return None
    # A stamp after the last known bar's open is charged on a bar that is still to come.
    rate = bars.funding.rate.copy()
    rate[bars.funding.time_ms > bars.open_time_ms[row - 1]] *= -2.0
    return Funding(bars.funding.time_ms, rate)


def ragged_rows(bars: Bars, count: int) -> list[int]:
    """Rows just inside what is ragged in a history: at most `count` of each kind, and none in a whole one.

    Behind the first bar of a symbol that lists late, inside a hole, behind the last bar of one that dies, and behind
    one that left the universe: what was filled, dropped or marked there by what came later is seen only from there.
    """
    there = bars.state != BarState.ABSENT
    member = bars.state != BarState.OUTSIDE
    printed = bars.printed
    kinds = (
        there[1:] & ~there[:-1],
        printed[:-1] & ~printed[1:],
        there[:-1] & ~there[1:],
        member[:-1] & ~member[1:],
    )
    rows: set[int] = set()
    for kind in kinds:
        begins = np.flatnonzero(kind.any(axis=1)) + 2
        rows.update(int(row) for row in begins[:: max(1, len(begins) // count)][:count])
    return sorted(row for row in rows if 0 < row < bars.n_bars)
