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
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Undefined, moments
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.sweep.scenario_scores import ScenarioScore, order_of, part_of, score_scenarios
from quantlab.evaluation.sweep.scenarios import configured_scenario, scenarios_of
from quantlab.evaluation.sweep.scores import SweepTable, annual, daily_sharpes, trials_of
from quantlab.evaluation.verdict.deflation import deflated, uncapped_luck
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.research.metrics import summary_settings
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.sweep.simulations import Sweep

#: The engine may be another one than the sweep's, whose books differ in their last digits.
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
    strategy : Strategy
    runs : dict of name to Simulation
        ``evidence`` (limits off, as all rows of the sweep) and ``lived``.
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
    strategy: Any
    runs: dict[str, Simulation]
    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict

    @property
    def score(self) -> ScenarioScore:
        """The judged scenario."""
        return self.scenarios[self.judged]

    @cached_property
    def family(self) -> SweepTable:
        """The parameter sets among which the choice was made."""
        return part_of(self.table, self.score.scenario)

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
    def luck(self) -> float | None:
        """Annualised Sharpe ratio expected of the best without any skill."""
        return self.score.luck


def table_of(what: Sweep, result: SweepResult) -> SweepTable:
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
    return SweepTable(what.plan.names, what.plan.values, result.daily_returns, numbers, what.plan.tried)


def best_of(cfg: DictConfig, parts: Setup, what: Sweep, result: SweepResult) -> Best:
    """Choose by the Sharpe ratio after costs, simulate the choice again with its records, judge it.

    The choice is made within one scenario: what is assumed about costs is not chosen.

    Raises
    ------
    ContractError
        If the engine does not end where the sweep did.
    """
    check_whole("job.min_trades", cfg.job.min_trades, low=0)
    table = table_of(what, result)
    sharpe = annual(daily_sharpes(table.daily_returns))
    scenarios = scenarios_of(table.values, what.plan.refused)
    scores = score_scenarios(table, sharpe, scenarios, cfg.job.min_trades)
    configured = configured_scenario(scenarios, what.plan.configured)
    judged = len(scores) - 1 if configured is None else configured
    row = scores[judged].row
    signal, strategy = what.maker.make(what.plan.signals[row]), what.plan.strategies[row]
    runs = {
        name: parts.engine.run(what.bars, signal, strategy, limits_on=limits_on)
        for name, limits_on in (("evidence", False), ("lived", True))
    }
    check_same(runs["evidence"], float(result.final_equity[row]))
    chosen = Backtest(what.history, what.bars, signal, what.maker.study, strategy, runs["evidence"], runs["lived"])
    settings = summary_settings(chosen)
    evidence = summarise(runs["evidence"], what.bars, **settings)
    lived = summarise(runs["lived"], what.bars, **settings)
    halted = runs["lived"].halted_at_ms
    lived["halted_at"] = None if halted is None else iso_utc(halted)
    trials = trials_of(part_of(table, scenarios[judged]))
    verdict: Verdict = get_method(cfg.internal.judge)(parts.rule, runs["evidence"], evidence, trials)
    return Best(table, sharpe, scores, judged, configured is not None, strategy, runs, evidence, lived, verdict)


def uncapped(best: Best) -> tuple[float, float] | None:
    """Annual Sharpe ratio of luck and the deflated one, with all of the trials' spread taken for luck."""
    benchmark = uncapped_luck(trials_of(best.family))
    shape = moments(best.table.daily_returns[best.row])
    if isinstance(benchmark, Undefined) or isinstance(shape, Undefined):
        return None
    dsr = deflated(shape, benchmark)
    return None if isinstance(dsr, Undefined) else (benchmark * math.sqrt(DAYS_PER_YEAR), dsr)


def check_same(simulation: Simulation, swept: float) -> None:
    """Raise ContractError unless the backtest ends at the equity that the sweep found."""
    final = float(simulation.equity[-1])
    if abs(final - swept) > _SAME_VALUE * max(abs(swept), simulation.initial_cash):
        raise ContractError(
            f"the backtest of the best to end at the sweep's equity, {swept!r}",
            found=repr(final),
            fix="report this as a bug with the run's configuration",
        )
