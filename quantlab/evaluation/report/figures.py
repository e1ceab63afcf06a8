"""The interactive figures, as plotly specifications without colours.

A trace carries a *tone* in its ``meta``; the page maps tones to the colours of the theme in use, so
that one specification serves light and dark. Arrays travel as base64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.arrays import Float64Array, Int64Array, Records
from quantlab.core.market import Bars
from quantlab.core.ports import ReportedAccount, StrategyReport
from quantlab.core.results import SignalReport, Simulation
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.downsample import ZOOMS, extreme_rows, zoomable_rows
from quantlab.evaluation.report.words import reason_words
from quantlab.evaluation.statistics.metrics import drawdowns
from quantlab.evaluation.statistics.worst_drawdowns import Drawdown, worst_drawdowns

#: Symbols with a price chart: those with the most trades.
MAX_PRICE_CHARTS = 12
#: Trades drawn on one price chart, the latest ones; with the charts above it keeps the page under 7 MB.
MAX_DRAWN_TRADES = 300
#: Points of the line on one price chart.
_PRICE_POINTS = 1_400
#: Most drawdowns that are shaded, and the share of the deepest's depth below which none is.
_SHADED, _SHALLOW = 5, 0.25
#: Pixels between the middles of an exit and of an entry in the same bar.
_APART = 12
_DASHES = ("dot", "dash", "dashdot", "longdash")


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
    figure.update_layout(meta={"zoom": [list(span) for span in ZOOMS]})
    _shade_drawdowns(figure, report)
    return figure


def _shade_drawdowns(figure: go.Figure, report: StrategyReport) -> None:
    """Shade and number deep drawdowns of the evidence run, each fall darker than its recovery; a shape's name is its tone."""
    simulation, bars = report.evidence.simulation, report.bars
    bottom = figure.layout.yaxis2.domain[0]
    for rank, one in enumerate(shaded_drawdowns(simulation, bars), start=1):
        for end in (one.end_ms, one.trough_ms):
            figure.add_shape(
                type="rect",
                name="loss",
                xref="x",
                yref="paper",
                x0=one.start_ms,
                x1=end,
                y0=bottom,
                y1=1,
                layer="below",
                line={"width": 0},
            )
        figure.add_annotation(
            text=str(rank), x=one.trough_ms, y=1, yref="paper", yanchor="top", showarrow=False, font={"size": 11}
        )


def shaded_drawdowns(simulation: Simulation, bars: Bars) -> tuple[Drawdown, ...]:
    """The deepest drawdowns, without those that are shallow beside the deepest."""
    start, cash = int(bars.open_time_ms[0]), simulation.initial_cash
    deepest = worst_drawdowns(simulation.equity, bars.close_time_ms, start, cash, _SHADED)
    return tuple(one for one in deepest if one.depth >= _SHALLOW * deepest[0].depth)


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
    close = bars.close[:, column]
    rows = extreme_rows(close, _PRICE_POINTS)
    figure = go.Figure(_line("Close", bars.close_time_ms, close, "price", {"width": 1.1}, form="%{y}", rows=rows))
    for name, tone, chosen in (("Gain", "gain", mine["pnl"] > 0.0), ("Loss", "loss", mine["pnl"] <= 0.0)):
        figure.add_trace(_legs(name, tone, bars, mine[chosen]))
    for trace in _markers(bars, mine):
        figure.add_trace(trace)
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


def _line(
    name: str,
    times: Int64Array,
    values: Float64Array,
    tone: str,
    line: dict[str, Any],
    *,
    form: str = "%{y:,.2f}",
    rows: Int64Array | None = None,
) -> go.Scatter:
    rows = zoomable_rows(values, times) if rows is None else rows
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


def _markers(bars: Bars, trades: Records) -> Iterator[go.Scatter]:
    """Triangles for entries and circles for exits of one symbol's trades; side by side where both are in one bar.

    plotly turns a marker by its angle and moves it back along it: what is to stand on the right and point up is a triangle
    to the right, turned by -90 degrees.
    """
    reversal = np.append(trades["closed"][:-1] & (trades["exit_idx"][:-1] == trades["entry_idx"][1:]), False)
    after_exit, before_entry = np.roll(reversal, 1), reversal
    beside = {"standoff": _APART // 2}
    for name, side, upright, lying in (
        ("Long", 1, "triangle-up", "triangle-right"),
        ("Short", -1, "triangle-down", "triangle-left"),
    ):
        mine = trades["side"] == side
        yield _entries(name, {"symbol": upright, "size": 9}, bars, trades[mine & ~after_exit])
        if np.any(mine & after_exit):
            turned = {"symbol": lying, "size": 9, "angle": -90, **beside}
            alone = not np.any(mine & ~after_exit)
            yield _entries(name, turned, bars, trades[mine & after_exit]).update(showlegend=alone)
    closed, circle = trades["closed"], {"symbol": "circle-open", "size": 7}
    yield _exits(circle, bars, trades[closed & ~before_entry])
    if before_entry.any():
        alone = not np.any(closed & ~before_entry)
        yield _exits({**circle, "angle": 90, **beside}, bars, trades[before_entry]).update(showlegend=alone)


def _entries(name: str, marker: dict[str, Any], bars: Bars, trades: Records) -> go.Scatter:
    return go.Scatter(
        x=_time(bars, trades["entry_idx"]),
        y=trades["entry_price"],
        mode="markers",
        name=name,
        legendgroup=name,
        marker=marker,
        meta={"tone": name.lower()},
        customdata=trades["size"],
        hovertemplate=f"{name} %{{customdata:,.6~g}} units at %{{y}}<extra></extra>",
    )


def _exits(marker: dict[str, Any], bars: Bars, trades: Records) -> go.Scatter:
    return go.Scatter(
        x=_time(bars, trades["exit_idx"]),
        y=trades["exit_price"],
        mode="markers",
        name="Exit",
        legendgroup="Exit",
        marker=marker,
        meta={"tone": "exit"},
        text=[reason_words(int(reason)) for reason in trades["exit_reason"]],
        customdata=trades["pnl"],
        hovertemplate="Exit by %{text} at %{y}: %{customdata:+,.2f} USD<extra></extra>",
    )


def _time(bars: Bars, rows: Int64Array) -> Float64Array:
    times: Float64Array = bars.open_time_ms[rows].astype(np.float64)
    return times
