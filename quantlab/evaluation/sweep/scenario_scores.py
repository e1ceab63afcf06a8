"""The best of every scenario of a sweep, deflated by what was tried in it, and how it does in the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Statistic, Undefined, moments
from quantlab.evaluation.sweep.scenarios import Key, Scenario, choice
from quantlab.evaluation.sweep.scores import SweepTable, ranking, trials_of
from quantlab.evaluation.verdict.deflation import deflated_sharpe, luck_sharpe


@dataclass(frozen=True)
class ScenarioScore:
    """A scenario and the best in it.

    Parameters
    ----------
    scenario : Scenario
    order : int64 (M,)
        Its rows of the sweep's table, from the best on.
    luck_sharpe : float or None
        Annualised Sharpe ratio expected of the best of its trials without any skill; None = undefined.
    dsr : float or None
        Deflated Sharpe ratio of its best, with its own trials.
    sharpe_by_scenario : float64 (K,)
        Annualised Sharpe ratio of the same choice in every scenario, this one too; NaN = undefined.
    """

    scenario: Scenario
    order: Int64Array
    luck_sharpe: float | None
    dsr: float | None
    sharpe_by_scenario: Float64Array

    @property
    def row(self) -> int:
        """Of its best."""
        return int(self.order[0])


def table_of_scenario(table: SweepTable, scenario: Scenario) -> SweepTable:
    """The rows of one scenario, with what was tried in it."""
    rows = scenario.rows
    return replace(
        table,
        values=tuple(table.values[row] for row in rows),
        daily_returns=table.daily_returns[rows],
        numbers={name: column[rows] for name, column in table.numbers.items()},
        tried=scenario.tried,
    )


def score_scenarios(
    table: SweepTable, sharpe: Float64Array, scenarios: Sequence[Scenario], min_trades: int
) -> tuple[ScenarioScore, ...]:
    """Rank and deflate within each scenario.

    Parameters
    ----------
    sharpe : float64 (N,)
        Annualised, of every row of the table; NaN = undefined.
    scenarios : sequence of Scenario, length K
    min_trades : int
        See :func:`~quantlab.evaluation.sweep.scores.ranking`.
    """
    trades = table.numbers["trades"].astype(np.int64)
    rows_of = [_rows_by_choice(table, one) for one in scenarios]
    scores = []
    for one in scenarios:
        order = one.rows[ranking(sharpe[one.rows], trades[one.rows], min_trades)]
        best = choice(table.values[order[0]], one.assumed)
        there = [rows.get(best) for rows in rows_of]
        sharpe_by_scenario = np.array([math.nan if row is None else sharpe[row] for row in there])
        lucky, dsr = _deflation(table_of_scenario(table, one), table.daily_returns[order[0]])
        scores.append(ScenarioScore(one, order, lucky, dsr, sharpe_by_scenario))
    return tuple(scores)


def order_of(scores: Sequence[ScenarioScore], judged: int) -> Int64Array:
    """All rows: those of the judged scenario from the best on, then those of the others."""
    others = (one.order for i, one in enumerate(scores) if i != judged)
    return np.concatenate((scores[judged].order, *others))


def _deflation(table: SweepTable, best: Float64Array) -> tuple[float | None, float | None]:
    """Annual Sharpe ratio of luck, and the deflated ratio of the daily returns `best`."""
    shape, benchmark = moments(best), luck_sharpe(trials_of(table), len(best))
    dsr = shape if isinstance(shape, Undefined) else deflated_sharpe(shape, benchmark)
    return _known(benchmark, math.sqrt(DAYS_PER_YEAR)), _known(dsr)


def _known(value: Statistic, scale: float = 1.0) -> float | None:
    return None if isinstance(value, Undefined) else value * scale


def _rows_by_choice(table: SweepTable, scenario: Scenario) -> dict[Key, int]:
    return {choice(table.values[row], scenario.assumed): int(row) for row in scenario.rows[::-1]}
