"""``make bench``: speed as ratios within one run, printed and written to ``runs/bench.json``.

Every row interleaves ours with its yardstick and compares medians of CPU seconds, so that a noisy or
slow machine moves both. Yardsticks are bare loops over the same arrays: what the machine allows.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from quantlab.backtest.scan import Scan
from quantlab.core.compiled import compiled
from quantlab.core.files import write_json
from quantlab.core.types import Bars, BarState, Instrument, Signal
from quantlab.features import FeatureStream, compute
from quantlab.trading.policies import EnsembleThreshold
from quantlab.trading.replay import replay
from quantlab.trading.sizing import FixedFraction
from quantlab.trading.strategy import Costs, Limits, Strategy

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


def cross_signal(bars: Bars) -> Signal:
    """Moving-average crosses 10/30, with a plain ATR."""
    close = np.ascontiguousarray(bars.close)
    means = [np.apply_along_axis(lambda x, n=n: np.convolve(x, np.ones(n) / n)[: len(x)], 0, close) for n in (10, 30)]
    side = np.sign(means[0] - means[1]).astype(np.int8)
    crossed = np.vstack([np.zeros((1, bars.n_symbols), dtype=bool), side[1:] != side[:-1]])
    cells = side.shape
    return Signal(
        side=np.ascontiguousarray(np.where(crossed, side, 0).astype(np.int8)),
        proba=np.full((*cells, 3), 1.0 / 3.0),
        confidence=np.full(cells, 0.5),
        consensus=np.ones(cells),
        live_members=np.ones(cells, dtype=np.int8),
        atr=np.ascontiguousarray(0.003 * close),
    )


@compiled
def read_and_write(ohlcv: Any, out: Any) -> None:
    """The least that any feature code does: read 5 numbers, write 49."""
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            total = ohlcv[t, s, 0] + ohlcv[t, s, 1] + ohlcv[t, s, 2] + ohlcv[t, s, 3] + ohlcv[t, s, 4]
            for k in range(out.shape[2]):
                out[t, s, k] = total


@compiled
def touch(ohlcv: Any, side: Any) -> float:
    """The least that any simulation does: look at every bar and its signal."""
    total = 0.0
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            if side[t, s] != 0:
                total += ohlcv[t, s, 0]
            total += ohlcv[t, s, 3] * ohlcv[t, s, 4]
    return total


def cpu_medians(*work: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each, interleaved, after one warm-up."""
    for f in work:
        f()
    seconds: list[list[float]] = [[] for _ in work]
    for _ in range(REPEATS):
        for f, times in zip(work, seconds, strict=True):
            before = time.process_time()
            f()
            times.append(time.process_time() - before)
    return [median(times) for times in seconds]


def feature_rows() -> list[Row]:
    """Batch features against a bare loop; 100 symbols against one; live bars."""
    one, many = market(25_920, 1), market(2_592, 100)
    out = np.empty((25_920, 1, 49), dtype=np.float32)
    ours, hundred, bare = cpu_medians(
        lambda: compute(one.ohlcv, one.open_time_ms, INTERVAL, threads=1),
        lambda: compute(many.ohlcv, many.open_time_ms, INTERVAL, threads=1),
        lambda: read_and_write(one.ohlcv, out),
    )
    bars, cells = one.n_bars, many.n_bars * many.n_symbols
    return [
        Row(
            "49 features, batch, 1 thread",
            f"{bars / ours / 1e6:.2f} M bars/s",
            f"bare loop {bars / bare / 1e6:.1f} M bars/s",
            ours / bare,
        ),
        Row(
            "  100 symbols against one",
            f"{cells / hundred / 1e6:.2f} M bars/s",
            f"{bars / ours / 1e6:.2f} M bars/s",
            (hundred / cells) / (ours / bars),
        ),
        live_row(many, hundred / many.n_bars),
    ]


def live_row(bars: Bars, batch_seconds: float) -> Row:
    """One live bar of 100 symbols against the batch's share of a bar."""
    stream = FeatureStream(bars.symbols, INTERVAL)
    seconds = []
    for t in range(bars.n_bars):
        before = time.perf_counter()
        stream.update(int(bars.open_time_ms[t]), bars.ohlcv[t])
        seconds.append(time.perf_counter() - before)
    p50, p99 = np.percentile(seconds[200:], [50, 99])
    return Row(
        "49 features, live, 100 symbols",
        f"p50 {p50 * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us",
        f"batch {batch_seconds * 1e6:.0f} us a bar",
        float(p50 / batch_seconds),
    )


def simulation_rows() -> list[Row]:
    """The scan against a loop that only looks; the same step driven from Python."""
    bars = market(25_920, 100)
    signal = cross_signal(bars)
    strategy = Strategy(
        signal=None,  # type: ignore[arg-type]  # the simulation is handed a signal, it never asks for one
        policy=EnsembleThreshold(1.2, 2.0, 12, rebalance=False),
        sizer=FixedFraction(0.1),
        limits=Limits(0.05, False, None, 10, 0.1, 1.0, 1.0),
        costs=Costs(2.0, 0.05, 125.0),
    )
    engine, fewer = Scan(10_000.0), 2_592
    short, short_signal = bars.rows(0, fewer), signal.rows(0, fewer)
    ours, bare, step, scan = cpu_medians(
        lambda: engine.run(bars, signal, strategy),
        lambda: touch(bars.ohlcv, signal.side),
        lambda: replay(
            ((short.rows(t, t + 1), short_signal.rows(t, t + 1)) for t in range(fewer)),
            strategy,
            10_000.0,
        ),
        lambda: engine.run(short, short_signal, strategy),
    )
    cells = bars.n_bars * bars.n_symbols
    return [
        Row(
            "backtest, 100 symbols x 25,920 bars",
            f"{ours * 1e3:.0f} ms, {cells / ours / 1e6:.1f} M bars/s",
            f"bare loop {bare * 1e3:.0f} ms",
            ours / bare,
        ),
        Row(
            "bar by bar from Python, 100 symbols",
            f"{step / fewer * 1e6:.1f} us a bar",
            f"scan {scan / fewer * 1e6:.1f} us a bar",
            step / scan,
        ),
    ]


def start_row() -> Row:
    """``--help`` in a fresh process against an interpreter that does nothing."""
    seconds: dict[str, list[float]] = {"help": [], "bare": []}
    for _ in range(REPEATS):
        for name, arguments in (("help", ["-m", "quantlab", "--help"]), ("bare", ["-c", "pass"])):
            before = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - before)
    ours, bare = median(seconds["help"]), median(seconds["bare"])
    return Row("--help, fresh process", f"{ours:.2f} s", f"bare Python {bare:.2f} s", ours / bare)


def main() -> None:
    """Run every row; print the table, write the JSON."""
    rows = [*feature_rows(), *simulation_rows(), start_row()]
    table = Table("work", "ours", "yardstick, same run", "ratio")
    for row in rows:
        table.add_row(row.work, row.ours, row.yardstick, f"{row.ratio:.2f}")
    Console().print(table)
    path = Path("runs") / "bench.json"
    write_json(
        path,
        {"machine": platform.machine(), "python": platform.python_version(), "rows": [row._asdict() for row in rows]},
    )


if __name__ == "__main__":
    main()
