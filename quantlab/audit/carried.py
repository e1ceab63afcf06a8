"""Parts of a fitted member beside the model that was trained: numbers that it carries, and maps of its forecasts.

A scaler, a calibrator and a prior are numbers; a booster and a net are not looked into. What cannot be seen in a member
shows in its forecasts: one that was calibrated otherwise and trained alike ranks all rows as before, class against class.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from quantlab.audit.differences import differs
from quantlab.core.arrays import BoolArray, Float32Array, Float64Array
from quantlab.core.ports import FittedModel

#: Modules whose models are trained, not carried: not looked into.
_LIBRARIES = ("lightgbm", "xgboost", "torch")
#: Distinct forecasts from which on an order that stays is no accident.
_FEW = 20
#: Share of neighbours in a ranking that float32 may turn around, and by how much in logarithms.
_TURNED, _ROUNDING = 0.005, 1e-4


def carried_differences(first: Any, second: Any) -> dict[str, BoolArray]:
    """Numbers that two fitted members carry beside trained models, where they differ.

    Looked into are fields, slots, containers, partial functions, and what functions and methods enclose.
    """
    theirs = dict(_numbers(second, "", set()))
    found = {}
    for path, value in _numbers(first, "", set()):
        if path in theirs and (different := differs(value, theirs[path])).any():
            found[path] = different
    return found


def trained_models(value: Any, seen: set[int] | None = None) -> Iterator[FittedModel]:
    """quantlab's own models inside a fitted member."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if is_trained(value):
        if hasattr(value, "predict_proba"):
            yield value
    else:
        for _, inner in _inner(value):
            yield from trained_models(inner, seen)


def is_trained(value: Any) -> bool:
    """Return whether it is a trained model, or a library's part of one."""
    module = type(value).__module__
    return module.startswith(_LIBRARIES) or (module.startswith("quantlab.") and hasattr(value, "predict_proba"))


def is_recalibrated(before: Float32Array, after: Float32Array, *, few: bool) -> bool:
    """Return whether forecasts (N, S, 3) became others by a map alone: every two classes rank the rows as before.

    A temperature, a prior, or a monotone curve keeps that order; a model that was trained otherwise does not.

    Parameters
    ----------
    before, after : float32 (N, S, 3)
    few : bool
        True takes a handful of distinct forecasts for enough.
    """
    known: BoolArray = np.isfinite(before + after).all(axis=2)
    compared = turned = distinct = 0
    for s in range(before.shape[1]):
        rows = np.flatnonzero(known[:, s])
        old, new = (np.log(np.maximum(one[rows, s].astype(np.float64), 1e-9)) for one in (before, after))
        for a, b in combinations(range(3), 2):
            ratio = old[:, a] - old[:, b]
            turned += _turned_around(ratio, new[:, a] - new[:, b])
            compared, distinct = compared + len(rows), distinct + len(np.unique(ratio))
    return (few or distinct > 3 * _FEW) and turned <= _TURNED * compared


def _turned_around(before: Float64Array, after: Float64Array) -> int:
    """Neighbours in the order of `before` that `after` ranks the other way, or tells apart."""
    order = np.argsort(before, kind="stable")
    apart, moved = np.diff(before[order]), np.diff(after[order])
    return int(np.where(apart > 0.0, moved < -_ROUNDING, np.abs(moved) > _ROUNDING).sum())


def _inner(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that an object is made of."""
    if isinstance(value, dict):
        yield from ((f".{key}", one) for key, one in value.items())
    elif isinstance(value, tuple | list):
        yield from ((f"[{i}]", one) for i, one in enumerate(value))
    elif isinstance(value, partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield from ((".self", value.__self__), (".func", value.__func__))
    elif isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((f".{name}", cell.cell_contents) for name, cell in cells)
        yield (".defaults", value.__defaults__)
    elif not isinstance(value, type):
        names = [*getattr(value, "__dict__", {}), *_slots(value)]
        yield from ((f".{name}", getattr(value, name)) for name in names if hasattr(value, name))


def _slots(value: Any) -> list[str]:
    slots = [getattr(kind, "__slots__", ()) for kind in type(value).__mro__]
    return [name for names in slots for name in ((names,) if isinstance(names, str) else names)]


def _numbers(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray | np.number | float | int) and not isinstance(value, bool):
        yield path, np.asarray(value)
    elif value is not None and id(value) not in seen and not is_trained(value):
        seen.add(id(value))
        for name, inner in _inner(value):
            yield from _numbers(inner, f"{path}{name}".lstrip("."), seen)
