"""Runs found by what a person types: a folder, a short id, or ``latest``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantlab.core.errors import ConfigError

LATEST = "latest"
#: Shortest piece of a run's name that may stand for it.
_SHORTEST_PIECE = 4
#: Runs that a refusal names.
_NAMED = 5


def resolve_run(text: object, runs_dir: str | Path, *, option: str = "run", announce: bool = True) -> Path:
    """Find the folder of the finished run that was asked for.

    Parameters
    ----------
    text : str
        ``latest`` (the run of a strategy that started last), ``latest:EXPERIMENT``, a folder (``runs_dir`` may be left out), or a
        piece of a run's name at its beginning or end, of four characters or more, that only one run has: ``job=runs`` shows one.
    runs_dir : str or Path
    option : str
        Of the command line that named it, for messages.
    announce : bool
        Say on stderr which run was taken where `text` is no folder.

    Returns
    -------
    Path
        Absolute. A folder that was named as such is returned unread: whoever reads it says what is wrong with it.

    Raises
    ------
    ConfigError
        If there is no such run, or more than one.
    """
    wanted, root = str(text), Path(runs_dir).resolve()
    experiment = _experiment_of(wanted)
    if experiment is None and (folder := _existing(wanted, root)) is not None:
        return folder
    found = _newest(root, experiment, option) if experiment is not None else _by_piece(wanted, root, option)
    if announce:
        sys.stderr.write(f"{option}={wanted}: {found}, started {started_text(found) or 'at an unknown time'}\n")
    return found


def run_folders(runs_dir: Path) -> list[Path]:
    """Folders ``<runs_dir>/<experiment>/<id>`` that a strategy's run has left: those with a manifest and with metrics."""
    manifests = runs_dir.glob("[!.]*/[!.]*/manifest.json")
    return [path.parent for path in manifests if (path.parent / "metrics.json").is_file()]


def started_text(folder: Path) -> str | None:
    """Start of a run by its manifest, ISO 8601; None where that cannot be read."""
    try:
        started = json.loads((folder / "manifest.json").read_bytes())["started"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return started if isinstance(started, str) else None


def short_ids(names: list[str]) -> dict[str, str]:
    """Name -> its shortest end, cut at ``-`` and ``_``, that no other name ends with.

    An end that the command line would read as a number is lengthened: ``run=12345678`` would come back without its zeros.

    Examples
    --------
    >>> short_ids(["20261130_221345_463-83bb0ee0", "20261130_221424_731-d128fe2f", "20261130_221500_007-83bb0ee0"])
    {'20261130_221345_463-83bb0ee0': '463-83bb0ee0', '20261130_221424_731-d128fe2f': 'd128fe2f', \
'20261130_221500_007-83bb0ee0': '007-83bb0ee0'}
    """
    counts: dict[str, int] = {}
    for name in names:
        for end in _ends(name):
            counts[end] = counts.get(end, 0) + 1
    return {
        name: next((end for end in _ends(name) if counts[end] == 1 and not _reads_as_number(end)), name)
        for name in names
    }


def _ends(name: str) -> list[str]:
    """Ends of a name at its separators, the shortest first."""
    starts = [0, *(i + 1 for i, sign in enumerate(name) if sign in "-_")]
    ends = [name[start:] for start in reversed(starts)]
    return [end for end in ends if len(end) >= _SHORTEST_PIECE or end == name]


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _experiment_of(text: str) -> str | None:
    """Name behind ``latest:``; empty for ``latest`` alone, None for anything else."""
    head, colon, name = text.partition(":")
    if head != LATEST or (colon and not name):
        return None
    return name


def _existing(text: str, root: Path) -> Path | None:
    """A folder of that name, in the working folder or below `root`; also one that is not there but was clearly meant as a path."""
    below = (root / text) if "/" in text else None  # without a slash it is an experiment's folder, not a run's
    for path in (Path(text), below):
        if text and path is not None and path.is_dir():
            return path.resolve()
    return Path(text).resolve() if "/" in text else None


def _newest(root: Path, experiment: str, option: str) -> Path:
    started = [
        (text, folder.name, folder) for folder in run_folders(root) if (text := started_text(folder)) is not None
    ]
    of_it = [entry for entry in started if experiment in ("", entry[2].parent.name)]
    if of_it:
        return max(of_it)[2]
    names = sorted({folder.parent.name for _, _, folder in started})
    raise ConfigError(
        f"a finished run{f' of {experiment}' if experiment else ''} in {root}",
        found=f"runs of {', '.join(names)}" if names else "none",
        fix=f"set {option} to the folder of one, or runs_dir to where they are"
        if names
        else "run e.g. experiment=baseline first",
    )


def _by_piece(text: str, root: Path, option: str) -> Path:
    folders = sorted(run_folders(root), key=lambda folder: folder.name)
    long_enough = len(text) >= _SHORTEST_PIECE
    found = [folder for folder in folders if long_enough and _has_piece(folder.name, text)]
    if len(found) == 1:
        return found[0]
    if found:
        expected, others = f"{option} as a piece of one run's name", f"{text} in {_listed(found)}"
    else:
        expected, others = f"a run {text} in {root}", f"{_listed(folders)}" if folders else "no finished run"
    newest = f"{LATEST}:{text}" if any(folder.parent.name == text for folder in folders) else LATEST
    raise ConfigError(expected, found=others, fix=f"choose one that job=runs lists; {option}={newest} is the newest")


def _has_piece(name: str, text: str) -> bool:
    return name.startswith(text) or name.endswith(text) or any(end.startswith(text) for end in _ends(name)[:1])


def _listed(folders: list[Path]) -> str:
    """The newest of them by name, and how many more there are."""
    named = [f"{folder.parent.name}/{folder.name}" for folder in folders[: -_NAMED - 1 : -1]]
    more = len(folders) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
