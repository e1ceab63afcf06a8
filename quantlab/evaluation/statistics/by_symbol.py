"""On which symbols a result was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Records
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, Simulation
from quantlab.evaluation.statistics import metrics
from quantlab.evaluation.statistics.metrics import Undefined
from quantlab.evaluation.statistics.slippage import fill_slippage
from quantlab.evaluation.statistics.trades import exit_share, round_trips


@dataclass(frozen=True)
class SymbolRow:
    """One symbol that was traded.

    Parameters
    ----------
    symbol : str
    trades : int
        Closed round trips.
    net_pnl : float
        USD of all its trades, open ones at the last mark, after fees and slippage, before funding and
        liquidation fees, which the account pays as a whole.
    fees, slippage, notional : float
        USD.
    long_share, hit_rate, profit_factor, stop_share, bars_held : float or None
        Of the closed trades.
    undefined : dict of number name to reason
    """

    symbol: str
    trades: int
    net_pnl: float
    fees: float
    slippage: float
    notional: float
    long_share: float | None
    hit_rate: float | None
    profit_factor: float | None
    stop_share: float | None
    bars_held: float | None
    undefined: dict[str, str]


def by_symbol(simulation: Simulation, bars: Bars) -> tuple[SymbolRow, ...]:
    """One row per traded symbol, the best first."""
    orders, trades = simulation.orders, round_trips(simulation, bars).records
    n = bars.n_symbols
    fees = np.bincount(orders["col"], orders["fees"], minlength=n)
    slippage = np.bincount(orders["col"], fill_slippage(simulation, bars), minlength=n)
    notional = np.bincount(orders["col"], orders["size"] * orders["price"], minlength=n)
    rows = [
        _row(bars.symbols[s], trades[trades["symbol"] == s], float(fees[s]), float(slippage[s]), float(notional[s]))
        for s in np.unique(orders["col"])
    ]
    return tuple(sorted(rows, key=lambda row: (-row.net_pnl, row.symbol)))


def symbol_numbers(rows: tuple[SymbolRow, ...]) -> dict[str, dict[str, Any]]:
    """JSON-safe, by symbol, for ``metrics.json``."""
    return {row.symbol: {k: v for k, v in asdict(row).items() if k != "symbol"} for row in rows}


def _row(symbol: str, trades: Records, fees: float, slippage: float, notional: float) -> SymbolRow:
    closed = trades[trades["closed"]]
    none = Undefined("no closed trades")
    stopped = exit_share(closed, OrderReason.STOP)
    found = {
        "long_share": float(np.mean(closed["side"] == 1)) if len(closed) else none,
        "hit_rate": metrics.hit_rate(closed["pnl"]),
        "profit_factor": metrics.profit_factor(closed["pnl"]),
        "stop_share": none if stopped is None else stopped,
        "bars_held": float(np.mean(closed["exit_idx"] - closed["entry_idx"])) if len(closed) else none,
    }
    return SymbolRow(
        symbol=symbol,
        trades=len(closed),
        net_pnl=float(np.sum(trades["pnl"])),
        fees=fees,
        slippage=slippage,
        notional=notional,
        **{name: None if isinstance(value, Undefined) else value for name, value in found.items()},
        undefined={name: value.reason for name, value in found.items() if isinstance(value, Undefined)},
    )
