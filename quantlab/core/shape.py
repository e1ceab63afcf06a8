"""Shape of plain values that came in a file: held against what a reader needs, before anything is taken from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from quantlab.core.errors import ArtifactError

TEXT, FLAG, WHOLE, NUMBER, ANYTHING = (str,), (bool,), (int,), (int, float), (object,)
#: A number that may be undefined.
MAYBE_NUMBER = (int, float, NoneType)


@dataclass(frozen=True)
class ListOf:
    """A list (or tuple: what was never in a file) of values of one shape."""

    inner: Any


@dataclass(frozen=True)
class MapOf:
    """A mapping of any names to values of one shape."""

    inner: Any


@dataclass(frozen=True)
class MaybeEmpty:
    """An empty mapping or null, or a mapping of this shape."""

    inner: Any


def require_shape(value: Any, shape: Any, where: str, fix: str) -> None:
    """Return if `value` is of `shape`.

    Parameters
    ----------
    value : plain values, as JSON gives them
    shape : tuple of types, ListOf, MapOf, MaybeEmpty, or a dict of the keys that must be there to their shapes
    where : str
        What the value is, for the message.
    fix : str

    Raises
    ------
    ArtifactError
        Naming the first place that is of another shape.

    Examples
    --------
    >>> require_shape({"a": [1, 2], "more": None}, {"a": ListOf(WHOLE)}, "a file", "restore it")
    """
    match shape:
        case tuple():
            fits = isinstance(value, shape) and (not isinstance(value, bool) or shape in (FLAG, ANYTHING))
            _require(fits, " or ".join(_NAMES[kind] for kind in shape), value, where, fix)
        case ListOf():
            _require(isinstance(value, list | tuple), "a list", value, where, fix)
            for index, item in enumerate(value):
                require_shape(item, shape.inner, f"{where}[{index}]", fix)
        case MapOf():
            _require(isinstance(value, Mapping), "a mapping", value, where, fix)
            for key, item in value.items():
                _require(isinstance(key, str), "names that are texts", key, where, fix)
                require_shape(item, shape.inner, f"{where}.{key}", fix)
        case MaybeEmpty():
            if value is not None and value != {}:
                require_shape(value, shape.inner, where, fix)
        case _:
            _require(isinstance(value, Mapping), "a mapping", value, where, fix)
            for key, inner in shape.items():
                _require(key in value, f"a key {key}", sorted(map(str, value)), where, fix)
                require_shape(value[key], inner, f"{where}.{key}", fix)


_NAMES = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number", NoneType: "null", object: "a value",
}  # fmt: skip


def _require(fits: bool, wanted: str, value: Any, where: str, fix: str) -> None:
    if not fits:
        raise ArtifactError(f"{wanted} in {where}", found=repr(value)[:80], fix=fix)
