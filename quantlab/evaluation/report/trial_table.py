"""Every trial of a search, whatever became of it."""

from __future__ import annotations

from typing import Any

from quantlab.core.results import Trial, TuningStage
from quantlab.evaluation.report.html import Html, number, table


def trials(stage: TuningStage) -> Html:
    """One row per trial, the chosen one marked."""
    names = list(stage.trials[0].values)
    rows = [_row(stage, trial, names) for trial in stage.trials]
    return table(("Trial", "State", "Value", *names, "Remark"), rows, words=2, empty="No trial.")


def _row(stage: TuningStage, trial: Trial, names: list[str]) -> tuple[object, ...]:
    name = f"{trial.number} (chosen)" if trial.number == stage.best else str(trial.number)
    values = (shown(trial.values[key]) for key in names)
    return name, trial.state, number(trial.value, ",.5g"), *values, trial.note


def shown(value: Any) -> str:
    """A parameter's value, short."""
    if isinstance(value, float):
        return number(value, ".4g")
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
