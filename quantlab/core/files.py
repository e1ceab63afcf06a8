"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from quantlab.core.errors import InstallationError


@cache
def _host() -> str:
    # Without hyphens, which separate the parts of a partial name.
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"


def partial_prefix(name: str) -> str:
    """Beginning of the temporary name of a file or folder `name`: it says which process of which host writes it."""
    return f".partial-{_host()}-{os.getpid()}-{name}-"


def remove_abandoned(root: Path) -> None:
    """Remove what dead processes of this host left half written in `root` and in the folders right below it.

    An interrupted process cleans up after itself; one that was killed, or lost its power, cannot. What
    living processes and other hosts are writing is left alone.
    """
    partial = re.compile(rf"\.partial-{re.escape(_host())}-(\d+)-")
    for path in sorted([*root.glob(".partial-*"), *root.glob("*/.partial-*")]):
        owner = partial.match(path.name)
        if owner is None or psutil.pid_exists(int(owner.group(1))):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def require_writable(name: str, folder: Path) -> None:
    """Make a file in `folder` and remove it; in its nearest existing parent, if it is not there yet.

    Parameters
    ----------
    name : str
        Of the setting or folder, for the message.

    Raises
    ------
    InstallationError
        If `folder` or a parent is not a folder, or no file can be made there.
    """
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    expected = f"{name} as a folder that can be written, {folder}"
    if not existing.is_dir():
        raise InstallationError(expected, found=f"{existing} is not a folder", fix=f"set {name} to a folder")
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=partial_prefix("writable")):
            pass
    except OSError as error:
        fix = f"set {name} to another folder, or fix the permissions of {existing}"
        raise InstallationError(expected, found=f"{existing}: {error.strerror}", fix=fix) from error


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write to a temporary name beside `path`, fsync, rename; parents are made. The file has `mode` from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=partial_prefix(path.name))
    temporary = Path(name)
    temporary.chmod(mode)  # mkstemp makes it private to its owner
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


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode(), mode)


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
    partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=partial_prefix(final.name)))
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
