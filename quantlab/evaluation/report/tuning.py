"""Trials of the tuning: their history, importances, and every trial in a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from quantlab.core.results import TuningStage
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.html import Html, join, section, tag
from quantlab.evaluation.report.tables import MIN_IMPORTANCE_TRIALS, importance_is_known, trial_table
from quantlab.evaluation.report.thresholds import FIGURE, thresholds_figure, thresholds_section

_NOTE = (
    "Members are tuned by log loss on folds before the first test window, thresholds by the Sharpe ratio after costs on the tested "
    "bars before each window. Trial 0 is the configuration; every trial is shown, also those without a value."
)


def tuning_section(report: Report) -> Html:
    """The section; empty where nothing was tuned."""
    if not report.tuning:
        return Html("")
    members = (_stage(stage, i) for i, stage in enumerate(_members(report)))
    return section("Tuning", *members, thresholds_section(report.tuning), note=_NOTE, anchor="tuning")


def tuning_figures(report: Report) -> dict[str, go.Figure]:
    """Figures by element id: every member's history, its importance where there is one, and the thresholds' windows."""
    found: dict[str, go.Figure] = {}
    members = _members(report)
    for i, stage in enumerate(members):
        found[_history_id(i)] = history_figure(stage)
        if importance_is_known(stage):
            found[_importance_id(i)] = importance_figure(stage)
    if len(members) < len(report.tuning):
        found[FIGURE] = thresholds_figure(report.tuning)
    return found


def _members(report: Report) -> list[TuningStage]:
    return [stage for stage in report.tuning if stage.window is None]


def history_figure(stage: TuningStage) -> go.Figure:
    """Every trial's value, and the best so far."""
    valued = [(trial.number, trial.value) for trial in stage.trials if trial.value is not None]
    numbers, values = ([pair[k] for pair in valued] for k in (0, 1))
    best = (np.maximum if stage.maximise else np.minimum).accumulate(values) if values else np.empty(0)
    form = "trial %{x}: %{y:.5g}<extra></extra>"
    figure = go.Figure(
        go.Scatter(
            x=numbers,
            y=values,
            mode="markers",
            name="Trial",
            marker={"size": 7},
            meta={"tone": "price"},
            hovertemplate=form,
        )
    )
    line: dict[str, Any] = {"width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=best,
            mode="lines",
            name="Best so far",
            line=line,
            meta={"tone": "evidence"},
            hovertemplate=form,
        )
    )
    figure.update_layout(height=260, hovermode="closest", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    step = max(1, len(stage.trials) // 10)  # no half trials on the axis
    figure.update_xaxes(title_text="Trial", tick0=0, dtick=step)
    figure.update_yaxes(title_text="Objective")
    return figure


def importance_figure(stage: TuningStage) -> go.Figure:
    """Importance of each parameter: how well it sets good trials apart from the rest (PED-ANOVA)."""
    ordered = sorted(stage.importance.items(), key=lambda pair: (pair[1], pair[0]))
    figure = go.Figure(
        go.Bar(
            x=[share for _, share in ordered],
            y=[name for name, _ in ordered],
            orientation="h",
            meta={"tone": "evidence"},
            hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )
    figure.update_layout(height=90 + 34 * len(ordered), showlegend=False)
    figure.update_xaxes(title_text="Importance", tickformat=".0%", range=[0, 1])
    return figure


def _stage(stage: TuningStage, i: int) -> Html:
    parts = [
        tag("h3", f"{stage.title}: {stage.objective}"),
        tag("div", "", id=_history_id(i), class_="chart"),
    ]
    if importance_is_known(stage):
        parts.append(tag("div", "", id=_importance_id(i), class_="chart"))
    else:
        parts.append(
            tag("p", f"Importances of parameters need {MIN_IMPORTANCE_TRIALS} trials with a value.", class_="empty")
        )
    count = f"{len(stage.trials)} trials, number {stage.best} was chosen"
    parts.append(tag("details", join((tag("summary", count), trial_table(stage)))))
    return join(parts)


def _history_id(i: int) -> str:
    return f"tuning-history-{i}"


def _importance_id(i: int) -> str:
    return f"tuning-importance-{i}"
