"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, fsync, rename; parents are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".partial-{path.name}-")
    temporary = Path(name)
    temporary.chmod(0o644)  # mkstemp makes it private to its owner
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def to_json(value: Any) -> str:
    """Strict JSON with sorted keys.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: undefined values are written as null with their reason.
    """
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Strict JSON file; see :func:`to_json`."""
    write_text(path, to_json(value))


def finite_or_none(value: float) -> float | None:
    """None for NaN and infinities, for JSON."""
    return float(value) if math.isfinite(value) else None


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """Build a folder under a ``.partial-`` name; it gets its name only if the block succeeds.

    On any error the partial folder is removed, so no half-written run or artifact is ever seen.

    Raises
    ------
    FileExistsError
        If `final` exists already.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        raise FileExistsError(f"{final} exists already")
    partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".partial-{final.name}-"))
    try:
        partial.chmod(0o755)
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
