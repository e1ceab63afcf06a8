"""What a run says about its own choices: trials for the verdict, numbers for ``metrics.json``, a table, a file."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from quantlab.core.clock import iso_utc
from quantlab.core.files import write_json
from quantlab.core.results import TuningStage
from quantlab.core.types import Float64Array
from quantlab.evaluation.metrics import Undefined, daily_returns, moments
from quantlab.evaluation.summary import summarise
from quantlab.evaluation.verdict import Trials
from quantlab.jobs.run.backtesting import Backtest
from quantlab.jobs.run.folder import RunFolder

TRIALS_FILE = "tuning.json"


def trials_of(result: Backtest) -> Trials | None:
    """Everything that was tried on tested bars, for the deflated Sharpe ratio and PBO; None if nothing was.

    Stage 1 is not counted: it has chosen before the first tested bar, so no tested return was looked at.
    """
    stage = result.strategy_stage
    if stage is None:
        return None
    returns = np.array([trial.returns for trial in stage.trials if trial.returns], dtype=np.float64)
    if len(returns) == 0:
        return Trials(len(stage.trials))
    return Trials(len(stage.trials), np.array([_daily_sharpe(one) for one in returns]), np.ascontiguousarray(returns.T))


def _daily_sharpe(returns: Float64Array) -> float:
    """0 for a trial that never moved."""
    shape = moments(returns)
    return 0.0 if isinstance(shape, Undefined) else shape.sharpe


def tuning_numbers(result: Backtest) -> dict[str, Any] | None:
    """Strict JSON: every stage's choice, and the last test period on its own; None where nothing was tuned."""
    if not result.study.tuning:
        return None
    return {
        "stages": {stage.name: _stage_numbers(stage) for stage in result.study.tuning},
        "last_period": last_period(result),
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
    }


def last_period(result: Backtest) -> dict[str, Any] | None:
    """The test period that no choice has seen, in an account that begins with it; None if nothing was chosen."""
    unseen = result.unseen
    if unseen is None:
        return None
    numbers = summarise(unseen, result.bars.rows(result.bars.n_bars - len(unseen.equity), result.bars.n_bars))
    returns = daily_returns(unseen.equity, unseen.open_time_ms, unseen.initial_cash)
    kept = ("days", "trades", "total_return", "sharpe", "sharpe_se", "max_drawdown")
    return {
        "first": iso_utc(int(unseen.open_time_ms[0])),
        "last": iso_utc(int(unseen.open_time_ms[-1])),
        **{name: numbers[name] for name in kept},
        "mean_daily_return": float(returns.mean()),
        "contradicts": contradicts(result, float(returns.mean())),
        "undefined": {name: why for name, why in numbers["undefined"].items() if name in kept},
    }


def contradicts(result: Backtest, unseen_mean: float) -> bool:
    """Does the period that nobody has seen lose where all tested bars together win?"""
    evidence = result.evidence
    mean = float(daily_returns(evidence.equity, evidence.open_time_ms, evidence.initial_cash).mean())
    return mean > 0.0 >= unseen_mean


def tuning_notes(result: Backtest) -> tuple[str, ...]:
    """Sentences that a reader must see."""
    numbers = last_period(result)
    if numbers is None:
        return ()
    sharpe = "undefined" if numbers["sharpe"] is None else f"{numbers['sharpe']:.2f}"
    said = (
        f"The last test period ({numbers['days']:.1f} days), which no choice has seen: {numbers['trades']:,} trades, "
        f"mean daily return {numbers['mean_daily_return'] * 100:+.3f} %, annual Sharpe ratio {sharpe}"
    )
    warning = "; it contradicts the evidence, which wins over all tested bars: mistrust the choice"
    return (said + (warning if numbers["contradicts"] else ""),)


def write_trials(folder: RunFolder, stages: Sequence[TuningStage]) -> None:
    """``tuning.json``: every trial of every stage; no file where nothing was tuned."""
    if stages:
        write_json(folder.path / TRIALS_FILE, {"stages": [dataclasses.asdict(stage) for stage in stages]})


def chosen_table(stages: tuple[TuningStage, ...]) -> Table:
    """One line per stage: what was tried, what was gained, what was chosen."""
    table = Table("tuned", "trials", "as configured", "chosen", "values", title_justify="left")
    for stage in stages:
        first, best = stage.trials[0], stage.trials[stage.best]
        values = ", ".join(f"{name}={shown(value)}" for name, value in best.values.items())
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
