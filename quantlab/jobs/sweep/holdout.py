"""A sweep that may look at a part of the history only; the rest is simulated when the choice is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig

from quantlab.core.arrays import Float64Array
from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ConfigError
from quantlab.core.ports import Progress
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.sweep.scores import annualised, daily_sharpes
from quantlab.jobs.research.metrics import summary_settings
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.sweep.best import Best
from quantlab.jobs.sweep.simulations import PreparedSweep, simulate


@dataclass(frozen=True)
class Holdout:
    """Results of all parameter sets on bars that the choice had not seen, each in a fresh account.

    Parameters
    ----------
    prepared : PreparedSweep
        The same plan on the later bars.
    sharpe : float64 (N,)
        Annualised, after costs, of every parameter set in the plan's order; NaN = undefined.
    simulation : Simulation
        Of the chosen one, limits off.
    summary : dict
        Its numbers.
    """

    prepared: PreparedSweep
    sharpe: Float64Array
    simulation: Simulation
    summary: dict[str, Any]


def split_holdout(prepared: PreparedSweep, date: str) -> tuple[PreparedSweep, PreparedSweep]:
    """The same plan before `date` and from there on; signals read the past only, so both share them.

    Parameters
    ----------
    date : str
        ISO 8601, UTC: open of the first bar that the choice must not see.

    Raises
    ------
    ConfigError
        If it is no date, or leaves one of the sides without a bar.
    """
    opens = prepared.bars.open_time_ms
    span = f"a date after {iso_utc(int(opens[0]))} and not after {iso_utc(int(opens[-1]))}"
    try:
        row = int(np.searchsorted(opens, parse_utc(date)))
    except ValueError as error:
        raise ConfigError(span, found=repr(date), fix="write e.g. 2025-02-15") from error
    if not 0 < row < len(opens):
        raise ConfigError(span, found=repr(date), fix="leave bars on both sides of it")
    first, last = prepared.maker.study.first_row, prepared.maker.study.last_row
    return _rows(prepared, first, first + row), _rows(prepared, first + row, last)


def _rows(prepared: PreparedSweep, first: int, last: int) -> PreparedSweep:
    maker = dataclasses.replace(
        prepared.maker, study=dataclasses.replace(prepared.maker.study, first_row=first, last_row=last)
    )
    return dataclasses.replace(prepared, bars=prepared.history.rows(first, last), maker=maker)


def simulate_holdout(cfg: DictConfig, parts: Setup, later: PreparedSweep, best: Best, progress: Progress) -> Holdout:
    """Simulate every parameter set on the later bars, and the chosen one with its records.

    Raises
    ------
    ArtifactError
        If a finished chunk of an earlier attempt is damaged.
    """
    result = simulate(cfg, later, progress)
    signal, strategy = later.maker.make(later.plan.signals[best.row]), best.strategy
    chosen = parts.engine.run(later.bars, signal, strategy, limits_on=False)
    result_of = Backtest(later.history, later.bars, signal, later.maker.study, strategy, chosen, chosen)
    summary = summarise(chosen, later.bars, **summary_settings(result_of))
    return Holdout(later, annualised(daily_sharpes(result.daily_returns)), chosen, summary)
