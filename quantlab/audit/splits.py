"""Splits: parts in time order, disjoint, purged by the time at which labels became known; tests tile the future."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray
from quantlab.core.clock import iso_utc
from quantlab.core.types import Dataset
from quantlab.learning.samples.splits import Fold, Part, part

#: Parts that something is fitted on, in time order.
FITTED_ON: tuple[Part, ...] = ("fit", "early_stopping", "calibration")


def check_splits(
    log: AuditLog, splitter: Any, dataset: Dataset, others: Sequence[tuple[int, Dataset]]
) -> tuple[Fold, ...]:
    """Check every fold's borders, and that folds do not depend on what comes after them.

    Parameters
    ----------
    log : Log
    splitter : Splitter
    dataset : Dataset, (T, S)
    others : sequence of (row, Dataset)
        The same before `row`, and another future from it on.
    """
    folds = tuple(cast("Sequence[Fold]", splitter.split(dataset)))
    found, rows = [], 0
    for fold in folds:
        found += _border_findings(dataset, fold)
        rows += sum(int(part(dataset, fold, name).mask.sum()) for name in FITTED_ON)
    log.check("split", "fitted rows are disjoint, in order and known before the next part", rows, found)
    gaps = [
        LeakFinding(
            "split", "test", f"folds {a.index} and {b.index}", f"tests {a.test} and {b.test} do not tile the future"
        )
        for a, b in pairwise(folds)
        if a.test[1] != b.test[0]
    ]
    log.check("split", "test windows tile the future", len(folds), gaps)
    log.check("split", "folds under another future", len(others) * len(folds), _moved_folds(splitter, folds, others))
    return folds


def _border_findings(dataset: Dataset, fold: Fold) -> list[LeakFinding]:
    """Every part's used rows against the first row of each part after it."""
    used = {name: part(dataset, fold, name).mask for name in FITTED_ON}
    begins = {name: _first(used[name], getattr(fold, name)) for name in FITTED_ON} | {"test": fold.test[0]}
    order = (*FITTED_ON, "test")
    for i, name in enumerate(FITTED_ON):
        for later in order[:0:-1]:
            if order.index(later) > i and (
                found := _border_finding(dataset, fold, name, used[name], later, begins[later])
            ):
                return [found]
    return []


def _first(mask: BoolArray, rows: tuple[int, int]) -> int:
    used = np.flatnonzero(mask.any(axis=1))
    return int(used[0]) if len(used) else rows[0]


def _border_finding(
    dataset: Dataset, fold: Fold, name: str, used: BoolArray, later: str, begins: int
) -> LeakFinding | None:
    where = f"fold {fold.index}, {name} against {later}"
    after = used[begins:]
    if after.any():
        evidence = f"{int(after.sum())} rows of {name} lie at or after row {begins}, where {later} begins"
        return LeakFinding("split", name, where, evidence)
    opens = int(dataset.open_time_ms[min(begins, len(used) - 1)])
    unknown = used & (dataset.known_at_ms > opens)
    if unknown.any():
        evidence = f"{int(unknown.sum())} labels of {name} became known after {iso_utc(opens)}, when {later} begins"
        return LeakFinding("split", name, where, evidence)
    return None


def _moved_folds(splitter: Any, folds: tuple[Fold, ...], others: Sequence[tuple[int, Dataset]]) -> list[LeakFinding]:
    for row, dataset in others:
        moved = tuple(splitter.split(dataset))
        begun_folds = sum(fold.test[0] <= row for fold in folds)
        if sum(fold.test[0] <= row for fold in moved) != begun_folds:
            evidence = (
                f"another number of tests than {begun_folds} had begun when the bars from row {row} on were replaced"
            )
            return [LeakFinding("split", "test", f"row {row}", evidence)]
        for before, after in zip(folds, moved, strict=False):
            begun = before.test[0] <= row
            trained = (before.fit, before.early_stopping, before.calibration, before.test[0], before.every_k)
            again = (after.fit, after.early_stopping, after.calibration, after.test[0], after.every_k)
            if begun and trained != again:
                evidence = f"{trained} became {again} when the bars from row {row} on were replaced"
                return [LeakFinding("split", "fit", f"fold {before.index}", evidence)]
    return []
