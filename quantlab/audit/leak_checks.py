"""The leak checks in their order: every stage of a composed pipeline under other futures.

1. ``universe``: the source's history, asked for earlier and under other futures;
2. ``feature``, ``label``, ``weights``, ``split``: each stage alone, on what the stage before it made of the real bars;
3. ``scaler``, ``calibrator``, ``weights``, ``split``: every member alone, fitted under two futures;
4. ``tuning``, ``weights``, ``calibrator``, ``sizing``: the learner as a whole, and the searches over tested bars;
5. ``fill``, ``sizing``: the account, bar by bar;
6. ``sizing``: policy, sizer, limits and costs, made anew in other markets;
7. chance: labels that were shuffled, an AUC that cannot be, a signal that comes one bar late.

A stage is compared under *its own* inputs of the real past, so that it answers for itself and not for the stages
before it. Where something was found before, the learner as a whole is not learned again: it would only repeat it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantlab.audit.chance_checks import ShuffledLabels, check_shuffled_auc, measure_delayed_signal
from quantlab.audit.context import AuditContext
from quantlab.audit.counterfactuals import another_future, another_signal, shuffled_future
from quantlab.audit.decisions import Decider, check_decisions
from quantlab.audit.draws import cuts, drawn_rows, many_cuts
from quantlab.audit.ensembles import check_ensembles
from quantlab.audit.features import check_features
from quantlab.audit.fills import AuditedAccount, check_fills
from quantlab.audit.findings import LeakFinding
from quantlab.audit.labels import check_labels
from quantlab.audit.many_cuts import (
    ManyCuts,
    check_feature_cuts,
    check_fill_cuts,
    check_label_cuts,
    check_signal_cuts,
)
from quantlab.audit.members import check_members
from quantlab.audit.plain_signals import check_plain_signal
from quantlab.audit.splits import check_splits
from quantlab.audit.studies import check_studies
from quantlab.audit.universe import check_universe
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import Learner, ThresholdSearch, WalkForwardLearner
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Simulation, Study, TuningStage
from quantlab.core.types import Dataset
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold


def check_parts(context: AuditContext) -> None:
    """Steps 1 to 3: every part alone."""
    depth, log, parts, bars = context.depth, context.log, context.parts, context.bars
    with context.progress.stage("universe", 1) as stage:
        check_universe(log, parts.source, parts.cut, bars, depth.cuts // 2 or 1, depth.seed)
        stage.advance()
    source = getattr(parts.signal, "features", None)
    if source is None:
        log.note("feature: the signal reads no features of the pipeline")
        return
    with context.progress.stage("features", 1) as stage:
        features = source.transform(bars)
        check_features(log, source, bars, features, depth.cuts, depth.seed)
        check_feature_cuts(log, source, bars, many_cuts_of(context))
        stage.advance()
    if isinstance(parts.signal, WalkForwardLearner):
        with context.progress.stage("labels, splits and members", 1) as stage:
            _check_learner_parts(context, parts.signal, features)
            stage.advance()


def _check_learner_parts(context: AuditContext, learner: WalkForwardLearner, features: Any) -> None:
    depth, log, bars = context.depth, context.log, context.bars
    atr = average_true_range(bars, features)
    labels = check_labels(log, learner.labels, bars, atr, depth.cuts, depth.seed)
    check_label_cuts(log, learner.labels, bars, atr, many_cuts_of(context))
    dataset = build_dataset(bars, features, labels, learner.labels.horizon)
    folds: tuple[Fold, ...] = tuple(learner.splits.split(dataset))
    first = folds[0].test[0]
    # What decided where a test begins may lie right behind it, and look the same in a mirror.
    futures = [
        (row, another_future(bars, row, depth.seed)) for row in (first, *cuts(bars, first, bars.n_bars, 2, depth.seed))
    ]
    futures += [(fold.test[0], shuffled_future(bars, fold.test[0], depth.seed)) for fold in folds]
    others = [(row, _dataset(learner, future)) for row, future in futures]
    check_splits(log, learner.splits, dataset, others)
    if log.found():
        log.note("members and learner: not looked at, because a stage before them leaks")
        return
    check_members(log, learner.members, folds[0], dataset, others[0][1])


def _dataset(learner: WalkForwardLearner, bars: Bars) -> Dataset:
    features = learner.features.transform(bars)
    labels = learner.labels.label(bars, average_true_range(bars, features))
    return build_dataset(bars, features, labels, learner.labels.horizon)


def check_learning(context: AuditContext, study: Study) -> None:
    """Step 4 for a learner, and for a plain source that is asked again."""
    depth, log, bars = context.depth, context.log, context.bars
    if not isinstance(context.parts.signal, Learner):
        with context.progress.stage("the signal under other futures", 1) as stage:
            rows = cuts(bars, study.first_row + 1, bars.n_bars, depth.cuts, depth.seed)
            check_plain_signal(log, context.parts.signal, bars, study.signal, rows, depth.seed)
            check_signal_cuts(log, context.parts.signal, bars, study.signal, many_cuts_of(context))
            stage.advance()
        return
    if log.found():
        return
    if isinstance(context.parts.signal, WalkForwardLearner):
        check_ensembles(log, context.parts.signal.labels, bars, study, depth.seed)
    if log.found():
        return
    with context.progress.stage("the learner under other futures", 1) as stage:
        rows = tested_rows(study, depth.learner, depth.seed)
        check_studies(log, context.learn, bars, study, rows, depth.seed, learned=True)
        log.power("signal", "learner", len(rows) - 1)
        stage.advance()


def tested_rows(study: Study, count: int, seed: int) -> list[int]:
    """Tested rows: one right at their beginning, where nearly all tests lie ahead, and drawn ones: early, and in the last window."""
    tested = study.last_row - study.first_row
    last = study.last_test if study.first_row < study.last_test < study.last_row else study.first_row
    early, middle = study.first_row + max(tested // 12, 2), last + (study.last_row - last) // 3 + 1
    first = drawn_rows(early + 1, early + 1 + max(tested // 6, count), count - 2, seed) if count > 2 else []
    return sorted({early, *first, *drawn_rows(middle, middle + max((study.last_row - last) // 3, 1), 1, seed)})


def many_cuts_of(context: AuditContext) -> ManyCuts:
    """The depth of looks at many cuts."""
    return ManyCuts(context.depth.many_cuts, context.depth.reach, context.depth.seed)


def check_threshold_search(context: AuditContext, study: Study) -> tuple[Study, Any]:
    """The searches over tested bars: none may see the test window that it chooses for, nor anything after it."""
    parts, bars = context.parts, context.bars
    if parts.thresholds is None:
        return study, parts.make_strategy(signal=study.source)
    with _with_temporary_cache(context, parts.thresholds) as thresholds:
        chosen, strategy = thresholds.choose(study, bars, SilentProgress())
    searches = chosen.tuning[len(study.tuning) :]
    for count, (border, _) in enumerate(study.windows[1:], start=1):
        signal, future = another_signal(study.signal, border), another_future(bars, border, context.depth.seed)
        # The windows up to this one: what is searched for later ones may well change.
        other = dataclasses.replace(study, signal=signal, windows=study.windows[: count + 1])
        with _with_temporary_cache(context, parts.thresholds) as thresholds:
            again = thresholds.search(other, future, SilentProgress())
        found = list(_other_choices(searches[:count], again, border))
        tried = sum(len(stage.trials) for stage in again)
        context.log.check("tuning", f"searches over tested bars, other bars from row {border} on", tried, found[:1])
    return chosen, strategy


def _other_choices(searches: Sequence[TuningStage], again: Sequence[TuningStage], border: int) -> Iterator[LeakFinding]:
    for before, after in zip(searches, again, strict=True):
        if repr(before.trials) != repr(after.trials) or before.best != after.best:
            names = [name for name in before.chosen if before.chosen[name] != after.chosen.get(name)] or ["trials"]
            evidence = (
                f"the search changed when the bars from row {border} on, where its test window begins, were replaced"
            )
            yield LeakFinding("tuning", ", ".join(names), f"search {before.name}", evidence)


@contextmanager
def _with_temporary_cache(context: AuditContext, thresholds: ThresholdSearch) -> Iterator[ThresholdSearch]:
    """The same searches with a cache of their own."""
    with tempfile.TemporaryDirectory(dir=context.folder) as folder:
        yield thresholds.with_cache(Path(folder))


def check_account(context: AuditContext, study: Study, strategy: Any) -> tuple[AuditedAccount, Simulation]:
    """Steps 5 and 6, and the late signal of 7; the account without limits comes back."""
    rows = slice(study.first_row, study.last_row)
    account = AuditedAccount(
        context.parts.engine,
        context.bars.rows(rows.start, rows.stop),
        study.signal.rows(rows.start, rows.stop),
        strategy,
    )
    with context.progress.stage("fills", 1) as stage:
        simulation = check_fills(context.log, account, context.depth.fills, context.depth.seed)
        if not context.log.found():
            check_fill_cuts(context.log, account, simulation, many_cuts_of(context))
        if not context.log.found():
            check_fills(
                context.log, dataclasses.replace(account, limits_on=True), context.depth.fills, context.depth.seed
            )
        measure_delayed_signal(context.log, account, simulation)
        stage.advance()
    with context.progress.stage("decisions", 1) as stage:
        _check_decisions(context, study, account)
        stage.advance()
    return account, simulation


def _check_decisions(context: AuditContext, study: Study, account: AuditedAccount) -> None:
    parts, depth = context.parts, context.depth
    plain = None if isinstance(parts.signal, Learner) else parts.signal
    decider = Decider(parts.source, parts.rebuild, plain, context.bars, study.first_row)
    rows, drawn = many_cuts(context.bars, study.first_row + 1, study.last_row, depth.decisions, depth.seed)
    check_decisions(context.log, decider, account, rows, drawn, depth.seed)


def check_shuffled_labels(context: AuditContext) -> None:
    """Learn on shuffled labels."""
    learner = context.learner()
    wanted = context.depth.shuffle and isinstance(learner, WalkForwardLearner) and dataclasses.is_dataclass(learner)
    if not wanted or context.log.found():
        return
    given: dict[str, Any] = {"labels": ShuffledLabels(learner.labels, context.depth.seed)}
    if hasattr(learner, "tuning"):
        given["tuning"] = None
    blind = dataclasses.replace(learner, **given)
    with context.progress.stage("shuffled labels", 1) as stage:
        check_shuffled_auc(context.log, blind.study(context.bars, SilentProgress()), context.depth.shuffle_errors)
        stage.advance()
