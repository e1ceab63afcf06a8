"""The list of trades on the page: sorted, filtered and saved there; the latest, as many as the page has room for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.evaluation.report.html import (
    Html,
    SortCell,
    fold,
    number,
    percent,
    significant,
    sort_cell,
    sortable_table,
    tag,
    usd,
)
from quantlab.evaluation.report.words import reason_words
from quantlab.evaluation.statistics.trade_list import trade_list

#: Most rows: a browser stays quick.
MAX_LISTED = 2_000
#: Rows that are shown until all are asked for.
_FIRST = 25
_HEAD = (
    "Symbol", "Side", "Entry, UTC", "Exit, UTC", "Left by", "Bars", "Size", "Entry, USD", "Exit, USD", "Fees, USD",
    "P&L, USD", "Return, %", "MAE, %", "MFE, %",
)  # fmt: skip
_NOTE = (
    "Evidence run, newest first. P&L after fees, before funding; a size-weighted price where there was more than one fill; an open trade "
    "is valued at the last mark. MAE and MFE: the worst and the best price while held, in % of the entry price."
)


def trades_fold(simulation: Simulation, bars: Bars, room: int, csv_name: str) -> Html:
    """The list, in at most `room` bytes of markup.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated.
    room : int
        Bytes that the page has left.
    csv_name : str
        File name of the rows that a reader saves.
    """
    trades = trade_list(simulation, bars)
    listed = trades.iloc[::-1].head(MAX_LISTED)
    while True:
        made = _fold(trades, listed, csv_name)
        size = len(made.encode())
        if size <= room or listed.empty:
            return made
        # Rows are of nearly one length, so that the second or third attempt fits.
        listed = listed.head(int(len(listed) * room / size * 0.98) if room > 0 else 0)


def _fold(trades: pd.DataFrame, listed: pd.DataFrame, csv_name: str) -> Html:
    rows = [_row(trade) for trade in listed.to_dict("records")]
    empty = "Nothing was traded." if trades.empty else "The page has no room left; all trades are in trades.parquet."
    body = sortable_table(_HEAD, rows, words=5, empty=empty, csv_name=csv_name, filters=True, first=_FIRST)
    body = tag("div", body, class_="dense")
    count = f"{len(trades):,} trades"
    if len(listed) < len(trades):
        count = f"the latest {len(listed):,} of {len(trades):,} trades; all of them are in trades.parquet"
    elif not trades.empty:
        count += ", also in trades.parquet"
    return fold("List of trades", count, body, note=_NOTE, anchor="trade_list")


def _row(trade: Mapping[Hashable, Any]) -> tuple[object, ...]:
    return (
        trade["symbol"],
        trade["side"],
        _time(trade["entry_time"]),
        _time(trade["exit_time"]),
        reason_words(trade["exit_reason"]),
        number(trade["bars"], ",.0f"),
        sort_cell(significant(trade["size"]), trade["size"]),
        sort_cell(significant(trade["entry_price"]), trade["entry_price"]),
        sort_cell(significant(trade["exit_price"]), trade["exit_price"]),
        sort_cell(usd(trade["fees"]), trade["fees"]),
        sort_cell(usd(trade["pnl"], "+,.2f"), trade["pnl"]),
        *(_share(trade[name]) for name in ("return", "mae", "mfe")),
    )


def _share(value: float) -> SortCell:
    return sort_cell(percent(value, "+,.2f").removesuffix(" %"), 100.0 * value)


def _time(time: pd.Timestamp) -> str:
    return "" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M}"
