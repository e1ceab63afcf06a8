"""Checks of members: training ends where the fold's test begins, and a forecast reads no later row.

Every member is fitted on the first fold, whose future is the longest, once as it is and once with another market
from the first test row on. The masks are the same in both, and so must be the forecasts of the rows before.
Where they are not, parts of the dataset are exchanged one at a time, and the fitted objects are compared:

- the features matter and the labels do not, and numbers that the fitted member carries differ: a **scaler**;
- labels or their weights matter, and such numbers differ, but not the model that was trained: a **calibrator**;
- the trained model itself differs: **weights** of the training rows, if features, weights or mere class counts
  matter; **split**, if it matters which row has which label.

A third fit has other labels on the calibration rows alone: no row may serve two purposes (**split**).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.audit.differences import differs
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray, Float32Array
from quantlab.core.ports import FittedModel, Model
from quantlab.core.types import NO_LABEL, Dataset, Features
from quantlab.learning.ensemble.members import predict_rows
from quantlab.learning.parallel.progress import fit_member, no_progress
from quantlab.learning.samples.splits import Fold, part

#: Modules whose objects are trained models or parts of them: not looked into.
_LIBRARIES = ("quantlab.", "lightgbm", "xgboost", "torch")


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
    carried = bool(carried_differences(first, second))
    if kind == "features":
        if not carried:
            return "weights"
        # What was fitted on forecasts of the future follows its features too; a scaler never asks for a label.
        labelled = trial.fitted(_with_labels(trial.dataset, trial.other))
        return "calibrator" if carried_differences(first, labelled) else "scaler"
    if carried and not _trained_otherwise(trial, first, second):
        return "calibrator"
    if kind == "weights":
        return "weights"
    shuffled = trial.fitted(_shuffled_future(trial))
    return "split" if differs(forecasts, trial.forecast(shuffled)).any() else "weights"


def _trained_otherwise(trial: MemberTrial, first: FittedModel, second: FittedModel) -> bool:
    """Return whether quantlab's own models inside make other forecasts."""
    pairs = zip(_models(first), _models(second), strict=False)
    return any(differs(trial.forecast(a), trial.forecast(b)).any() for a, b in pairs)


def _models(value: Any) -> Iterator[FittedModel]:
    if _is_library_object(value):
        if hasattr(value, "predict_proba"):
            yield value
    elif hasattr(value, "__dict__"):
        for inner in vars(value).values():
            yield from _models(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _models(inner)


def _is_library_object(value: Any) -> bool:
    return type(value).__module__.startswith(_LIBRARIES)


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


def carried_differences(first: Any, second: Any) -> dict[str, BoolArray]:
    """Numbers that two fitted members carry beside the house's own models, where they differ.

    Scalers, calibrators and priors are such numbers; a booster or a net is not: it is not looked into.
    """
    theirs = dict(_numbers(second, ""))
    found = {}
    for path, value in _numbers(first, ""):
        if path in theirs and (different := differs(value, theirs[path])).any():
            found[path] = different
    return found


def _numbers(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray | np.number | float | int) and not isinstance(value, bool):
        yield path, np.asarray(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, tuple | list):
        for i, inner in enumerate(value):
            yield from _numbers(inner, f"{path}[{i}]")
    elif hasattr(value, "__dict__") and not _is_library_object(value):
        yield from _numbers(vars(value), path)


def _feature_names(trial: MemberTrial, carried: Mapping[str, BoolArray]) -> str:
    names = trial.dataset.features.names
    for different in carried.values():
        if different.ndim and different.shape[-1] == len(names):
            changed = np.flatnonzero(different.reshape(-1, len(names)).any(axis=0))
            shown = ", ".join(names[int(i)] for i in changed[:3])
            return shown + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return ""
