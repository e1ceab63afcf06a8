"""State as bytes whose mix-up or damage is noticed: a magic number, a header, records, a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.core.errors import ArtifactError

_DIGEST_BYTES = 32
_LENGTH_BYTES = 8


def pack(magic: bytes, header: dict[str, Any], records: bytes) -> bytes:
    """One blob; equal parts give equal bytes."""
    text = json.dumps(header, sort_keys=True).encode()
    body = magic + len(text).to_bytes(_LENGTH_BYTES, "little") + text + records
    return body + hashlib.sha256(body).digest()


def unpack(magic: bytes, blob: bytes, what: str = "feature state") -> tuple[dict[str, Any], bytes]:
    """Header and records of a blob with that magic number.

    Raises
    ------
    ArtifactError
        If it has another magic number, or a bit of it differs; `what` says what it should have been.
    """
    body, digest = blob[:-_DIGEST_BYTES], blob[-_DIGEST_BYTES:]
    if not body.startswith(magic) or hashlib.sha256(body).digest() != digest:
        raise ArtifactError(f"an undamaged {what}", found=f"{len(blob)} bytes that are none", fix="warm up again")
    start = len(magic) + _LENGTH_BYTES
    end = start + int.from_bytes(body[len(magic) : start], "little")
    header: dict[str, Any] = json.loads(body[start:end])
    return header, body[end:]


def pack_arrays(magic: bytes, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """One blob of named arrays; numpy's dtypes without objects."""
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    records = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return pack(magic, {"header": header, "arrays": list(shapes.items())}, records)


def unpack_arrays(magic: bytes, blob: bytes, what: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a blob that :func:`pack_arrays` made; the arrays are owned and writable.

    Raises
    ------
    ArtifactError
        If it has another magic number, or a bit of it differs.
    """
    outer, records = unpack(magic, blob, what)
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for name, (dtype, shape) in outer["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(records, dtype=np.dtype(dtype), count=count, offset=at) if count else np.empty(0, dtype)
        arrays[name] = flat.reshape(shape).copy()
        at += flat.nbytes
    return outer["header"], arrays
