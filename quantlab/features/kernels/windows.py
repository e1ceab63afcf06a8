"""Sliding aggregates without subtraction: van Herk (1992), Gil and Werman (1993).

Time is cut into aligned blocks of `n` bars. A window that ends inside a block is the rest of the
previous block (a *suffix*, aggregated once when that block closed) joined with the part of the current
block seen so far (a running *prefix*). Nothing is ever taken out of a running sum, so one huge bar
leaves no rounding error behind, and a value is a function of the window's bars and their absolute
bar index alone: where the history began leaves no trace.

A window holds `k` channels, interleaved, in ``block[n + 1, k]``. Rows up to the bar's phase ``p`` are the
current block's raw values, rows after it the previous block's suffixes, and row ``n`` is the aggregate of
nothing, from which the prefix starts again when a block is full. ``slide`` takes a tuple with one value
per channel.

References
----------
M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal
kernels", Pattern Recognition Letters 13, 1992. J. Gil and M. Werman, "Computing 2-D min, median, and
max filters", IEEE TPAMI 15, 1993.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.compiled import compiled

Kernel = Any
"""Argument of a compiled function; numba infers its type."""


def sum_window(bars: int, channels: int) -> np.dtype[np.void]:
    """Layout of `channels` sliding sums over `bars` bars; starts as zeros."""
    return np.dtype(
        [
            ("block", np.float64, (bars + 1, channels)),
            ("prefix", np.float64, (channels,)),
            ("total", np.float64, (channels,)),
        ]
    )


def max_window(bars: int, channels: int) -> np.dtype[np.void]:
    """Layout of `channels` sliding maxima over `bars` bars; ``block`` and ``prefix`` must start as -inf."""
    return np.dtype(
        [
            ("block", np.float64, (bars + 1, channels)),
            ("prefix", np.float64, (channels,)),
            ("top", np.float64, (channels,)),
        ]
    )


def latest_max_window(bars: int, channels: int) -> np.dtype[np.void]:
    """Layout of sliding maxima that also say *when*; of equal bars the latest counts."""
    return np.dtype(
        [
            ("block", np.float64, (bars + 1, channels)),
            ("block_when", np.float64, (bars + 1, channels)),
            ("prefix", np.float64, (channels,)),
            ("prefix_when", np.float64, (channels,)),
            ("when", np.float64, (channels,)),
        ]
    )


@compiled(forceinline=True)
def phase(index: Kernel, bars: Kernel) -> Kernel:
    """Position of absolute bar `index` (>= 0) in its block of `bars`; unsigned, so that it costs no branch."""
    return np.int64(np.uint64(index) % np.uint64(bars))


@compiled(forceinline=True)
def slide_sum(window: Kernel, p: Kernel, values: Kernel) -> None:
    """Take in `values` at phase `p`; leave the sums over the last `n` bars in ``total``."""
    rows, channels = window.block.shape
    for j in range(channels):
        window.block[p, j] = values[j]
        prefix = window.prefix[j] + values[j]
        window.prefix[j] = prefix
        window.total[j] = window.block[p + 1, j] + prefix
    if p == rows - 2:
        for j in range(channels):
            window.prefix[j] = window.block[rows - 1, j]
        for i in range(rows - 3, -1, -1):
            for j in range(channels):
                window.block[i, j] += window.block[i + 1, j]


@compiled(forceinline=True)
def slide_max(window: Kernel, p: Kernel, values: Kernel) -> None:
    """Take in `values` at phase `p`; leave the maxima over the last `n` bars in ``top``."""
    rows, channels = window.block.shape
    for j in range(channels):
        window.block[p, j] = values[j]
        prefix = max(window.prefix[j], values[j])
        window.prefix[j] = prefix
        window.top[j] = max(window.block[p + 1, j], prefix)
    if p == rows - 2:
        for j in range(channels):
            window.prefix[j] = window.block[rows - 1, j]
        for i in range(rows - 3, -1, -1):
            for j in range(channels):
                window.block[i, j] = max(window.block[i, j], window.block[i + 1, j])


@compiled(forceinline=True)
def slide_latest_max(window: Kernel, p: Kernel, values: Kernel, index: Kernel) -> None:
    """Take in `values` of bar `index` at phase `p`; leave the bar index of the latest maximum in ``when``."""
    rows, channels = window.block.shape
    for j in range(channels):
        value = values[j]
        window.block[p, j] = value
        window.block_when[p, j] = index
        if value >= window.prefix[j]:
            window.prefix[j] = value
            window.prefix_when[j] = index
        newer = window.prefix[j] >= window.block[p + 1, j]
        window.when[j] = window.prefix_when[j] if newer else window.block_when[p + 1, j]
    if p == rows - 2:
        for j in range(channels):
            window.prefix[j] = window.block[rows - 1, j]
        for i in range(rows - 3, -1, -1):
            for j in range(channels):
                if window.block[i, j] <= window.block[i + 1, j]:
                    window.block[i, j] = window.block[i + 1, j]
                    window.block_when[i, j] = window.block_when[i + 1, j]
