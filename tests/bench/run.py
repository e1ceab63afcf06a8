"""``make bench``: speed as ratios within one run, printed and written to ``runs/bench.json``.

Every row interleaves ours with its yardstick and compares medians of CPU seconds, so that a noisy or
slow machine moves both. Yardsticks are bare loops over the same arrays: what the machine allows.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from backtests import backtest_rows
from data import data_rows
from decision import decision_rows
from exchange import exchange_rows
from features import feature_rows
from measure import REPEATS, Row, cpu_medians, market
from nets import net_rows
from rich.table import Table
from signals import cross_signal
from sweeps import sweep_rows
from trees import tree_rows

from quantlab.backtest.scan import Scan
from quantlab.core.compiled import compiled
from quantlab.core.files import write_json
from quantlab.jobs.output.console import stdout_console
from quantlab.trading.bar.replay import replay
from quantlab.trading.strategy.policies import EnsembleThreshold
from quantlab.trading.strategy.sizers import FixedFraction
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy


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
    # What a feed and a signal's stream hand in; a row of its own says what making the views costs.
    handed = [(short.rows(t, t + 1), short_signal.rows(t, t + 1)) for t in range(fewer)]
    ours, bare, step, sliced, scan = cpu_medians(
        lambda: engine.run(bars, signal, strategy),
        lambda: touch(bars.ohlcv, signal.side),
        lambda: replay(handed, strategy, 10_000.0),
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
        Row(
            "  each bar cut from a history first",
            f"{sliced / fewer * 1e6:.1f} us a bar",
            f"scan {scan / fewer * 1e6:.1f} us a bar",
            sliced / scan,
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
    rows = [
        *feature_rows(),
        *data_rows(),
        *simulation_rows(),
        *backtest_rows(),
        *sweep_rows(),
        *decision_rows(),
        *tree_rows(),
        *net_rows(),
        *exchange_rows(),
        start_row(),
    ]
    table = Table("work", "ours", "yardstick, same run", "ratio")
    for row in rows:
        table.add_row(row.work, row.ours, row.yardstick, f"{row.ratio:.2f}")
    stdout_console().print(table)
    path = Path("runs") / "bench.json"
    write_json(
        path,
        {"machine": platform.machine(), "python": platform.python_version(), "rows": [row._asdict() for row in rows]},
    )


if __name__ == "__main__":
    main()
