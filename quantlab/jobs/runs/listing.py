"""Runs below ``runs_dir``: found, filtered and sorted; and what lies beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import CHECKS, COMPARISONS, RESERVED, SWEEPS
from quantlab.jobs.runs.record import RunRecord, read_record

#: Key -> number or text to sort by; None = undefined, which stands last whichever way it is turned.
SORTS: dict[str, Callable[[RunRecord], Any]] = {
    "time": lambda run: run.started or None,
    "sharpe": lambda run: run.sharpe,
    "deflated": lambda run: run.deflated,
    "return": lambda run: run.total_return,
    "drawdown": lambda run: run.max_drawdown,
    "trades": lambda run: run.trades,
    "experiment": lambda run: run.experiment,
    "verdict": lambda run: run.verdict or None,
    "job": lambda run: run.job,
}
#: Keys of which the smallest stands first.
_RISING = ("drawdown", "experiment", "verdict", "job")


@dataclass(frozen=True)
class Selection:
    """Runs that are asked for.

    Parameters
    ----------
    experiment, job, verdict : str or None
        Only those; of a verdict its beginning is enough.
    sort : str
        One of :data:`SORTS`: the newest, largest or, for ``drawdown`` and names, first one on top. With a minus before it the other
        way round.
    first : int or None
        Most rows.
    """

    experiment: str | None = None
    job: str | None = None
    verdict: str | None = None
    sort: str = "time"
    first: int | None = None

    def of(self, runs: list[RunRecord]) -> list[RunRecord]:
        """Filter and sort.

        Raises
        ------
        ConfigError
            If a name is none that is there.
        """
        found = runs
        for key, wanted in (("experiment", self.experiment), ("job", self.job), ("verdict", self.verdict)):
            if wanted is not None:
                found = _having(found, key, str(wanted), {getattr(run, key) for run in runs} - {""})
        ordered = sort_runs(found, str(self.sort))
        return ordered if self.first is None else ordered[: max(int(self.first), 0)]


def _having(runs: list[RunRecord], key: str, wanted: str, known: set[str]) -> list[RunRecord]:
    names = {wanted} & known
    if not names and key == "verdict":
        names = {name for name in known if name.startswith(wanted)}
    if len(names) != 1:
        there = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"job.{key} as one that runs have", found=wanted, fix=f"choose one of: {there}")
    return [run for run in runs if getattr(run, key) in names]


def sort_runs(runs: list[RunRecord], key: str) -> list[RunRecord]:
    """Order runs by a key of :data:`SORTS`; runs without a value, and damaged ones, stand last.

    Raises
    ------
    ConfigError
        If there is no such key.
    """
    turned, name = key.startswith("-"), key.removeprefix("-")
    if name not in SORTS:
        raise ConfigError("job.sort as a column", found=key, fix=f"choose one of: {', '.join(SORTS)}")
    value = SORTS[name]
    newest = sorted(runs, key=lambda run: (run.started, run.name), reverse=True)
    known = [run for run in newest if not run.wrong and value(run) is not None]
    rest = [run for run in newest if run.wrong or value(run) is None]
    return [
        *sorted(known, key=value, reverse=(name not in _RISING) != turned),
        *sorted(rest, key=lambda run: bool(run.wrong)),
    ]


def find_records(runs_dir: Path) -> list[RunRecord]:
    """Read every run below `runs_dir`, damaged ones too, in no order."""
    return [read_record(folder) for folder in _candidates(runs_dir) if not _is_other(folder)]


def _candidates(runs_dir: Path) -> list[Path]:
    """Folders of experiments' folders; what is being written, and other files, are left out."""
    experiments = [path for path in runs_dir.glob("[!.]*") if path.name not in RESERVED]
    return [
        folder for one in experiments for folder in one.glob("[!.]*") if folder.is_dir() and not folder.is_symlink()
    ]


def _is_other(folder: Path) -> bool:
    """A session, an empty folder, or a check of before those lay apart: with a manifest and without metrics in it."""
    if (folder / "metrics.json").is_file():
        return False
    manifest = folder / "manifest.json"
    return not manifest.is_file() or b'"metrics.json"' not in manifest.read_bytes()


@dataclass(frozen=True)
class Beside:
    """Folders that are no runs.

    Parameters
    ----------
    multiruns, checks, sessions, comparisons : tuple of Path
        The newest first; of older checks also those that lie among the runs.
    """

    multiruns: tuple[Path, ...]
    checks: tuple[Path, ...]
    sessions: tuple[Path, ...]
    comparisons: tuple[Path, ...]


def find_beside(runs_dir: Path) -> Beside:
    """Find what lies beside the runs."""
    others = [folder for folder in _candidates(runs_dir) if _is_other(folder)]
    checks = [*runs_dir.glob(f"{CHECKS}/[!.]*/[!.]*"), *(path for path in others if (path / "manifest.json").is_file())]
    return Beside(
        multiruns=_newest(runs_dir.glob(f"{SWEEPS}/[!.]*")),
        checks=_newest(checks),
        sessions=_newest(path for path in others if (path / "journal.db").is_file()),
        comparisons=_newest(path.parent for path in runs_dir.glob(f"{COMPARISONS}/[!.]*/compare.html")),
    )


def _newest(folders: Any) -> tuple[Path, ...]:
    return tuple(sorted((path for path in folders if path.is_dir()), key=lambda path: path.name, reverse=True))
