"""Checks of members: training ends where the fold's test begins, and a forecast reads no later row.

Every member is fitted on the first fold, whose future is the longest, once as it is and once with another market
from the first test row on. The masks are the same in both, and so must be the forecasts of the rows before.
Where they are not, parts of the dataset are exchanged one at a time, and the fitted objects are compared:

- the features matter and the labels do not, and numbers that the fitted member carries differ: a **scaler**;
- labels or their weights matter, and such numbers differ, or all forecasts rank as before, but not the model that was
  trained: a **calibrator**;
- the trained model itself differs: **weights** of the training rows, if features, weights or mere class counts
  matter; **split**, if it matters which row has which label.

A third fit has other labels on the calibration rows alone: no row may serve two purposes (**split**).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from quantlab.audit.carried import carried_differences, is_recalibrated, trained_models
from quantlab.audit.differences import differs
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray, Float32Array
from quantlab.core.ports import FittedModel, Model
from quantlab.core.types import NO_LABEL, Dataset, Features
from quantlab.learning.ensemble.members import predict_rows
from quantlab.learning.parallel.progress import fit_member, no_progress
from quantlab.learning.samples.splits import Fold, part


@dataclass(frozen=True)
class MemberTrial:
    """A member on a fold, and two datasets that differ from the fold's first test row on.

    Parameters
    ----------
    name : str
    model : Model
    fold : Fold
    dataset, other : Dataset, (T, S)
    """

    name: str
    model: Model
    fold: Fold
    dataset: Dataset
    other: Dataset

    def fitted(self, dataset: Dataset) -> FittedModel:
        """Fitted on the fold's parts of `dataset`."""
        fit_on, stop_on = part(dataset, self.fold, "fit"), part(dataset, self.fold, "early_stopping")
        return fit_member(self.model, fit_on, stop_on, no_progress)

    def forecast(self, model: FittedModel, features: Features | None = None) -> Float32Array:
        """Forecasts of the calibration and test rows."""
        rows = self.fold.calibration[0], self.fold.test[1]
        return predict_rows(self.name, model, features or self.dataset.features, *rows)


def check_members(log: AuditLog, members: Mapping[str, Model], fold: Fold, dataset: Dataset, other: Dataset) -> None:
    """Compare every member's fit and forecasts under two futures.

    Parameters
    ----------
    members : dict of name to Model
    fold : Fold
        The first.
    dataset, other : Dataset, (T, S)
        The same before ``fold.test[0]``.
    """
    for name, model in members.items():
        trial = MemberTrial(name, model, fold, dataset, other)
        first = trial.fitted(dataset)
        forecasts = trial.forecast(first)
        changed = differs(forecasts, trial.forecast(trial.fitted(other))).any()
        log.check(
            "scaler",
            f"fit of {name} under another future",
            forecasts.size,
            _fit_findings(trial, first) if changed else [],
        )
        log.check(
            "scaler",
            f"forecasts of {name} before other rows",
            forecasts.size,
            _forecast_findings(trial, first, forecasts),
        )
        if not changed:
            log.check(
                "split",
                f"fit of {name} beside the calibration rows",
                forecasts.size,
                _calibration_findings(trial, forecasts),
            )


def _calibration_findings(trial: MemberTrial, forecasts: Float32Array) -> list[LeakFinding]:
    """Refit with other labels on the calibration rows: a member that has seen them is flattered there."""
    rows = part(trial.dataset, trial.fold, "calibration").mask
    label = trial.dataset.label.copy()
    label[rows] = (label[rows] + 1) % 3
    again = trial.forecast(trial.fitted(dataclasses.replace(trial.dataset, label=label)))
    if not differs(forecasts, again).any():
        return []
    return [
        LeakFinding(
            "split", "calibration", _member_label(trial), "its fit changed when labels of the calibration rows did"
        )
    ]


def _forecast_findings(trial: MemberTrial, model: FittedModel, forecasts: Float32Array) -> list[LeakFinding]:
    """Ask a member that was fitted once for rows whose successors are others."""
    known = trial.fold.test[0] - trial.fold.calibration[0]
    if not differs(forecasts[:known], trial.forecast(model, trial.other.features)[:known]).any():
        return []
    evidence = "forecasts before the first test row changed when features after it did, without another fit"
    return [LeakFinding("scaler", ", ".join(_columns(trial, model, forecasts[:known])), _member_label(trial), evidence)]


def _columns(trial: MemberTrial, model: FittedModel, forecasts: Float32Array) -> list[str]:
    values, names = trial.dataset.features.values, trial.dataset.features.names
    for column, name in enumerate(names):
        mixed = values.copy()
        mixed[:, :, column] = trial.other.features.values[:, :, column]
        if differs(
            forecasts,
            trial.forecast(model, dataclasses.replace(trial.dataset.features, values=mixed))[: len(forecasts)],
        ).any():
            return [name]
    return ["several features"]


def _member_label(trial: MemberTrial) -> str:
    return f"member {trial.name}, fold {trial.fold.index}, test from row {trial.fold.test[0]} on"


def _fit_findings(trial: MemberTrial, first: FittedModel) -> list[LeakFinding]:
    """Name the part of the future that a fit read, and the stage that read it."""
    forecasts = trial.forecast(first)
    for kind, mix in _MIXES.items():
        second = trial.fitted(mix(trial.dataset, trial.other))
        if differs(forecasts, trial.forecast(second)).any():
            carried = carried_differences(first, second)
            stage = _stage(trial, kind, forecasts, first, second)
            column = _feature_names(trial, carried) if stage == "scaler" else ""
            evidence = f"its fit changed when {kind} after the first test row were another market's"
            also = f"; it carries other {', '.join(sorted(carried)[:4])}" if carried else ""
            return [
                LeakFinding(
                    stage, column or ", ".join(sorted(carried)[:4]) or kind, _member_label(trial), evidence + also
                )
            ]
    evidence = "its fit changed with the market after the first test row, but with no part of it alone"
    return [LeakFinding("scaler", "several", _member_label(trial), evidence)]


def _stage(trial: MemberTrial, kind: str, forecasts: Float32Array, first: FittedModel, second: FittedModel) -> str:
    again = trial.forecast(second)
    if kind == "features":
        if not _is_beside(first, second, forecasts, again):
            return "weights"
        # What was fitted on forecasts of the future follows its features too; a scaler never asks for a label.
        second = trial.fitted(_with_labels(trial.dataset, trial.other))
        again = trial.forecast(second)
        if not (carried_differences(first, second) or differs(forecasts, again).any()):
            return "scaler"
    if _is_beside(first, second, forecasts, again) and not _trained_otherwise(trial, first, second, forecasts, again):
        return "calibrator"
    if kind == "weights":
        return "weights"
    shuffled = trial.fitted(_shuffled_future(trial))
    return "split" if differs(forecasts, trial.forecast(shuffled)).any() else "weights"


def _is_beside(first: FittedModel, second: FittedModel, before: Float32Array, after: Float32Array) -> bool:
    """Return whether numbers beside the trained model differ, seen in the member or in its forecasts."""
    return bool(carried_differences(first, second)) or is_recalibrated(before, after, few=False)


def _trained_otherwise(
    trial: MemberTrial, first: FittedModel, second: FittedModel, before: Float32Array, after: Float32Array
) -> bool:
    """Return whether quantlab's own models inside make other forecasts; without any, whether rows rank otherwise."""
    pairs = list(zip(trained_models(first), trained_models(second), strict=False))
    if pairs:
        return any(differs(trial.forecast(a), trial.forecast(b)).any() for a, b in pairs)
    return not is_recalibrated(before, after, few=True)


def _shuffled_future(trial: MemberTrial) -> Dataset:
    """The labels that lie in the future, in another order: nothing changes for who only counts them."""
    label = trial.dataset.label.copy()
    coming = _future_labels(trial)
    label[coming] = np.random.default_rng(0).permutation(label[coming])
    return dataclasses.replace(trial.dataset, label=label)


def _future_labels(trial: MemberTrial) -> BoolArray:
    dataset = trial.dataset
    opens = dataset.open_time_ms[trial.fold.test[0]]
    coming: BoolArray = dataset.mask & (dataset.label != NO_LABEL) & (dataset.known_at_ms > opens)
    return coming


def _with_features(dataset: Dataset, other: Dataset) -> Dataset:
    return dataclasses.replace(dataset, features=other.features, mask=dataset.mask & other.features.ready)


def _with_labels(dataset: Dataset, other: Dataset) -> Dataset:
    mask = dataset.features.ready & (other.label != NO_LABEL)
    return dataclasses.replace(
        dataset, label=other.label, known_at_ms=other.known_at_ms, forward_returns=other.forward_returns, mask=mask
    )


def _with_weights(dataset: Dataset, other: Dataset) -> Dataset:
    return dataclasses.replace(dataset, weight=other.weight)


_MIXES: dict[str, Callable[[Dataset, Dataset], Dataset]] = {
    "weights": _with_weights,
    "features": _with_features,
    "labels": _with_labels,
}


def _feature_names(trial: MemberTrial, carried: Mapping[str, BoolArray]) -> str:
    names = trial.dataset.features.names
    for different in carried.values():
        if different.ndim and different.shape[-1] == len(names):
            changed = np.flatnonzero(different.reshape(-1, len(names)).any(axis=0))
            shown = ", ".join(names[int(i)] for i in changed[:3])
            return shown + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return ""
