"""Figures of regimes, symbols, trades, and of replays under other conditions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.arrays import Float64Array, Records
from quantlab.evaluation.statistics.by_symbol import SymbolRow
from quantlab.evaluation.statistics.regimes import RegimeRow
from quantlab.evaluation.statistics.rolling import RollingSharpe
from quantlab.evaluation.statistics.stress import StressAccount

#: Bars of the trade distribution.
_BINS = 60
#: More symbols than this are not named on the axis.
_NAMED = 30
#: Two standard errors: about 95 %.
_ERRORS = 2.0


def replay_figure(replays: Sequence[StressAccount], title: str, *, money: bool) -> go.Figure:
    """Return above Sharpe ratio (± one standard error) against the multiple of the costs or the account size."""
    at = [run.at for run in replays]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.06)
    shown = "%{x:,.0f} USD" if money else "%{x:g} ×"
    gained = [100.0 * run.numbers["total_return"] for run in replays]
    known = [run for run in replays if run.numbers["sharpe"] is not None and run.numbers["sharpe_se"] is not None]
    figure.add_trace(_dots(at, gained, f"{shown}: return %{{y:+,.2f}} %<extra></extra>"), row=1, col=1)
    sharpe = _dots(
        [run.at for run in known],
        [run.numbers["sharpe"] for run in known],
        f"{shown}: Sharpe ratio %{{y:+.2f}} ± %{{error_y.array:.2f}}<extra></extra>",
    )
    sharpe.error_y = {"array": [run.numbers["sharpe_se"] for run in known], "thickness": 1.2, "width": 4}
    figure.add_trace(sharpe, row=2, col=1)
    figure.update_layout(height=420, showlegend=False, hovermode="closest")
    if money:
        figure.update_xaxes(type="log", dtick=1, exponentformat="SI")
    figure.update_xaxes(title_text=title, row=2, col=1)
    figure.update_yaxes(title_text="Return, %", row=1, col=1)
    figure.update_yaxes(title_text="Sharpe ratio", row=2, col=1)
    return figure


def _dots(x: list[float], y: list[float], hover: str) -> go.Scatter:
    return go.Scatter(
        x=np.array(x, dtype=np.float64),
        y=np.array(y, dtype=np.float64),
        mode="lines+markers",
        meta={"tone": "evidence"},
        line={"width": 1.8},
        marker={"size": 8},
        hovertemplate=hover,
    )


def rolling_figure(rolling: RollingSharpe, day_time_ms: Float64Array) -> go.Figure:
    """The rolling Sharpe ratio inside its interval; `day_time_ms` float64 (D,), the end of every day."""
    x = day_time_ms[rolling.last_day]
    figure = go.Figure()
    for name, y, fill in (("Upper", rolling.upper, None), ("Lower", rolling.lower, "tonexty")):
        form = f"{name.lower()} %{{y:.1f}}<extra></extra>"
        edge = go.Scatter(x=x, y=y, mode="lines", name=name, line={"width": 0}, meta={"tone": "evidence"})
        figure.add_trace(edge.update(fill=fill, hovertemplate=form))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=rolling.sharpe,
            mode="lines",
            name="Sharpe ratio",
            line={"width": 2},
            meta={"tone": "evidence"},
            hovertemplate="Sharpe ratio %{y:.2f}<extra></extra>",
        )
    )
    figure.update_layout(height=340, showlegend=False, hovermode="x unified")
    figure.update_xaxes(type="date")
    figure.update_yaxes(title_text="Sharpe ratio, annual")
    return figure


def distribution_figure(closed: Records) -> go.Figure:
    """Histogram of the net returns of closed trades; the outer 0.5 % of each side is in the last bars."""
    returns = trade_returns(closed)
    low, high = np.quantile(returns, [0.005, 0.995])
    width = max(high - low, 1e-9) / _BINS
    # Zero is an edge, so that no bar holds gains and losses.
    edges = width * np.arange(np.floor(low / width), np.ceil(high / width) + 1)
    edges = edges if len(edges) > 1 else np.array([edges[0] - width, edges[0], edges[0] + width])
    counts, _ = np.histogram(np.clip(returns, edges[0], edges[-1]), edges)
    middle = (edges[:-1] + edges[1:]) / 2.0
    figure = go.Figure()
    for name, tone, mine in (("Loss", "loss", middle < 0.0), ("Gain", "gain", middle > 0.0)):
        figure.add_trace(
            go.Bar(
                x=100.0 * middle[mine],
                y=counts[mine],
                width=np.full(int(mine.sum()), 100.0 * width),
                name=name,
                meta={"tone": tone},
                hovertemplate="about %{x:+.2f} %: %{y:,.0f} trades<extra></extra>",
            )
        )
    figure.update_layout(height=340, showlegend=False, bargap=0.0, hovermode="closest")
    figure.update_xaxes(title_text="Net return of a trade, % of its notional")
    figure.update_yaxes(title_text="Closed trades")
    return figure


def trade_returns(closed: Records) -> Float64Array:
    """float64 (N,): P&L after fees over the notional at entry."""
    returns: Float64Array = closed["pnl"] / (closed["entry_price"] * closed["size"])
    return returns


def symbols_figure(rows: Sequence[SymbolRow]) -> go.Figure:
    """Net P&L of every traded symbol, the best first."""
    figure = go.Figure()
    rank = np.arange(1, len(rows) + 1, dtype=np.float64)
    pnl = np.array([row.net_pnl for row in rows])
    text = np.array([escape(f"{row.symbol}: {row.trades:,} trades") for row in rows])
    for tone, mine in (("gain", pnl > 0.0), ("loss", pnl <= 0.0)):
        figure.add_trace(
            go.Bar(
                x=rank[mine],
                y=pnl[mine],
                text=text[mine].tolist(),
                textposition="none",
                meta={"tone": tone},
                hovertemplate="%{text}, %{y:+,.2f} USD<extra></extra>",
            )
        )
    figure.update_layout(height=320, showlegend=False, hovermode="closest", bargap=0.15)
    figure.update_xaxes(title_text="Symbols, best to worst")
    if len(rows) <= _NAMED:
        figure.update_xaxes(tickvals=rank.tolist(), ticktext=[escape(row.symbol) for row in rows])
    figure.update_yaxes(title_text="Net P&L, USD")
    return figure


def regimes_figure(rows: Sequence[RegimeRow]) -> go.Figure:
    """Mean return per period of every regime with an interval of two standard errors."""
    known = [row for row in rows if row.mean_return is not None and row.standard_error is not None]
    place = np.arange(len(known), 0, -1, dtype=np.float64)
    mean = np.array([1e4 * (row.mean_return or 0.0) for row in known])
    error = np.array([1e4 * _ERRORS * (row.standard_error or 0.0) for row in known])
    names = [f"{row.split}: {row.regime}" if row.split != "time of day" else row.regime for row in known]
    dots = go.Scatter(
        x=mean,
        y=place,
        mode="markers",
        meta={"tone": "evidence"},
        marker={"size": 9},
        error_x={"array": error, "thickness": 1.4, "width": 4},
        text=names,
        hovertemplate="%{text}: %{x:+.1f} ± %{error_x.array:.1f} bps<extra></extra>",
    )
    figure = go.Figure(dots)
    figure.update_layout(height=120 + 26 * len(known), showlegend=False, hovermode="closest")
    figure.update_xaxes(title_text="Mean per period, bps (± 2 s.e.)")
    figure.update_yaxes(tickvals=place.tolist(), ticktext=names, range=[0.3, len(known) + 0.7], showgrid=False)
    return figure
