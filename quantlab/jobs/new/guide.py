"""The blocks of a guide in ``docs/``: the text that people read is the text that ``job=new`` writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import quantlab

_PACKAGE = Path(quantlab.__file__).resolve().parent
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Guide:
    """Files and command lines that a guide gives its reader.

    Parameters
    ----------
    files : dict of str
        Text by path; the blocks of one path one after the other.
    commands : tuple of str
        In the order of the page.
    """

    files: dict[str, str]
    commands: tuple[str, ...]


def guides_folder() -> Path:
    """The guides: inside an installed package, or ``docs/`` beside it in a checkout."""
    packaged = _PACKAGE / "_guides"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "docs"


def read_guide(name: str) -> Guide:
    """Read the blocks of one page.

    Parameters
    ----------
    name : str
        Of its file, e.g. ``write-a-signal.md``.
    """
    files: dict[str, str] = {}
    commands: list[str] = []
    for language, path, content in _BLOCK.findall((guides_folder() / name).read_text(encoding="utf-8")):
        if language == "console":
            commands += content.splitlines()
        elif path:
            # Blocks of one Python file stand apart by two lines, as its definitions do.
            files[path] = f"{files[path]}\n\n{content}" if path in files else content
    return Guide(files, tuple(commands))
