"""Command lines of the pages, as they are printed: in code blocks, and inline in backticks."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

#: Pages whose command lines are held by the tests of this folder.
PAGES = ("README.md", "CONTRIBUTING.md", "notebooks/README.md", "docs/*.md")

_PROGRAMS = r"(?:\.venv/bin/)?(?:python3?|make|pip|quantlab|jupyter|docker)"
_COMMAND = re.compile(rf"(?:\$ )?({_PROGRAMS}(?: .*)?)$")
_FENCE = re.compile(r"\s*```")
_COMMENT = re.compile(r"\s+#\s.*$")
_ARRAY = re.compile(r"^(\w+)=\((.*?)\)$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
#: Programs of which prose may speak without a command: "`make` is all it needs".
_BARE = re.compile(rf"{_PROGRAMS}$")
_OVERRIDES = re.compile(r"(?:-m )?[\w./@+~-]+=\S+(?: [\w./@+~-]+=\S+)*$")


@dataclass(frozen=True)
class PageCommand:
    """One command line of a page.

    Parameters
    ----------
    page : str
        Path of the page in the repository.
    line : int
        Of the page, from 1.
    text : str
        In one line, without prompt, comment and the virtual environment's folder.
    output : str
        Printed below it, where the page shows a session with a prompt.
    """

    page: str
    line: int
    text: str
    output: str = ""

    @property
    def words(self) -> list[str]:
        """Split as a shell does."""
        return shlex.split(self.text)

    @property
    def overrides(self) -> list[str] | None:
        """The words that ``python -m quantlab`` gets; None where another program is called."""
        words = self.words
        return words[3:] if words[:3] == ["python", "-m", "quantlab"] else None


def pages(repository: Path) -> list[Path]:
    """Every page that is looked at."""
    return [path for pattern in PAGES for path in sorted(repository.glob(pattern))]


def commands_of(path: Path, repository: Path) -> list[PageCommand]:
    """Command lines of one page, in the page's order."""
    name, text = path.relative_to(repository).as_posix(), path.read_text(encoding="utf-8")
    lines = text.splitlines()
    blocks, prose = _split(lines)
    found = [command for start, block in blocks for command in _of_block(name, start, block)]
    found += _of_prose(name, prose)
    return sorted(found, key=lambda command: command.line)


def fragments_of(path: Path) -> list[str]:
    """Inline overrides that name a job or an experiment, such as ``job=collect job.repair=true``."""
    _, prose = _split(path.read_text(encoding="utf-8").splitlines())
    pieces = (" ".join(piece.split()) for piece in _INLINE.findall("\n".join(line for _, line in prose)))
    return [
        piece for piece in pieces if _OVERRIDES.match(piece) and re.search(r"(^| )(job|experiment|debug)=[a-z]", piece)
    ]


def _split(lines: list[str]) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]:
    """Code blocks with the number of their first line, and numbered lines of prose."""
    blocks: list[tuple[int, list[str]]] = []
    prose: list[tuple[int, str]] = []
    inside = False
    for number, line in enumerate(lines, start=1):
        if _FENCE.match(line):
            inside = not inside
            if inside:
                blocks.append((number + 1, []))
        elif inside:
            blocks[-1][1].append(line)
        else:
            prose.append((number, line))
    return blocks, prose


def _of_block(page: str, start: int, lines: list[str]) -> list[PageCommand]:
    arrays = {name: " ".join(words.split()) for name, words in _ARRAY.findall("\n".join(lines))}
    found: list[PageCommand] = []
    k = 0
    while k < len(lines):
        first, line = k, _COMMENT.sub("", lines[k].strip())
        while line.endswith("\\") and k + 1 < len(lines):
            k += 1
            line = line[:-1] + " " + _COMMENT.sub("", lines[k].strip())
        k += 1
        command = _COMMAND.match(line)
        if command is None:
            continue
        output = ""
        if line.startswith("$ "):
            rest = lines[k:]
            shown = next((i for i, other in enumerate(rest) if other.startswith("$ ")), len(rest))
            output = " ".join(" ".join(rest[:shown]).split())
        found.append(PageCommand(page, start + first, _plain(command[1], arrays), output))
    return found


def _of_prose(page: str, prose: list[tuple[int, str]]) -> list[PageCommand]:
    text = "\n".join(line for _, line in prose)
    starts = [0]
    for _, line in prose:
        starts.append(starts[-1] + len(line) + 1)
    found = []
    for piece in _INLINE.finditer(text):
        line = " ".join(piece[1].split())
        if _COMMAND.match(line) and not _BARE.match(line):
            row = next(i for i, begin in enumerate(starts[1:]) if piece.start() < begin)
            found.append(PageCommand(page, prose[row][0], _plain(line, {})))
    return found


def _plain(text: str, arrays: dict[str, str]) -> str:
    for name, words in arrays.items():
        text = text.replace(f'"${{{name}[@]}}"', words)
    return " ".join(text.removeprefix(".venv/bin/").split())
