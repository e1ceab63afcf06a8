"""Folders that are mistaken for a finished run: told by what they are, and what to give instead."""

from __future__ import annotations

from pathlib import Path

from quantlab.core.errors import ConfigError

#: A file that tells what a folder is -> what it is.
_KINDS = {
    "quality.json": "a check of data (job=data)",
    "warmup.json": "a check of the warm-up (job=warmup)",
    "audit.json": "a check for leaks (job=audit)",
    "journal.db": "a paper session (job=paper)",
    "compare.json": "a comparison of runs (job=compare)",
}
_SWEEP = "a sweep (job=sweep), whose best parameter set has to be run by itself first"
_FAILED = ".failed.json"


def refuse_other_folder(folder: Path, option: str) -> None:
    """Return unless a folder is clearly something else than a finished run.

    Parameters
    ----------
    folder : Path
    option : str
        Of the command line that named it.

    Raises
    ------
    ConfigError
        Saying what the folder is.
    """
    found = _kind(folder)
    if found is not None:
        fix = f"set {option} to the folder of a finished research run: runs/EXPERIMENT/ID, or {option}=latest"
        raise ConfigError(f"a finished run in {folder}", found=found, fix=fix)


def _kind(folder: Path) -> str | None:
    if folder.name.endswith(_FAILED) or folder.with_name(folder.name + _FAILED).is_file():
        return "the record of a combination that was refused or failed, which has no run"
    if folder.is_file():
        return "a file"
    if folder.name.startswith(".partial-"):
        return "a run that is being written, or was cut off"
    if (folder / "sweep.parquet").is_file():
        return _SWEEP
    if not (folder / "metrics.json").is_file():
        for name, kind in _KINDS.items():
            if (folder / name).is_file():
                return kind
    runs = sorted(path.parent.name for path in folder.glob("*/manifest.json"))
    if runs and not (folder / "manifest.json").is_file():
        return f"a folder of runs, the last of them {runs[-1]}"
    return None
