"""The hunt: every stage of a composed pipeline under other futures, one after the other.

1. ``universe``: the source's history, asked for earlier and under other futures;
2. ``feature``, ``label``, ``weights``, ``split``: each stage alone, on what the stage before it made of the real bars;
3. ``scaler``, ``calibrator``, ``weights``, ``split``: every member alone, fitted under two futures;
4. ``tuning``, ``weights``, ``calibrator``, ``sizing``: the learner as a whole, and the searches over tested bars;
5. ``fill``, ``sizing``: the account, bar by bar;
6. chance: labels that were shuffled, an AUC that cannot be, a signal that comes one bar late.

A stage is compared under *its own* inputs of the real past, so that it answers for itself and not for the stages
before it. Where something was found before, the learner as a whole is not learned again: it would only repeat it.
"""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from quantlab.audit.chance import ShuffledLabels, judge_shuffled, measure_delay
from quantlab.audit.ensembles import hunt_ensembles
from quantlab.audit.features import hunt_features
from quantlab.audit.fills import Account, hunt_fills
from quantlab.audit.findings import Finding, Log
from quantlab.audit.futures import another_future, broken_future, cuts, other_opinions
from quantlab.audit.labels import Labeler, hunt_labels
from quantlab.audit.members import hunt_members
from quantlab.audit.splits import hunt_splits
from quantlab.audit.studies import hunt_plain, hunt_studies
from quantlab.audit.universe import hunt_universe
from quantlab.core.checks import check_range, check_whole
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import (
    BacktestEngine,
    DataSource,
    FeatureSource,
    Learner,
    Model,
    Progress,
    SignalSource,
    ThresholdSearch,
)
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study, TuningStage
from quantlab.core.types import Dataset
from quantlab.data.series.history_cut import HistoryCut
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold
from quantlab.learning.study.study_signal import study_signal


@runtime_checkable
class WalkingLearner(Protocol):
    """A learner that shows its parts."""

    features: FeatureSource
    labels: Labeler
    splits: Any
    members: Mapping[str, Model]
    cache_dir: str | Path

    def study(self, bars: Bars, progress: Progress) -> Study: ...


@dataclass(frozen=True)
class Hunt:
    """How hard to look.

    Parameters
    ----------
    cuts : int
        Rows at which another future begins, for the stages that cost little.
    fills : int
        Bars with fills that are looked at.
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
    fills: int
    shuffle: bool
    shuffle_errors: float
    seed: int

    def __post_init__(self) -> None:
        check_whole("job.hunt.cuts", self.cuts, low=1)
        check_whole("job.hunt.fills", self.fills, low=1)
        check_whole("job.hunt.seed", self.seed, low=0)
        check_range("job.hunt.shuffle_errors", self.shuffle_errors, low=1.0)


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
    """

    source: DataSource
    cut: HistoryCut
    signal: Learner | SignalSource
    make_strategy: Callable[..., Any]
    engine: BacktestEngine
    thresholds: ThresholdSearch | None


@dataclass(frozen=True)
class Scene:
    """What is looked at.

    Parameters
    ----------
    hunt : Hunt
    parts : AuditedParts
    bars : Bars, (T, S)
    log : Log
    folder : Path
        Where everything that is learned here is kept, for this hunt only.
    progress : Progress
    """

    hunt: Hunt
    parts: AuditedParts
    bars: Bars
    log: Log
    folder: Path
    progress: Progress

    def learner(self) -> Any:
        """The signal's maker, with a cache of its own."""
        return private(self.parts.signal, self.folder)

    def learn(self, bars: Bars) -> Study:
        """A study of other bars; nothing is read from elsewhere."""
        with warnings.catch_warnings():
            # A market that never was, of which symbols die: what numpy finds empty there says nothing about the learner.
            warnings.simplefilter("ignore", RuntimeWarning)
            return study_signal(self.learner(), bars, SilentProgress())


def private(signal: Any, folder: Path) -> Any:
    """The same learner with `folder` as its cache."""
    if dataclasses.is_dataclass(signal) and hasattr(signal, "cache_dir"):
        return dataclasses.replace(signal, cache_dir=str(folder))  # type: ignore[type-var]
    return signal


def hunt_parts(scene: Scene) -> None:
    """Steps 1 to 3: every part alone."""
    hunt, log, parts, bars = scene.hunt, scene.log, scene.parts, scene.bars
    with scene.progress.stage("universe", 1) as stage:
        hunt_universe(log, parts.source, parts.cut, bars, hunt.cuts // 2 or 1, hunt.seed)
        stage.advance()
    source = getattr(parts.signal, "features", None)
    if source is None:
        log.note("feature: the signal reads no features of the pipeline")
        return
    with scene.progress.stage("features", 1) as stage:
        features = source.transform(bars)
        hunt_features(log, source, bars, features, hunt.cuts, hunt.seed)
        stage.advance()
    if isinstance(parts.signal, WalkingLearner):
        with scene.progress.stage("labels, splits and members", 1) as stage:
            _hunt_learner(scene, parts.signal, features)
            stage.advance()


def _hunt_learner(scene: Scene, learner: WalkingLearner, features: Any) -> None:
    hunt, log, bars = scene.hunt, scene.log, scene.bars
    atr = average_true_range(bars, features)
    labels = hunt_labels(log, learner.labels, bars, atr, hunt.cuts, hunt.seed)
    dataset = build_dataset(bars, features, labels, learner.labels.horizon)
    folds: tuple[Fold, ...] = tuple(learner.splits.split(dataset))
    first = folds[0].test[0]
    # What decided where a test begins may lie right behind it, and look the same in a mirror.
    futures = [(row, another_future(bars, row, hunt.seed)) for row in (first, *cuts(bars, first, bars.n_bars, 2))]
    futures += [(fold.test[0], broken_future(bars, fold.test[0], hunt.seed)) for fold in folds]
    others = [(row, _dataset(learner, future)) for row, future in futures]
    hunt_splits(log, learner.splits, dataset, others)
    if log.found():
        log.note("members and learner: not looked at, because a stage before them leaks")
        return
    hunt_members(log, learner.members, folds[0], dataset, others[0][1])


def _dataset(learner: WalkingLearner, bars: Bars) -> Dataset:
    features = learner.features.transform(bars)
    labels = learner.labels.label(bars, average_true_range(bars, features))
    return build_dataset(bars, features, labels, learner.labels.horizon)


def hunt_learning(scene: Scene, study: Study) -> None:
    """Step 4 for a learner, and for a plain source that is asked again."""
    hunt, log, bars = scene.hunt, scene.log, scene.bars
    if not isinstance(scene.parts.signal, Learner):
        rows = cuts(bars, study.first_row + 1, bars.n_bars, hunt.cuts)
        hunt_plain(log, scene.parts.signal, bars, study.signal, rows, hunt.seed)
        return
    if log.found():
        return
    if isinstance(scene.parts.signal, WalkingLearner):
        hunt_ensembles(log, scene.parts.signal.labels, bars, study, hunt.seed)
    if log.found():
        return
    with scene.progress.stage("the learner under other futures", 1) as stage:
        hunt_studies(log, scene.learn, bars, study, tested_rows(study), hunt.seed, learned=True)
        stage.advance()


def tested_rows(study: Study) -> list[int]:
    """Two tested rows: early, where most of the tests lies ahead, and in the middle of the last test window."""
    tested = study.last_row - study.first_row
    last = study.last_test if study.first_row < study.last_test < study.last_row else study.first_row
    early = study.first_row + max(tested // 12, 2)
    return sorted({early, last + (study.last_row - last) // 2 + 1})


def hunt_choice(scene: Scene, study: Study) -> tuple[Study, Any]:
    """The searches over tested bars: none may see the test window that it chooses for, nor anything after it."""
    parts, bars = scene.parts, scene.bars
    if parts.thresholds is None:
        return study, parts.make_strategy(signal=study.source)
    with _private(scene, parts.thresholds) as thresholds:
        chosen, strategy = thresholds.choose(study, bars, SilentProgress())
    searches = chosen.tuning[len(study.tuning) :]
    for count, (border, _) in enumerate(study.windows[1:], start=1):
        signal, future = other_opinions(study.signal, border), another_future(bars, border, scene.hunt.seed)
        # The windows up to this one: what is searched for later ones may well change.
        other = dataclasses.replace(study, signal=signal, windows=study.windows[: count + 1])
        with _private(scene, parts.thresholds) as thresholds:
            again = thresholds.search(other, future, SilentProgress())
        found = list(_other_choices(searches[:count], again, border))
        tried = sum(len(stage.trials) for stage in again)
        scene.log.check("tuning", f"searches over tested bars, other bars from row {border} on", tried, found[:1])
    return chosen, strategy


def _other_choices(searches: Sequence[TuningStage], again: Sequence[TuningStage], border: int) -> Iterator[Finding]:
    for before, after in zip(searches, again, strict=True):
        if repr(before.trials) != repr(after.trials) or before.best != after.best:
            names = [name for name in before.chosen if before.chosen[name] != after.chosen.get(name)] or ["trials"]
            said = f"the search changed when the bars from row {border} on, where its test window begins, were replaced"
            yield Finding("tuning", ", ".join(names), f"search {before.name}", said)


@contextmanager
def _private(scene: Scene, thresholds: ThresholdSearch) -> Iterator[ThresholdSearch]:
    """The same searches with a cache of their own."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        yield thresholds.with_cache(Path(folder))


def hunt_account(scene: Scene, study: Study, strategy: Any) -> None:
    """Steps 5 and the late signal of 6."""
    rows = slice(study.first_row, study.last_row)
    account = Account(
        scene.parts.engine,
        scene.bars.rows(rows.start, rows.stop),
        study.signal.rows(rows.start, rows.stop),
        strategy,
    )
    with scene.progress.stage("fills", 1) as stage:
        simulation = hunt_fills(scene.log, account, scene.hunt.fills, scene.hunt.seed)
        if not scene.log.found():
            hunt_fills(scene.log, dataclasses.replace(account, limits_on=True), scene.hunt.fills, scene.hunt.seed)
        measure_delay(scene.log, account, simulation)
        stage.advance()


def hunt_shuffled(scene: Scene) -> None:
    """Learn on shuffled labels."""
    learner = scene.learner()
    wanted = scene.hunt.shuffle and isinstance(learner, WalkingLearner) and dataclasses.is_dataclass(learner)
    if not wanted or scene.log.found():
        return
    given: dict[str, Any] = {"labels": ShuffledLabels(learner.labels, scene.hunt.seed)}
    if hasattr(learner, "tuning"):
        given["tuning"] = None
    blind = dataclasses.replace(learner, **given)
    with scene.progress.stage("shuffled labels", 1) as stage:
        judge_shuffled(scene.log, blind.study(scene.bars, SilentProgress()), scene.hunt.shuffle_errors)
        stage.advance()
