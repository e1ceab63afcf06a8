"""Folders whose every byte is accounted for: written once, verified before anything in them is read.

A flipped bit in a model file can crash the library that loads it, or load silently; so no loader sees a
file of ours before its hash was compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.files import sha256_file, to_json, write_json
from quantlab.core.fingerprint import fingerprint

MANIFEST = "manifest.json"


def seal_folder(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest: `facts` (strict JSON values), and sha256 and size of every file in `folder`."""
    body = {"facts": facts, "files": _inventory(folder)}
    write_json(folder / MANIFEST, {**body, "sha256": fingerprint(json.loads(json.dumps(body)))})


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
        If the manifest is missing or damaged, or a file is missing, added or altered.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = json.loads(text)
        # Another spelling of the same values was not written by us either.
        as_written = to_json(manifest).encode() == text
        stated = manifest.pop("sha256")
        facts, files = dict(manifest["facts"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder, f"{MANIFEST} that cannot be read ({type(error).__name__})", fix) from error
    if not as_written or fingerprint(manifest) != stated:
        raise _damaged(folder, f"{MANIFEST} that was altered", fix)
    try:
        found = _inventory(folder)
    except OSError as error:
        raise _damaged(folder, f"a file that cannot be read ({error})", fix) from error
    for name in sorted({*files, *found}):
        if found.get(name) != files.get(name):
            what = "missing" if name not in found else "not in the manifest" if name not in files else "altered"
            raise _damaged(folder, f"{name} {what}", fix)
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


def _damaged(folder: Path, found: str, fix: str | None) -> ArtifactError:
    again = f"check the disk, then delete {folder}: it will be made again"
    return ArtifactError(f"{folder} as it was written", found=found, fix=fix or again)
