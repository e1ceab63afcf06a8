"""Symbols that end in random markets: for good, or for more or fewer bars than a delisting waits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import CLOSE, VOLUME, Bars, BarState

Generator = np.random.Generator


def with_ends(rng: Generator, bars: Bars, patience: int) -> Bars:
    """`bars` in which most symbols are absent for about `patience` bars, or from some bar on."""
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    if bars.n_symbols > 1 and rng.random() < 0.3:  # all in one bar: the venue is gone
        start = int(rng.integers(bars.n_bars // 3, bars.n_bars))
        ohlcv[start:], state[start:] = np.nan, BarState.ABSENT
        return dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    for s in range(bars.n_symbols):
        if rng.random() < 0.85:
            for _ in range(int(rng.integers(1, 4))):
                _absence(rng, ohlcv[:, s], state[:, s], patience)
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


def _absence(rng: Generator, prices: Float64Array, state: Any, patience: int) -> None:
    n = len(state)
    start = int(rng.integers(2, n))
    length = n if rng.random() < 0.3 else max(1, patience + int(rng.choice([-2, -1, 0, 0, 1, 2, patience])))
    before = {0: BarState.FILLED, 1: BarState.OUTSIDE}.get(int(rng.integers(0, 4)))
    if before is not None:
        for t in range(max(start - int(rng.integers(1, 4)), 1), start):
            _set(prices, state, t, before)
    rows = range(start, min(start + length, n))
    for t in rows:
        _set(prices, state, t, BarState.ABSENT)
    if len(rows) > 1:
        last = np.flatnonzero(np.isfinite(prices[:start, CLOSE]))
        if len(last):  # one bar in between that is there, or was filled
            t = int(rng.choice(list(rows)[1:]))
            prices[t, :VOLUME], prices[t, VOLUME] = prices[last[-1], CLOSE], 0.0
            state[t] = rng.choice([BarState.FILLED, BarState.FILLED, BarState.ZERO_VOLUME])


def _set(prices: Float64Array, state: Any, t: int, kind: BarState) -> None:
    """Make a cell that is there one of `kind`; a filled one repeats the close before it."""
    if state[t] == BarState.ABSENT or (kind == BarState.FILLED and state[t - 1] == BarState.ABSENT):
        return
    state[t] = kind
    if kind == BarState.ABSENT:
        prices[t] = np.nan
    elif kind == BarState.FILLED:
        prices[t, :VOLUME], prices[t, VOLUME] = prices[t - 1, CLOSE], 0.0
