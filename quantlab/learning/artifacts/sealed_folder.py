"""Folders whose every byte is accounted for: written once, verified before anything in them is read.

A flipped bit in a model file can crash the library that loads it, or load silently; so no loader sees a
file of ours before its hash was compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.files import sha256_file
from quantlab.core.fingerprint import fingerprint
from quantlab.core.sealed_json import read_sealed, write_sealed

MANIFEST = "manifest.json"
#: Of the manifest: other code reads another one.
FORMAT = 2


def seal_folder(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest: `facts` (strict JSON values), and sha256 and size of every file in `folder`."""
    write_sealed(folder / MANIFEST, {"facts": facts, "files": _inventory(folder)}, FORMAT)


def verify_folder(folder: Path, fix: str | None = None) -> dict[str, Any]:
    """The facts of a sealed folder, after every file has been hashed.

    Parameters
    ----------
    folder : Path
    fix : str, optional
        What a reader can do about damage; by default to delete the folder, which is made again.

    Raises
    ------
    ArtifactError
        If the manifest is missing, damaged or of another format, or a file or folder is missing, added or altered.
    """
    manifest = read_sealed(folder / MANIFEST, FORMAT, fix or _made_again(folder))
    try:
        facts, files = dict(manifest["facts"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"{MANIFEST} without facts and files", fix) from error
    try:
        found = _inventory(folder)
        empty = _folders_without_files(folder, files)
    except OSError as error:
        raise _damaged(folder, f"a file that cannot be read ({error})", fix) from error
    for name in sorted({*files, *found}):
        if found.get(name) != files.get(name):
            what = "missing" if name not in found else "not in the manifest" if name not in files else "altered"
            raise _damaged(folder, f"{name} {what}", fix)
    if empty:
        raise _damaged(folder, f"the folder {empty[0]} that holds no file of the manifest", fix)
    return facts


def files_digest(folder: Path, name: str) -> str:
    """sha256 over the names and hashes of the files under ``folder / name``."""
    return fingerprint(_inventory(folder / name))


def _inventory(folder: Path) -> dict[str, dict[str, str | int]]:
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def _folders_without_files(folder: Path, files: Mapping[str, Any]) -> list[str]:
    needed = {parent.as_posix() for name in files for parent in PurePosixPath(name).parents}
    there = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_dir())
    return [name for name in there if name not in needed]


def _damaged(folder: Path, found: str, fix: str | None) -> ArtifactError:
    return ArtifactError(f"{folder} as it was written", found=found, fix=fix or _made_again(folder))


def _made_again(folder: Path) -> str:
    return f"check the disk, then delete {folder}: it will be made again"
