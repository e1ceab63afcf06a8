"""One canonical sha256 for configurations, arrays and frozen values."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import struct
from typing import Any

import numpy as np


def fingerprint(*parts: Any) -> str:
    """sha256 (hex, 64 characters) over `parts`, independent of process, platform and dict order.

    Accepts None, bool, int, float, str, bytes, enums, numpy arrays and scalars, frozen dataclasses,
    and tuples, lists and dicts of these. Types are part of the hash: ``1``, ``1.0`` and ``"1"`` differ.

    Raises
    ------
    TypeError
        If a part is of any other type, so that nothing is hashed by its address or its repr.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2.0}) == fingerprint({"b": 2.0, "a": 1})
    True
    >>> fingerprint(1) == fingerprint(1.0)
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, part: Any) -> None:
    match part:
        case None | bool() | str() | int() if not isinstance(part, enum.Enum):
            _tag(digest, type(part).__name__, json.dumps(part).encode())
        case float():
            _tag(digest, "float", struct.pack("<d", part))
        case bytes():
            _tag(digest, "bytes", part)
        case enum.Enum():
            _tag(digest, type(part).__qualname__, part.name.encode())
        case np.ndarray():
            array = np.ascontiguousarray(part)
            _tag(digest, f"array {array.dtype.str} {array.shape}", array.data.cast("B") if array.size else b"")
        case np.generic():
            _feed(digest, part.item())
        case tuple() | list():
            _tag(digest, "sequence", str(len(part)).encode())
            for item in part:
                _feed(digest, item)
        case dict():
            _tag(digest, "mapping", str(len(part)).encode())
            for key in sorted(part):
                _feed(digest, key)
                _feed(digest, part[key])
        case _ if dataclasses.is_dataclass(part) and not isinstance(part, type):
            _tag(digest, "dataclass", f"{type(part).__module__}.{type(part).__qualname__}".encode())
            for field in dataclasses.fields(part):
                _feed(digest, field.name)
                _feed(digest, getattr(part, field.name))
        case _:
            raise TypeError(f"cannot fingerprint {type(part).__qualname__}: give it a stable, frozen value")


def _tag(digest: hashlib._Hash, kind: str, payload: bytes | memoryview) -> None:
    # Length-prefixed, so that neighbouring parts cannot run into each other.
    digest.update(f"{kind}:{len(payload)}:".encode())
    digest.update(payload)
