"""Files of other tools into a dataset: what they have in common.

Each kind of file is a *reader*: it lists what it finds in a folder and turns one file into checked rows.
Files go in by batches; each batch is one commit, and importing a file twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from quantlab.core.errors import DataError
from quantlab.core.ports import CollectProgress
from quantlab.core.types import CollectOutcome
from quantlab.data.series.alignment import Series
from quantlab.data.series.spans import Span, Spans, union
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


@dataclass
class _Pending:
    """Rows of one kind that wait for their commit."""

    kind: str
    rows: int = 0
    series: dict[str, list[Series]] = field(default_factory=dict)
    covered: dict[str, list[Span]] = field(default_factory=dict)

    def add(self, found: SourceFile, series: Series, span: Span) -> None:
        self.series.setdefault(found.symbol, []).append(series)
        self.covered.setdefault(found.symbol, []).append(span)
        self.rows += len(series[0])


@dataclass
class _Tally:
    """What has become of the rows so far."""

    rows: int = 0
    repeated: int = 0
    refused: dict[str, DataError] = field(default_factory=dict)


def import_files(
    files: Sequence[SourceFile],
    read: Callable[[SourceFile], Series],
    interval_ms: int,
    store: Store,
    progress: CollectProgress,
    notes: tuple[str, ...] = (),
) -> CollectOutcome:
    """Read, check and store `files`; what is refused, a file or a symbol, does not keep the others out.

    Parameters
    ----------
    files : sequence of Found
    read : function of a Found
        Its rows as they stand in the file.
    interval_ms : int
    store : Store
    progress : Watcher
    notes : tuple of str
        Handed through to the outcome.
    """
    steps: dict[str, int] = {}
    for found in files:
        steps[found.symbol] = steps.get(found.symbol, 0) + 1
    progress.plan(steps)
    tally = _Tally()
    pending: dict[str, _Pending] = {}
    for found in files:
        try:
            series, dropped = _check_file(found, read(found), interval_ms)
        except DataError as error:
            tally.refused.setdefault(f"{found.symbol} ({found.path.name})", error)
        else:
            tally.repeated += dropped
            waiting = pending.setdefault(found.kind, _Pending(found.kind))
            waiting.add(found, series, found.span or _extent(series, interval_ms))
            if waiting.rows >= _BATCH_ROWS:
                _commit(pending.pop(found.kind), store, tally)
        progress.advance(found.symbol)
    for waiting in pending.values():
        _commit(waiting, store, tally)
    return CollectOutcome(tally.rows, tally.repeated, tally.refused, notes)


def list_files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files of a folder and the folders below it, in the order of their names.

    Raises
    ------
    DataError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"a folder {folder}", found="none", fix="set job.source.folder to the folder of your files")
    yield from sorted((path for path in folder.rglob(pattern) if path.is_file()), key=lambda path: path.name)


def require_files(files: Sequence[SourceFile], folder: Path, what: str) -> None:
    """Raise DataError if nothing was found."""
    if not files:
        raise DataError(f"{what} in {folder}", found="none", fix="set job.source.folder, or rename the files")


def _check_file(found: SourceFile, series: Series, interval_ms: int) -> tuple[Series, int]:
    if not len(series[0]):
        raise DataError(f"at least one row in {found.path.name}", found="none", fix="fetch it again, or leave it out")
    rows, dropped = check_series(found.kind, *series, interval_ms, found.path.name)
    if found.span is not None and not (found.span[0] <= rows[0][0] and rows[0][-1] < found.span[1]):
        raise DataError(
            f"rows of the period in the name of {found.path.name}",
            found=f"rows from {np.datetime64(int(rows[0][0]), 'ms')} to {np.datetime64(int(rows[0][-1]), 'ms')}",
            fix="fetch the file again",
        )
    return rows, dropped


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
