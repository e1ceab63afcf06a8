"""The parts that an audit looks at, how hard it looks, and what its checks share."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.audit.findings import AuditLog
from quantlab.core.checks import check_range, check_whole
from quantlab.core.market import Bars
from quantlab.core.ports import BacktestEngine, DataSource, Learner, Progress, SignalSource, ThresholdSearch
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study
from quantlab.data.series.history_cut import HistoryCut
from quantlab.learning.study.study_signal import study_signal


@dataclass(frozen=True)
class AuditDepth:
    """Number of the leak checks, and how strict they are: the configuration's ``job.checks``.

    Parameters
    ----------
    cuts : int
        Rows at which another future of the whole history begins.
    many_cuts : int
        The same in windows of it, for the stages that cost little.
    reach : int
        Bars after each of these that a stage is shown.
    fills : int
        Bars with fills that are looked at.
    decisions : int
        Other futures under which policy and sizer are made anew.
    bootstrap_samples : int
        Resamples of days behind the error of a position's AUC.
    learner : int
        Other futures under which a learner is learned again as a whole, >= 2.
    shuffle : bool
        Learn once more, on shuffled labels.
    shuffle_errors : float
        Errors from one half at which an AUC on shuffled labels is a leak.
    seed : int
        Of the other futures.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    cuts: int
    many_cuts: int
    reach: int
    fills: int
    decisions: int
    bootstrap_samples: int
    learner: int
    shuffle: bool
    shuffle_errors: float
    seed: int

    def __post_init__(self) -> None:
        check_whole("job.checks.cuts", self.cuts, low=1)
        check_whole("job.checks.many_cuts", self.many_cuts, low=1)
        check_whole("job.checks.reach", self.reach, low=1)
        check_whole("job.checks.fills", self.fills, low=1)
        check_whole("job.checks.learner", self.learner, low=2)
        check_whole("job.checks.decisions", self.decisions, low=1)
        check_whole("job.checks.bootstrap_samples", self.bootstrap_samples, low=2)
        check_whole("job.checks.seed", self.seed, low=0)
        check_range("job.checks.shuffle_errors", self.shuffle_errors, low=1.0)


@dataclass(frozen=True)
class AuditedParts:
    """The parts of a composed pipeline that leaks are looked for in.

    Parameters
    ----------
    source : DataSource
    cut : HistoryCut
        The part of its history that is used.
    signal : Learner or SignalSource
    make_strategy : callable
        Takes ``signal=`` and gives the strategy.
    engine : BacktestEngine
    thresholds : ThresholdSearch or None
        None where thresholds are not tuned.
    rebuild : callable
        Constructs `make_strategy` anew, with all its parts.
    """

    source: DataSource
    cut: HistoryCut
    signal: Learner | SignalSource
    make_strategy: Callable[..., Any]
    engine: BacktestEngine
    thresholds: ThresholdSearch | None
    rebuild: Callable[[], Callable[..., Any]]


@dataclass(frozen=True)
class AuditContext:
    """An audit: the parts, their bars, the log that findings are written to.

    Parameters
    ----------
    depth : AuditDepth
    parts : AuditedParts
    bars : Bars, (T, S)
    log : Log
    folder : Path
        Cache of everything that is learned here, for this audit only.
    progress : Progress
    """

    depth: AuditDepth
    parts: AuditedParts
    bars: Bars
    log: AuditLog
    folder: Path
    progress: Progress

    def learner(self) -> Any:
        """Return the learner or source of the signal, with a cache of its own."""
        return with_cache_folder(self.parts.signal, self.folder)

    def learn(self, bars: Bars) -> Study:
        """Return a study of other bars; nothing is read from another cache."""
        with warnings.catch_warnings():
            # A market that never was, of which symbols die: what numpy finds empty there says nothing about the learner.
            warnings.simplefilter("ignore", RuntimeWarning)
            return study_signal(self.learner(), bars, SilentProgress())


def with_cache_folder(signal: Any, folder: Path) -> Any:
    """Return the same learner with `folder` as its cache."""
    if dataclasses.is_dataclass(signal) and hasattr(signal, "cache_dir"):
        return dataclasses.replace(signal, cache_dir=str(folder))  # type: ignore[type-var]
    return signal
