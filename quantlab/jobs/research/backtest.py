"""``job=backtest``: the two accounts and their numbers, without vectorbt and without the HTML report.

The quick way to replay a strategy: a learned signal comes from the forecast cache where nothing that it
depends on has changed.
"""

from __future__ import annotations

from hydra.utils import get_method
from omegaconf import DictConfig
from rich.console import Console

from quantlab.jobs.output.run_folder import run_folder
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.metrics import fingerprints, judge, metrics_document
from quantlab.jobs.research.pipeline import backtest, setup
from quantlab.jobs.research.results import announce, close, load, write_results


def run(cfg: DictConfig) -> float | None:
    """Simulate and keep the records; the result is the evidence's annual Sharpe ratio, None if undefined.

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
        judgement = judge(cfg, parts, result)
        prints = fingerprints(parts, result)
        write_results(folder, metrics_document(cfg, parts, result, judgement, prints), result)
        folder.write_manifest(cfg, {**prints, **get_method(cfg.internal.save_members)(folder, cfg, result)})
    close(console, parts, folder, result, judgement)
    objective: float | None = judgement.evidence["sharpe"]
    return objective
