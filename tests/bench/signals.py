"""Signals for benchmarks: computed the cheap way, since what is measured is the simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numba import njit

from quantlab.core.market import Bars
from quantlab.core.types import Signal


def plain_signal(bars: Bars, side: Any) -> Signal:
    """Sides with companions that gate nothing, and a plain ATR."""
    cells = side.shape
    return Signal(
        side=np.ascontiguousarray(side.astype(np.int8)),
        proba=np.full((*cells, 3), 1.0 / 3.0),
        confidence=np.full(cells, 0.5),
        consensus=np.ones(cells),
        live_members=np.ones(cells, dtype=np.int8),
        atr=np.ascontiguousarray(0.003 * bars.close),
    )


def cross_signal(bars: Bars) -> Signal:
    """Moving-average crosses 10/30."""
    close = np.ascontiguousarray(bars.close)
    means = [np.apply_along_axis(lambda x, n=n: np.convolve(x, np.ones(n) / n)[: len(x)], 0, close) for n in (10, 30)]
    side = np.sign(means[0] - means[1]).astype(np.int8)
    crossed = np.vstack([np.zeros((1, bars.n_symbols), dtype=bool), side[1:] != side[:-1]])
    return plain_signal(bars, np.where(crossed, side, 0))


class PairSignals(Sequence[Signal]):
    """Side of a fast against a slow mean, from prefix sums, made when asked for: one of many pairs of windows."""

    def __init__(self, bars: Bars, pairs: Sequence[tuple[int, int]]) -> None:
        close = np.ascontiguousarray(bars.close)
        self._sums = np.vstack([np.zeros((1, bars.n_symbols)), np.cumsum(close, axis=0)])
        self._base = plain_signal(bars, np.zeros(close.shape))
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, i: int) -> Signal: ...

    @overload
    def __getitem__(self, i: slice) -> Sequence[Signal]: ...

    def __getitem__(self, i: Any) -> Any:
        fast, slow = self._pairs[i]
        side = np.zeros(self._base.side.shape, np.int8)
        width = side.shape[1]
        _sides(self._sums.ravel(), fast, slow, width, side.ravel()[(slow - 1) * width :])
        return dataclasses.replace(self._base, side=side)


@njit(cache=True, nogil=True)
def _sides(sums: Any, fast: int, slow: int, width: int, side: Any) -> None:
    """Rows of `width` cells one behind the other, so that the loop runs straight through memory."""
    ends, recent = sums[slow * width :], sums[(slow - fast) * width :]
    for i in range(len(side)):
        up = (ends[i] - recent[i]) * slow > (ends[i] - sums[i]) * fast
        side[i] = 1 if up else -1
