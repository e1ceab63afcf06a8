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
from rich.console import Console

from quantlab.core.errors import ContractError
from quantlab.core.files import write_text
from quantlab.core.ports import Progress
from quantlab.core.results import Simulation
from quantlab.jobs.output.run_folder import run_folder
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.metrics import fingerprints, judge, metrics_document
from quantlab.jobs.research.pipeline import Backtest, backtest, setup
from quantlab.jobs.research.report_content import tear_sheet
from quantlab.jobs.research.results import announce, close, load, write_results

#: vectorbt adds up orders in another order than the ledger does.
_SAME_VALUE = 1e-9


def run(cfg: DictConfig) -> float | None:
    """Run the main job; the result is the evidence's annual Sharpe ratio, None if undefined.

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused; no run folder is left behind then.
    """
    console = Console()
    progress = TerminalProgress()
    parts = setup(cfg)
    with run_folder(cfg) as folder:
        result = backtest(parts, load(parts, progress), progress)
        announce(console, result)
        check_bookkeeping(cfg.internal.portfolio, result, progress)
        judgement = judge(cfg, parts, result)
        prints = fingerprints(parts, result)
        write_results(folder, metrics_document(cfg, parts, result, judgement, prints), result)
        with progress.stage("report", 1) as stage:
            html = tear_sheet(cfg, folder, parts, result, judgement, prints)
            write_text(folder.path / "report.html", html)
            stage.advance()
        folder.write_manifest(cfg, {**prints, **get_method(cfg.internal.save_members)(folder, cfg, result)})
    close(console, parts, folder, result, judgement)
    objective: float | None = judgement.evidence["sharpe"]
    return objective


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
