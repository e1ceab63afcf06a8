"""Costs and capacity: what was paid, what other costs and account sizes would have left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from quantlab.evaluation.report.breakdown_figures import replay_figure
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.html import Html, join, number, percent, section, table, tag, usd
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.stress import StressAccount, break_even_multiple, half_return_usd

_COSTS = (
    "Same signal, same strategy, fees and slippage times a multiple; funding stays. Read where the curve crosses zero: "
    "an edge that dies at twice the costs rests on the fee table."
)
_ACCOUNTS = (
    "The same run with other initial cash. Orders are cut at the participation cap ({cap} of a bar's volume), and what is "
    "not filled is not traded. No price impact is modelled beyond slippage, so profits at size are an upper bound; a loss that "
    "shrinks with size only says that less was filled. Cutting fills changes which trades happen: differences within the "
    "error bars are chance."
)


def costs_section(report: Report) -> Html:
    """Costs in USD and per traded notional, and the cost stress."""
    note = "Evidence and lived run; bps of traded notional. Slippage of stops is valued at the average rate of the fills at opens."
    return section("Costs", _cost_table(report), _cost_stress(report), note=note, anchor="costs")


def capacity_section(report: Report) -> Html:
    """Return and Sharpe ratio against the size of the account; empty where nothing was replayed."""
    if report.stress is None:
        return Html("")
    accounts = report.stress.accounts
    if not accounts:
        why = "No participation cap is set, so the size of the account changes nothing."
        return section(
            "Capacity", tag("p", why if report.stress.participation is None else "Not replayed.", class_="empty")
        )
    rows = [
        (
            number(run.at, ",.0f"),
            *_account_cells(run),
            number(run.numbers["cut_fills"], ",.0f"),
            percent(run.numbers["exposure"], ".1f"),
        )
        for run in accounts
    ]
    head = ("Account, USD", "Return", "Sharpe", "Net P&L, USD", "Max drawdown", "Trades", "Fills cut", "Exposure")
    finding = _finding("Account that keeps half of the smallest one's return", half_return_usd(accounts), ",.0f", "USD")
    chart = tag("div", "", id="capacity_chart", class_="chart")
    return section(
        "Capacity",
        finding,
        chart,
        table(head, rows, words=0, empty=""),
        note=_ACCOUNTS.format(cap=percent(report.stress.participation, "g")),
        anchor="capacity",
    )


def stress_figures(report: Report) -> dict[str, go.Figure]:
    """Figures by element id."""
    if report.stress is None:
        return {}
    found: dict[str, go.Figure] = {}
    if report.stress.costs:
        found["cost_stress"] = replay_figure(report.stress.costs, "Multiple of fees and slippage", money=False)
    if report.stress.accounts:
        found["capacity_chart"] = replay_figure(report.stress.accounts, "Initial account, USD (log scale)", money=True)
    return found


def _cost_stress(report: Report) -> Html:
    if report.stress is None or not report.stress.costs:
        return Html("")
    runs = report.stress.costs
    rows = [(number(run.at, "g", suffix=" ×"), number(run.numbers["cost_bps"]), *_account_cells(run)) for run in runs]
    head = ("Fees and slippage", "bps", "Return", "Sharpe", "Net P&L, USD", "Max drawdown", "Trades")
    return join(
        (
            tag("h3", "At other costs"),
            tag("p", _COSTS, class_="note"),
            _finding("Break-even", break_even_multiple(runs), ".2f", "× these fees and slippage"),
            tag("div", "", id="cost_stress", class_="chart"),
            table(head, rows, words=0, empty=""),
        )
    )


def _account_cells(run: StressAccount) -> tuple[str, ...]:
    n = run.numbers
    sharpe = number(n["sharpe"]) if n["sharpe_se"] is None else f"{number(n['sharpe'])} ± {number(n['sharpe_se'])}"
    return (
        percent(n["total_return"], "+,.2f"),
        sharpe,
        usd(n["net_pnl"], "+,.0f"),
        percent(n["max_drawdown"], ".1f"),
        number(n["trades"], ",.0f"),
    )


def _finding(name: str, value: Statistic, form: str, unit: str) -> Html:
    text = f"none, {value.reason}" if isinstance(value, Undefined) else f"{number(value, form)} {unit}"
    return tag("p", f"{name}: {text}.", class_="finding")


def _cost_table(report: Report) -> Html:
    forms: Sequence[tuple[str, ...]] = (
        ("Fees", "fees"),
        ("Slippage", "slippage"),
        ("Fees and slippage", "fees", "slippage"),
        ("Funding paid", "funding"),
        ("Liquidation fees", "liquidation_fees"),
        ("All costs", "costs"),
    )
    rows: list[tuple[object, ...]] = []
    for label, *keys in forms:
        cells = [(_sum(run.summary, keys), run.summary["traded_notional"]) for run in (report.evidence, report.lived)]
        bps = [number(None if v is None or not traded else v / traded * 1e4) for v, traded in cells]
        rows.append((label, usd(cells[0][0]), bps[0], usd(cells[1][0]), bps[1]))
    traded = [run.summary["traded_notional"] for run in (report.evidence, report.lived)]
    rows.append(("Traded notional", usd(traded[0], ",.0f"), "", usd(traded[1], ",.0f"), ""))
    bearable = [number(run.summary["break_even_cost_bps"]) for run in (report.evidence, report.lived)]
    rows.append(("Fees and slippage it could bear", "", bearable[0], "", bearable[1]))
    head = ("", "Evidence, USD", "bps", "Lived, USD", "bps")
    return table(head, rows, empty="Nothing was traded.")


def _sum(summary: dict[str, Any], keys: Sequence[str]) -> float | None:
    """Sum of some numbers; None where one is not known."""
    known = [summary[key] for key in keys if summary[key] is not None]
    return sum(known) if len(known) == len(keys) else None
