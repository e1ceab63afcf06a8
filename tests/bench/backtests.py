"""The portfolio backtest against hand-fused kernels and vectorbt, its growth, and its first result."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from fused import fused_same_rules
from measure import Row, cpu_medians, market
from numba import njit
from peers import fused_kernels
from signals import cross_signal

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.trading.strategy.policies import EnsembleThreshold
from quantlab.trading.strategy.sizers import FixedFraction
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import vectorbt as vbt
    from vectorbt.portfolio import nb
    from vectorbt.portfolio.enums import Direction

CASH = 10_000.0
FAST, SLOW, ATR, STOP, TAKE, FEE = 10, 30, 14, 1.2, 2.0, 4e-4
POSITIONS, WEIGHT, DAILY = 10, 0.1, 0.08
BOTH = int(Direction.Both)


def strategy() -> Strategy:
    """Stop and take-profit by ATR, ten positions of a tenth, a daily limit; no breaker, so that every bar is simulated."""
    return Strategy(
        signal=None,  # type: ignore[arg-type]  # the simulation is handed a signal, it never asks for one
        policy=EnsembleThreshold(STOP, TAKE, None, rebalance=False),
        sizer=FixedFraction(WEIGHT),
        limits=Limits(DAILY, False, None, POSITIONS, 0.1, 1.0, 1.0),
        costs=Costs(0.0, 0.05, 125.0),
    )


def backtest_rows() -> list[Row]:
    """Every row of this file."""
    bars = market(25_920, 100)
    signal, chosen, engine = cross_signal(bars), strategy(), Scan(CASH)
    return [
        *_against_same_rules(bars, signal, chosen, engine),
        *_against_peers(bars, signal, chosen, engine),
        *_growth(chosen, engine),
        first_result_row(),
    ]


def _against_same_rules(bars: Bars, signal: Signal, chosen: Strategy, engine: Scan) -> list[Row]:
    """Our scan and one function that does the same by hand, to the last bit, for these settings only."""
    expected = engine.run(bars, signal, chosen)
    found, fills = fused_same_rules(bars, signal, chosen, CASH)
    assert found == expected.equity[-1]
    assert fills == len(expected.orders)
    ours, fused = cpu_medians(
        lambda: engine.run(bars, signal, chosen), lambda: fused_same_rules(bars, signal, chosen, CASH)
    )
    return [
        Row("portfolio backtest, same rules, same bits", _rate(bars, ours), f"hand-fused {_ms(fused)}", ours / fused)
    ]


def _against_peers(bars: Bars, signal: Signal, chosen: Strategy, engine: Scan) -> list[Row]:
    kernels = fused_kernels()
    if kernels is None:
        return []
    market_ = _columns(bars)
    arguments = (FAST, SLOW, ATR, STOP, TAKE, FEE, CASH, POSITIONS, WEIGHT, DAILY, 1.0)
    run_vectorbt = _vectorbt(kernels, *market_)
    ours, fused, theirs = cpu_medians(
        lambda: engine.run(bars, signal, chosen), lambda: kernels.k_C(*market_, *arguments), run_vectorbt
    )
    return [
        Row("portfolio backtest, signal given", _rate(bars, ours), f"kern.py (fewer rules) {_ms(fused)}", ours / fused),
        Row("portfolio backtest, signal given", _rate(bars, ours), f"vectorbt from_order_func {_ms(theirs)}", ours / theirs),
    ]  # fmt: skip


def _columns(bars: Bars) -> tuple[Any, ...]:
    """Open, high, low and close as arrays of their own, and the day of every bar."""
    return (*(np.ascontiguousarray(bars.ohlcv[:, :, k]) for k in range(4)), bars.open_time_ms // 86_400_000)


def _vectorbt(kernels: ModuleType, o: Any, h: Any, low: Any, c: Any, day: Any) -> Any:
    """The peer's own step inside vectorbt's flexible simulator, as its file does it."""
    step, n_symbols = kernels.step, c.shape[1]

    @njit
    def order(ctx, n, columns, sizes, prices):  # type: ignore[no-untyped-def]
        k = ctx.call_idx
        if k < n:
            return columns[k], nb.order_nb(size=sizes[k], price=prices[k], fees=FEE, direction=BOTH)
        return -1, nb.order_nothing_nb()

    @njit
    def before(ctx, o, h, low, c, day, A, F, ring, pending, P, columns, sizes, prices):  # type: ignore[no-untyped-def]
        i = ctx.i
        return (step(o[i], h[i], low[i], c[i], day[i], A, F, ring, pending, P, columns, sizes, prices),)

    close = pd.DataFrame(c)
    P = np.array([FAST, SLOW, ATR, STOP, TAKE, FEE, POSITIONS, WEIGHT, DAILY, 1.0])

    def run() -> None:
        A, F, ring, pending = kernels.new_state(n_symbols, CASH, SLOW)
        fills = np.empty(4 * n_symbols, np.int64), np.empty(4 * n_symbols), np.empty(4 * n_symbols)
        vbt.Portfolio.from_order_func(
            close,
            order,
            *fills,
            flexible=True,
            pre_segment_func_nb=before,
            pre_segment_args=(o, h, low, c, day, A, F, ring, pending, P, *fills),
            init_cash=CASH,
            group_by=True,
            cash_sharing=True,
            max_orders=400_000,
        )

    return run


def _growth(chosen: Strategy, engine: Scan) -> list[Row]:
    """One, two and four times the bars, then the symbols: the last ratio is per cell, 1 is linear."""
    rows = []
    for name, sizes in (
        ("bars", ((6_480, 50), (12_960, 50), (25_920, 50))),
        ("symbols", ((12_960, 25), (12_960, 50), (12_960, 100))),
    ):
        markets = [market(*size) for size in sizes]
        signals = [cross_signal(bars) for bars in markets]
        once, twice, four = cpu_medians(
            *(lambda b=b, s=s: engine.run(b, s, chosen) for b, s in zip(markets, signals, strict=True))  # type: ignore[misc]
        )
        rows.append(
            Row(
                f"backtest, 4x the {name}",
                f"{_ms(once)}, {_ms(twice)}, {_ms(four)}",
                "4 x the first",
                four / (4.0 * once),
            )
        )
    return rows


def first_result_row(repeats: int = 3) -> Row:
    """From the start of a process to the first equity on the terminal, against Python importing numba and pandas."""
    bare = [sys.executable, "-c", "import numba, pandas"]
    command = [sys.executable, "-m", "quantlab", "job=backtest", "debug=tiny"]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):
            ours.append(_seconds_to_equity(command, folder))
            before = time.perf_counter()
            subprocess.run(bare, check=True, cwd=folder)
            theirs.append(time.perf_counter() - before)
    first, least = median(ours[1:]), median(theirs[1:])
    return Row(
        "first equity number, fresh process", f"{first:.2f} s", f"import numba, pandas {least:.2f} s", first / least
    )


def _seconds_to_equity(command: list[str], folder: str) -> float:
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("equity"):
                seconds = time.perf_counter() - before
                process.stdout.read()
                return seconds
    raise RuntimeError(f"{' '.join(command)} printed no equity")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _rate(bars: Bars, seconds: float) -> str:
    return f"{_ms(seconds)}, {bars.n_bars * bars.n_symbols / seconds / 1e6:.1f} M bars/s"
