"""``job=backtest``: the two accounts and their numbers, without vectorbt and without the HTML report.

The quick way to replay a strategy: a learned signal comes from the forecast cache where nothing that it
depends on has changed.
"""

from __future__ import annotations

from collections.abc import Callable

from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.core.ports import Progress
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.run_folder import RunFolder, run_folder
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.metrics import Judgement, judge, metrics_document, result_fingerprints
from quantlab.jobs.research.pipeline import Backtest, Setup, backtest, setup
from quantlab.jobs.research.results import load_history, print_equity, print_results, write_results

#: Refuses a result before it is judged.
Check = Callable[[Backtest, Progress], None]
#: Writes one more file into the run folder; the dictionary holds the fingerprints.
PageWriter = Callable[[RunFolder, Setup, Backtest, Judgement, dict[str, str], Progress], None]


def run(cfg: DictConfig) -> float | None:
    """Simulate and keep the records; the result is the evidence's annual Sharpe ratio, None if undefined.

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused; no run folder is left behind then.
    """
    return run_and_write(cfg)


def run_and_write(cfg: DictConfig, check: Check | None = None, write_page: PageWriter | None = None) -> float | None:
    """Simulate, judge, write the run folder and print the results.

    Parameters
    ----------
    cfg : DictConfig
    check : callable, optional
        Called before the result is judged.
    write_page : callable, optional
        Called when numbers and records are written, before the manifest.

    Returns
    -------
    float or None
        Annual Sharpe ratio of the evidence; None = undefined.

    Raises
    ------
    QuantlabError
        If data, configuration, a model or the result is refused; no run folder is left behind then.
    """
    console = stdout_console()
    progress = TerminalProgress()
    parts = setup(cfg)
    with run_folder(cfg) as folder:
        result = backtest(parts, load_history(parts, progress), progress)
        print_equity(console, parts, result)
        if check is not None:
            check(result, progress)
        judgement = judge(cfg, parts, result)
        fingerprints = result_fingerprints(parts, result)
        write_results(folder, metrics_document(cfg, parts, result, judgement, fingerprints), result, judgement)
        if write_page is not None:
            write_page(folder, parts, result, judgement, fingerprints, progress)
        folder.write_manifest(cfg, {**fingerprints, **get_method(cfg.internal.save_members)(folder, cfg, result)})
    print_results(console, parts, folder, result, judgement)
    objective: float | None = judgement.evidence["sharpe"]
    return objective
