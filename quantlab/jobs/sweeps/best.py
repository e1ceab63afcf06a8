"""The best of a sweep: chosen, run through the backtest's own engine, and judged with all that was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.backtest.sweep import SweepResult
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.core.types import Float64Array, Int64Array, check_whole
from quantlab.evaluation.summary import summarise
from quantlab.evaluation.sweep_scores import SweepTable, annual, daily_sharpes, luck, ranking, trials_of
from quantlab.evaluation.verdict import Verdict
from quantlab.jobs.run.backtesting import Backtest, Setup
from quantlab.jobs.run.metrics import summary_settings
from quantlab.jobs.sweeps.work import Sweep

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
    order : int64 (N,)
        Rows from the best on.
    strategy : Strategy
    runs : dict of name to Simulation
        ``evidence`` (limits off, as all rows of the sweep) and ``lived``.
    evidence, lived : dict
        Their summaries.
    verdict : Verdict
    luck : float or None
        Annualised Sharpe ratio expected of the best without any skill.
    """

    table: SweepTable
    sharpe: Float64Array
    order: Int64Array
    strategy: Any
    runs: dict[str, Simulation]
    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict
    luck: float | None

    @property
    def row(self) -> int:
        """Of the chosen one."""
        return int(self.order[0])


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

    Raises
    ------
    ContractError
        If the engine does not end where the sweep did.
    """
    check_whole("job.min_trades", cfg.job.min_trades, low=0)
    table = table_of(what, result)
    sharpe = annual(daily_sharpes(table.daily_returns))
    order = ranking(sharpe, result.n_trades, cfg.job.min_trades)
    row = int(order[0])
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
    trials = trials_of(table)
    verdict: Verdict = get_method(cfg.judge)(parts.rule, runs["evidence"], evidence, trials)
    return Best(table, sharpe, order, strategy, runs, evidence, lived, verdict, luck(trials))


def check_same(simulation: Simulation, swept: float) -> None:
    """Raise ContractError unless the backtest ends at the equity that the sweep found."""
    final = float(simulation.equity[-1])
    if abs(final - swept) > _SAME_VALUE * max(abs(swept), simulation.initial_cash):
        raise ContractError(
            f"the backtest of the best to end at the sweep's equity, {swept!r}",
            found=repr(final),
            mend="report this as a bug with the run's configuration",
        )
