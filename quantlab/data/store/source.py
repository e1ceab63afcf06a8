"""A collected dataset as a source of bars: only the days asked for are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import ceil_to_open, iso_utc
from quantlab.core.errors import ArtifactError, DataError
from quantlab.core.market import Bars, Funding, Instrument, RuleChange
from quantlab.data.quality.gate import MAX_FILLED
from quantlab.data.quality.grid import RawGrid, funding_due
from quantlab.data.quality.holds import HOLD_WINDOW
from quantlab.data.series.adjustments import read_adjustments
from quantlab.data.series.alignment import Series, align_funding
from quantlab.data.series.funding_rates import drop_unsound_rates, refused_rates_note
from quantlab.data.series.instruments import MARGIN, instrument_of, margin_note
from quantlab.data.series.instruments_file import read_instruments
from quantlab.data.series.stored_source import StoredSource, choose_symbols
from quantlab.data.series.timestamp_checks import LATEST_MS, floor_to_hour
from quantlab.data.store.bars_of_symbol import StoredBars, joined
from quantlab.data.store.day_files import BARS, FUNDING, DayTable, day_of, read_day
from quantlab.data.store.manifest import LINEAR, Manifest, Part, read_manifest

_READERS = 4
#: Rows before the period asked for that the gate must have seen.
_MARGIN = MAX_FILLED + 2 * HOLD_WINDOW


@dataclass(frozen=True)
class CollectedSource(StoredSource):
    """Reads what ``job=collect`` wrote; every file's hash is verified before it is decoded.

    Parameters
    ----------
    root, symbols, start, end, largest_funding_rate, adjustments, instruments
        As in :class:`~quantlab.data.series.stored_source.StoredSource`.
    instrument : Instrument
        Trading rules where the exchange states none; those that it states are stored with the data and go first. What the
        file of instruments states goes before both.
    funding : {"auto", "off"}
        ``auto``: the stored rates; without any there is no funding data. ``off``: they are not read.
    """

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """Bars with ``start_ms <= open < end_ms`` within the source's own period; see the port."""
        start_ms, end_ms = self._period(start_ms, end_ms)
        ohlcv, grid = self._load(start_ms, end_ms)
        first, last = grid.rows(start_ms, end_ms)
        # The array was made here and is nobody else's: filled in place, memory holds the data once.
        _, bars = grid.gate.consume(grid.gate.begin(), ohlcv, grid.open_time_ms)
        due = funding_due(grid.funding, int(grid.open_time_ms[first]), last - first, grid.interval_ms)
        return replace(bars.rows(first, last), funding=due)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The bars of :meth:`history` one at a time, each with the funding that falls due on it."""
        start_ms, end_ms = self._period(start_ms, end_ms)
        _, grid = self._load(start_ms, end_ms)
        return grid.stream(start_ms, end_ms)

    def problems(self) -> tuple[DataError, ...]:
        """Every file that is missing or damaged; for the doctor."""
        manifest = read_manifest(Path(self.root))
        refused = []
        for part, stored in sorted(manifest.files.items()):
            try:
                read_day(Path(self.root), part, stored)
            except ArtifactError as error:
                refused.append(DataError(error.expected, found=error.found, fix=error.fix))
        return tuple(refused)

    def bar_market(self) -> str:
        """The market that the dataset's manifest names."""
        return read_manifest(Path(self.root)).market

    def data_notes(self) -> tuple[str, ...]:
        """Sentences that a reader of results must know of the data besides their bars."""
        manifest = read_manifest(Path(self.root))
        symbols = self._chosen(manifest)
        stated = read_instruments(self.instruments)
        unstated = [
            symbol
            for symbol in symbols
            if MARGIN not in manifest.symbols[symbol].rules and not stated.states(symbol, MARGIN)
        ]
        margins = (margin_note(unstated, len(symbols)),) if unstated else ()
        notes = (*read_adjustments(self.adjustments).notes(symbols), *stated.notes(symbols), *margins)
        if manifest.market != LINEAR:
            notes = (f"these are bars of {manifest.market}: perpetuals trade at other prices and pay funding", *notes)
        if self.funding == "off" or not manifest.days(FUNDING):
            return notes
        low, high = self._period(None, None)
        _, refused = self._rates(manifest, symbols, low or 0, LATEST_MS - 1 if high is None else high)
        return (*notes, *refused_rates_note(refused, self.largest_funding_rate))

    def _load(self, start_ms: int | None, end_ms: int | None) -> tuple[Float64Array, RawGrid]:
        """The bars in an array that may be written to, and the same bars as a grid."""
        root = Path(self.root)
        manifest = read_manifest(root)
        symbols = self._chosen(manifest)
        open_time_ms = _grid_times(root, manifest, start_ms, end_ms)
        low, high = int(open_time_ms[0]), int(open_time_ms[-1]) + manifest.interval_ms
        ohlcv = np.full((len(open_time_ms), len(symbols), 5), np.nan)
        for table in _tables(root, manifest, BARS, low, high):
            column, wanted = _places(table, symbols, low, high)
            rows = (table.time_ms[wanted] - low) // manifest.interval_ms
            ohlcv[rows, column[wanted]] = table.values[wanted]
        self._adjust(manifest, symbols, open_time_ms, ohlcv)
        rules, changes = self._trading_rules(manifest, symbols, low)
        funding = self._funding(manifest, symbols, low - manifest.interval_ms, high)
        return ohlcv, RawGrid(ohlcv, open_time_ms, manifest.interval_ms, symbols, rules, funding, changes)

    def _adjust(
        self, manifest: Manifest, symbols: tuple[str, ...], open_time_ms: Int64Array, ohlcv: Float64Array
    ) -> None:
        """Adjust bars (T, S, 5) in place; a row is held against all that was collected, not against the part that is read."""
        spans = {name: facts.covered[BARS] for name, facts in manifest.symbols.items() if facts.covered.get(BARS)}
        bounds = {name: (parts[0][0], parts[-1][1] - manifest.interval_ms) for name, parts in spans.items()}
        adjustments = read_adjustments(self.adjustments)
        adjustments.check(bounds, bounds, manifest.interval_ms)
        stored = StoredBars(Path(self.root), manifest)
        adjustments.check_steps(symbols, manifest.interval_ms, stored.around, stored.whole)
        for s, symbol in enumerate(symbols):
            adjustments.apply(symbol, open_time_ms, ohlcv[:, s])

    def _trading_rules(
        self, manifest: Manifest, symbols: tuple[str, ...], first_ms: int
    ) -> tuple[tuple[Instrument, ...], tuple[RuleChange, ...]]:
        """Rules of the bar that opens at `first_ms`, and changes after it."""
        stated = read_instruments(self.instruments)
        stated.check(manifest.symbols)
        of_venue = {name: instrument_of(manifest.symbols[name].rules, self.instrument) for name in symbols}
        return stated.rules(of_venue, first_ms)

    def _chosen(self, manifest: Manifest) -> tuple[str, ...]:
        known = sorted(name for name, facts in manifest.symbols.items() if facts.covered.get(BARS))
        return choose_symbols(self.symbols, known, lambda symbol: f"bars of {symbol} in {self.root}")

    def _funding(self, manifest: Manifest, symbols: tuple[str, ...], low: int, high: int) -> Funding | None:
        if self.funding == "off" or not manifest.days(FUNDING):
            return None
        return align_funding(self._rates(manifest, symbols, low, high)[0], symbols)

    def _rates(
        self, manifest: Manifest, symbols: tuple[str, ...], low: int, high: int
    ) -> tuple[dict[str, Series], dict[str, int]]:
        """The sound rates of every symbol, and how many of each are refused."""
        parts: dict[str, list[Series]] = {}
        for table in _tables(Path(self.root), manifest, FUNDING, low, high):
            for symbol, rows in table.series().items():
                if symbol in symbols:
                    parts.setdefault(symbol, []).append(rows)
        series, refused = {}, {}
        for symbol, pieces in parts.items():
            rows, refused[symbol] = drop_unsound_rates(joined(pieces), self.largest_funding_rate)
            series[symbol] = (floor_to_hour(rows[0], f"{symbol}'s funding"), rows[1][:, 0])
        return series, refused


def _grid_times(root: Path, manifest: Manifest, start_ms: int | None, end_ms: int | None) -> Int64Array:
    """The dataset's own grid, cut to the period and to what the gate must have seen before it.

    How a hole at `start_ms` is filled depends on the :data:`MAX_FILLED` bars before it and on nothing
    earlier, so a part of a dataset is exactly a slice of the whole. So are the flags of suspect prints, whose
    window of :data:`HOLD_WINDOW` rows must hold what was itself judged by a window.
    """
    days = manifest.days(BARS)
    if not days:
        raise DataError(f"bars in {root}", found="none", fix="run job=collect")
    ends = [read_day(root, part, manifest.files[part]).time_ms for part in (Part(BARS, days[0]), Part(BARS, days[-1]))]
    step, low, last = manifest.interval_ms, int(ends[0].min()), int(ends[1].max())
    first = low if start_ms is None else max(low, ceil_to_open(start_ms, step) - _MARGIN * step)
    stop = last + step if end_ms is None else min(last + step, ceil_to_open(end_ms, step))
    if stop <= max(first, low if start_ms is None else start_ms):
        raise DataError(
            "bars in the period asked for",
            found=f"data from {iso_utc(low)} to {iso_utc(last + step)}",
            fix="choose a period inside the data",
        )
    return np.arange(first, stop, step, dtype=np.int64)


def _tables(root: Path, manifest: Manifest, kind: str, low: int, high: int) -> Iterator[DayTable]:
    days = [day for day in manifest.days(kind) if day_of(low) <= day <= day_of(high - 1)]
    parts = [Part(kind, day) for day in days]
    with ThreadPoolExecutor(_READERS) as pool:
        # A few files at a time: what is decoded ahead of its use is memory.
        for k in range(0, len(parts), _READERS):
            yield from pool.map(lambda part: read_day(root, part, manifest.files[part]), parts[k : k + _READERS])


def _places(table: DayTable, symbols: tuple[str, ...], low: int, high: int) -> tuple[Int64Array, Int64Array]:
    """The grid's column of every row (-1: not wanted), and the numbers of the rows that are wanted."""
    index = {symbol: s for s, symbol in enumerate(symbols)}
    column = np.array([index.get(symbol, -1) for symbol in table.symbols], dtype=np.int64)[table.code]
    wanted = np.flatnonzero((column >= 0) & (table.time_ms >= low) & (table.time_ms < high))
    return column, wanted
