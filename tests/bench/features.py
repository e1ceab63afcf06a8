"""Rows about the 49 features: peers that compute the same values, many symbols, threads, odd markets, live bars."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from drift import drift_rows
from feature_peers import pandas_features, talib_features
from measure import INTERVAL, Row, cpu_medians, market, wall_medians

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.market import Bars
from quantlab.features import NAMES, WARMUP, FeatureStream, compute

BARS = 25_920  # 90 days of 5 minutes
#: Of work that takes milliseconds.
SHORT_REPEATS = 21
#: A peer agrees up to the digits that its running sums lose.
PEER_TOLERANCE = 1e-6

_FIRST_CALL = """
import time
import numpy as np
from quantlab.features import compute
bars = np.tile([100.0, 101.0, 99.0, 100.0, 1.0], (2, 1, 1))
before = time.perf_counter()
compute(bars, 300_000 * np.arange(2, dtype=np.int64), 300_000, threads=1)
print(time.perf_counter() - before)
"""


@compiled(nogil=True)
def read_and_write(ohlcv: Any, out: Any) -> None:
    """The least that any feature code does: read 5 numbers, write 49."""
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            total = ohlcv[t, s, 0] + ohlcv[t, s, 1] + ohlcv[t, s, 2] + ohlcv[t, s, 3] + ohlcv[t, s, 4]
            for k in range(out.shape[2]):
                out[t, s, k] = total


def feature_rows() -> list[Row]:
    """Every row about features."""
    return [
        *peer_rows(),
        *many_rows(),
        *odd_market_rows(),
        *growth_rows(),
        *live_rows(),
        *drift_rows(),
        *compile_rows(),
    ]


def unified(bars: Bars, threads: int = 1, dtype: Any = np.float32, out: Any = None) -> Any:
    """The features of all bars."""
    return compute(bars.ohlcv, bars.open_time_ms, INTERVAL, threads=threads, dtype=dtype, out=out)


def peer_rows() -> list[Row]:
    """One symbol, one thread, against a bare loop and against two peers that compute the same 49."""
    bars = market(BARS, 1)
    column = np.ascontiguousarray(bars.ohlcv[:, 0])
    wanted = unified(bars, dtype=np.float64)[:, 0]
    for peer in (talib_features, pandas_features):
        assert_same_features(peer, column, wanted)
    single, double = np.empty((BARS, 1, 49), dtype=np.float32), np.empty((BARS, 1, 49))
    ours, bare, wide, by_talib, by_pandas = cpu_medians(
        lambda: unified(bars),
        lambda: read_and_write(bars.ohlcv, single),
        lambda: read_and_write(bars.ohlcv, double),
        lambda: talib_features(column),
        lambda: pandas_features(column),
        repeats=SHORT_REPEATS,
    )
    rate = f"{BARS / ours / 1e6:.2f} M bars/s"
    return [
        Row("49 features, batch, 1 thread", rate, f"bare loop, float32 {_rate(BARS, bare)}", ours / bare),
        Row("  against writing float64", rate, f"bare loop, float64 {_rate(BARS, wide)}", ours / wide),
        Row("  against TA-Lib + numpy", rate, f"TA-Lib + numpy {_rate(BARS, by_talib)}", ours / by_talib),
        Row("  against pandas", rate, f"pandas {_rate(BARS, by_pandas)}", ours / by_pandas),
    ]


def assert_same_features(peer: Callable[[Float64Array], list[Any]], column: Float64Array, wanted: Float64Array) -> None:
    """Raise unless `peer` computes what we compute."""
    found = np.column_stack(peer(column))[WARMUP:]
    wanted = wanted[WARMUP:]
    scale = np.maximum(np.abs(wanted), np.sqrt(np.mean(wanted**2, axis=0)))
    worst = np.max(np.abs(found - wanted) / scale, axis=0)
    different = [f"{name} by {w:.1e}" for name, w in zip(NAMES, worst, strict=True) if not w <= PEER_TOLERANCE]
    assert not different, f"{peer.__name__} differs in {', '.join(different)}"


@compiled(nogil=True)
def multiply(times: Any) -> Any:
    """Arithmetic in registers alone: as much faster on two threads as the machine has a second processor to spare."""
    x = 1.0 * times
    for _ in range(times):
        x = x * 0.999999 + 1e-6
    return x


def many_rows() -> list[Row]:
    """100 symbols against one; two threads against one: the CPU time of both, and how much sooner they are done.

    Memory that is written for the first time is cleared by the system, which two threads share: with memory held
    from call to call their limit is bare arithmetic, with fresh memory a bare loop that writes fresh memory, too.
    """
    one, many = market(BARS, 1), market(BARS // 4, 100)
    cells = many.n_bars * many.n_symbols
    alone, hundred, shared = cpu_medians(
        lambda: unified(one), lambda: unified(many), lambda: unified(many, threads=2), repeats=SHORT_REPEATS
    )
    spins, halves = [10_000_000] * 4, (slice(0, 50), slice(50, 100))
    held = unified(many)

    def write(run: Callable[..., Any]) -> None:
        fresh = np.empty_like(held)
        list(run(lambda half: read_and_write(many.ohlcv[:, half], fresh[:, half]), halves))

    with ThreadPoolExecutor(2) as pool:
        single, double, cold, cold_double, spin, spin_double, bare, bare_double = wall_medians(
            lambda: unified(many, out=held),
            lambda: unified(many, threads=2, out=held),
            lambda: unified(many),
            lambda: unified(many, threads=2),
            lambda: [multiply(n) for n in spins],
            lambda: list(pool.map(multiply, spins)),
            lambda: write(map),
            lambda: write(pool.map),
            repeats=SHORT_REPEATS,
        )
    faster, possible = single / double, spin / spin_double
    cold_faster, cold_possible = cold / cold_double, bare / bare_double
    return [
        Row("  100 symbols", _rate(cells, hundred), f"one {_rate(BARS, alone)}", hundred / cells / (alone / BARS)),
        Row("  2 threads, CPU of both", _rate(cells, shared), f"1 thread {_rate(cells, hundred)}", shared / hundred),
        Row("  2 threads, wall", f"{faster:.2f} times 1", f"bare arithmetic {possible:.2f} times", possible / faster),
        Row(
            "  2 threads, wall, fresh memory",
            f"{cold_faster:.2f} times 1",
            f"bare loop in fresh memory {cold_possible:.2f} times",
            cold_possible / cold_faster,
        ),
    ]


def odd_market_rows() -> list[Row]:
    """Markets that could slow a kernel down, against the normal one."""
    normal = market(BARS, 1).ohlcv

    def changed(change: Callable[[Float64Array], None]) -> Float64Array:
        bars: Float64Array = normal.copy()
        change(bars)
        return bars

    def die(bars: Float64Array) -> None:
        bars[1_000:] = bars[999, 0, 3] * np.array([1.0, 1.0, 1.0, 1.0, 0.0])

    def fall_silent(bars: Float64Array) -> None:
        bars[:, :, 4] = 0.0

    def burst(bars: Float64Array) -> None:
        bars[5_000::1_000, :, 4] *= 1e12

    def leave_holes(bars: Float64Array) -> None:
        for start in range(3_000, BARS, 3_000):
            bars[start : start + 30] = np.nan

    odd = {"dead": die, "without volume": fall_silent, "bursts of 1e12": burst, "holes": leave_holes}
    time_ms = market(BARS, 1).open_time_ms
    worlds = [normal, *(changed(change) for change in odd.values())]
    usual, *others = cpu_medians(
        *(lambda w=w: compute(w, time_ms, INTERVAL, threads=1) for w in worlds), repeats=SHORT_REPEATS
    )
    return [
        Row(f"  market: {name}", _rate(BARS, seconds), f"normal {_rate(BARS, usual)}", seconds / usual)
        for name, seconds in zip(odd, others, strict=True)
    ]


def growth_rows() -> list[Row]:
    """Two and four times the bars, and the symbols, against that many times the cost of once."""
    bars, symbols = 6_480, 25
    long = [market(bars * n, 1) for n in (1, 2, 4)]
    wide = [market(bars, symbols * n) for n in (1, 2, 4)]
    seconds = cpu_medians(*(lambda b=b: unified(b) for b in (*long, *wide)), repeats=SHORT_REPEATS)
    rows = []
    for what, (once, *more) in (("bars", seconds[:3]), ("symbols", seconds[3:])):
        for n, cost in zip((2, 4), more, strict=True):
            rows.append(
                Row(f"  {n}x {what}", f"{cost * 1e3:.1f} ms", f"{n} times {once * 1e3:.1f} ms", cost / (n * once))
            )
    return rows


def live_rows() -> list[Row]:
    """One bar of 100 symbols: against the batch's share of a bar, and against TA-Lib over the last 500 bars."""
    bars = market(2_592, 100)
    (batch,) = cpu_medians(lambda: unified(bars))
    last = [np.ascontiguousarray(bars.ohlcv[-500:, s]) for s in range(bars.n_symbols)]
    (recomputed,) = cpu_medians(lambda: [talib_features(column) for column in last])
    stream = FeatureStream(bars.symbols, INTERVAL)
    seconds = []
    for t in range(bars.n_bars):
        before = time.perf_counter()
        stream.update(int(bars.open_time_ms[t]), bars.ohlcv[t])
        seconds.append(time.perf_counter() - before)
    p50, p99 = np.percentile(seconds[200:], [50, 99])
    ours = f"p50 {p50 * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us"
    share = batch / bars.n_bars
    return [
        Row("49 features, live, 100 symbols", ours, f"batch {share * 1e6:.0f} us a bar", float(p50 / share)),
        Row(
            "  against computing anew",
            ours,
            f"last 500 bars by TA-Lib {recomputed * 1e3:.1f} ms",
            float(p50 / recomputed),
        ),
    ]


def compile_rows() -> list[Row]:
    """The first call of a process, with an empty and with a filled cache, against the goals."""
    with tempfile.TemporaryDirectory() as folder:
        cold, cached = first_call(folder), first_call(folder)
    return [
        Row("first call, nothing compiled yet", f"{cold:.1f} s", "goal 10 s", cold / 10.0),
        Row("first call, compiled before", f"{cached:.2f} s", "goal 0.5 s", cached / 0.5),
    ]


def first_call(cache: str) -> float:
    """Seconds of the first ``compute`` of a fresh process that keeps its machine code in `cache`."""
    environment = {**os.environ, "QUANTLAB_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_CALL], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _rate(cells: int, seconds: float) -> str:
    return f"{cells / seconds / 1e6:.2f} M bars/s"
