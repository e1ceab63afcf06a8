"""``job=sweep``: many parameter sets of one strategy on one history, read honestly.

1. read the history and learn, or compute the signal, once; thresholds and windows are swept on what is cached;
2. make a strategy of every parameter set; what is impossible is counted as tried;
3. simulate them all, limits off, in chunks that are kept: a killed sweep goes on where it stopped;
4. rank by the Sharpe ratio after costs, among those that assume the same costs, and run the best through the
   backtest's own engine;
5. judge it with *everything that was tried* there as its trials: a lucky best of ten thousand is not an edge;
6. write the run folder, print the best and the verdict; return the best's Sharpe ratio.
"""

from __future__ import annotations

from omegaconf import DictConfig

from quantlab.backtest.sweep_space import Values
from quantlab.core.market import Bars
from quantlab.core.ports import Progress
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.run_folder import run_folder
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.pipeline import Setup, setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.sweep.best import choose_best
from quantlab.jobs.sweep.plan import plan_sweep
from quantlab.jobs.sweep.signals import SignalMaker, with_cached_features
from quantlab.jobs.sweep.simulations import PreparedSweep, simulate
from quantlab.jobs.sweep.sweep_output import print_sweep, write_sweep
from quantlab.learning.study.study_signal import study_signal


def run(cfg: DictConfig) -> float | None:
    """Sweep and judge the best; the result is its annual Sharpe ratio, None if undefined.

    Raises
    ------
    QuantlabError
        If the space, data, configuration or a model is refused; no run folder is left behind then.
    """
    console, progress = stdout_console(), TerminalProgress()
    combinations = build(cfg.sweep).combinations()
    parts = setup(cfg)
    with run_folder(cfg) as folder:
        prepared = prepare(cfg, parts, load_history(parts, progress), combinations, progress)
        result = simulate(cfg, prepared, progress)
        best = choose_best(cfg, parts, prepared, result)
        write_sweep(cfg, folder, parts, prepared, best)
    print_sweep(console, cfg, parts, folder, prepared, best)
    objective: float | None = best.evidence["sharpe"]
    return objective


def prepare(
    cfg: DictConfig, parts: Setup, history: Bars, combinations: list[Values], progress: Progress
) -> PreparedSweep:
    """Learn or compute the signal once and make a strategy of every parameter set; nothing is simulated yet.

    Raises
    ------
    QuantlabError
        If the space, the history or a model is refused.
    """
    source = with_cached_features(parts.signal)
    study = study_signal(source, history, progress)
    maker = SignalMaker(source, study, history)
    return PreparedSweep(
        history=history,
        bars=history.rows(study.first_row, study.last_row),
        maker=maker,
        plan=plan_sweep(parts.make_strategy(signal=study.source), maker, combinations),
        initial_cash=float(cfg.cash),
    )
