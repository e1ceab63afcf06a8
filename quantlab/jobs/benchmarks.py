"""What stands beside the strategy: holding, and its own signal with its knowledge taken away."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from quantlab.core.types import Float64Array, Signal
from quantlab.evaluation import metrics
from quantlab.evaluation.benchmarks import buy_and_hold, equal_weight, most_traded
from quantlab.jobs.backtesting import Backtest, Setup


def benchmark_curves(parts: Setup, result: Backtest, seed: int) -> dict[str, Float64Array]:
    """Equity curves (T,) in USD on the strategy's own bars.

    The two holdings pay no costs, which makes them hard to beat. The random signal pays all of them:
    it is the strategy's own signal, rotated in time by a random number of bars per symbol, so that it
    trades as often and in the same clusters and knows nothing.
    """
    cash = result.evidence.initial_cash
    random = parts.engine.run(result.bars, rotated(result.signal, seed), result.strategy, limits_on=False)
    leader = most_traded(result.bars)
    return {
        f"{leader} buy and hold": buy_and_hold(result.bars, cash, leader),
        "equal weight": equal_weight(result.bars, cash),
        "random signal, same turnover": random.equity,
    }


def rotated(signal: Signal, seed: int) -> Signal:
    """Every symbol's sides, moved in time by a random offset of at least a tenth of the history."""
    rng = np.random.default_rng(seed)
    n_bars, n_symbols = signal.side.shape
    least = n_bars // 10
    offsets = rng.integers(least, max(n_bars - least, least + 1), n_symbols)
    side = np.stack([np.roll(signal.side[:, s], offsets[s]) for s in range(n_symbols)], axis=1)
    return dataclasses.replace(signal, side=np.ascontiguousarray(side))


def benchmark_numbers(curves: dict[str, Float64Array], result: Backtest) -> dict[str, Any]:
    """Return, Sharpe ratio and drawdown of each curve; null where undefined."""
    cash, times = result.evidence.initial_cash, result.bars.open_time_ms
    numbers = {}
    for name, equity in curves.items():
        sharpe = metrics.sharpe_ratio(metrics.daily_returns(equity, times, cash))
        numbers[name] = {
            "total_return": float(equity[-1] / cash - 1.0),
            "sharpe": None if isinstance(sharpe, metrics.Undefined) else sharpe,
            "max_drawdown": metrics.max_drawdown(equity, cash),
        }
    return numbers
