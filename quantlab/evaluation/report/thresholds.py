"""Gates that walked forward: what was chosen for each test window on the past, and whether that helped afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import plotly.graph_objects as go

from quantlab.core.clock import parse_utc
from quantlab.core.results import TuningStage, Window
from quantlab.evaluation.report.html import Html, join, number, percent, table, tag, utc_cell
from quantlab.evaluation.report.tables import parameter_text, trial_table

FIGURE = "tuning-gates"
_NOTE = (
    "Before every test window but the first, gates are chosen by the Sharpe ratio after costs on the tested bars before it, "
    "with the strategy as it is configured; the first window has the configured gates. No choice has seen the bars that it is "
    "judged on, so the run is one trial. Past: that Sharpe ratio, as configured and of the chosen trial. Afterwards: net return and "
    "closed trades of two accounts that begin with the window. Returns of few days are mostly noise."
)

Walked = tuple[TuningStage, Window]


def gates(stages: Sequence[TuningStage]) -> Html:
    """The windows in a table and a figure, importances, and every trial; empty where no gates were chosen."""
    walked = _walked(stages)
    if not walked:
        return Html("")
    return join(
        (
            tag("h3", "Gates, chosen anew for every test window"),
            tag("p", _NOTE, class_="note"),
            _choices(walked),
            _outcomes(walked),
            tag("div", "", id=FIGURE, class_="chart"),
            _importances(walked),
            *(_trials(stage) for stage, _ in walked),
        )
    )


def gates_figure(stages: Sequence[TuningStage]) -> go.Figure:
    """Net return of every window behind the configured and behind the chosen gates."""
    walked = _walked(stages)
    names = [stage.name for stage, _ in walked]
    figure = go.Figure()
    for label, tone, values in (
        ("As configured", "price", [window.configured_return for _, window in walked]),
        ("Chosen on the past", "evidence", [window.chosen_return for _, window in walked]),
    ):
        returns = [100.0 * value for value in values]
        form = f"%{{x}}, {label.lower()}: %{{y:+.2f}} %<extra></extra>"
        figure.add_trace(go.Bar(x=names, y=returns, name=label, meta={"tone": tone}, hovertemplate=form))
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=260, barmode="group", hovermode="closest", legend=legend)
    figure.update_yaxes(title_text="Net return, %")
    return figure


def _walked(stages: Sequence[TuningStage]) -> list[Walked]:
    return [(stage, stage.window) for stage in stages if stage.window is not None]


def _choices(walked: Sequence[Walked]) -> Html:
    """What was chosen, and its value on the past."""
    names = list(walked[0][0].chosen)
    rows = [
        (
            stage.name,
            *(parameter_text(stage.chosen[name]) for name in names),
            number(stage.trials[0].value),
            number(stage.trials[stage.best].value),
        )
        for stage, _ in walked
    ]
    return table(("Chosen", *map(_short, names), "Past, configured", "Past, chosen"), rows, empty="No window.")


def _outcomes(walked: Sequence[Walked]) -> Html:
    """What the windows then came to."""
    total = reduce(add, (window for _, window in walked))
    rows = [(stage.name, *_came_to(window)) for stage, window in walked]
    head = ("Afterwards", "From", "To", "Return, configured", "Return, chosen", "Trades, configured", "Trades, chosen")
    return table(head, [*rows, ("in all", *_came_to(total))], words=3, empty="No window.")


def _came_to(window: Window) -> tuple[str, ...]:
    dates = (utc_cell(parse_utc(time)) for time in (window.first, window.last))
    returns = (percent(value, "+,.2f") for value in (window.configured_return, window.chosen_return))
    trades = (number(value, ",.0f") for value in (window.configured_trades, window.chosen_trades))
    return *dates, *returns, *trades


def _importances(walked: Sequence[Walked]) -> Html:
    """Which gates set good trials apart from the rest (PED-ANOVA), window by window."""
    names = list(walked[0][0].chosen)
    rows = [
        (stage.name, *(percent(stage.importance.get(name), ".0f") for name in names))
        for stage, _ in walked
        if stage.importance
    ]
    head = ("Importance", *map(_short, names))
    return table(head, rows, empty="Too few trials to say which gates mattered.")


def _trials(stage: TuningStage) -> Html:
    count = f"{stage.name}: {stage.objective}; {len(stage.trials)} trials, number {stage.best} was chosen"
    return tag("details", join((tag("summary", count), trial_table(stage))))


def _short(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")
