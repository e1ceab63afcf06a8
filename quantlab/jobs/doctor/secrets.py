"""The doctor's check of files that hold secrets: nobody else on this machine may read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from quantlab.jobs.doctor.check import Check, Status, shortened

_SUFFIXES = {".yaml", ".yml", ".json", ".toml", ".ini"}
#: A key that names a secret, with a value of its own: not empty, null, missing, taken from the environment, the name of a variable that
#: holds it (``QUANTLAB_BINANCE_SECRET``), or the demo of job=exchange.
_SECRET = re.compile(
    r"""^[\s{,-]*["']?[\w.-]*(?:api_?key|secret|passw(?:or)?d|passphrase|private_?key|token)["']?[ \t]*[:=][ \t]*"""
    r"""["']?(?!null\b|none\b|demo-(?:key|secret)\s|QUANTLAB_[A-Z0-9_]+_(?:KEY|SECRET)\b|\$\{|\?\?\?|["'#]|\{\s*\})[^\s"']""",
    re.IGNORECASE | re.MULTILINE,
)
_OTHERS = 0o077


def check_secrets(configuration: Iterable[Path], folders: Iterable[Path]) -> Check:
    """Every ``.env`` and every configuration file with a secret in it must be its owner's alone.

    Environment variables are fine. What a file holds is never shown.

    Parameters
    ----------
    configuration : folders
        Looked through to the bottom.
    folders : folders
        Only their own files: there may be data below.
    """
    files = {path.resolve() for folder in configuration for path in folder.rglob("*")}
    files |= {path.resolve() for folder in folders if folder.is_dir() for path in folder.iterdir()}
    holding = sorted(path for path in files if path.is_file() and _holds_secret(path))
    read_by_others = [path for path in holding if path.stat().st_mode & _OTHERS]
    if read_by_others:
        lines = [f"{path} has mode {path.stat().st_mode & 0o777:o}" for path in read_by_others]
        fix = f"chmod 600 {read_by_others[0]}, and renew those secrets if others use this machine"
        return Check("secrets", Status.BROKEN, shortened(lines), fix)
    return Check("secrets", Status.OK, f"{len(holding)} files with secrets, readable by their owner alone")


def _holds_secret(path: Path) -> bool:
    if path.name.startswith(".env"):
        return path.stat().st_size > 0
    return path.suffix in _SUFFIXES and _SECRET.search(path.read_text("utf-8", errors="replace")) is not None
