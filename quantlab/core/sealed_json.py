"""A JSON file that carries its own sha256 and the number of its format: read back as it was written, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.files import to_json, write_json
from quantlab.core.fingerprint import fingerprint


def write_sealed(path: Path, content: Mapping[str, Any], format_number: int) -> None:
    """Write `content` (strict JSON values) with its format and the sha256 over all of it."""
    body = {"format": format_number, **content}
    write_json(path, {**body, "sha256": fingerprint(json.loads(json.dumps(body)))})


def read_sealed(path: Path, format_number: int, fix: str) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote, without format and hash.

    Parameters
    ----------
    path : Path
    format_number : int
        That this code reads.
    fix : str
        What a reader can do about damage.

    Raises
    ------
    ArtifactError
        If the file cannot be read, was altered, or has another format.
    """
    try:
        text = path.read_bytes()
        content: dict[str, Any] = json.loads(text)
        # Another spelling of the same values was not written by us either.
        as_written = to_json(content).encode() == text
        stated = content.pop("sha256")
        intact = as_written and fingerprint(content) == stated
        found = content.pop("format")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{path} as it was written", found=f"a file that cannot be read ({type(error).__name__})", fix=fix
        ) from error
    if not intact:
        raise ArtifactError(f"{path} as it was written", found="an altered file", fix=fix)
    if found != format_number:
        raise ArtifactError(
            f"{path} in format {format_number}", found=f"format {found}", fix="read it with the quantlab that wrote it"
        )
    return content
