"""The interactive figures, as plotly specifications without colours.

A trace carries a *tone* in its ``meta``; the page maps tones to the colours of the theme in use, so
that one specification serves light and dark. Arrays travel as base64.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.arrays import Float64Array, Int64Array, Records
from quantlab.core.market import Bars
from quantlab.core.ports import ReportedAccount, StrategyReport
from quantlab.core.results import OrderReason, SignalReport
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.downsample import extreme_rows
from quantlab.evaluation.statistics.metrics import drawdowns

#: Symbols with a price chart: those with the most trades.
MAX_PRICE_CHARTS = 12
#: Trades drawn on one price chart, the latest ones; with the charts above it keeps the page under 7 MB.
MAX_DRAWN_TRADES = 400
_DASHES = ("dot", "dash", "dashdot", "longdash")
_REASONS = {
    -1: "open",
    OrderReason.SIGNAL: "signal",
    OrderReason.STOP: "stop",
    OrderReason.TAKE_PROFIT: "take-profit",
    OrderReason.TIME_EXIT: "time exit",
    OrderReason.FLATTEN: "flattened",
    OrderReason.LIQUIDATION: "liquidated",
    OrderReason.DELISTED: "settled, no bars",
}


def specification(figure: go.Figure) -> dict[str, Any]:
    """A figure as plain JSON values."""
    figure.update_layout(template=go.layout.Template())
    spec: dict[str, Any] = json.loads(figure.to_json())
    return {"data": spec["data"], "layout": spec["layout"]}


def equity_figure(report: StrategyReport, benchmarks: Mapping[str, Float64Array]) -> go.Figure:
    """Equity of both runs and the benchmarks (T,), USD, above the drawdowns and the exposure of both runs."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.6, 0.22, 0.18], vertical_spacing=0.035)
    times = report.bars.close_time_ms
    accounts = {"Lived": report.lived, "Evidence": report.evidence}  # evidence on top where they coincide
    for i, (name, equity) in enumerate(benchmarks.items()):
        line = {"width": 1.2, "dash": _DASHES[i % len(_DASHES)]}
        figure.add_trace(_line(escape(name), times, equity, f"benchmark-{i % 3}", line), row=1, col=1)
    for name, account in accounts.items():
        figure.add_trace(_line(name, times, account.simulation.equity, name.lower(), {"width": 2}), row=1, col=1)
    for name, account in accounts.items():
        fall = -100.0 * drawdowns(account.simulation.equity, account.simulation.initial_cash)
        below = {"drawdown": (fall, 2), "exposure": (_exposure(account), 3)}
        for what, (values, row) in below.items():
            line = _line(f"{name} {what}", times, values, name.lower(), {"width": 1.2}, form="%{y:.2f} %")
            figure.add_trace(line.update(showlegend=False, fill="tozeroy" if row == 2 else None), row=row, col=1)
    figure.update_layout(hovermode="x unified", height=620, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(type="date")
    for row, title in enumerate(("Equity, USD", "Drawdown, %", "Exposure, %"), start=1):
        figure.update_yaxes(title_text=title, row=row, col=1)
    return figure


def _exposure(account: ReportedAccount) -> Float64Array:
    """Gross position value in % of equity; NaN where nothing is left."""
    gross, equity = account.simulation.gross, account.simulation.equity
    share: Float64Array = np.divide(gross, equity, out=np.full(len(equity), np.nan), where=equity > 0.0)
    return 100.0 * share


def charted_symbols(report: Report, trades: Records) -> list[int]:
    """Columns of the symbols with the most trades, at most :data:`MAX_PRICE_CHARTS`."""
    counts = np.bincount(trades["symbol"], minlength=report.bars.n_symbols)
    order = np.argsort(-counts, kind="stable")[:MAX_PRICE_CHARTS]
    return [int(column) for column in order if counts[column] > 0]


def price_figure(bars: Bars, column: int, trades: Records) -> go.Figure:
    """One symbol's close with the entries and exits of its trades (evidence run)."""
    mine = trades[trades["symbol"] == column][-MAX_DRAWN_TRADES:]
    figure = go.Figure(_line("Close", bars.close_time_ms, bars.close[:, column], "price", {"width": 1.1}, form="%{y}"))
    for name, tone, chosen in (("Gain", "gain", mine["pnl"] > 0.0), ("Loss", "loss", mine["pnl"] <= 0.0)):
        figure.add_trace(_legs(name, tone, bars, mine[chosen]))
    for name, side, symbol in (("Long", 1, "triangle-up"), ("Short", -1, "triangle-down")):
        figure.add_trace(_entries(name, symbol, bars, mine[mine["side"] == side]))
    figure.add_trace(_exits(bars, mine[mine["closed"]]))
    figure.update_layout(hovermode="closest", height=460, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(type="date")
    # Prices of 0.0003 USD would otherwise be shown in micro-dollars.
    figure.update_yaxes(title_text="Price, USD", exponentformat="none")
    return figure


def reliability_figure(signal: SignalReport) -> go.Figure:
    """Observed share of correct decisions, ± two binomial errors, against their stated probability; markers grow with the count."""
    stated, observed, counts = (np.array(column, dtype=np.float64) for column in zip(*signal.reliability, strict=True))
    edges = [min(stated.min(), observed.min()), max(stated.max(), observed.max())]
    figure = go.Figure(go.Scatter(x=edges, y=edges, mode="lines", name="Perfect", hoverinfo="skip"))
    figure.data[0].update(meta={"tone": "benchmark-0"}, line={"width": 1, "dash": "dot"})
    figure.add_trace(
        go.Scatter(
            x=stated,
            y=observed,
            mode="lines+markers",
            name="Ensemble",
            customdata=counts,
            meta={"tone": "evidence"},
            marker={"size": 6 + 14 * np.sqrt(counts / max(counts.max(), 1.0)), "opacity": 0.75},
            line={"width": 1.5},
            error_y={"array": 2.0 * np.sqrt(observed * (1.0 - observed) / np.maximum(counts, 1.0)), "thickness": 1.2},
            hovertemplate="stated %{x:.3f}, observed %{y:.3f} (%{customdata:,.0f} rows)<extra></extra>",
        )
    )
    figure.update_layout(height=380, showlegend=False, hovermode="closest")
    figure.update_xaxes(title_text="Stated probability of the decision")
    figure.update_yaxes(title_text="Share that came true")
    return figure


def exit_name(reason: int) -> str:
    """An :class:`OrderReason`, or -1 for a position still open, in words."""
    return _REASONS[reason]


def _line(
    name: str,
    times: Int64Array,
    values: Float64Array,
    tone: str,
    line: dict[str, Any],
    *,
    form: str = "%{y:,.2f}",
) -> go.Scatter:
    rows = extreme_rows(values)
    return go.Scatter(
        x=times[rows].astype(np.float64),
        y=values[rows],
        mode="lines",
        name=name,
        line=line,
        meta={"tone": tone},
        hovertemplate=form,
    )


def _legs(name: str, tone: str, bars: Bars, trades: Records) -> go.Scatter:
    """Entry and exit of every trade joined by a line; None between them lifts the pen."""
    gap = np.full(len(trades), np.nan)
    x = np.stack([_time(bars, trades["entry_idx"]), _time(bars, trades["exit_idx"]), gap], axis=1).ravel()
    y = np.stack([trades["entry_price"], trades["exit_price"], gap], axis=1).ravel()
    return go.Scatter(x=x, y=y, mode="lines", name=name, line={"width": 2}, hoverinfo="skip", meta={"tone": tone})


def _entries(name: str, symbol: str, bars: Bars, trades: Records) -> go.Scatter:
    return go.Scatter(
        x=_time(bars, trades["entry_idx"]),
        y=trades["entry_price"],
        mode="markers",
        name=name,
        marker={"symbol": symbol, "size": 9},
        meta={"tone": name.lower()},
        customdata=trades["size"],
        hovertemplate=f"{name} %{{customdata:,.6~g}} units at %{{y}}<extra></extra>",
    )


def _exits(bars: Bars, trades: Records) -> go.Scatter:
    return go.Scatter(
        x=_time(bars, trades["exit_idx"]),
        y=trades["exit_price"],
        mode="markers",
        name="Exit",
        marker={"symbol": "circle-open", "size": 7},
        meta={"tone": "exit"},
        text=[exit_name(int(reason)) for reason in trades["exit_reason"]],
        customdata=trades["pnl"],
        hovertemplate="Exit by %{text} at %{y}: %{customdata:+,.2f} USD<extra></extra>",
    )


def _time(bars: Bars, rows: Int64Array) -> Float64Array:
    times: Float64Array = bars.open_time_ms[rows].astype(np.float64)
    return times
