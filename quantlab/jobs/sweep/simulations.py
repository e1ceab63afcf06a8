"""The simulations of a sweep, kept in the cache under everything that they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from quantlab.backtest.sweep import SweepResult, join_results, sweep
from quantlab.core.checks import check_whole
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import Progress
from quantlab.jobs.output.run_folder import sources_fingerprint
from quantlab.jobs.sweep.chunks import Chunks, run_chunks
from quantlab.jobs.sweep.plan import Plan
from quantlab.jobs.sweep.signals import LazySignals, SignalMaker


@dataclass(frozen=True)
class PreparedSweep:
    """A sweep before it is simulated.

    Parameters
    ----------
    history : Bars
        Everything that was loaded.
    bars : Bars
        The out-of-sample rows.
    maker : SignalMaker
    plan : Plan
    initial_cash : float
        USD.
    """

    history: Bars
    bars: Bars
    maker: SignalMaker
    plan: Plan
    initial_cash: float

    def key(self) -> str:
        """sha256 of all that its results are a function of."""
        base = self.maker.make({})
        strategies = [strategy.fingerprint for strategy in self.plan.strategies]
        return fingerprint(
            sources_fingerprint(),
            self.history.fingerprint(),
            self.maker.study.first_row,
            self.maker.study.last_row,
            self.maker.study.source.fingerprint,
            base,
            strategies,
            list(self.plan.signals),
            self.initial_cash,
        )


def simulate(cfg: DictConfig, prepared: PreparedSweep, progress: Progress) -> SweepResult:
    """Every strategy of the plan, in its order.

    Raises
    ------
    ConfigError
        If ``job.chunk`` is not a positive whole number.
    ArtifactError
        If a finished chunk of an earlier attempt is damaged.
    """
    check_whole("job.chunk", cfg.job.chunk, low=1)
    threads = int(cfg.workers)
    signals = LazySignals(prepared.maker.make, prepared.plan.signals, keep=threads + 1)

    def work(rows: Sequence[int]) -> SweepResult:
        start, stop = rows[0], rows[-1] + 1
        strategies = prepared.plan.strategies[start:stop]
        return sweep(prepared.bars, signals[start:stop], strategies, prepared.initial_cash, threads=threads)

    chunks = Chunks(Path(cfg.cache_dir) / "sweeps" / prepared.key()[:32] / f"{int(cfg.job.chunk)}")
    return join_results(run_chunks(len(prepared.plan.values), int(cfg.job.chunk), work, chunks, progress))
