"""The one step, and the loop that both history and live bars run through."""

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.features.kernels.formulas import COUNT, write_features
from quantlab.features.kernels.observe import observe
from quantlab.features.kernels.state import forget
from quantlab.features.kernels.windows import Kernel

#: Bars after which every recursion has forgotten where it started, to the last bit.
WARMUP = 1536

ABSENT, SOUND, MALFORMED = 0, 1, 2
#: Prices and volumes (but 0) of a sound bar lie between these, so that no product or quotient of them overflows.
SMALLEST, LARGEST = 1e-100, 1e100


@compiled(forceinline=True)
def judge(open_: Kernel, high: Kernel, low: Kernel, close: Kernel, volume: Kernel) -> Kernel:
    """ABSENT if all five are NaN, SOUND if they can be a bar, else MALFORMED."""
    # Comparisons with NaN are false, so that a single NaN is never sound.
    ordered = low >= SMALLEST and low <= open_ and low <= close and open_ <= high and close <= high and high <= LARGEST
    if ordered and (volume == 0.0 or (volume >= SMALLEST and volume <= LARGEST)):
        return SOUND
    if open_ != open_ and high != high and low != low and close != close and volume != volume:
        return ABSENT
    return MALFORMED


@compiled
def step(
    state: Kernel, index: Kernel, open_: Kernel, high: Kernel, low: Kernel, close: Kernel, volume: Kernel, out: Kernel
) -> None:
    """One sound bar of one symbol, number `index` since the epoch: enter the state, write the 49 values."""
    observe(state, index, open_, high, low, close, volume)
    write_features(state, index, out)


@compiled(nogil=True)
def run(state: Kernel, empty: Kernel, index: Kernel, ohlcv: Kernel, begin: Kernel, end: Kernel, out: Kernel) -> Kernel:
    """Fold the bars of symbols ``begin:end`` into their states and write their rows.

    Parameters
    ----------
    state : records of ``STATE`` (end - begin,), updated
    empty : one record that has seen no bar
    index : absolute number of the first bar
    ohlcv : float64 (T, S, 5), read-only
    out : float32 or float64 (T, S, 49), written

    Returns
    -------
    int
        ``t * S + s`` of the first malformed bar, where the fold stopped, or -1.
    """
    values = np.empty(COUNT)
    for t in range(ohlcv.shape[0]):  # time outermost: memory is read and written in its own order
        for s in range(begin, end):
            memory = state[s - begin]
            open_, high, low, close, volume = (
                ohlcv[t, s, 0],
                ohlcv[t, s, 1],
                ohlcv[t, s, 2],
                ohlcv[t, s, 3],
                ohlcv[t, s, 4],
            )
            verdict = judge(open_, high, low, close, volume)
            if verdict == SOUND:
                step(memory, index + t, open_, high, low, close, volume, values)
            elif verdict == MALFORMED:
                return t * ohlcv.shape[1] + s
            elif memory.bars > 0.0:
                forget(state, s - begin, empty)
            if memory.bars >= WARMUP:
                for j in range(COUNT):
                    out[t, s, j] = values[j]
            else:
                for j in range(COUNT):
                    out[t, s, j] = np.nan
    return -1


@compiled
def first_malformed(ohlcv: Kernel) -> Kernel:
    """``t * S + s`` of the first malformed bar of ``ohlcv`` (T, S, 5), or -1."""
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            bar = ohlcv[t, s]
            if judge(bar[0], bar[1], bar[2], bar[3], bar[4]) == MALFORMED:
                return t * ohlcv.shape[1] + s
    return -1
