"""State as bytes that cannot be mistaken or damaged unseen: a mark, a header, records, a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from quantlab.core.errors import ArtifactError

_DIGEST_BYTES = 32
_LENGTH_BYTES = 8


def pack(mark: bytes, header: dict[str, Any], records: bytes) -> bytes:
    """One blob; equal parts give equal bytes."""
    text = json.dumps(header, sort_keys=True).encode()
    body = mark + len(text).to_bytes(_LENGTH_BYTES, "little") + text + records
    return body + hashlib.sha256(body).digest()


def unpack(mark: bytes, blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and records of a blob with that mark.

    Raises
    ------
    ArtifactError
        If it has another mark, or a bit of it differs.
    """
    body, digest = blob[:-_DIGEST_BYTES], blob[-_DIGEST_BYTES:]
    if not body.startswith(mark) or hashlib.sha256(body).digest() != digest:
        raise ArtifactError(
            "an undamaged feature state", found=f"{len(blob)} bytes that are none", mend="warm up again"
        )
    start = len(mark) + _LENGTH_BYTES
    end = start + int.from_bytes(body[len(mark) : start], "little")
    header: dict[str, Any] = json.loads(body[start:end])
    return header, body[end:]
