"""A folder of parquet files as a source of bars: one file per symbol, funding beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Bars, Funding
from quantlab.data.parquet.files import read_bars, read_funding, widened_columns
from quantlab.data.parquet.listing import list_files
from quantlab.data.quality.grid import RawGrid
from quantlab.data.series.adjustments import read_adjustments
from quantlab.data.series.alignment import Series, align_bars, align_funding, common_interval
from quantlab.data.series.funding_rates import drop_unsound_rates, refused_rates_note
from quantlab.data.series.instruments_file import read_instruments
from quantlab.data.series.stored_source import StoredSource, choose_symbols
from quantlab.data.series.timeframes import timeframe_ms

#: Symbols that a note names at most.
_NAMED = 5


@dataclass(frozen=True)
class ParquetSource(StoredSource):
    """Reads ``root/<SYMBOL>.parquet`` and ``root/funding/<SYMBOL>.parquet``.

    Every file is read and checked whole, also outside the period asked for; the bar interval is found
    in the data and must be the same in all files. Late listings and delistings need no declaration.

    Parameters
    ----------
    root, start, end, largest_funding_rate, adjustments, instruments
        As in :class:`~quantlab.data.series.stored_source.StoredSource`.
    symbols : str or sequence of str
        File names without the suffix, in the order wanted; ``"all"`` takes all, alphabetically. There
        is no "most traded": ranking by volume within the period would look ahead.
    instrument : Instrument
        Trading rules of every symbol, where the file of instruments states no others.
    funding : {"auto", "partial", "off"}
        ``auto``: without a ``funding`` folder there is no funding data; with one, every symbol must have
        its file. ``partial``: symbols without a file get unknown rates (NaN). ``off``: it is not read.
    folders : sequence of str
        Further folders below `root` to take symbols from, e.g. ``["ragged"]``; others are ignored.
    interval : str or None
        Of the bars, e.g. ``5m``; None finds it in the stamps, which files of few bars do not tell.

    Raises
    ------
    ConfigError
        If a bound or the interval is none, the period is empty, `funding` is not one of the three, or `root`, `symbols`
        or `folders` are not names.
    """

    folders: Sequence[str]
    interval: str | None = None
    funding_modes: ClassVar[tuple[str, ...]] = ("auto", "partial", "off")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval is not None:
            timeframe_ms(self.interval)
        if not (isinstance(self.symbols, str) or _are_names(self.symbols)):
            raise ConfigError(
                "data.symbols as 'all' or a list of names",
                found=repr(self.symbols),
                fix="write data.symbols=[BTC,ETH]",
            )
        if not _are_names(self.folders):
            raise ConfigError(
                "data.folders as a list of names", found=repr(self.folders), fix="write data.folders=[] or [NAME]"
            )

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """Bars with ``start_ms <= open < end_ms`` within the source's own period; see the port."""
        return self._grid().history(*self._period(start_ms, end_ms))

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The bars of :meth:`history` one at a time, each with the funding that falls due on it."""
        return self._grid().stream(*self._period(start_ms, end_ms))

    def problems(self) -> tuple[DataError, ...]:
        """Every file that :meth:`history` would refuse, not only the first; for the doctor."""
        files = self._files()
        refused = [_refusal(read_bars, path) for path in files.values()]
        refused += [_refusal(read_funding, path) for path in self._funding_files(tuple(files)).values()]
        return tuple(error for error in refused if error is not None)

    def sound_part(self) -> ParquetSource | None:
        """This source without the symbols whose files are refused; None if nothing is left."""
        files = self._files()
        funding = self._funding_files(tuple(files))
        bad = {symbol for symbol, path in files.items() if _refusal(read_bars, path)}
        bad |= {symbol for symbol, path in funding.items() if _refusal(read_funding, path)}
        left = [symbol for symbol in files if symbol not in bad]
        return replace(self, symbols=left) if left else None

    def data_notes(self) -> tuple[str, ...]:
        """Sentences on widened columns, adjusted prices, trading rules from a file, and funding rates that count as missing."""
        notes = self._file_notes()
        if self.funding == "off":
            return notes
        refused, symbols = {}, tuple(self._files())
        for symbol, path in self._funding_files(symbols).items():
            if _refusal(read_funding, path) is None:
                _, refused[symbol] = drop_unsound_rates(read_funding(path), self.largest_funding_rate)
        return (*notes, *refused_rates_note(refused, self.largest_funding_rate))

    def _grid(self) -> RawGrid:
        series = {symbol: read_bars(path) for symbol, path in self._files().items()}
        interval_ms = common_interval(series, None if self.interval is None else timeframe_ms(self.interval))
        self._adjust(series, interval_ms)
        symbols = tuple(series)
        open_time_ms, ohlcv = align_bars(series, interval_ms)
        stated = read_instruments(self.instruments)
        stated.check(self._known())
        rules, changes = stated.rules(dict.fromkeys(symbols, self.instrument), int(open_time_ms[0]))
        return RawGrid(ohlcv, open_time_ms, interval_ms, symbols, rules, self._funding(symbols), changes)

    def _file_notes(self) -> tuple[str, ...]:
        """Sentences on widened columns, on adjusted prices and on trading rules from files."""
        files = self._files()
        symbols = tuple(files)
        return (
            *_widened_note(files),
            *read_adjustments(self.adjustments).notes(symbols),
            *read_instruments(self.instruments).notes(symbols),
        )

    def _adjust(self, series: dict[str, Series], interval_ms: int) -> None:
        """Adjust bars in place."""
        adjustments = read_adjustments(self.adjustments)
        bounds = {symbol: (int(time_ms[0]), int(time_ms[-1])) for symbol, (time_ms, _) in series.items()}
        adjustments.check(self._known(), bounds, interval_ms)
        adjustments.check_steps(series, interval_ms, lambda symbol, _: series[symbol], series.__getitem__)
        for symbol, (time_ms, ohlcv) in series.items():
            adjustments.apply(symbol, time_ms, ohlcv)

    def _known(self) -> dict[str, Path]:
        """Every symbol with a file."""
        return list_files([Path(self.root), *(Path(self.root) / folder for folder in self.folders)])

    def _files(self) -> dict[str, Path]:
        known = self._known()
        names = choose_symbols(self.symbols, known, lambda symbol: f"a file {symbol}.parquet in {self.root}")
        return {symbol: known[symbol] for symbol in names}

    def _funding_files(self, symbols: tuple[str, ...]) -> dict[str, Path]:
        folder = Path(self.root) / "funding"
        if self.funding == "off" or not folder.is_dir():
            return {}
        paths = {symbol: folder / f"{symbol}.parquet" for symbol in symbols}
        missing = [symbol for symbol, path in paths.items() if not path.is_file()]
        if missing and self.funding == "auto":
            raise DataError(
                f"a funding file of every symbol in {folder}",
                found=f"none for {', '.join(missing[:5])}" + (f" and {len(missing) - 5} more" * (len(missing) > 5)),
                fix="add the files, leave those symbols out, or set data.funding to partial (their rates are then "
                "unknown) or off (results leave funding out, and say so)",
            )
        return {symbol: path for symbol, path in paths.items() if symbol not in missing}

    def _funding(self, symbols: tuple[str, ...]) -> Funding | None:
        if self.funding == "off" or not (Path(self.root) / "funding").is_dir():
            return None
        series: dict[str, Series] = {}
        for symbol, path in self._funding_files(symbols).items():
            series[symbol], _ = drop_unsound_rates(read_funding(path), self.largest_funding_rate)
        return align_funding(series, symbols)


def _widened_note(files: dict[str, Path]) -> tuple[str, ...]:
    """A sentence on columns that are read as float64 and were written as something narrower."""
    symbols: dict[str, list[str]] = {}
    for symbol, path in files.items():
        for column, kind in widened_columns(path).items():
            symbols.setdefault(f"{column} ({kind})", []).append(symbol)
    if not symbols:
        return ()
    parts = [f"{column} of {_named(names)}" for column, names in sorted(symbols.items())]
    return (f"read as float64, to which they were widened: {'; '.join(parts)}. A float has about 7 digits",)


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _are_names(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)


def _refusal(read: Callable[[Path], Series], path: Path) -> DataError | None:
    try:
        read(path)
    except DataError as error:
        return error
    return None
