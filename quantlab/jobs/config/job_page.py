"""``job=NAME --help``: a job's line, its keys with their comments and defaults, and an example, from its yaml file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from quantlab.jobs.config.folder import config_folder, groups

_EXAMPLE = "# e.g. "
#: Keys that Hydra and the command line read, and no user sets.
_INNER = ("entry", "defaults", "decided_by_bundle", "_target_", "_convert_", "_partial_")
#: A value that only the user can give.
_MISSING = "???"
#: Columns that a key with its default takes before its comment.
_WIDEST = 44

_TEXT = """\
{line}

Example
  {example}

Options ({place}.NAME=VALUE; shown are the defaults)
{keys}
{groups}
python -m quantlab --help shows what all jobs share; --cfg job prints the composed configuration.
"""


@cache
def job_lines() -> dict[str, str]:
    """Job -> what it does, in one line."""
    return {name: _line(config_folder() / "job" / f"{name}.yaml") for name in groups()["job"]}


def job_page(name: str, chosen: Mapping[str, str] = MappingProxyType({})) -> str:
    """The page of one job.

    Parameters
    ----------
    name : str
        Of a file in ``conf/job``, without its suffix.
    chosen : dict of str
        Options of groups that the job has of its own, by group: ``{"job/source": "csv"}``. Their keys are shown too.
    """
    path = config_folder() / "job" / f"{name}.yaml"
    keys = list(_keys(path, "job"))
    for group, default in _own_groups(path):
        option = config_folder() / "job" / group / f"{chosen.get(f'job/{group}', default)}.yaml"
        keys += _keys(option, f"job.{group}") if option.is_file() else ()
    width = min(_WIDEST, max((len(key) for key, _ in keys), default=0))
    lines = [f"  {key:<{width}}  {comment}".rstrip() for key, comment in keys]
    return _TEXT.format(
        line=f"job={name}: {_line(path)}",
        example=_example(path) or f"python -m quantlab job={name}",
        place="job",
        keys="\n".join(lines) or "  none of its own",
        groups="".join(_group_lines(path)),
    )


def _line(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip() if first.startswith("#") else "(no description)"


def _example(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix(_EXAMPLE) for line in lines if line.startswith(_EXAMPLE)), "")


def _own_groups(path: Path) -> Iterator[tuple[str, str]]:
    """Every group that the job has of its own, with the option that is taken by itself."""
    for item in (yaml.safe_load(path.read_bytes()) or {}).get("defaults", ()):
        if isinstance(item, dict):
            yield from item.items()


def _group_lines(path: Path) -> Iterator[str]:
    """The options of every such group, each in one line."""
    for group, default in _own_groups(path):
        yield f"\nGroup job/{group} (default: {default}; job/{group}=NAME --help shows another one's keys)\n"
        for option in sorted((path.parent / group).glob("*.yaml")):
            yield f"  job/{group}={option.stem:<14}{_line(option)}\n"


def _keys(path: Path, place: str) -> Iterator[tuple[str, str]]:
    """Every key with its default as the file writes it, and the comment beside it."""
    text = path.read_text(encoding="utf-8")
    node = yaml.compose(text, yaml.SafeLoader)
    if isinstance(node, yaml.MappingNode):
        yield from _leaves(node, place, text.splitlines())


def _leaves(node: yaml.MappingNode, place: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for key, value in node.value:
        if key.value in _INNER:
            continue
        name = f"{place}.{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, name, lines)
        else:
            source, comment = _source(value, lines), _comment(lines[value.end_mark.line], value.end_mark.column)
            yield (f"{name}={source}", comment) if source != _MISSING else (f"{name}=", f"must be given {comment}")


def _source(value: Any, lines: list[str]) -> str:
    """A value as it stands in the file, in one line."""
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return str(lines[start.line][start.column : end.column])
    middle = lines[start.line + 1 : end.line]
    parts = [lines[start.line][start.column :], *middle, lines[end.line][: end.column]]
    return " ".join(part.strip() for part in parts)


def _comment(line: str, column: int) -> str:
    return line[column:].partition("#")[2].strip()
