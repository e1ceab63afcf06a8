"""Import of other tools' files into a dataset: the part that all kinds of files share.

A kind of file says which files of a folder it takes and turns one file into rows (:class:`FileImport`). Files go in
by batches; each batch is one commit, and importing a file twice changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from quantlab.core.checks import check_choice, check_range
from quantlab.core.clock import floor_to_open
from quantlab.core.errors import DataError
from quantlab.core.ports import CollectProgress
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.file_choice import (
    FileChoice,
    LeftOut,
    SourceFile,
    choose_files,
    several_note,
    uncertain_note,
)
from quantlab.data.collect.file_markets import MARKETS, TITLES, market_fix
from quantlab.data.collect.price_fit import Piece, check_fit, stored_pieces
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


class Rows(NamedTuple):
    """The rows of one file as they stand in it, and what is to be said of them."""

    series: Series
    notes: tuple[str, ...] = ()


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
    market : {"linear", "spot"}
        The market that is wanted; files of others are left out, and a dataset holds one.
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional; larger ones are left out and counted.
    largest_step : float
        Largest step of the price from one file of a symbol to the next, as a fraction, beyond its own moves.

    Raises
    ------
    ConfigError
        If a value is none that can be worked with.
    """

    folder: str | Path
    exchange: str
    timeframe: str
    market: str
    largest_funding_rate: float
    largest_step: float
    #: Ending of the files, in any case.
    ending: ClassVar[str]
    #: True where a symbol has one file of bars by its nature.
    one_file_each: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_choice("job.source.market", self.market, MARKETS)
        check_range("job.source.largest_step", self.largest_step, low=0.0)

    @property
    def interval_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    @property
    @abstractmethod
    def expected_files(self) -> str:
        """Description of the files, for the error where there is none."""

    @abstractmethod
    def accept(self, path: Path) -> SourceFile | LeftOut:
        """Judge a file by its folder and name.

        Raises
        ------
        DataError
            If the name contradicts itself.
        """

    @abstractmethod
    def read(self, file: SourceFile) -> Rows:
        """Return the rows of one file as they stand in it.

        Raises
        ------
        DataError
            If they cannot be read, or are of another market.
        """

    def fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        """Import every file of the wanted market.

        Raises
        ------
        DataError
            If there is none.
        """
        folder = Path(self.folder)
        choice = choose_files(folder, self.ending, self.accept)
        if self.one_file_each:
            choice.keep_one_each(BARS)
        notes = choice.notes(folder)
        if not choice.files and not choice.refused:
            raise DataError(
                f"{self.expected_files} ({TITLES[self.market]}) in {folder}",
                found="; ".join(notes) or "none",
                fix=choice.fixes(),
            )
        notes += uncertain_note(choice.files, folder, TITLES[self.market])
        notes += several_note(choice.files, folder, TITLES[self.market])
        return _import_files(self, choice, store, progress, notes)

    def another_market(self, path: Path, market: str | None) -> LeftOut | None:
        """`path` as a file of a market that is not wanted; None if it is wanted, or not known."""
        if market is None or market == self.market:
            return None
        return LeftOut(path, TITLES[market], market_fix(market))


@dataclass
class _Pending:
    """Rows of one kind that wait for their commit."""

    kind: str
    rows: int = 0
    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    covered: dict[str, list[Span]] = field(default_factory=dict)

    def add(self, file: SourceFile, series: Series, span: Span) -> None:
        self.pieces.setdefault(file.symbol, []).append(Piece(str(file.path), series))
        self.covered.setdefault(file.symbol, []).append(span)
        self.rows += len(series[0])


@dataclass
class _Tally:
    """Counts of rows, and refusals, so far."""

    rows: int = 0
    repeated: int = 0
    refused: dict[str, DataError] = field(default_factory=dict)
    refused_rates: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _import_files(
    kind: FileImport,
    choice: FileChoice,
    store: Store,
    progress: CollectProgress,
    notes: tuple[str, ...],
) -> CollectOutcome:
    """Read, check and store the files chosen; what is refused, a file or a symbol, does not keep the others out."""
    steps: dict[str, int] = {}
    for file in choice.files:
        steps[file.symbol] = steps.get(file.symbol, 0) + 1
    progress.plan(steps)
    tally = _Tally(refused=dict(choice.refused))
    pending: dict[str, _Pending] = {}
    for file in choice.files:
        try:
            series, remarks = kind.read(file)
            rows, dropped, refused = _check_file(file, series, kind)
        except DataError as error:
            tally.refused.setdefault(f"{file.symbol} ({file.path.name})", error)
        else:
            tally.repeated += dropped
            tally.notes += remarks
            waiting = pending.setdefault(file.kind, _Pending(file.kind))
            waiting.add(file, rows, file.span or _extent(series, kind.interval_ms))
            tally.refused_rates[file.symbol] = tally.refused_rates.get(file.symbol, 0) + refused
            if waiting.rows >= _BATCH_ROWS:
                _commit(pending.pop(file.kind), kind, store, tally)
        progress.advance(file.symbol)
    for waiting in pending.values():
        _commit(waiting, kind, store, tally)
    notes = (*notes, *tally.notes, *refused_rates_note(tally.refused_rates, kind.largest_funding_rate))
    return CollectOutcome(tally.rows, tally.repeated, tally.refused, notes, tally.refused_rates)


def _check_file(file: SourceFile, series: Series, kind: FileImport) -> tuple[Series, int, int]:
    """The rows of one file that may be stored, how many repeat another, and how many rates are not sound."""
    if not len(series[0]):
        raise DataError(f"at least one row in {file.path.name}", found="none", fix="fetch it again, or leave it out")
    sound, refused = (series, 0) if file.kind == BARS else drop_unsound_rates(series, kind.largest_funding_rate)
    rows, dropped = check_series(file.kind, *sound, kind.interval_ms, file.path.name, one_step=True)
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
    first, last = (floor_to_open(int(series[0][row]), interval_ms) for row in (0, -1))
    return first, last + interval_ms


def _commit(pending: _Pending, kind: FileImport, store: Store, tally: _Tally) -> None:
    joined: dict[str, Series] = {}
    days: dict[str, dict[str, Series]] = {}
    for symbol, pieces in pending.pieces.items():
        try:
            joined[symbol], twice = _join(symbol, pieces, pending.kind, kind.interval_ms)
            if pending.kind == BARS:
                around = stored_pieces(store, symbol, pieces, days)
                check_fit(symbol, [*pieces, *around], kind.interval_ms, kind.largest_step)
        except DataError as error:
            joined.pop(symbol, None)
            tally.refused[symbol] = error
        else:
            tally.repeated += twice
    if joined:
        covered: dict[str, Spans] = {symbol: union(pending.covered[symbol]) for symbol in joined}
        _add(Batch(pending.kind, joined, covered, {}), store, tally)


def _join(symbol: str, pieces: Sequence[Piece], kind: str, interval_ms: int) -> tuple[Series, int]:
    """The rows of one symbol's files in time order, and how many came twice."""
    times = np.concatenate([piece.series[0] for piece in pieces])
    order = np.argsort(times, kind="stable")
    time_ms = times[order]
    values = np.concatenate([piece.series[1] for piece in pieces])[order]
    try:
        # Two files may hold the same rows (a month and one of its days); that they agree is checked here.
        return check_series(kind, time_ms, values, interval_ms, symbol)
    except DataError as error:
        names = np.repeat(np.arange(len(pieces)), [len(piece.series[0]) for piece in pieces])[order]
        differ = (np.diff(time_ms) == 0) & (values[1:] != values[:-1]).any(axis=1)
        if not differ.any():
            raise
        first = int(np.flatnonzero(differ)[0])
        one, other = pieces[names[first]].name, pieces[names[first + 1]].name
        raise DataError(
            error.expected,
            found=f"{error.found}: {one} and {other}",
            fix="keep the file of the wanted market: two of one name are most likely of two",
        ) from error


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
