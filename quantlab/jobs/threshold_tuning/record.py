"""What a run says about its own choices: numbers for ``metrics.json``, a sentence, tables, a file."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

from rich.table import Column, Table

from quantlab.core.files import write_json
from quantlab.core.results import TuningStage, Window
from quantlab.jobs.output.run_folder import RunFolder

TRIALS_FILE = "tuning.json"


def tuning_numbers(stages: Sequence[TuningStage]) -> dict[str, Any] | None:
    """Strict JSON: every stage's choice, and what chosen gates came to in all; None where nothing was tuned."""
    if not stages:
        return None
    total = in_all(stages)
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


def in_all(stages: Sequence[TuningStage]) -> Window | None:
    """All test windows that gates were chosen for, one after the other; None without any."""
    windows = [stage.window for stage in stages if stage.window is not None]
    return reduce(add, windows) if windows else None


def tuning_notes(stages: Sequence[TuningStage]) -> tuple[str, ...]:
    """What a reader must see: did choosing gates on the past help afterwards?"""
    total = in_all(stages)
    if total is None:
        return ()
    count = sum(stage.window is not None for stage in stages)
    windows = "the last test window" if count == 1 else f"each of the last {count} test windows"
    return (
        f"Gates were chosen anew for {windows}, on the tested bars before it. Afterwards the chosen ones came to "
        f"{total.chosen_return * 100:+.2f} % with {total.chosen_trades:,} trades, the configured ones to "
        f"{total.configured_return * 100:+.2f} % with {total.configured_trades:,}",
    )


def write_trials(folder: RunFolder, stages: Sequence[TuningStage]) -> None:
    """``tuning.json``: every trial of every stage; no file where nothing was tuned."""
    if stages:
        write_json(folder.path / TRIALS_FILE, {"stages": [dataclasses.asdict(stage) for stage in stages]})


def chosen_table(stages: tuple[TuningStage, ...]) -> Table:
    """One line per stage: what was tried, what was gained, what was chosen."""
    counts, before = Column("trials", max_width=10), Column("as configured", max_width=10)
    table = Table("tuned", counts, before, "chosen", Column("values", overflow="fold"), title_justify="left")
    for stage in stages:
        first, best = stage.trials[0], stage.trials[stage.best]
        values = "\n".join(f"{name.rpartition('.')[2]}={shown(value)}" for name, value in best.values.items())
        table.add_row(stage.name, _counted(stage), shown(first.value), shown(best.value), values)
    return table


def trial_table(stage: TuningStage) -> Table:
    """Every trial of a stage, the chosen one marked."""
    names = list(stage.trials[0].values)
    table = Table("trial", "state", "value", *names, title=f"{stage.name}: {stage.objective}", title_justify="left")
    for trial in stage.trials:
        mark = "*" if trial.number == stage.best else ""
        cells = (shown(trial.values[name]) for name in names)
        table.add_row(f"{trial.number}{mark}", trial.state, shown(trial.value), *cells)
    return table


def _counted(stage: TuningStage) -> str:
    given_up = sum(trial.value is None for trial in stage.trials)
    return f"{len(stage.trials)}" + (f" ({given_up} without a value)" if given_up else "")


def shown(value: Any) -> str:
    """A parameter or a value, short."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return "+".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
