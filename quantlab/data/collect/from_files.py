"""Import of other tools' files into a dataset: the part that all kinds of files share.

A kind of file says which files of a folder it takes and turns one file into rows (:class:`FileImport`). Files go in
by batches; each batch is one commit, and importing a file twice changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from quantlab.core.errors import DataError
from quantlab.core.ports import CollectProgress
from quantlab.core.types import CollectOutcome
from quantlab.data.series.alignment import Series
from quantlab.data.series.funding_rates import drop_unsound_rates, refused_rates_note
from quantlab.data.series.spans import Span, Spans, union
from quantlab.data.series.timeframes import timeframe_ms
from quantlab.data.series.timestamp_checks import EARLY_MS
from quantlab.data.store.day_files import BARS
from quantlab.data.store.row_checks import check_series
from quantlab.data.store.store import Batch, Store

#: Rows that are held in memory before they are committed (about 100 MB).
_BATCH_ROWS = 2_000_000


class SourceFile(NamedTuple):
    """A file to be imported.

    ``span`` is the time that the file is all there is of (an archive of a month); None: from its first to
    its last row.
    """

    path: Path
    symbol: str
    kind: str
    span: Span | None


@dataclass(frozen=True)
class FileImport(ABC):
    """Base of the :class:`~quantlab.core.ports.Importer` classes that read files.

    Parameters
    ----------
    folder : str or Path
        Searched with all folders below it.
    exchange : str
        The exchange that the bars belong to, as ccxt names it.
    timeframe : str
        E.g. ``5m``.
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional; larger ones are left out and counted.
    """

    folder: str | Path
    exchange: str
    timeframe: str
    largest_funding_rate: float
    #: File names that are looked at.
    pattern: ClassVar[str]

    @property
    def interval_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    @property
    @abstractmethod
    def expected_files(self) -> str:
        """Description of the files, for the error where there is none."""

    @abstractmethod
    def accept(self, path: Path) -> SourceFile | None:
        """Return what the file's name says; None for another kind or interval, which is left alone."""

    @abstractmethod
    def read(self, file: SourceFile) -> Series:
        """Return the rows of one file as they stand in it."""

    def fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        """Import every file.

        Raises
        ------
        DataError
            If there is none.
        """
        folder = Path(self.folder)
        candidates = [self.accept(path) for path in _list_files(folder, self.pattern)]
        files = [file for file in candidates if file is not None]
        if not files:
            fix = "set job.source.folder, or rename the files"
            raise DataError(f"{self.expected_files} in {folder}", found="none", fix=fix)
        others = len(candidates) - len(files)
        notes = (f"{others} files of another kind or interval were left alone",) if others else ()
        return _import_files(self, files, store, progress, notes)


@dataclass
class _Pending:
    """Rows of one kind that wait for their commit."""

    kind: str
    rows: int = 0
    series: dict[str, list[Series]] = field(default_factory=dict)
    covered: dict[str, list[Span]] = field(default_factory=dict)

    def add(self, file: SourceFile, series: Series, span: Span) -> None:
        self.series.setdefault(file.symbol, []).append(series)
        self.covered.setdefault(file.symbol, []).append(span)
        self.rows += len(series[0])


@dataclass
class _Tally:
    """Counts of rows, and refusals, so far."""

    rows: int = 0
    repeated: int = 0
    refused: dict[str, DataError] = field(default_factory=dict)
    refused_rates: dict[str, int] = field(default_factory=dict)


def _import_files(
    kind: FileImport,
    files: Sequence[SourceFile],
    store: Store,
    progress: CollectProgress,
    notes: tuple[str, ...],
) -> CollectOutcome:
    """Read, check and store `files`; what is refused, a file or a symbol, does not keep the others out."""
    steps: dict[str, int] = {}
    for file in files:
        steps[file.symbol] = steps.get(file.symbol, 0) + 1
    progress.plan(steps)
    tally = _Tally()
    pending: dict[str, _Pending] = {}
    for file in files:
        try:
            series = kind.read(file)
            rows, dropped, refused = _check_file(file, series, kind)
        except DataError as error:
            tally.refused.setdefault(f"{file.symbol} ({file.path.name})", error)
        else:
            tally.repeated += dropped
            waiting = pending.setdefault(file.kind, _Pending(file.kind))
            waiting.add(file, rows, file.span or _extent(series, kind.interval_ms))
            tally.refused_rates[file.symbol] = tally.refused_rates.get(file.symbol, 0) + refused
            if waiting.rows >= _BATCH_ROWS:
                _commit(pending.pop(file.kind), store, tally)
        progress.advance(file.symbol)
    for waiting in pending.values():
        _commit(waiting, store, tally)
    notes = (*notes, *refused_rates_note(tally.refused_rates, kind.largest_funding_rate))
    return CollectOutcome(tally.rows, tally.repeated, tally.refused, notes, tally.refused_rates)


def _list_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Every file of a folder and the folders below it, in the order of their names."""
    if not folder.is_dir():
        raise DataError(f"a folder {folder}", found="none", fix="set job.source.folder to the folder of your files")
    yield from sorted((path for path in folder.rglob(pattern) if path.is_file()), key=lambda path: path.name)


def _check_file(file: SourceFile, series: Series, kind: FileImport) -> tuple[Series, int, int]:
    """The rows of one file that may be stored, how many repeat another, and how many rates are not sound."""
    if not len(series[0]):
        raise DataError(f"at least one row in {file.path.name}", found="none", fix="fetch it again, or leave it out")
    sound, refused = (series, 0) if file.kind == BARS else drop_unsound_rates(series, kind.largest_funding_rate)
    rows, dropped = check_series(file.kind, *sound, kind.interval_ms, file.path.name)
    slack = 0 if file.kind == BARS else EARLY_MS  # the first rate of a month may be stamped in the month before
    if file.span is not None and not np.all((rows[0] >= file.span[0] - slack) & (rows[0] < file.span[1])):
        raise DataError(
            f"rows of the period in the name of {file.path.name}",
            found=f"rows from {np.datetime64(int(rows[0][0]), 'ms')} to {np.datetime64(int(rows[0][-1]), 'ms')}",
            fix="fetch the file again",
        )
    return rows, dropped, refused


def _extent(series: Series, interval_ms: int) -> Span:
    # Spans end on the grid, also those of funding stamps, which come some milliseconds late.
    return int(series[0][0]) // interval_ms * interval_ms, (int(series[0][-1]) // interval_ms + 1) * interval_ms


def _commit(pending: _Pending, store: Store, tally: _Tally) -> None:
    joined: dict[str, Series] = {}
    for symbol, parts in pending.series.items():
        time_ms = np.concatenate([time_ms for time_ms, _ in parts])
        order = np.argsort(time_ms, kind="stable")
        values = np.concatenate([values for _, values in parts])[order]
        try:
            # Two files may hold the same rows (a month and one of its days); that they agree is checked here.
            joined[symbol], twice = check_series(
                pending.kind, time_ms[order], values, store.manifest.interval_ms, symbol
            )
        except DataError as error:
            tally.refused[symbol] = error
        else:
            tally.repeated += twice
    if joined:
        covered: dict[str, Spans] = {symbol: union(pending.covered[symbol]) for symbol in joined}
        _add(Batch(pending.kind, joined, covered, {}), store, tally)


def _add(batch: Batch, store: Store, tally: _Tally) -> None:
    """Store a batch, or whatever of it does not contradict what is stored."""
    try:
        known = store.add(batch)
    except DataError as error:
        if len(batch.series) == 1:
            tally.refused.update(dict.fromkeys(batch.series, error))
            return
        for symbol, series in batch.series.items():
            _add(Batch(batch.kind, {symbol: series}, {symbol: batch.covered[symbol]}, {}), store, tally)
    else:
        tally.repeated += known
        tally.rows += sum(len(time_ms) for time_ms, _ in batch.series.values()) - known
