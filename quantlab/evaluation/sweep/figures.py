"""Figures of a sweep for a notebook, in tones (see :mod:`quantlab.evaluation.report.theme`)."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.evaluation.report.downsample import extreme_rows
from quantlab.evaluation.report.theme import palette
from quantlab.evaluation.sweep.maps import PairMap

#: Points that are drawn of a larger sweep, evenly through the ranking.
MAX_POINTS = 5_000


def holdout_figure(seen: Float64Array, unseen: Float64Array, order: Int64Array) -> go.Figure:
    """Every parameter set's Sharpe ratio on the days it was chosen on, against the days after them.

    A choice that found something lies along the diagonal; one that found luck is a cloud around the level of
    what knows nothing.

    Parameters
    ----------
    seen, unseen : float64 (N,)
        Annualised Sharpe ratios; NaN = undefined, left out.
    order : int64 (N,)
        Rows from the best seen on.

    Raises
    ------
    ContractError
        If no parameter set has both.
    """
    known = order[np.isfinite(seen[order]) & np.isfinite(unseen[order])]
    if len(known) == 0:
        raise ContractError(
            "a parameter set with a Sharpe ratio on both sides",
            found="none",
            fix="sweep over a longer history, or leave more of it unseen",
        )
    rows = known[:: -(-len(known) // MAX_POINTS)]
    figure = go.Figure(_points("Parameter sets", seen[rows], unseen[rows], "price", 5, 0.55))
    ends = np.array([seen[known].min(), seen[known].max()])
    diagonal = go.Scatter(x=ends, y=ends, mode="lines", name="As good as seen", hoverinfo="skip")
    figure.add_trace(diagonal.update(line={"width": 1, "dash": "dot"}, meta={"tone": "benchmark-0"}))
    best = order[0]
    if np.isfinite(seen[best]) and np.isfinite(unseen[best]):
        name = f"Chosen: {seen[best]:+.2f} became {unseen[best]:+.2f}"
        figure.add_trace(_points(name, seen[[best]], unseen[[best]], "loss", 13, 1.0))
    figure.update_layout(height=440, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title_text="Sharpe ratio where the choice was made")
    figure.update_yaxes(title_text="Sharpe ratio afterwards")
    return figure


def _points(name: str, x: Float64Array, y: Float64Array, tone: str, size: int, opacity: float) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        marker={"size": size, "opacity": opacity},
        meta={"tone": tone},
        hovertemplate="seen %{x:+.2f}, afterwards %{y:+.2f}<extra></extra>",
    )


def holdout_equity_figure(seen: Simulation, unseen: Simulation | None) -> go.Figure:
    """Equity of the chosen one where it was chosen and, from fresh cash, afterwards."""
    runs = (("Where it was chosen", seen, "evidence"), ("Afterwards, from fresh cash", unseen, "loss"))
    figure = go.Figure([_equity(name, run, tone) for name, run, tone in runs if run is not None])
    if unseen is not None:
        figure.add_vline(x=float(unseen.open_time_ms[0]), line={"width": 1, "dash": "dot"})
    figure.update_layout(height=400, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(type="date")
    figure.update_yaxes(title_text="Equity, USD")
    return figure


def _equity(name: str, run: Simulation, tone: str) -> go.Scatter:
    rows = extreme_rows(run.equity)
    times = (run.open_time_ms[rows] + run.interval_ms).astype(np.float64)
    line = go.Scatter(x=times, y=run.equity[rows], mode="lines", name=name, hovertemplate="%{y:,.2f}")
    return line.update(line={"width": 2}, meta={"tone": tone})


def pair_figure(one: PairMap, *, dark: bool = False) -> go.Figure:
    """Two parameters against each other: the median Sharpe ratio over everything else that was varied."""
    colours = palette(dark=dark)
    known = np.abs(one.median[np.isfinite(one.median)])
    reach = float(known.max()) if len(known) and known.max() > 0.0 else 1.0
    figure = go.Figure(
        go.Heatmap(
            z=one.median,
            x=list(one.columns),
            y=list(one.rows),
            customdata=one.count,
            zmin=-reach,
            zmax=reach,
            colorscale=[[0.0, colours["loss"]], [0.5, colours["card"]], [1.0, colours["gain"]]],
            texttemplate="%{z:+.2f}",
            colorbar={"title": {"text": "Sharpe"}},
            hovertemplate="%{z:+.2f}, median of %{customdata:,}<extra></extra>",
        )
    )
    figure.update_layout(height=380)
    figure.update_xaxes(title_text=escape(one.across), type="category")
    figure.update_yaxes(title_text=escape(one.down), type="category")
    return figure
