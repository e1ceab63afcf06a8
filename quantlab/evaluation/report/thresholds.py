"""Thresholds that walked forward: what was chosen for each test window on the past, and whether that helped afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import plotly.graph_objects as go

from quantlab.core.clock import parse_utc
from quantlab.core.results import TuningStage, Window
from quantlab.evaluation.report.html import Html, join, number, percent, table, tag, utc_cell
from quantlab.evaluation.report.tables import MIN_IMPORTANCE_TRIALS, importance_is_known, parameter_text, trial_table

FIGURE = "tuning-thresholds"
_NOTE = (
    "Before every test window but the first, thresholds are chosen by the Sharpe ratio after costs on the tested bars before it, "
    "with the strategy as it is configured; the first window has the configured thresholds. No choice has seen the bars that it is "
    "judged on, so the run is one trial. Past: that Sharpe ratio, as configured and of the chosen trial. Afterwards: net return and "
    "closed trades of two accounts that begin with the window. Returns of few days are mostly noise."
)

TunedWindow = tuple[TuningStage, Window]


def thresholds_section(stages: Sequence[TuningStage]) -> Html:
    """The windows in a table and a figure, importances, and every trial; empty where no thresholds were chosen."""
    tuned = _tuned_windows(stages)
    if not tuned:
        return Html("")
    return join(
        (
            tag("h3", "Thresholds, chosen anew for every test window"),
            tag("p", _NOTE, class_="note"),
            _choices(tuned),
            _outcomes(tuned),
            tag("div", "", id=FIGURE, class_="chart"),
            _importances(tuned),
            *(_trials(stage) for stage, _ in tuned),
        )
    )


def thresholds_figure(stages: Sequence[TuningStage]) -> go.Figure:
    """Net return of every window at the configured and at the chosen thresholds."""
    tuned = _tuned_windows(stages)
    names = [stage.title for stage, _ in tuned]
    figure = go.Figure()
    for label, tone, values in (
        ("As configured", "price", [window.configured_return for _, window in tuned]),
        ("Chosen on the past", "evidence", [window.chosen_return for _, window in tuned]),
    ):
        returns = [100.0 * value for value in values]
        form = f"%{{x}}, {label.lower()}: %{{y:+.2f}} %<extra></extra>"
        figure.add_trace(go.Bar(x=names, y=returns, name=label, meta={"tone": tone}, hovertemplate=form))
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=260, barmode="group", hovermode="closest", legend=legend)
    figure.update_yaxes(title_text="Net return, %")
    return figure


def _tuned_windows(stages: Sequence[TuningStage]) -> list[TunedWindow]:
    return [(stage, stage.window) for stage in stages if stage.window is not None]


def _choices(tuned: Sequence[TunedWindow]) -> Html:
    """Chosen thresholds of every test window, and their value on the past."""
    names = list(tuned[0][0].chosen)
    rows = [
        (
            stage.title,
            *(parameter_text(stage.chosen[name]) for name in names),
            number(stage.trials[0].value),
            number(stage.trials[stage.best].value),
        )
        for stage, _ in tuned
    ]
    return table(("Chosen", *map(_short, names), "Past, configured", "Past, chosen"), rows, empty="No window.")


def _outcomes(tuned: Sequence[TunedWindow]) -> Html:
    """Outcome of every test window at the configured and at the chosen thresholds."""
    total = reduce(add, (window for _, window in tuned))
    rows = [(stage.title, *_outcome_cells(window)) for stage, window in tuned]
    head = ("Afterwards", "From", "To", "Return, configured", "Return, chosen", "Trades, configured", "Trades, chosen")
    return table(head, [*rows, ("in all", *_outcome_cells(total))], words=3, empty="No window.")


def _outcome_cells(window: Window) -> tuple[str, ...]:
    dates = (utc_cell(parse_utc(time)) for time in (window.first, window.last))
    returns = (percent(value, "+,.2f") for value in (window.configured_return, window.chosen_return))
    trades = (number(value, ",.0f") for value in (window.configured_trades, window.chosen_trades))
    return *dates, *returns, *trades


def _importances(tuned: Sequence[TunedWindow]) -> Html:
    """Share of each threshold in what sets good trials apart from the rest (PED-ANOVA), by test window."""
    names = list(tuned[0][0].chosen)
    rows = [
        (stage.title, *(percent(stage.importance.get(name), ".0f") for name in names))
        for stage, _ in tuned
        if importance_is_known(stage)
    ]
    head = ("Importance", *map(_short, names))
    return table(head, rows, empty=f"Importances of thresholds need {MIN_IMPORTANCE_TRIALS} trials with a value.")


def _trials(stage: TuningStage) -> Html:
    count = f"{stage.title}: {stage.objective}; {len(stage.trials)} trials, number {stage.best} was chosen"
    return tag("details", join((tag("summary", count), trial_table(stage))))


def _short(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")
