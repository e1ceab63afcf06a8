"""The Sharpe ratio along the only parameter that was varied."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go

from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import finite_or_none, value_text, varied_names


def parameter_line(report: SweepReport) -> go.Figure | None:
    """Median Sharpe ratio at every value, with the best and what luck gives it; None unless one parameter was varied."""
    names = varied_names(report.table)
    if len(names) != 1:
        return None
    values = [one[names[0]] for one in report.table.values]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    distinct = sorted(set(values)) if numbers else sorted(set(values), key=str)
    places = np.array([distinct.index(value) for value in values])
    along = [_median(report.sharpe[places == place]) for place in range(len(distinct))]
    axis = [value if numbers else escape(value_text(value)) for value in distinct]
    hover = "%{x}: %{y:+.2f}<extra></extra>"
    figure = go.Figure(go.Scatter(x=axis, y=along, mode="lines+markers", name="Sharpe ratio", hovertemplate=hover))
    figure.data[0].update(line={"width": 2}, marker={"size": 6}, meta={"tone": "evidence"})
    best = axis[places[report.score.row]]
    marker = {"size": 13, "symbol": "circle-open", "line": {"width": 2}}
    chosen = go.Scatter(x=[best], y=[finite_or_none(report.sharpe[report.score.row])], mode="markers", name="Best")
    figure.add_trace(chosen.update(marker=marker, meta={"tone": "lived"}, hovertemplate=hover))
    if report.score.luck_sharpe is not None:
        ends = [axis[0], axis[-1]]
        luck = go.Scatter(x=ends, y=[report.score.luck_sharpe] * 2, mode="lines", name="Luck", hoverinfo="name+y")
        figure.add_trace(luck.update(line={"width": 2, "dash": "dash"}, meta={"tone": "loss"}))
    figure.update_layout(height=380, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title_text=escape(names[0]), **({} if numbers else {"type": "category"}))
    figure.update_yaxes(title_text="Annualised Sharpe ratio")
    return figure


def _median(sharpe: np.ndarray) -> float | None:
    known = sharpe[np.isfinite(sharpe)]
    return float(np.median(known)) if len(known) else None
