"""Choice of a folder's files: those to be imported, and those left out, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from quantlab.core.errors import DataError
from quantlab.data.series.spans import Span
from quantlab.data.store.day_files import BARS

#: Names that a note on files of one reason gives.
_NAMED = 3
#: Files that lie beside data and are none: checksums, and what tools and people write about a folder.
_BESIDE = re.compile(r"\..*|.*\.(checksum|sha256|md5|md|log|ini|db)|(readme|license|changelog).*", re.IGNORECASE)
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".zip")


class SourceFile(NamedTuple):
    """A file to be imported.

    ``span`` is the time that the file is all there is of (an archive of a month); None: from its first to
    its last row. ``certain`` is False where neither folder nor name says of which market its rows are.
    """

    path: Path
    symbol: str
    kind: str
    span: Span | None
    certain: bool = True


class LeftOut(NamedTuple):
    """A file that is not imported, the reason (words to follow "left out:") and what to do if it is all there is."""

    path: Path
    reason: str
    fix: str = ""


@dataclass
class FileChoice:
    """The files of a folder, sorted out.

    Parameters
    ----------
    files : list of SourceFile
        In the order of their names.
    left_out : list of LeftOut
    refused : dict of name to DataError
        Files that belong here by their names and cannot be told apart, or contradict themselves.
    """

    files: list[SourceFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    refused: dict[str, DataError] = field(default_factory=dict)

    def notes(self, folder: Path) -> tuple[str, ...]:
        """One sentence for each reason, with the first names."""
        reasons: dict[str, list[Path]] = {}
        for path, reason, _ in self.left_out:
            reasons.setdefault(reason, []).append(path)
        return tuple(f"left out: {reason}: {named(paths, folder)}" for reason, paths in reasons.items())

    def fixes(self) -> str:
        """Ways out where nothing is left to be imported: one for each reason that has one."""
        fixes = dict.fromkeys(fix for _, _, fix in self.left_out if fix)
        return "; ".join(fixes) or "set job.source.folder to the folder of your files"

    def keep_one_each(self, kind: str) -> None:
        """Refuse the symbols that more than one file of `kind` claims, where a market has one file by its nature."""
        claims: dict[str, list[SourceFile]] = {}
        for file in self.files:
            if file.kind == kind:
                claims.setdefault(file.symbol, []).append(file)
        for symbol, several in claims.items():
            if len(several) > 1:
                self.files = [file for file in self.files if file not in several]
                self.refused[symbol] = DataError(
                    f"one file of {symbol}",
                    found=" and ".join(str(file.path) for file in several),
                    fix="keep the one of the wanted exchange and market",
                )


def choose_files(folder: Path, ending: str, accept: Callable[[Path], SourceFile | LeftOut]) -> FileChoice:
    """Sort out every file of a folder and of the folders below it.

    Parameters
    ----------
    folder : Path
    ending : str
        Of the files that `accept` judges, in any case; e.g. ``.csv``. Others are left out by their endings.
    accept : callable
    """
    choice = FileChoice()
    for path in _list_files(folder):
        try:
            file = accept(path) if path.suffix.lower() == ending else _of_another_ending(path, ending)
        except DataError as error:
            choice.refused[path.name] = error
            continue
        if isinstance(file, LeftOut):
            choice.left_out.append(file)
        else:
            choice.files.append(file)
    return choice


def named(paths: Sequence[Path], folder: Path) -> str:
    """Number of files and the first names below `folder`."""
    shown = ", ".join(path.relative_to(folder).as_posix() for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{len(paths)} {'file' if len(paths) == 1 else 'files'} ({shown}{more})"


def uncertain_note(files: Iterable[SourceFile], folder: Path, market: str) -> tuple[str, ...]:
    """Sentence on the files of bars whose market nothing tells; empty if there are none."""
    paths = [file.path for file in files if file.kind == BARS and not file.certain]
    if not paths:
        return ()
    return (
        f"taken for {market}, which neither folder nor name says and the rows cannot: {named(paths, folder)}; "
        "keep the archive's own folders (futures/um, spot) to be sure",
    )


def several_note(files: Iterable[SourceFile], folder: Path, market: str) -> tuple[str, ...]:
    """Sentence on symbols with several files of no stated period, which become one series; empty if there are none."""
    symbols: dict[str, list[Path]] = {}
    for file in files:
        if file.kind == BARS and file.span is None:
            symbols.setdefault(file.symbol, []).append(file.path)
    several = [f"{symbol} in {named(paths, folder)}" for symbol, paths in symbols.items() if len(paths) > 1]
    if not several:
        return ()
    more = f"; and {len(several) - _NAMED} more symbols" if len(several) > _NAMED else ""
    return (f"taken for {market} of one exchange, one series a symbol: {'; '.join(several[:_NAMED])}{more}",)


def _list_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"a folder {folder}", found="none", fix="set job.source.folder to the folder of your files")
    files = (path for path in folder.rglob("*") if path.is_file() and not _BESIDE.fullmatch(path.name))
    yield from sorted(files, key=lambda path: (path.name, str(path)))


def _of_another_ending(path: Path, ending: str) -> LeftOut:
    found = "".join(path.suffixes[-2:] if path.suffix in _PACKED else path.suffixes[-1:])[-20:] or "no ending"
    return LeftOut(
        path, f"{found} where files of this kind end with {ending}", _ending_fix(path.suffix.lower(), ending)
    )


def _ending_fix(found: str, ending: str) -> str:
    if ending == ".feather":
        return "convert the files: freqtrade convert-data --format-from json --format-to feather"
    if ending == ".zip" and found == ".csv":
        return "keep archives as the zip files that were downloaded, or import the csv files with job/source=csv"
    if found in _PACKED:
        return f"unpack the files: their names must end with {ending}"
    return ""
