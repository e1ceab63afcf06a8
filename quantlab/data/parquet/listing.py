"""Files of a folder by symbol; and a folder that holds none, told by what it holds instead and what to do with it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from quantlab.core.errors import DataError
from quantlab.data.series.file_names import without_copy_mark

_SUFFIX = ".parquet"
#: Files that another source reads, and how: ``{}`` is their folder.
_OTHER_SOURCES = {
    ".csv": "job=collect job/source=csv",
    ".zip": "job=collect job/source=archives",
    ".feather": "job=collect job/source=freqtrade",
}
#: Folders that a sentence names at most.
_NAMED = 3


def list_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Symbol -> its file, alphabetically.

    Parameters
    ----------
    folders : sequence of Path
        The source's own, then those that were asked for beside it.

    Raises
    ------
    DataError
        If a folder is none, holds a copy of a file, or a symbol has two files; if there is no file at all, with what the
        folder holds and how that is read.
    """
    known: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise _no_folder(folder)
        for path in _parquet_files(folder):
            first = without_copy_mark(path.stem)
            if first != path.stem:
                fix = f"remove it if {first} has a file, or rename it"
                raise DataError(f"files named by their symbols in {folder}", found=f"a copy, {path.name}", fix=fix)
            if path.stem in known:
                found = f"{known[path.stem]} and {path}"
                raise DataError(f"one file for {path.stem}", found=found, fix="remove or rename one")
            known[path.stem] = path
    if not known:
        raise _no_files(folders[0])
    return dict(sorted(known.items()))


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == _SUFFIX)


def _no_folder(folder: Path) -> DataError:
    expected = f"a folder of parquet files at {folder}"
    if not folder.exists():
        return DataError(expected, found="no such folder", fix="set data.root to your data")
    parent = folder.parent
    if folder.suffix.lower() == _SUFFIX:
        fix = f"set data.root to its folder, data.root={_typed(parent)} data.symbols=[{folder.stem}]"
        return DataError(expected, found="a file of one symbol", fix=fix)
    return DataError(expected, found="a file", fix=_import_advice(parent, {folder.suffix.lower()}) or "give its folder")


def _no_files(folder: Path) -> DataError:
    expected = f"files named <SYMBOL>.parquet in {folder}"
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        return DataError(
            expected, found="an empty folder", fix="set data.root to your data, or collect some: job=collect"
        )
    if (folder / "manifest.json").is_file() and any(path.suffix == _SUFFIX for path in files):
        fix = f"read it as what it is: data=collected data.root={_typed(folder)}"
        return DataError(expected, found="a dataset of job=collect", fix=fix)
    below = sorted({path.parent for path in files if path.suffix.lower() == _SUFFIX})
    if below:
        names = ", ".join(path.relative_to(folder).as_posix() for path in below[:_NAMED])
        more = f" and {len(below) - _NAMED} more folders" if len(below) > _NAMED else ""
        fix = f"set data.root to one of them, e.g. data.root={_typed(below[0])}, or name them in data.folders"
        return DataError(expected, found=f"such files only in {names}{more}", fix=fix)
    suffixes = {path.suffix.lower() for path in files}
    kinds = ", ".join(sorted(suffixes - {""})) or "files without an ending"
    fix = "write one parquet file per symbol; other formats are not read, because they do not carry types"
    return DataError(expected, found=f"only {kinds}", fix=_import_advice(folder, suffixes) or fix)


def _import_advice(folder: Path, suffixes: set[str]) -> str:
    """The line that turns files of another source into a dataset; empty if none reads them."""
    source = next((line for suffix, line in _OTHER_SOURCES.items() if suffix in suffixes), None)
    if source is None:
        return ""
    root = f"collected/{folder.resolve().name}"
    return (
        f"bring them into a dataset first: {source} job.source.folder={_typed(folder)} job.root={_typed(root)} "
        f"(job.source.timeframe=5m unless they have another), then read it with data=collected data.root={_typed(root)}"
    )


def _typed(path: Path | str) -> str:
    """A path as an option takes it: with quotes of its own where it needs them."""
    text = str(path)
    plain = all(letter.isascii() and (letter.isalnum() or letter in "/._-+") for letter in text)
    return text if plain else shlex.quote(f"'{text}'") if "'" not in text else shlex.quote(text)
