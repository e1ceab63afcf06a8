"""Simulations as parquet files and as a terminal table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table
from rich.text import Text

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, Simulation
from quantlab.evaluation.statistics.trade_list import trade_list
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.output.console import terminal_table

_UTC = pa.timestamp("ms", tz="UTC")
_TEXT, _NUMBER = pa.string(), pa.float64()
#: Columns of ``trades.parquet``, also where nothing was traded.
_TRADES = pa.schema(
    {
        "run": _TEXT,
        "symbol": _TEXT,
        "side": _TEXT,
        "entry_time": _UTC,
        "exit_time": _UTC,
        "bars": pa.int64(),
        **dict.fromkeys(("size", "entry_price", "exit_price", "fees", "pnl", "return"), _NUMBER),
        "entry_reason": _TEXT,
        "exit_reason": _TEXT,
        "mae": _NUMBER,
        "mfe": _NUMBER,
        "closed": pa.bool_(),
    }
)


def write_orders(path: Path, accounts: dict[str, Simulation]) -> None:
    """One row per fill of every run; ``time`` is the open of the bar in which it filled."""
    parts = [_orders(name, simulation) for name, simulation in accounts.items()]
    pq.write_table(pa.concat_tables(parts), path, compression="zstd")


def _orders(run: str, simulation: Simulation) -> pa.Table:
    orders = simulation.orders
    names = np.array([reason.name.lower() for reason in OrderReason])
    return pa.table(
        {
            "run": pa.array([run] * len(orders), pa.string()),
            "time": pa.array(simulation.open_time_ms[orders["idx"]], _UTC),
            "symbol": pa.array(np.array(simulation.symbols)[orders["col"]].tolist(), pa.string()),
            "side": pa.array(np.where(orders["side"] == 0, "buy", "sell").tolist(), pa.string()),
            "units": orders["size"].copy(),
            "price": orders["price"].copy(),
            "fee": orders["fees"].copy(),
            "reason": pa.array(names[simulation.reasons].tolist(), pa.string()),
            "over_participation": simulation.over_participation,
        }
    )


def write_equity(path: Path, accounts: dict[str, Simulation]) -> None:
    """One row per bar: equity, gross exposure, funding and liquidation fees of every run, in USD."""
    first = next(iter(accounts.values()))
    columns: dict[str, Any] = {"time": pa.array(first.open_time_ms, _UTC)}
    for name, simulation in accounts.items():
        columns[f"{name}_equity"] = simulation.equity
        columns[f"{name}_gross"] = simulation.gross
        columns[f"{name}_funding_paid"] = simulation.funding
        columns[f"{name}_liquidation_fees"] = simulation.liquidation_fees
    pq.write_table(pa.table(columns), path, compression="zstd")


def verdict_line(subject: str, verdict: Verdict) -> Text:
    """The verdict on `subject`, and what it means."""
    return Text.assemble(f"{subject}: ", (verdict.verdict, "bold"), f". {verdict.words}")


def write_trades(path: Path, accounts: dict[str, Simulation], bars: Bars) -> None:
    """One row per round trip of every run; columns as :func:`~quantlab.evaluation.statistics.trade_list.trade_list` gives them."""
    parts = [trade_list(simulation, bars).assign(run=name) for name, simulation in accounts.items()]
    tables = [pa.Table.from_pandas(part, schema=_TRADES, preserve_index=False) for part in parts]
    pq.write_table(pa.concat_tables(tables).replace_schema_metadata(), path, compression="zstd")


def write_benchmarks(path: Path, simulation: Simulation, curves: dict[str, Float64Array]) -> None:
    """One row per bar of `simulation`: the equity of every benchmark, USD."""
    pq.write_table(pa.table({"time": pa.array(simulation.open_time_ms, _UTC), **curves}), path, compression="zstd")


#: Metric, heading, format and factor of the closing table.
_ROWS = (
    ("final_equity", "final equity, USD", ",.2f", 1.0),
    ("total_return", "return, %", "+.2f", 100.0),
    ("sharpe", "Sharpe (annual)", "+.2f", 1.0),
    ("sharpe_se", "  its standard error", ".2f", 1.0),
    ("max_drawdown", "max drawdown, %", ".2f", 100.0),
    ("trades", "trades", ",d", 1),
    ("hit_rate", "winning trades, %", ".1f", 100.0),
    ("stop_hit_share", "stopped out, %", ".1f", 100.0),
    ("turnover", "turnover, equity a day", ".2f", 1.0),
    ("fees", "fees, USD", ",.2f", 1.0),
    ("slippage", "slippage, USD", ",.2f", 1.0),
    ("funding", "funding paid, USD", ",.2f", 1.0),
    ("liquidation_fees", "liquidation fees, USD", ",.2f", 1.0),
    ("costs", "all costs, USD", ",.2f", 1.0),
)
#: Rows that are left out where every run has zero there.
_RARE = {"liquidation_fees"}


def summary_table(summaries: dict[str, dict[str, Any]]) -> Table:
    """The few numbers to look at first, one column a run; a dash is undefined."""
    table = terminal_table("", *summaries, numbers=summaries)
    for key, heading, form, factor in _ROWS:
        cells = [summary.get(key) for summary in summaries.values()]
        if key in _RARE and not any(cells):
            continue
        table.add_row(heading, *("-" if value is None else format(value * factor, form) for value in cells))
    return table
