"""Benchmarks of a strategy: two holdings, and its own signal with its knowledge taken away."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.results import Simulation
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.benchmarks import (
    RANDOM_SIGNAL,
    buy_and_hold,
    curve_numbers,
    equal_weight,
    most_traded,
)
from quantlab.jobs.research.pipeline import Backtest, Setup

_DISTANCES = {"stop_distance", "take_distance", "trail_distance", "break_even_distance"}


@dataclass(frozen=True)
class Benchmarks:
    """Equity curves (T,) in USD on the strategy's own bars, and the account of the random signal.

    Parameters
    ----------
    curves : dict of name to float64 (T,)
    random : Simulation
        Of the strategy's own signal, rotated in time.
    """

    curves: dict[str, Float64Array]
    random: Simulation


def run_benchmarks(parts: Setup, result: Backtest, seed: int) -> Benchmarks:
    """Hold, and know nothing.

    The two holdings pay no costs, which makes them hard to beat; the market leader is chosen by what was
    traded before the first out-of-sample bar. The random signal pays all costs: it is the strategy's
    own signal, rotated in time by a random number of bars per symbol, so that it trades as often and in
    the same clusters and knows nothing.
    """
    cash = result.evidence.initial_cash
    random = parts.engine.run(
        result.bars, rotated_signal(result.signal, result.bars.close, seed), result.strategy, limits_on=False
    )
    leader = most_traded(result.history.rows(0, max(result.study.first_row, 1)))
    curves = {
        f"{leader} buy and hold": buy_and_hold(result.bars, cash, leader),
        "equal weight": equal_weight(result.bars, cash),
        RANDOM_SIGNAL: random.equity,
    }
    return Benchmarks(curves, random)


def rotated_signal(signal: Signal, close: Float64Array, seed: int) -> Signal:
    """Return the signal of every symbol, moved in time by a random offset of at least a tenth of the history.

    All that is decided on moves together: sides, probabilities, targets. Distances keep their share of the
    price; only the ATR stays, since it describes the market.

    Parameters
    ----------
    signal : Signal, (T, S)
    close : float64 (T, S)
        USD.
    seed : int
    """
    rng = np.random.default_rng(seed)
    n_bars, n_symbols = signal.side.shape
    least = n_bars // 10
    offsets = rng.integers(least, max(n_bars - least, least + 1), n_symbols)
    rows = (np.arange(n_bars)[:, None] - offsets) % n_bars
    columns = np.arange(n_symbols)
    moved = {
        name: values[rows, columns] for name, values in vars(signal).items() if name != "atr" and values is not None
    }
    for name in _DISTANCES & moved.keys():
        moved[name] = moved[name] * (close / close[rows, columns])
    return dataclasses.replace(signal, **moved)


def benchmark_numbers(benchmarks: Benchmarks, result: Backtest) -> dict[str, Any]:
    """Return, Sharpe ratio and drawdown of each curve; null where undefined."""
    cash, times = result.evidence.initial_cash, result.bars.open_time_ms
    return {name: curve_numbers(equity, times, cash) for name, equity in benchmarks.curves.items()}
