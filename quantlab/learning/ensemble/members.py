"""Forecasts of any member: rows of probabilities that keep their promises."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.arrays import Float32Array, read_only
from quantlab.core.errors import ArtifactError, ContractError
from quantlab.core.ports import FittedModel, HasLookback, ProgressCallback, StridedModel
from quantlab.core.trust import Trust
from quantlab.core.types import Features
from quantlab.learning.ensemble.pooling import has_forecast

#: How far the three probabilities of a row may be from summing to 1.
SUM_TOLERANCE = 1e-5

#: Package of the models whose fitted classes an artifact may name.
_MODELS = "quantlab.learning.models"

#: Cells (bars times symbols) that a member forecasts between two reports of its progress.
_CELLS_AT_ONCE = 65_536


def lookback(model: FittedModel) -> int:
    """Rows of features that `model` needs for one row of probabilities: 1 unless it says otherwise."""
    return model.lookback if isinstance(model, HasLookback) else 1


def predict_rows(
    name: str, model: FittedModel, features: Features, start: int, stop: int, stride: int = 1
) -> Float32Array:
    """float32 (stop - start, S, 3): a member's probabilities for rows ``start:stop``.

    The member sees exactly the rows that it needs: these, and its lookback before them. Where `stride` is
    above 1, only every stride-th row is promised, counted back from the last; others may be NaN.

    Raises
    ------
    ContractError
        If its output has another shape or dtype, does not sum to 1, or is there where nothing is ready.
    """
    first = max(0, start - lookback(model) + 1)
    seen = features.rows(first, stop)
    proba = read_only(_predict(model, seen, stride), np.float32, (*seen.ready.shape, 3), f"probabilities of {name}")
    present = has_forecast(proba)
    sums = proba[present].sum(axis=1, dtype=np.float64)
    off = np.abs(sums - 1.0).max(initial=0.0)
    if off > SUM_TOLERANCE or (proba[present] < 0.0).any():
        raise ContractError(
            f"probabilities of {name} that are >= 0 and sum to 1",
            found=f"a row that is off by {off:g}" if off > SUM_TOLERANCE else "a negative one",
            fix="normalise them in predict_proba",
        )
    if (present & ~seen.ready).any():
        raise ContractError(
            f"NaN from {name} where features are not ready", found="probabilities", fix="leave such rows NaN"
        )
    return proba[start - first :]


def predict_part(
    name: str, model: FittedModel, features: Features, start: int, stop: int, stride: int, on_progress: ProgressCallback
) -> Float32Array:
    """float32 (stop - start, S, 3): rows ``start:stop``, some at a time, with a report after each lot.

    With a `stride` above 1 the member is asked about rows ``start``, ``start + stride``, ... only. A row
    between them carries the forecast of the last one that was asked about, where it is ready itself: what
    was known then, and nothing later.

    Raises
    ------
    ContractError
        See :func:`predict_rows`.
    """
    proba = np.empty((stop - start, features.ready.shape[1], 3), dtype=np.float32)
    at_once = max(1, _CELLS_AT_ONCE // features.ready.shape[1] // stride) * stride
    for first in range(start, stop, at_once):
        last = min(first + at_once, stop)
        asked = np.arange(last - first) // stride * stride
        asked_proba = predict_rows(name, model, features, first, first + int(asked[-1]) + 1, stride)
        proba[first - start : last - start] = asked_proba[asked]
        on_progress((last - start) / (stop - start))
    proba[~features.ready[start:stop]] = np.nan
    return proba


def _predict(model: FittedModel, features: Features, stride: int) -> Float32Array:
    if stride > 1 and isinstance(model, StridedModel):
        return model.predict_every(features, stride)
    return model.predict_proba(features)


def class_path(model: FittedModel) -> str:
    """``module:name`` of a fitted member's class."""
    return f"{type(model).__module__}:{type(model).__qualname__}"


def load_member(path: str, folder: Path, trust: Trust) -> FittedModel:
    """A member of the class that `path` names, from a folder whose hashes have been verified.

    Raises
    ------
    ArtifactError
        If there is no such class, or it may not be loaded.
    """
    model: FittedModel = member_class(path, folder, trust).load(folder)
    return model


def member_class(path: str, folder: Path, trust: Trust) -> Any:
    """Class of a stored member, which is an artifact and may not name just any.

    Parameters
    ----------
    path : str
        As :func:`class_path` writes it.
    folder : Path
        Of the artifact.
    trust : Trust
        Classes that the user allows beside those that are defined in ``quantlab.learning.models``.

    Raises
    ------
    ArtifactError
        If there is no such class, or it may not be loaded.
    """
    module, _, name = path.partition(":")
    kind: Any = _own_class(module, name)
    if kind is None:
        kind = trust.find_class(f"{module}.{name}", "a stored member", folder)
    if not callable(getattr(kind, "load", None)):
        raise ArtifactError(f"a fitted member's class for {folder}", found=path, fix="fit it again")
    return kind


def _own_class(module: str, name: str) -> type | None:
    """Class of quantlab's own models; None for anything else, also for what their modules have imported."""
    package, _, file = module.rpartition(".")
    if package != _MODELS or not file.isidentifier():
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ArtifactError(
            f"the class {module}:{name} of a stored member", found=str(error), fix="restore its code, or fit it again"
        ) from error
    own = isinstance(found, type) and found.__module__ == module and not inspect.isabstract(found)
    return found if own else None
