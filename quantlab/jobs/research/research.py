"""``job=research``, the main job: from bars to a verdict.

1. read the history through the quality gate;
2. learn, walking forward, or compute the signal;
3. simulate it twice: limits off for the evidence, limits on for what an account would have lived;
4. print the first equity numbers;
5. hold the records against vectorbt's own bookkeeping;
6. judge, write the run folder, print the table and the report's path; return the objective.
"""

from __future__ import annotations

import numpy as np
from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.core.errors import ContractError
from quantlab.core.files import write_text
from quantlab.core.ports import Progress
from quantlab.core.results import Simulation
from quantlab.jobs.output.run_folder import RunFolder
from quantlab.jobs.research.backtest import run_and_write
from quantlab.jobs.research.metrics import Judgement
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.research.report_content import tear_sheet

#: vectorbt adds up orders in another order than the ledger does.
_SAME_VALUE = 1e-9


def run(cfg: DictConfig) -> float | None:
    """Run the main job; the result is the evidence's annual Sharpe ratio, None if undefined.

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused; no run folder is left behind then.
    """

    def check(result: Backtest, progress: Progress) -> None:
        check_bookkeeping(cfg.internal.portfolio, result, progress)

    def write_page(
        folder: RunFolder,
        parts: Setup,
        result: Backtest,
        judgement: Judgement,
        fingerprints: dict[str, str],
        progress: Progress,
    ) -> None:
        with progress.stage("report", 1) as stage:
            html = tear_sheet(cfg, folder, parts, result, judgement, fingerprints)
            write_text(folder.path / "report.html", html)
            stage.advance()

    return run_and_write(cfg, check, write_page)


def check_bookkeeping(portfolio: str, result: Backtest, progress: Progress) -> None:
    """vectorbt, given the order records, must end at the same value up to funding and liquidation fees.

    Raises
    ------
    ContractError
        If it does not: then one of the two ledgers is wrong, and no number may be published.
    """
    to_portfolio = get_method(portfolio)
    with progress.stage("vectorbt bookkeeping", 1) as stage:
        for name, simulation in (("evidence", result.evidence), ("lived", result.lived)):
            theirs = float(np.asarray(to_portfolio(simulation, result.bars).final_value()).ravel()[0])
            ours = _value_of_orders(simulation)
            if abs(theirs - ours) > _SAME_VALUE * max(abs(ours), simulation.initial_cash):
                raise ContractError(
                    f"vectorbt's final value of the {name} run to equal ours, {ours!r}",
                    found=repr(theirs),
                    fix="report this as a bug with the run's configuration",
                )
        stage.advance()


def _value_of_orders(simulation: Simulation) -> float:
    return float(simulation.equity[-1] + simulation.funding.sum() + simulation.liquidation_fees.sum())
