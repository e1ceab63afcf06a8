"""The folder of yaml files, and the groups and options in it; nothing else is read."""

from __future__ import annotations

from pathlib import Path

import quantlab

_PACKAGE = Path(quantlab.__file__).resolve().parent


def config_folder() -> Path:
    """The yaml files: inside an installed package, or beside it in a checkout."""
    packaged = _PACKAGE / "_conf"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "conf"


def groups() -> dict[str, list[str]]:
    """Group -> its options, both sorted."""
    root = config_folder()
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.yaml")):
        if path.parent != root:
            found.setdefault(path.parent.relative_to(root).as_posix(), []).append(path.stem)
    return found
