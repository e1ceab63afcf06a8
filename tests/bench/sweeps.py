"""A thousand pairs of moving averages: against vectorbt, against a fused loop, and in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from measure import Row, market
from pair_sweep import CASH, PAIRS, ours
from peak import peak_bytes
from peers import fused_kernels

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import vectorbt as vbt

from quantlab.core.market import Bars

THREADS, FEE = 2, 4.5e-4


def vectorbts(bars: Bars, pairs: list[tuple[int, int]]) -> None:
    """The same crossings through vectorbt's indicators and ``from_signals``."""
    close = pd.Series(bars.close[:, 0])
    fast = vbt.MA.run(close, [pair[0] for pair in pairs], short_name="fast")
    slow = vbt.MA.run(close, [pair[1] for pair in pairs], short_name="slow")
    up, down = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    vbt.Portfolio.from_signals(
        close,
        entries=up.vbt.signals.fshift(1),
        short_entries=down.vbt.signals.fshift(1),
        price=np.ascontiguousarray(bars.ohlcv[:, :1, 0]),
        fees=FEE,
        init_cash=CASH,
        size=np.inf,
        upon_opposite_entry="reverse",
        max_orders=2_000_000,
    ).final_value()


def sweep_rows() -> list[Row]:
    """Every row of this file."""
    bars = market(25_920, 1)
    return [*_against_vectorbt(bars), *_against_fused(bars), memory_row()]


def _against_vectorbt(bars: Bars) -> list[Row]:
    """On the wall's clock, since two threads are the point; three rounds, vectorbt's caches off and warm."""
    vbt.settings.caching["enabled"] = False
    vectorbts(bars, PAIRS[:3])
    mine, theirs = _walls(lambda: ours(bars, PAIRS, THREADS), lambda: vectorbts(bars, PAIRS), repeats=3)
    return [
        Row(f"sweep, 1,000 pairs x 25,920 bars, {THREADS} threads", f"{mine:.2f} s", f"vectorbt {theirs:.1f} s", mine / theirs)
    ]  # fmt: skip


def _against_fused(bars: Bars) -> list[Row]:
    kernels = fused_kernels()
    if kernels is None:
        return []
    opens, closes = (np.ascontiguousarray(bars.ohlcv[:, 0, k]) for k in (0, 3))
    fast, slow = (np.array([pair[k] for pair in PAIRS]) for k in (0, 1))
    equity, trades = np.empty(len(PAIRS)), np.empty(len(PAIRS), np.int64)

    def fused() -> None:
        kernels.k_D(opens, closes, fast, slow, FEE, CASH, equity, trades)

    mine, least = _cpus(lambda: ours(bars, PAIRS, 1), fused)
    return [Row("sweep, per core", f"{mine * 1e3:.2f} ms a pair", f"fused loop {least * 1e3:.3f} ms", mine / least)]


def memory_row() -> Row:
    """Peak memory of a process with 4,000 pairs against one with 500, once all is compiled."""
    _peak_mb(1)
    small, large = (_peak_mb(count) for count in (500, 4_000))
    return Row(
        "sweep, peak memory of the process", f"4,000 pairs {large:.0f} MB", f"500 pairs {small:.0f} MB", large / small
    )


def _peak_mb(count: int) -> float:
    return peak_bytes(Path(__file__).with_name("pair_sweep.py"), str(count)) / 2**20


def _walls(*work: Callable[[], object], repeats: int) -> list[float]:
    return _medians(perf_counter, work, repeats)


def _cpus(*work: Callable[[], object]) -> list[float]:
    """Per pair."""
    return [seconds / len(PAIRS) for seconds in _medians(process_time, work, 3)]


def _medians(clock: Callable[[], float], work: tuple[Callable[[], object], ...], repeats: int) -> list[float]:
    seconds: list[list[float]] = [[] for _ in work]
    for round_ in range(repeats + 1):
        for function, times in zip(work, seconds, strict=True):
            before = clock()
            function()
            if round_ > 0:
                times.append(clock() - before)
    return [median(times) for times in seconds]
