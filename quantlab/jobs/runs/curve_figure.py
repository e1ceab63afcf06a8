"""Equity curves above their drawdowns, as a plotly figure without colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.evaluation.report.downsample import extreme_rows
from quantlab.evaluation.statistics.metrics import drawdowns


@dataclass(frozen=True)
class Curve:
    """An account's path.

    Parameters
    ----------
    name : str
    tone : str
        Of the page's style sheet; the page and :func:`~quantlab.evaluation.report.theme.apply_theme` give it a colour.
    close_time_ms : int64 (T,)
    equity : float64 (T,)
        USD.
    initial : float
        USD before the first bar.
    dash : str
        As plotly names it.
    falls : bool
        Its drawdown is drawn below.
    """

    name: str
    tone: str
    close_time_ms: Int64Array
    equity: Float64Array
    initial: float
    dash: str = "solid"
    falls: bool = True


def curves_figure(curves: Sequence[Curve], unit: str = "Equity, USD") -> go.Figure:
    """Draw the curves in their order, later ones on top.

    Parameters
    ----------
    curves : sequence of Curve
    unit : str
        Title of the upper axis.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    for curve in curves:
        line: dict[str, Any] = {"width": 2 if curve.falls else 1.2, "dash": curve.dash}
        figure.add_trace(_line(curve, curve.name, curve.equity, line, "%{y:,.2f}"), row=1, col=1)
    for curve in curves:
        if curve.falls:
            fall = -100.0 * drawdowns(curve.equity, curve.initial)
            trace = _line(curve, f"{curve.name} drawdown", fall, {"width": 1.2, "dash": curve.dash}, "%{y:.2f} %")
            figure.add_trace(trace.update(showlegend=False), row=2, col=1)
    figure.update_layout(hovermode="x unified", height=560, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(type="date")
    figure.update_yaxes(title_text=unit, row=1, col=1)
    figure.update_yaxes(title_text="Drawdown, %", row=2, col=1)
    return figure


def _line(curve: Curve, name: str, values: Float64Array, line: dict[str, Any], form: str) -> go.Scatter:
    rows = extreme_rows(values)
    return go.Scatter(
        x=curve.close_time_ms[rows].astype(np.float64),
        y=values[rows],
        mode="lines",
        name=escape(name),
        line=line,
        meta={"tone": curve.tone},
        hovertemplate=f"{form}<extra>{escape(name)}</extra>",
    )
