"""Record of a run's own choices: numbers for ``metrics.json``, a sentence, tables, a file."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

from rich.table import Table

from quantlab.core.files import write_json
from quantlab.core.results import TuningStage, Window
from quantlab.jobs.output.console import terminal_table
from quantlab.jobs.output.run_folder import RunFolder

TRIALS_FILE = "tuning.json"


def tuning_numbers(stages: Sequence[TuningStage]) -> dict[str, Any] | None:
    """Strict JSON: every stage's choice, and what chosen thresholds came to in all; None where nothing was tuned."""
    if not stages:
        return None
    total = total_window(stages)
    return {
        "stages": {stage.name: _stage_numbers(stage) for stage in stages},
        "gates": None if total is None else dataclasses.asdict(total),
    }


def _stage_numbers(stage: TuningStage) -> dict[str, Any]:
    first, best = stage.trials[0], stage.trials[stage.best]
    return {
        "objective": stage.objective,
        "trials": len(stage.trials),
        "states": dict(sorted(Counter(trial.state for trial in stage.trials).items())),
        "best_trial": stage.best,
        "configured": first.values,
        "configured_value": first.value,
        "chosen": best.values,
        "chosen_value": best.value,
        "importance": stage.importance,
        "window": None if stage.window is None else dataclasses.asdict(stage.window),
    }


def total_window(stages: Sequence[TuningStage]) -> Window | None:
    """All test windows that thresholds were chosen for, one after the other; None without any."""
    windows = [stage.window for stage in stages if stage.window is not None]
    return reduce(add, windows) if windows else None


def tuning_notes(stages: Sequence[TuningStage]) -> tuple[str, ...]:
    """Sentence that says whether choosing thresholds on the past helped afterwards."""
    total = total_window(stages)
    if total is None:
        return ()
    count = sum(stage.window is not None for stage in stages)
    windows = "the last test window" if count == 1 else f"each of the last {count} test windows"
    return (
        f"Thresholds were chosen anew for {windows}, on the tested bars before it. Afterwards the chosen ones came to "
        f"{total.chosen_return * 100:+.2f} % with {total.chosen_trades:,} trades, the configured ones to "
        f"{total.configured_return * 100:+.2f} % with {total.configured_trades:,}",
    )


def write_trials(folder: RunFolder, stages: Sequence[TuningStage]) -> None:
    """``tuning.json``: every trial of every stage; no file where nothing was tuned."""
    if stages:
        write_json(folder.path / TRIALS_FILE, {"stages": [dataclasses.asdict(stage) for stage in stages]})


def chosen_table(stages: tuple[TuningStage, ...]) -> Table:
    """One line per stage: what was tried, what was gained, what was chosen."""
    table = terminal_table(
        "tuned", "trials", "as\nconfigured", "chosen", "values", whole=(), numbers=("as\nconfigured", "chosen")
    )
    for stage in stages:
        first, best = stage.trials[0], stage.trials[stage.best]
        values = "\n".join(f"{name.rpartition('.')[2]}={format_value(value)}" for name, value in best.values.items())
        table.add_row(stage.title, _trial_count(stage), format_value(first.value), format_value(best.value), values)
    return table


def trial_table(stage: TuningStage) -> Table:
    """Every trial of a stage, the chosen one marked."""
    head = ("trial", "state", "value", "values")
    table = terminal_table(*head, whole=head[:2], numbers=("value",), title=f"{stage.title}: {stage.objective}")
    for trial in stage.trials:
        mark = "*" if trial.number == stage.best else ""
        values = ", ".join(f"{name}={format_value(value)}" for name, value in trial.values.items())
        table.add_row(f"{trial.number}{mark}", trial.state, format_value(trial.value), values)
    return table


def _trial_count(stage: TuningStage) -> str:
    given_up = sum(trial.value is None for trial in stage.trials)
    return f"{len(stage.trials)}" + (f" ({given_up} without a value)" if given_up else "")


def format_value(value: Any) -> str:
    """A parameter or a value, short."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return "+".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def chosen_keys(stages: Sequence[TuningStage]) -> Iterator[tuple[str, Any]]:
    """Key in the configuration -> chosen value; of the thresholds, which walk forward, the last test window's."""
    thresholds: dict[str, Any] = {}
    for stage in stages:
        if stage.window is None:
            yield from ((f"learning.members.{stage.name}.{name}", value) for name, value in stage.chosen.items())
        else:
            thresholds = stage.chosen
    yield from ((f"learning.{name}", value) for name, value in thresholds.items())
