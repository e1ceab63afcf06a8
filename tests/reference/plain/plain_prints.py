"""Suspect prints of every kind planted in random markets, and the flags that such markets carry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from plain_suspects import WINDOW_ROWS, flags_of

from quantlab.core.arrays import Float64Array
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, BarState

Generator = np.random.Generator
Prices = Float64Array  # (T, 5) of one symbol
States = Any  # uint8 (T,)


def with_prints(rng: Generator, bars: Bars, volatility: float, reshape: Callable[[Bars], Bars]) -> Bars:
    """`bars` with about one print in 14 rows of a symbol, and their flags; now and then flags thrown at random.

    `reshape` has the last word on the bars, before they are judged.
    """
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    for s in range(bars.n_symbols):
        for _ in range(rng.poisson(bars.n_bars / 14.0)):
            kind = KINDS[int(rng.integers(0, len(KINDS)))]
            kind(rng, ohlcv[:, s], state[:, s], _row(rng, state[:, s]), volatility)
    if bars.n_symbols > 1:
        for t in np.flatnonzero(rng.random(bars.n_bars) < 0.08):
            (_swap if rng.random() < 0.2 else _opposed)(rng, ohlcv[t], state[t])
    ohlcv[rng.random(state.shape) < 0.24, VOLUME] *= 0.02
    if bars.n_bars > WINDOW_ROWS:
        for s in range(bars.n_symbols):
            _long_silence(rng, ohlcv[:, s], state[:, s], volatility)
    fill_anew(ohlcv, state)
    planted = reshape(dataclasses.replace(bars, ohlcv=ohlcv, state=state))
    return carrying(planted, _thrown(rng, planted) if rng.random() < 0.55 else flags_of(planted))


def with_squeezes(rng: Generator, bars: Bars, volatility: float) -> Bars:
    """`bars` in which now and then all symbols jump in the same row, one of them far, and are flagged there."""
    ohlcv, state, flags = bars.ohlcv.copy(), bars.state.copy(), np.zeros(bars.state.shape, dtype=np.int64)
    for t in np.flatnonzero(rng.random(bars.n_bars) < 0.25):
        up = 1.0 + rng.uniform(0.05, 0.3, bars.n_symbols)
        up[rng.integers(0, bars.n_symbols)] = rng.uniform(1.5, 4.0)
        ohlcv[t, :, :4] *= np.where(rng.random(bars.n_symbols) < 0.5, up, 1.0 / up)[:, None]
        flags[t] = 2
    fill_anew(ohlcv, state)
    flags[np.isnan(ohlcv[:, :, CLOSE])] = 0
    return carrying(dataclasses.replace(bars, ohlcv=ohlcv, state=state), flags.tolist())


def carrying(bars: Bars, flags: list[list[int]]) -> Bars:
    """`bars` with `flags`, as the quality gate would hand them over."""
    if "suspect" not in {field.name for field in dataclasses.fields(Bars)}:
        return bars
    changes: dict[str, Any] = {"suspect": np.array(flags, dtype=np.uint8)}
    return dataclasses.replace(bars, **changes)


def _thrown(rng: Generator, bars: Bars) -> list[list[int]]:
    """Flags that no print gave: 0 to 2 where something was traded, 0 or 2 in silence, 0 without a close."""
    flags = rng.choice([0, 1, 2], bars.state.shape, p=[0.7, 0.1, 0.2])
    if rng.random() < 0.5:  # and kept for some bars, so that the agreed price is an old one
        for t, s in np.argwhere(rng.random(bars.state.shape) < 0.75):
            flags[t, s] = flags[max(t - 1, 0), s]
    flags[(flags == 1) & ~(bars.ohlcv[:, :, VOLUME] > 0.0)] = 2
    flags[np.isnan(bars.close)] = 0
    return [[int(flag) for flag in row] for row in flags]


def _row(rng: Generator, state: States) -> int:
    """Any row, more often one that has moves behind it, or the last row before a hole."""
    n = len(state)
    draw = rng.random()
    before_hole = np.flatnonzero((state[:-1] == BarState.TRADED) & (state[1:] != BarState.TRADED))
    if draw < 0.2 and len(before_hole):
        return int(rng.choice(before_hole))
    return int(rng.integers(0 if draw < 0.3 else min(22, n - 1), n))


def _factor(rng: Generator, volatility: float) -> float:
    """Far, just so or by a lot, up or down."""
    far = max(0.08, 20.0 * volatility)
    if rng.random() < 0.15:
        return float(rng.choice([0.07, 0.3, 3.0, 14.0]))
    up = 1.0 + far * float(rng.uniform(0.9, 2.5))
    return up if rng.random() < 0.5 else 1.0 / up


def _stretch(cell: Float64Array) -> None:
    """The high and the low hold what they have to hold."""
    cell[HIGH], cell[LOW] = max(cell[:4]), min(cell[:4])


def _false_close(rng: Generator, prices: Prices, t: int, factor: float) -> None:
    """At the close alone, with the rest of the bar, or without any way there."""
    whole = rng.random()
    if whole < 0.4:
        prices[t, CLOSE] *= factor
        _stretch(prices[t])
    elif whole < 0.8:
        prices[t, :4] *= factor
    else:
        prices[t, OPEN] = prices[t, CLOSE] = prices[t, CLOSE] * factor
        _stretch(prices[t])
    if rng.random() < 0.25:
        prices[t, VOLUME] *= 0.02


def _comes_back(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """One false close; silent bars after it repeat it or do not."""
    factor = _factor(rng, volatility)
    _false_close(rng, prices, t, factor)
    repeats = rng.random() < 0.5
    while repeats and t + 1 < len(prices) and state[t + 1] == BarState.ZERO_VOLUME:
        t += 1
        prices[t, :4] *= factor


def _stays(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """A jump or a crash: everything after it is as far."""
    factor = _factor(rng, volatility)
    _false_close(rng, prices, t, factor)
    prices[t + 1 :, :4] *= factor


def _wick(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    factor = _factor(rng, volatility)
    prices[t, HIGH if factor > 1.0 else LOW] *= factor


def _stays_with_a_wick(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """The bar after a jump agrees at its close and has a wick, back to where it came from or further."""
    factor = _factor(rng, volatility)
    _false_close(rng, prices, t, factor)
    prices[t + 1 :, :4] *= factor
    if t + 1 < len(prices):
        way = factor if rng.random() < 0.5 else 1.0 / factor
        prices[t + 1, HIGH if way > 1.0 else LOW] *= way


def _disagree(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """Two to five false closes in a row, each at a price of its own."""
    far = 1.0 + max(0.1, 25.0 * volatility)
    step = far if rng.random() < 0.5 else 1.0 / far
    for k in range(min(int(rng.integers(2, 6)), len(prices) - t)):
        _false_close(rng, prices, t + k, step ** (k + 1) if rng.random() < 0.5 else step ** (2 + k % 2))


def _agree_and_come_back(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """Two or three bars at the same false price: the second one agrees, and the way back is far again."""
    factor = _factor(rng, volatility)
    for k in range(min(int(rng.integers(2, 4)), len(prices) - t)):
        _false_close(rng, prices, t + k, factor)


def _beside_a_hole(rng: Generator, prices: Prices, state: States, t: int, volatility: float) -> None:
    """A false close, then up to four bars in which nothing is traded."""
    factor = _factor(rng, volatility)
    _false_close(rng, prices, t, factor)
    kind = int(rng.choice([BarState.ZERO_VOLUME, BarState.FILLED, BarState.ABSENT]))
    for k in range(t + 1, min(t + 1 + int(rng.integers(1, 5)), len(prices))):
        state[k], prices[k, VOLUME] = kind, 0.0
        if kind == BarState.ABSENT:
            prices[k] = np.nan
        elif rng.random() < 0.5:
            prices[k, :4] = prices[k - 1, CLOSE]


def _swap(rng: Generator, cells: Float64Array, states: States) -> None:
    """Two symbols' prices in one row, where both traded."""
    a, b = rng.choice(len(cells), 2, replace=False)
    if states[a] == states[b] == BarState.TRADED:
        cells[[a, b], :4] = cells[[b, a], :4]


def _opposed(rng: Generator, cells: Float64Array, states: States) -> None:
    """One symbol's false gain in the row in which all the others fall, or the other way about."""
    gains, up = int(rng.integers(0, len(cells))), float(rng.uniform(1.3, 3.0))
    up = up if rng.random() < 0.6 else 1.0 / up
    for s in np.flatnonzero(states == BarState.TRADED):
        if s == gains:
            cells[s, :4] *= up
        else:
            cells[s, [LOW if up > 1.0 else HIGH, CLOSE]] /= up
            _stretch(cells[s])


def _long_silence(rng: Generator, prices: Prices, state: States, volatility: float) -> None:
    """A false close and then nothing, until the window is empty of moves; a silent bar repeats the close."""
    starts = np.flatnonzero(state[23:60] == BarState.TRADED) + 24
    if rng.random() < 0.1 or not len(starts):
        return
    start, length = int(rng.choice(starts)), int(rng.integers(WINDOW_ROWS - 20, WINDOW_ROWS + 4))
    _false_close(rng, prices, start - 1, 1.3 + 40.0 * volatility)
    rows = slice(start, start + length)
    if rng.random() < 0.5:
        state[rows], prices[rows] = BarState.ABSENT, np.nan
    else:
        state[rows], prices[rows, :4], prices[rows, VOLUME] = BarState.ZERO_VOLUME, prices[start - 1, CLOSE], 0.0


def fill_anew(ohlcv: Float64Array, state: States) -> None:
    """A filled cell repeats the close before it; without one there is nothing to fill from."""
    for t, s in np.argwhere(state == BarState.FILLED):
        if t == 0 or state[t - 1, s] == BarState.ABSENT:
            ohlcv[t, s], state[t, s] = np.nan, BarState.ABSENT
        else:
            ohlcv[t, s, :4], ohlcv[t, s, VOLUME] = ohlcv[t - 1, s, CLOSE], 0.0


Kind = Callable[[Generator, Prices, States, int, float], None]
KINDS: tuple[Kind, ...] = (
    _comes_back,
    _comes_back,
    _stays,
    _wick,
    _stays_with_a_wick,
    _disagree,
    _agree_and_come_back,
    _beside_a_hole,
)
