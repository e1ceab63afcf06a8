"""Benchmarks that only hold: equity curves (T,) in USD, without costs or funding."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ConfigError
from quantlab.core.market import OPEN, VOLUME, Bars
from quantlab.evaluation.statistics.metrics import Undefined, daily_returns, day_ends, max_drawdown, sharpe_ratio

#: Name of the strategy's own signal, rotated in time, among the benchmarks of a run; the others hold a market.
RANDOM_SIGNAL = "random signal, same turnover"


def buy_and_hold(bars: Bars, initial_cash: float, symbol: str) -> Float64Array:
    """One symbol, bought with all cash at its first open and held.

    Raises
    ------
    ConfigError
        If `symbol` is not among the bars.
    """
    if symbol not in bars.symbols:
        raise ConfigError(
            f"a symbol named {symbol!r}", found=", ".join(bars.symbols), fix="name one of the bars' symbols"
        )
    return initial_cash * _relative_prices(bars)[:, bars.symbols.index(symbol)]


def most_traded(bars: Bars) -> str:
    """The symbol with the largest traded notional over these bars: the market's own yardstick."""
    notional = np.nansum(bars.close * bars.ohlcv[:, :, VOLUME], axis=0)
    return bars.symbols[int(np.argmax(notional))]


def equal_weight(bars: Bars, initial_cash: float) -> Float64Array:
    """All symbols, brought back to equal weights at the end of every UTC day.

    A symbol joins at the end of the day in which it first prints (on the first day: at its first open);
    one that stops printing stays at its last close.
    """
    relative = _relative_prices(bars)
    started = np.logical_or.accumulate(np.isfinite(bars.close), axis=0)
    equity = np.empty(bars.n_bars)
    base, since, start = np.ones(bars.n_symbols), started[day_ends(bars.open_time_ms)[0]], 0
    capital = initial_cash
    for end in day_ends(bars.open_time_ms):
        held = relative[start : end + 1, since] / base[since]
        equity[start : end + 1] = capital * (held.mean(axis=1) if held.shape[1] else 1.0)
        capital, base, since, start = float(equity[end]), relative[end], started[end], int(end) + 1
    return equity


def _relative_prices(bars: Bars) -> Float64Array:
    """float64 (T, S): last finite close over the symbol's first open; 1 before it prints."""
    finite = np.isfinite(bars.close)
    row = np.maximum.accumulate(np.where(finite, np.arange(bars.n_bars)[:, None], -1), axis=0)
    columns = np.arange(bars.n_symbols)
    first_open = bars.ohlcv[np.argmax(finite, axis=0), columns, OPEN]
    relatives: Float64Array = np.where(row >= 0, bars.close[np.maximum(row, 0), columns] / first_open, 1.0)
    return relatives


def curve_numbers(equity: Float64Array, open_time_ms: Int64Array, initial_cash: float) -> dict[str, float | None]:
    """Total return, annual Sharpe ratio (None if undefined) and maximum drawdown of an equity curve (T,)."""
    sharpe = sharpe_ratio(daily_returns(equity, open_time_ms, initial_cash))
    return {
        "total_return": float(equity[-1] / initial_cash - 1.0),
        "sharpe": None if isinstance(sharpe, Undefined) else sharpe,
        "max_drawdown": max_drawdown(equity, initial_cash),
    }
