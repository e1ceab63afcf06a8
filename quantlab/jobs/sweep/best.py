"""The best of a sweep: chosen, run through the backtest's own engine, and judged with all that was tried."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.backtest.sweep import SweepResult
from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.checks import check_whole
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Undefined, moments
from quantlab.evaluation.sweep.scenario_scores import ScenarioScore, order_of, score_scenarios, table_of_scenario
from quantlab.evaluation.sweep.scenarios import configured_scenario, scenarios_of
from quantlab.evaluation.sweep.scores import SweepTable, annualised, daily_sharpes, trials_of
from quantlab.evaluation.verdict.deflation import deflated_sharpe, uncapped_luck_sharpe
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.research.metrics import account_summaries
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.sweep.simulations import PreparedSweep

#: The engine may be another one than the sweep's, whose accounts differ in their last digits.
_SAME_VALUE = 1e-9


@dataclass(frozen=True)
class Best:
    """The chosen parameter set among all the others.

    Parameters
    ----------
    table : SweepTable
    sharpe : float64 (N,)
        Annualised, after costs; NaN = undefined.
    scenarios : tuple of ScenarioScore
        What was assumed, the dearest last; a single one where nothing was varied that is no choice.
    judged : int
        Which of them the choice and the verdict rest on.
    as_configured : bool
        That scenario is the configuration's own; otherwise the dearest.
    result : Backtest
        Of the chosen one.
    evidence, lived : dict
        Their summaries.
    verdict : Verdict
        With everything that was tried in the judged scenario.
    """

    table: SweepTable
    sharpe: Float64Array
    scenarios: tuple[ScenarioScore, ...]
    judged: int
    as_configured: bool
    result: Backtest
    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict

    @property
    def strategy(self) -> Any:
        """The chosen one."""
        return self.result.strategy

    @property
    def accounts(self) -> dict[str, Simulation]:
        """``evidence`` (limits off, as all rows of the sweep) and ``lived``."""
        return {"evidence": self.result.evidence, "lived": self.result.lived}

    @property
    def score(self) -> ScenarioScore:
        """The judged scenario."""
        return self.scenarios[self.judged]

    @cached_property
    def family(self) -> SweepTable:
        """The parameter sets among which the choice was made."""
        return table_of_scenario(self.table, self.score.scenario)

    @property
    def family_sharpe(self) -> Float64Array:
        """float64 (M,): their annual Sharpe ratios."""
        return self.sharpe[self.score.scenario.rows]

    @property
    def order(self) -> Int64Array:
        """int64 (N,): rows of the judged scenario from the best on, then those of the others."""
        return order_of(self.scenarios, self.judged)

    @property
    def row(self) -> int:
        """Of the chosen one."""
        return self.score.row

    @property
    def luck_sharpe(self) -> float | None:
        """Annualised Sharpe ratio expected of the best without any skill."""
        return self.score.luck_sharpe


def sweep_table(prepared: PreparedSweep, result: SweepResult) -> SweepTable:
    """The sweep as its statistics take it."""
    numbers: dict[str, Float64Array | Int64Array] = {
        "final_equity": result.final_equity,
        "max_drawdown": result.max_drawdown,
        "exposure": result.exposure,
        "orders": result.n_orders,
        "trades": result.n_trades,
        "notional": result.notional,
        "fees": result.fees,
        "slippage": result.slippage,
        "funding": result.funding,
        "liquidation_fees": result.liquidation_fees,
        "costs": result.costs,
    }
    return SweepTable(prepared.plan.names, prepared.plan.values, result.daily_returns, numbers, prepared.plan.tried)


def choose_best(cfg: DictConfig, parts: Setup, prepared: PreparedSweep, result: SweepResult) -> Best:
    """Choose by the Sharpe ratio after costs, simulate the choice again with its records, judge it.

    The choice is made within one scenario: what is assumed about costs is not chosen.

    Raises
    ------
    ContractError
        If the engine does not end where the sweep did.
    """
    check_whole("job.min_trades", cfg.job.min_trades, low=0)
    check_whole("job.top", cfg.job.top, low=1)
    check_whole("job.listed", cfg.job.listed, low=1)
    table = sweep_table(prepared, result)
    sharpe = annualised(daily_sharpes(table.daily_returns))
    scenarios = scenarios_of(table.values, prepared.plan.refused)
    scores = score_scenarios(table, sharpe, scenarios, cfg.job.min_trades)
    configured = configured_scenario(scenarios, prepared.plan.configured)
    judged = len(scores) - 1 if configured is None else configured
    row = scores[judged].row
    signal, strategy = prepared.maker.make(prepared.plan.signals[row]), prepared.plan.strategies[row]
    accounts = {
        name: parts.engine.run(prepared.bars, signal, strategy, limits_on=limits_on)
        for name, limits_on in (("evidence", False), ("lived", True))
    }
    check_same_equity(accounts["evidence"], float(result.final_equity[row]))
    chosen = Backtest(
        prepared.history, prepared.bars, signal, prepared.maker.study, strategy, accounts["evidence"], accounts["lived"]
    )
    evidence, lived = account_summaries(chosen)
    trials = trials_of(table_of_scenario(table, scenarios[judged]))
    verdict: Verdict = get_method(cfg.internal.judge)(parts.rule, accounts["evidence"], evidence, trials)
    return Best(table, sharpe, scores, judged, configured is not None, chosen, evidence, lived, verdict)


def uncapped_deflation(best: Best) -> tuple[float, float] | None:
    """Annual Sharpe ratio of luck and the deflated one, with all of the trials' spread taken for luck."""
    benchmark = uncapped_luck_sharpe(trials_of(best.family))
    shape = moments(best.table.daily_returns[best.row])
    if isinstance(benchmark, Undefined) or isinstance(shape, Undefined):
        return None
    dsr = deflated_sharpe(shape, benchmark)
    return None if isinstance(dsr, Undefined) else (benchmark * math.sqrt(DAYS_PER_YEAR), dsr)


def check_same_equity(simulation: Simulation, swept: float) -> None:
    """Raise ContractError unless the backtest ends at the equity that the sweep found."""
    final = float(simulation.equity[-1])
    if abs(final - swept) > _SAME_VALUE * max(abs(swept), simulation.initial_cash):
        raise ContractError(
            f"the backtest of the best to end at the sweep's equity, {swept!r}",
            found=repr(final),
            fix="report this as a bug with the run's configuration",
        )
