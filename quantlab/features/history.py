"""The 49 features of a whole history."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import config as numba_config
from numpy.typing import DTypeLike, NDArray

from quantlab.core.arrays import Float64Array, Int64Array, read_only
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, ContractError, DataError
from quantlab.core.soundness import LARGEST, SMALLEST
from quantlab.features.contract import output_dtype, positive_interval
from quantlab.features.kernels.cells import COUNT
from quantlab.features.kernels.loops import WARMUP, first_malformed, run
from quantlab.features.kernels.state import empty_state

# States of this many symbols stay in a core's second-level cache while their rows are written side by side.
_SYMBOLS_AT_ONCE = 32


def compute(
    ohlcv: Float64Array,
    time: Int64Array,
    interval: int,
    *,
    dtype: DTypeLike = np.float32,
    threads: int | None = None,
    out: NDArray[Any] | None = None,
    warmup: int = WARMUP,
) -> NDArray[Any]:
    """Compute the 49 features of every bar.

    Row t depends on bars <= t only, column s on symbol s only, and the bits on nothing else: not on
    the number of threads, the other symbols, or where the history begins.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5), C-contiguous
        Open, high, low, close and volume; five NaN where a symbol has no bar, which resets it.
    time : int64 (T,)
        Epoch milliseconds of each bar's open, `interval` apart.
    interval : int
        Milliseconds.
    dtype : float32 or float64
    threads : int, optional
        None uses the processors that this process may use (or ``NUMBA_NUM_THREADS``).
    out : array of `dtype` (T, S, 49), C-contiguous, optional
        Memory to write and return; of no use after an error. Fresh memory is cleared by the system page by
        page while it is first written: that takes an eighth of one thread's time, and what two threads lose.
    warmup : int
        Bars that a symbol must have seen. With fewer than ``WARMUP`` only features whose memory is not longer are a
        pure function of the bars behind them (:mod:`quantlab.features.memory`).

    Returns
    -------
    array of `dtype` (T, S, 49)
        NaN where the symbol has seen fewer than `warmup` bars since its start or last reset.

    Raises
    ------
    ContractError
        If a shape, a dtype or a time step is not as above, or `out` shares its memory with `ohlcv`.
    DataError
        If a bar is neither absent nor sound (:mod:`quantlab.core.soundness`).
    ConfigError
        If `interval`, `dtype` or `threads` cannot be used.

    Examples
    --------
    >>> flat = np.tile([100.0, 100.0, 100.0, 100.0, 0.0], (2000, 1, 1))
    >>> features = compute(flat, 300_000 * np.arange(2000), 300_000)
    >>> features.shape, int(np.isfinite(features[:, 0, 0]).sum())
    ((2000, 1, 49), 465)
    """
    bars = read_only(ohlcv, np.float64, (None, None, 5), "ohlcv")
    rows, symbols, _ = bars.shape
    interval = positive_interval(interval)
    index = _first_index(time, rows, interval)
    out = _memory(out, (rows, symbols, COUNT), output_dtype(dtype), bars)
    workers = min(_thread_count(threads), max(symbols, 1))
    rounds = -(-symbols // (_SYMBOLS_AT_ONCE * workers)) or 1  # every worker gets as many blocks, of one size
    width = -(-symbols // (rounds * workers)) or 1

    def fold(begin: int) -> bool:
        end = min(begin + width, symbols)
        return bool(run(empty_state(end - begin), empty_state(1), index, bars, begin, end, out, warmup))

    if not all(_map(fold, range(0, symbols, width), workers)):
        row, symbol = divmod(int(first_malformed(bars)), symbols)
        raise malformed_bar(bars[row, symbol], int(time[row]), symbol)
    return out


def malformed_bar(bar: Float64Array, time: int, symbol: int | str) -> DataError:
    """The error for a bar that is neither absent nor sound."""
    values = ", ".join(f"{name} {value:g}" for name, value in zip("OHLCV", bar, strict=True))
    return DataError(
        f"bars with {SMALLEST:g} <= low <= open, close <= high <= {LARGEST:g} and a volume of 0 or as these, or five NaN",
        found=f"{values} at {iso_utc(time)}, symbol {symbol}",
        fix="pass the data through the quality gate",
    )


def _memory(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any], bars: Float64Array) -> NDArray[Any]:
    """Memory that the rows are written to: `out` if it fits, else a new array."""
    if out is None:
        return np.empty(shape, dtype=dtype)
    usable = out.flags.c_contiguous and out.flags.writeable and not np.may_share_memory(out, bars)
    if out.shape != shape or out.dtype != dtype or not usable:
        raise ContractError(
            f"out as writeable, C-contiguous {dtype} {shape} of its own",
            found=f"{out.dtype} {out.shape}" if usable else f"{out.dtype} {out.shape} that is not",
            fix="leave it out, or hand over what an earlier call of the same size returned",
        )
    return out


def _first_index(time: Int64Array, rows: int, interval: int) -> int:
    """Absolute number of the first bar; ContractError unless `time` is a grid of `rows` bars from 1970 on."""
    stamps = read_only(time, np.int64, (rows,), "time")
    if rows == 0:
        return 0
    if stamps[0] < 0:
        raise ContractError("bars since 1970", found=f"time {stamps[0]}", fix="give epoch milliseconds, UTC")
    steps = np.diff(stamps)
    if np.any(steps != interval):
        row = int(np.flatnonzero(steps != interval)[0])
        raise ContractError(
            f"bars {interval} ms apart",
            found=f"{steps[row]} ms between rows {row} and {row + 1}",
            fix="put the bars on a dense grid, NaN where there is none",
        )
    return int(stamps[0]) // interval


def _thread_count(threads: int | None) -> int:
    if threads is None:
        settings: Any = numba_config  # filled in at import, unknown to its stubs
        return int(settings.NUMBA_NUM_THREADS)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ConfigError("threads >= 1, or null", found=repr(threads), fix="set threads to a whole number")
    return threads


def _map(fold: Callable[[int], bool], starts: range, workers: int) -> list[bool]:
    if workers == 1 or len(starts) < 2:
        return [fold(begin) for begin in starts]
    with ThreadPoolExecutor(workers) as pool:  # the kernel runs without the interpreter's lock
        return list(pool.map(fold, starts))
