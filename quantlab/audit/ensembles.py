"""The ensemble alone: its weights and temperature may not depend on labels that the first tested row cannot know.

A walk under another future begins some rows into the tests, and there the labels of the calibration rows are long
known. So every fold's ensemble is fitted once more, on the same forecasts and the same rows, with the labels of a
market that is another from the fold's first tested row on: nothing that was known then has changed, and so may no
number of the fit.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from quantlab.audit.counterfactuals import another_future
from quantlab.audit.differences import differs
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import Labeler
from quantlab.core.results import Study
from quantlab.learning.samples.splits import part


def check_ensembles(log: AuditLog, labeler: Labeler, bars: Bars, study: Study, seed: int) -> None:
    """Fit the ensemble of every fold again under another future of its labels.

    Parameters
    ----------
    log : Log
    labeler : Labeler
        Cleared before: its known labels stay.
    bars : Bars, (T, S)
    study : Study
        Of `bars`, with the learner's votes.
    seed : int
    """
    if not study.votes:
        return
    dataset, *votes = study.votes
    votes = [one for one in votes if hasattr(one, "ensemble") and hasattr(one, "forecasts")]
    atr = average_true_range(bars, dataset.features)
    found: list[LeakFinding] = []
    for one in votes:
        labels = labeler.label(another_future(bars, one.fold.test[0], seed), atr)
        found += _refitted(one, dataset, labels)
    log.check("calibrator", "every fold's ensemble under other labels of its tests", len(votes), found[:1])


def _refitted(one: Any, dataset: Any, labels: Any) -> list[LeakFinding]:
    start, stop = one.fold.calibration
    before = one.ensemble
    after = before.rules.fit(
        before.names,
        one.forecasts[:, : stop - start],
        labels.label[start:stop],
        labels.weight[start:stop],
        part(dataset, one.fold, "calibration").mask[start:stop],
    )
    where = f"fold {one.fold.index}, test from row {one.fold.test[0]} on"
    evidence = "it changed with labels that became known after the first tested row opened"
    return [
        LeakFinding("weights" if field.name == "weights" else "calibrator", f"ensemble.{field.name}", where, evidence)
        for field in dataclasses.fields(before)
        if field.name not in ("rules", "names")
        and differs(getattr(before, field.name), getattr(after, field.name)).any()
    ]
