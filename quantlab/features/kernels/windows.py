"""Sliding aggregates without subtraction: van Herk (1992), Gil and Werman (1993).

Time is cut into aligned blocks of `n` bars. A window that ends inside a block is the rest of the
previous block (a *suffix*, aggregated once when that block closed) joined with the part of the current
block seen so far (a running *prefix*). Nothing is ever taken out of a running sum, so one huge bar
leaves no rounding error behind, and a value is a function of the window's bars and their absolute
bar index alone: where the history began leaves no trace.

A window holds `k` channels, interleaved, in ``block[n + 1, k]``. Rows up to the bar's phase ``p`` are the
current block's raw values, rows after it the previous block's suffixes, and row ``n`` is the aggregate of
nothing, from which the prefix starts again when a block is full. Each ``slide`` takes in one bar and
leaves what it knows in lane `i` of an array (k, lanes).

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
    return np.dtype([("block", np.float64, (bars + 1, channels)), ("prefix", np.float64, (channels,))])


def max_window(bars: int, channels: int) -> np.dtype[np.void]:
    """Layout of `channels` sliding maxima over `bars` bars; starts as minus infinity."""
    return sum_window(bars, channels)


def latest_max_window(bars: int, channels: int) -> np.dtype[np.void]:
    """Layout of sliding maxima that also say *when*; of equal bars the latest counts."""
    return np.dtype(
        [
            ("block", np.float64, (bars + 1, channels)),
            ("block_when", np.float64, (bars + 1, channels)),
            ("prefix", np.float64, (channels,)),
            ("prefix_when", np.float64, (channels,)),
        ]
    )


def spread_window(bars: int) -> np.dtype[np.void]:
    """Layout of a window that tells the spread of one quantity over `bars` bars; starts as zeros."""
    return np.dtype(
        [
            ("value", np.float64, (bars,)),
            ("suffix", np.float64, (bars + 1, 2)),
            ("prefix", np.float64, (2,)),
        ]
    )


def line_window(bars: int) -> np.dtype[np.void]:
    """Layout of a window that fits a line through `bars` levels, given by their steps; starts as zeros."""
    return np.dtype(
        [
            ("step", np.float64, (bars,)),
            ("suffix", np.float64, (bars + 1, 3)),
            ("prefix", np.float64, (3,)),
            ("level", np.float64),
        ]
    )


@compiled(forceinline=True)
def phase(index: Kernel, bars: Kernel) -> Kernel:
    """Position of absolute bar `index` (>= 0) in its block of `bars`; unsigned, so that it costs no branch."""
    return np.int64(np.uint64(index) % np.uint64(bars))


@compiled(forceinline=True)
def slide_sum(window: Kernel, p: Kernel, values: Kernel, sums: Kernel, i: Kernel) -> None:
    """Take in the tuple `values` (k,) at phase `p`; leave the sums over the last `n` bars."""
    block, prefixes = window.block, window.prefix
    rows, channels = block.shape
    for j in range(channels):
        block[p, j] = values[j]
        prefix = prefixes[j] + values[j]
        prefixes[j] = prefix
        sums[j, i] = block[p + 1, j] + prefix
    if p == rows - 2:
        for j in range(channels):
            prefixes[j] = block[rows - 1, j]
        for row in range(rows - 3, -1, -1):
            for j in range(channels):
                block[row, j] += block[row + 1, j]


@compiled(forceinline=True)
def slide_max(window: Kernel, p: Kernel, values: Kernel, tops: Kernel, i: Kernel) -> None:
    """Take in the tuple `values` (k,) at phase `p`; leave the maxima over the last `n` bars."""
    block, prefixes = window.block, window.prefix
    rows, channels = block.shape
    for j in range(channels):
        block[p, j] = values[j]
        prefix = max(prefixes[j], values[j])
        prefixes[j] = prefix
        tops[j, i] = max(block[p + 1, j], prefix)
    if p == rows - 2:
        for j in range(channels):
            prefixes[j] = block[rows - 1, j]
        for row in range(rows - 3, -1, -1):
            for j in range(channels):
                block[row, j] = max(block[row, j], block[row + 1, j])


@compiled(forceinline=True)
def slide_latest_max(window: Kernel, p: Kernel, values: Kernel, index: Kernel, when: Kernel, i: Kernel) -> None:
    """Take in the tuple `values` (k,) of bar `index` at phase `p`; leave the index of the latest maximum's bar."""
    block, prefixes = window.block, window.prefix
    block_when, prefixes_when = window.block_when, window.prefix_when
    rows, channels = block.shape
    for j in range(channels):
        value = values[j]
        block[p, j] = value
        block_when[p, j] = index
        # Chosen, not branched on: whether a bar is a new top cannot be foretold.
        prefix, prefix_when = prefixes[j], prefixes_when[j]
        prefix_when = index if value >= prefix else prefix_when
        prefix = max(prefix, value)
        suffix, suffix_when = block[p + 1, j], block_when[p + 1, j]
        prefixes[j], prefixes_when[j] = prefix, prefix_when
        when[j, i] = prefix_when if prefix >= suffix else suffix_when
    if p == rows - 2:
        for j in range(channels):
            prefixes[j] = block[rows - 1, j]
        for row in range(rows - 3, -1, -1):
            for j in range(channels):
                value, later = block[row, j], block[row + 1, j]
                value_when, later_when = block_when[row, j], block_when[row + 1, j]
                block[row, j] = max(value, later)
                block_when[row, j] = later_when if value <= later else value_when


@compiled(forceinline=True)
def slide_spread(window: Kernel, p: Kernel, value: Kernel, spread: Kernel, i: Kernel) -> None:
    """Take in `value` at phase `p`; leave what the spread of the last `n` values is computed from.

    That is, with x measured from the block's first value, which every window that ends in the block
    holds: x now, S(x) and S(x^2). Since one x is 0, ``S(x^2) - S(x)^2 / n >= S(x^2) / (n + 1)``: one pass
    loses no digit to speak of.
    """
    values, suffix, prefix = window.value, window.suffix, window.prefix
    bars = values.shape[0]
    if p == 0:
        first, second = 0.0, 0.0
        for row in range(bars - 1, 0, -1):
            x = values[row] - value
            first += x
            second += x * x
            suffix[row, 0], suffix[row, 1] = first, second
        prefix[0], prefix[1] = 0.0, 0.0
    values[p] = value
    x = value - values[0]
    first, second = prefix[0] + x, prefix[1] + x * x
    prefix[0], prefix[1] = first, second
    spread[0, i] = x
    spread[1, i] = suffix[p + 1, 0] + first
    spread[2, i] = suffix[p + 1, 1] + second


@compiled(forceinline=True)
def slide_line(window: Kernel, p: Kernel, step: Kernel, line: Kernel, i: Kernel) -> None:
    """Take in the step to a new level at phase `p`; leave what a line through the last `n` is computed from.

    That is, with levels x measured from the block's first and j = 0, 1, ... n - 1 counted from the
    window's first: S(x), S(x^2) and S((j - (n - 1) / 2) x).
    """
    steps, suffix, prefix = window.step, window.suffix, window.prefix
    bars = steps.shape[0]
    if p == 0:
        level, first, second, moment = -step, 0.0, 0.0, 0.0
        for row in range(bars - 1, 0, -1):
            first += level
            second += level * level
            moment += row * level
            suffix[row, 0], suffix[row, 1], suffix[row, 2] = first, second, moment
            level -= steps[row]
        prefix[0], prefix[1], prefix[2] = 0.0, 0.0, 0.0
        window.level = -step
    steps[p] = step
    level = window.level + step
    first, second, moment = prefix[0] + level, prefix[1] + level * level, prefix[2] + p * level
    window.level = level
    prefix[0], prefix[1], prefix[2] = first, second, moment
    old = suffix[p + 1, 0]
    # The previous block's phase q is the window's bar q - (p + 1), this block's phase q its bar q + n - 1 - p.
    cross = (suffix[p + 1, 2] - (p + 1) * old) + (moment + (bars - 1 - p) * first)
    line[0, i] = old + first
    line[1, i] = suffix[p + 1, 1] + second
    line[2, i] = cross - 0.5 * (bars - 1) * (old + first)
