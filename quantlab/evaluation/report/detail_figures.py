"""Figures of what the tear sheet unfolds: exposure over time, holding times, excursions."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.arrays import Float64Array, Int64Array, Records
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.market import Bars
from quantlab.evaluation.report.breakdown_figures import trade_returns
from quantlab.evaluation.report.downsample import extreme_rows
from quantlab.evaluation.report.html import duration
from quantlab.evaluation.statistics.details import AccountDetails
from quantlab.evaluation.statistics.excursions import excursions

#: Points of one line of the exposure.
_POINTS = 800
#: Trades drawn in the excursions, the latest ones.
MAX_DRAWN_EXCURSIONS = 1_000
#: Bars of the holding times.
_BINS = 24
_HOUR = 1.0 / 24.0
#: Holding times that are named on the axis, in days.
_TICKS = (
    (_HOUR / 12.0, "5 min"),
    (_HOUR / 2.0, "30 min"),
    (2.0 * _HOUR, "2 h"),
    (12.0 * _HOUR, "12 h"),
    (2.0, "2 d"),
    (7.0, "1 w"),
    (30.0, "1 month"),
    (365.0, "1 y"),
)


def exposure_figure(details: AccountDetails, close_time_ms: Int64Array) -> go.Figure:
    """Long above and short below zero with the net between them, all over equity."""
    path = details.path
    long, short = 100.0 * path.share(path.long), 100.0 * path.share(path.short)
    figure = go.Figure()
    for name, tone, values, fill in (
        ("Long", "long", long, "tozeroy"),
        ("Short", "short", -short, "tozeroy"),
        ("Net", "exit", long - short, None),
    ):
        rows = extreme_rows(values, _POINTS)
        line = go.Scatter(
            x=close_time_ms[rows].astype(np.float64),
            y=values[rows],
            mode="lines",
            name=name,
            line={"width": 1.6 if fill is None else 0.8},
            meta={"tone": tone},
            hovertemplate="%{y:+.1f} %",
        )
        figure.add_trace(line.update(fill=fill))
    figure.update_layout(hovermode="x unified", height=320, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(type="date")
    figure.update_yaxes(title_text="Position value / equity, %")
    return figure


def holding_figure(closed: Records, interval_ms: int) -> go.Figure:
    """Histogram of holding times of wins and of losses, on a logarithmic axis."""
    days = np.maximum(closed["exit_idx"] - closed["entry_idx"], 0.5) * interval_ms / MS_PER_DAY
    low, high = float(days.min()) / 1.05, float(days.max()) * 1.05
    edges = np.geomspace(low, high, _BINS + 1)
    middle = np.sqrt(edges[:-1] * edges[1:])
    figure = go.Figure()
    for name, tone, mine in (("Wins", "gain", closed["pnl"] > 0.0), ("Losses", "loss", closed["pnl"] <= 0.0)):
        counts, _ = np.histogram(days[mine], edges)
        figure.add_trace(
            go.Bar(
                x=np.log10(middle),
                y=counts,
                name=name,
                meta={"tone": tone},
                text=[duration(float(at)) for at in middle],
                textposition="none",
                hovertemplate=f"about %{{text}}: %{{y:,.0f}} {name.lower()}<extra></extra>",
            )
        )
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=300, barmode="group", bargap=0.15, hovermode="closest", legend=legend)
    ticks = [(np.log10(at), name) for at, name in _TICKS if low <= at <= high]
    figure.update_xaxes(
        title_text="Held (log scale)",
        zeroline=False,
        tickvals=[at for at, _ in ticks],
        ticktext=[name for _, name in ticks],
    )
    figure.update_yaxes(title_text="Closed trades")
    return figure


def excursion_figure(closed: Records, bars: Bars) -> go.Figure:
    """Return of every trade against its largest adverse and its largest favourable excursion."""
    shown = closed[-MAX_DRAWN_EXCURSIONS:]
    mae, mfe = excursions(shown, bars)
    returns, won = trade_returns(shown), shown["pnl"] > 0.0
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    for column, (name, values) in enumerate((("MAE", mae), ("MFE", mfe)), start=1):
        for outcome, tone, mine in (("Win", "gain", won), ("Loss", "loss", ~won)):
            dots = _dots(outcome, tone, 100.0 * values[mine], 100.0 * returns[mine], name)
            figure.add_trace(dots.update(showlegend=column == 1), row=1, col=column)
    figure.update_layout(height=380, hovermode="closest", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title_text="MAE: worst while held, %", row=1, col=1)
    figure.update_xaxes(title_text="MFE: best while held, %", row=1, col=2)
    figure.update_yaxes(title_text="Net return, %", row=1, col=1)
    return figure


def _dots(name: str, tone: str, x: Float64Array, y: Float64Array, axis: str) -> go.Scatter:
    return go.Scatter(
        # Half the bytes; a dot shows two decimals of a per cent.
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        mode="markers",
        name=name,
        legendgroup=name,
        marker={"size": 5, "opacity": 0.6},
        meta={"tone": tone},
        hovertemplate=f"{axis} %{{x:+.2f}} %, made %{{y:+.2f}} %<extra></extra>",
    )
