"""What every benchmark measures with: one market, one clock, one kind of row."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from quantlab.core.market import Bars, BarState, Instrument

INTERVAL = 300_000
REPEATS = 7


class Row(NamedTuple):
    """One comparison; `ratio` is ours over the yardstick's, in CPU time."""

    work: str
    ours: str
    yardstick: str
    ratio: float


def market(n_bars: int, n_symbols: int, seed: int = 7) -> Bars:
    """A random walk with every cell traded."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.002, (n_bars, n_symbols)), axis=0))
    open_ = np.vstack([np.full((1, n_symbols), 100.0), close[:-1]])
    high = np.maximum(open_, close) * (1.0 + 0.001 * rng.random(close.shape))
    low = np.minimum(open_, close) * (1.0 - 0.001 * rng.random(close.shape))
    volume = rng.lognormal(8.0, 1.0, close.shape)
    return Bars(
        ohlcv=np.ascontiguousarray(np.stack([open_, high, low, close, volume], axis=-1)),
        open_time_ms=1_700_000_100_000 // INTERVAL * INTERVAL + INTERVAL * np.arange(n_bars, dtype=np.int64),
        interval_ms=INTERVAL,
        state=np.full((n_bars, n_symbols), BarState.TRADED, dtype=np.uint8),
        symbols=tuple(f"S{i:03d}" for i in range(n_symbols)),
        instruments=(Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5),) * n_symbols,
    )


def cpu_medians(*work: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """Median CPU seconds of each, interleaved, after one warm-up."""
    return _medians(time.process_time, work, repeats)


def wall_medians(*work: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """Median seconds of each on the wall's clock, interleaved, after one warm-up."""
    return _medians(time.perf_counter, work, repeats)


def _medians(clock: Callable[[], float], work: tuple[Callable[[], object], ...], repeats: int) -> list[float]:
    for f in work:
        f()
    seconds: list[list[float]] = [[] for _ in work]
    for _ in range(repeats):
        for f, times in zip(work, seconds, strict=True):
            before = clock()
            f()
            times.append(clock() - before)
    return [median(times) for times in seconds]
