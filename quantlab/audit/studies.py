"""The learner as a whole: its signal on tested rows may not change with the rows after them.

Everything is learned anew in a folder of its own, so that no cached forecast can hide a leak. Parts of the learner
have been cleared before (features, labels, splits, members); what still changes is traced in this order:

1. where its tests begin, or end before the other future does: **split**;
   its record of tuning, or an ensemble's rules and thresholds: **tuning**;
2. a member's forecasts, although the same member fitted alone does not change: another one was chosen: **tuning**;
3. weights of the members: **weights**; the temperature: **calibrator**;
4. the signal, although every vote is the same: probabilities: **calibrator**; sides: **tuning** (a threshold);
   confidence, targets and distances, which only say how much: **sizing**; ATR: **feature**.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from quantlab.audit.counterfactuals import another_future, delisted, shuffled_future
from quantlab.audit.differences import cell_label, differs, first_difference
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.results import Study
from quantlab.core.types import Signal

#: Field of a signal -> the stage that it belongs to, in the order in which one causes the next.
FIELDS = {
    "proba": "calibrator",
    "live_members": "calibrator",
    "atr": "feature",
    "side": "tuning",
    "confidence": "sizing",
    "consensus": "sizing",
    "target": "sizing",
    "stop_distance": "sizing",
    "take_distance": "sizing",
    "trail_distance": "sizing",
    "break_even_distance": "sizing",
    "gain_bps": "sizing",
}


def half_delisted_future(bars: Bars, row: int, seed: int) -> Bars:
    """A mirrored market of which half of the symbols stop printing at `row`."""
    return delisted(another_future(bars, row, seed), row, seed)


#: What a choice must not see: first a market in which nothing leads to anything, then a mirrored one in which half of
#: the symbols die.
_FUTURES = (shuffled_future, half_delisted_future)


@dataclass(frozen=True)
class OtherStudy:
    """A study under another future.

    Parameters
    ----------
    row : int
        First replaced row.
    study : Study
    """

    row: int
    study: Study


def check_studies(
    log: AuditLog,
    learn: Callable[[Bars], Study],
    bars: Bars,
    study: Study,
    rows: list[int],
    seed: int,
    *,
    learned: bool,
) -> None:
    """Learn again under another future from each of `rows` on, and compare the signals before it.

    Parameters
    ----------
    learn : callable
        Bars to a study, with nothing cached from elsewhere.
    bars : Bars, (T, S)
    study : Study
        Of `bars`.
    rows : list of int
        Tested rows at which another future begins.
    learned : bool
        False for a plain source: its signal is one computed column.
    """
    for row, future in zip(rows, cycle(_FUTURES), strict=False):
        other = OtherStudy(row, _learn_again(log, learn, future, bars, row, seed))
        found = list(_differences(bars, study, other, learned))[:1]
        stage = found[0].stage if found else "calibrator"
        log.check(stage, f"signal before row {row} under another future", row - study.first_row, found)
        if found:
            return


def _learn_again(
    log: AuditLog, learn: Callable[[Bars], Study], future: Callable[..., Bars], bars: Bars, row: int, seed: int
) -> Study:
    """A learner may refuse a market of which too few symbols are left; it does not refuse a mirrored one."""
    try:
        return learn(future(bars, row, seed))
    except QuantlabError as error:
        if future is not half_delisted_future:
            raise
        log.note(f"learner: refused where half of the symbols die from row {row} on ({type(error).__name__}: {error})")
        return learn(another_future(bars, row, seed))


def _differences(bars: Bars, study: Study, other: OtherStudy, learned: bool) -> Iterator[LeakFinding]:
    change_text = f"the bars from row {other.row} on were replaced"
    yield from _period_differences(bars, study, other, change_text)
    yield from _tuning_differences(study, other, change_text)
    yield from _vote_differences(bars, study, other, change_text)
    yield from signal_differences(bars, study.signal, other.study.signal, study.first_row, other.row, learned=learned)


def _period_differences(bars: Bars, study: Study, other: OtherStudy, change_text: str) -> Iterator[LeakFinding]:
    """The account begins where the tests do, and ends with them: nobody may choose that by what came later."""
    for name in ("first_row", "last_row"):
        before, after = getattr(study, name), getattr(other.study, name)
        if before != after and min(before, after) < other.row:
            yield LeakFinding(
                "split", name, cell_label(bars, min(before, after)), f"{before} became {after} when {change_text}"
            )


def _tuning_differences(study: Study, other: OtherStudy, change_text: str) -> Iterator[LeakFinding]:
    for before, after in zip(study.tuning, other.study.tuning, strict=False):
        if before.chosen != after.chosen:
            names = sorted(name for name in before.chosen if before.chosen[name] != after.chosen.get(name))
            yield LeakFinding(
                "tuning", ", ".join(names), f"search {before.name}", f"other values were chosen when {change_text}"
            )
        elif repr(before.trials) != repr(after.trials):
            yield LeakFinding(
                "tuning", "trials", f"search {before.name}", f"its trials had other losses when {change_text}"
            )


def _vote_differences(bars: Bars, study: Study, other: OtherStudy, change_text: str) -> Iterator[LeakFinding]:
    """Fold by fold, where the learner kept its votes."""
    pairs = [(a, b) for a, b in zip(study.votes, other.study.votes, strict=False) if hasattr(a, "ensemble")]
    for before, after in pairs:
        fold = before.fold
        if fold.test[0] > other.row:
            continue
        where = f"fold {fold.index}"
        if before.ensemble.rules != after.ensemble.rules:
            yield LeakFinding(
                "tuning",
                _changed_fields(before.ensemble.rules, after.ensemble.rules),
                where,
                f"other thresholds when {change_text}",
            )
        known = other.row - fold.calibration[0]
        for name, a, b in zip(before.ensemble.names, before.forecasts, after.forecasts, strict=True):
            if (different := differs(a[:known], b[:known])).any():
                at = first_difference(bars, different, fold.calibration[0])
                evidence = (
                    f"a member of this name made other forecasts when {change_text}, though fitted alone it does not"
                )
                yield LeakFinding("tuning", name, f"{where}, {at}", evidence)
        if before.ensemble.weights != after.ensemble.weights:
            yield LeakFinding(
                "weights",
                "ensemble.weights",
                where,
                f"{before.ensemble.weights} became {after.ensemble.weights} when {change_text}",
            )
        if before.ensemble.temperature != after.ensemble.temperature:
            yield LeakFinding("calibrator", "ensemble.temperature", where, f"it changed when {change_text}")


def _changed_fields(before: Any, after: Any) -> str:
    names = [field.name for field in dataclasses.fields(before)]
    return ", ".join(name for name in names if getattr(before, name) != getattr(after, name, None))


def signal_differences(
    bars: Bars, before: Signal, after: Signal, start: int, row: int, *, learned: bool, first_row: int = 0
) -> Iterator[LeakFinding]:
    """Fields of two signals that differ in the rows ``start:row``, counted from `first_row` of `bars`."""
    for name, stage in FIELDS.items():
        a, b = getattr(before, name), getattr(after, name)
        different: BoolArray = differs(None if a is None else a[start:row], None if b is None else b[start:row])
        if different.any():
            where = (
                first_difference(bars, different, first_row + start)
                if different.ndim > 1
                else cell_label(bars, first_row + row - 1)
            )
            of = "feature" if not learned and stage in ("calibrator", "tuning") else stage
            evidence = f"{int(np.count_nonzero(different))} values before row {first_row + row} changed when the bars from there on were replaced"
            yield LeakFinding(of, f"signal.{name}", where, evidence)
