"""The one step, and the loop that both history and live bars run through."""

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.soundness import is_sound_bar
from quantlab.features.kernels.cells import CELLS, COUNT, LANES
from quantlab.features.kernels.derive import derive_pairs, derive_prices, derive_returns, derive_volumes
from quantlab.features.kernels.fold import (
    fold_averages,
    fold_derived,
    fold_lags,
    fold_long_sums,
    fold_short_sums,
    fold_tops,
)
from quantlab.features.kernels.formulas import write_features
from quantlab.features.kernels.state import forget
from quantlab.features.kernels.windows import Kernel

#: Bars after which every recursion has forgotten where it started, to the last bit: the warm-up of all 49.
WARMUP = 1536

ABSENT, SOUND, MALFORMED = 0, 1, 2


@compiled(forceinline=True)
def judge(open_: Kernel, high: Kernel, low: Kernel, close: Kernel, volume: Kernel) -> Kernel:
    """ABSENT if all five are NaN, SOUND if they are a sound bar, else MALFORMED."""
    if is_sound_bar(open_, high, low, close, volume):
        return SOUND
    if open_ != open_ and high != high and low != low and close != close and volume != volume:
        return ABSENT
    return MALFORMED


@compiled(inline="always")
def step(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """The one step: the first `n` cells enter their symbols' states, their 49 values are left in the cells.

    1. what the bars give by themselves,
    2. the averages, maxima and sums over it,
    3. what needs those, as the bulk volume needs Q_288,
    4. the sums over that,
    5. the 49 values.
    """
    derive_returns(cells, n)
    derive_prices(cells, n)
    derive_volumes(cells, n)
    fold_averages(state, cells, n)
    fold_lags(state, cells, n)
    fold_tops(state, cells, n)
    fold_long_sums(state, cells, n)
    fold_short_sums(state, cells, n)
    derive_pairs(cells, n)
    fold_derived(state, cells, n)
    write_features(cells, n)


@compiled(forceinline=True)
def _enter(memory: Kernel, cells: Kernel, i: Kernel, bar: Kernel) -> None:
    """Put a sound bar into lane `i`, beside its predecessor."""
    open_, high, low, close, volume = bar
    first = memory.bars == 0.0
    memory.bars += 1.0
    cells.bars[i] = memory.bars
    # The first bar follows itself.
    cells.open_1[i] = open_ if first else memory.open
    cells.high_1[i] = high if first else memory.high
    cells.low_1[i] = low if first else memory.low
    cells.close_1[i] = close if first else memory.close
    cells.open[i], cells.high[i] = open_, high
    cells.low[i], cells.close[i], cells.volume[i] = low, close, volume
    memory.open, memory.high = open_, high
    memory.low, memory.close = low, close


@compiled(forceinline=True)
def _leave(cells: Kernel, n: Kernel, out: Kernel, warmup: Kernel) -> None:
    """Write the rows of the first `n` cells; NaN where the symbol is not past its warm-up of `warmup` bars."""
    for i in range(n):
        t, s = cells.row[i], cells.column[i]
        if cells.bars[i] >= warmup:
            for j in range(COUNT):
                out[t, s, j] = cells.features[j, i]
        else:
            for j in range(COUNT):
                out[t, s, j] = np.nan


@compiled(nogil=True)
def run(
    state: Kernel,
    empty: Kernel,
    index: Kernel,
    ohlcv: Kernel,
    begin: Kernel,
    end: Kernel,
    out: Kernel,
    warmup: Kernel,
) -> Kernel:
    """Fold the bars of symbols ``begin:end`` into their states and write their rows.

    Parameters
    ----------
    state : records of ``STATE`` (end - begin,), updated
    empty : one record that has seen no bar
    index : absolute number of the first bar
    ohlcv : float64 (T, S, 5), read-only
    out : float32 or float64 (T, S, 49), written
    warmup : bars from which on a symbol's rows are written, >= 1; NaN before

    Returns
    -------
    bool
        Whether every bar was absent or sound; if not, neither state nor rows are of use.
    """
    cells, n = np.empty(1, dtype=CELLS)[0], np.int64(0)
    for start in range(0, ohlcv.shape[0], LANES):  # a stretch of time of all symbols stays in the cache
        stop = min(start + LANES, ohlcv.shape[0])
        for s in range(begin, end):
            place = s - begin
            memory = state[place]
            for t in range(start, stop):
                bar = (ohlcv[t, s, 0], ohlcv[t, s, 1], ohlcv[t, s, 2], ohlcv[t, s, 3], ohlcv[t, s, 4])
                verdict = judge(bar[0], bar[1], bar[2], bar[3], bar[4])
                if verdict == SOUND:
                    _enter(memory, cells, n, bar)
                    cells.place[n], cells.index[n] = place, index + t
                    cells.row[n], cells.column[n] = t, s
                    n += 1
                elif verdict == MALFORMED:
                    return False
                else:
                    for j in range(COUNT):
                        out[t, s, j] = np.nan
                ended = verdict == ABSENT and memory.bars > 0.0
                if n == LANES or ended or (t == ohlcv.shape[0] - 1 and s == end - 1):
                    step(state, cells, n)
                    _leave(cells, n, out, warmup)
                    n = np.int64(0)
                    if ended:
                        forget(state, place, empty)
    return True


@compiled
def first_malformed(ohlcv: Kernel) -> Kernel:
    """``t * S + s`` of the first malformed bar of ``ohlcv`` (T, S, 5), or -1."""
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            bar = ohlcv[t, s]
            if judge(bar[0], bar[1], bar[2], bar[3], bar[4]) == MALFORMED:
                return t * ohlcv.shape[1] + s
    return -1
