"""Breakdown of a result by regimes, symbols and single trades."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from quantlab.core.arrays import Records
from quantlab.evaluation.report.breakdown_figures import (
    distribution_figure,
    regimes_figure,
    symbols_figure,
    trade_returns,
)
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.html import Html, number, percent, section, table, tag, usd
from quantlab.evaluation.report.words import reason_words
from quantlab.evaluation.statistics.by_symbol import SymbolRow
from quantlab.evaluation.statistics.regimes import MIN_DAYS, RegimeRow

_HINDSIGHT = (
    "States of the market known only in hindsight (terciles of volatility and halves of trending days over this very run): "
    "they say where the result came from, not when to trade. Net returns of equity per day, or per 4-hour block of a day, with "
    "two standard errors. Of this many rows, one in twenty lies outside its interval by chance."
)


def regimes_section(report: Report, rows: tuple[RegimeRow, ...]) -> Html:
    """The mean return of every regime with its error, then the table."""
    if not rows:
        reason = f"A run of fewer than {MIN_DAYS} days is not split."
        return section("Regimes", tag("p", reason, class_="empty"), anchor="regimes")
    shown = [
        (
            row.split,
            row.regime,
            number(row.periods, ",.0f"),
            usd(row.net_pnl, "+,.2f"),
            number(row.mean_return, "+.1f", scale=1e4),
            number(row.standard_error, ".1f", scale=1e4),
            percent(row.gaining, ".0f"),
        )
        for row in rows
    ]
    head = ("Split", "Regime", "Periods", "Net P&L, USD", "Mean, bps", "± s.e.", "Gaining")
    no_funding = tag("p", f"{report.data_label}: the bars carry no funding rates.", class_="note")
    return section(
        "Regimes",
        tag("div", "", id="regimes_chart", class_="chart"),
        table(head, shown, words=2, empty=""),
        no_funding if report.bars.funding is None else "",
        note=_HINDSIGHT,
        anchor="regimes",
    )


def symbols_section(rows: tuple[SymbolRow, ...]) -> Html:
    """Every symbol that traded, the best first (evidence run)."""
    shown = [
        (
            row.symbol,
            number(row.trades, ",.0f"),
            usd(row.net_pnl, "+,.2f"),
            usd(row.fees + row.slippage),
            percent(row.hit_rate, ".1f"),
            number(row.profit_factor),
            percent(row.stop_share, ".1f"),
            percent(row.long_share, ".0f"),
            number(row.bars_held, ",.1f"),
        )
        for row in rows
    ]
    head = (
        "Symbol",
        "Trades",
        "P&L, USD",
        "Fees and slippage, USD",
        "Hit rate",
        "Profit factor",
        "Stopped",
        "Long",
        "Bars held",
    )
    note = (
        "Evidence run, open positions at the last mark; after fees and slippage, before funding, "
        "which the account pays as a whole."
    )
    chart = tag("div", "", id="symbols_chart", class_="chart") if rows else ""
    body = tag("div", table(head, shown, empty="No closed trades."), class_="tall-table")
    return section("Symbols", chart, body, note=note, anchor="symbols")


def trades_section(closed: Records) -> Html:
    """Closed trades by the reason of their exit."""
    if not len(closed):
        return section("Closed trades", tag("p", "No closed trades.", class_="empty"))
    returns = trade_returns(closed)
    rows = []
    for reason in np.unique(closed["exit_reason"]):
        mine = closed["exit_reason"] == reason
        rows.append(
            (
                reason_words(int(reason)),
                number(int(mine.sum()), ",.0f"),
                percent(float(mine.mean()), ".1f"),
                number(float(np.mean(returns[mine])), "+.1f", scale=1e4),
                percent(float(np.mean(closed["pnl"][mine] > 0.0)), ".1f"),
                usd(float(np.sum(closed["pnl"][mine])), "+,.2f"),
            )
        )
    head = ("Ended by", "Trades", "Share", "Mean, bps", "Gaining", "P&L, USD")
    note = (
        f"Net of fees and slippage, evidence run. The median trade made {number(float(np.median(returns)), '+.1f', scale=1e4)} bps, "
        f"the worst {percent(float(returns.min()), '+.2f')}, the best {percent(float(returns.max()), '+.2f')}. Means count every trade alike, whatever its size."
    )
    chart = tag("div", "", id="distribution", class_="chart")
    return section("Closed trades", chart, table(head, rows, empty=""), note=note, anchor="trades")


def breakdown_figures(
    closed: Records, regime_rows: tuple[RegimeRow, ...], symbol_rows: tuple[SymbolRow, ...]
) -> dict[str, go.Figure]:
    """Figures by element id."""
    found: dict[str, go.Figure] = {}
    if len(closed):
        found["distribution"] = distribution_figure(closed)
    if regime_rows:
        found["regimes_chart"] = regimes_figure(regime_rows)
    if symbol_rows:
        found["symbols_chart"] = symbols_figure(symbol_rows)
    return found
