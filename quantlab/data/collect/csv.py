"""Plain CSV files, one per symbol; the configuration states what the files themselves do not show.

A csv file says nothing of its market but what its folders and its name say; for the rest, `market` is a statement.
"""

from __future__ import annotations

import unicodedata
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.checks import check_choice, check_whole
from quantlab.core.clock import iso_exact
from quantlab.core.errors import ConfigError, DataError
from quantlab.data.collect.csv_headings import read_table
from quantlab.data.collect.file_choice import LeftOut, SourceFile
from quantlab.data.collect.file_markets import folder_market, word_market
from quantlab.data.collect.from_files import FileImport, Rows
from quantlab.data.collect.row_markets import refuse_without_volume
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.arrow_stamps import whole_milliseconds
from quantlab.data.series.timestamp_checks import check_years
from quantlab.data.store.day_files import BARS

#: Units of a millisecond.
_UNITS = {"s": 0.001, "ms": 1.0, "us": 1_000.0, "ns": 1_000_000.0}


@dataclass(frozen=True)
class CsvImport(FileImport):
    """``<SYMBOL>.csv`` files with a line of headings.

    Parameters
    ----------
    folder, exchange, timeframe, market, largest_funding_rate, largest_step
        As in :class:`~quantlab.data.collect.from_files.FileImport`.
    columns : dict
        The file's name of ``timestamp``, ``open``, ``high``, ``low``, ``close`` and ``volume``; exact, and
        case matters.
    unit : {"text", "s", "ms", "us", "ns"}
        What a timestamp is: ISO 8601 text, or a number since 1970.
    zone : str or None
        Of texts that name none, e.g. ``UTC``; None refuses such texts.
    skip_lines : sequence of int
        Lines of every file that are neither headings nor rows, counted from 1.
    stamp : {"open", "close"}
        Which end of its bar a timestamp is; ``close`` is moved to the open.

    Raises
    ------
    ConfigError
        If a setting is none of these.
    """

    columns: Mapping[str, str]
    unit: str
    zone: str | None
    stamp: str
    skip_lines: Sequence[int]
    pattern: ClassVar[str] = "*.csv"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("unit", self.unit, ("text", *_UNITS))
        check_choice("stamp", self.stamp, ("open", "close"))
        for number in self.skip_lines:
            check_whole("job.source.skip_lines", number, low=1)
        if set(self.columns) != {"timestamp", *FIELDS}:
            found = ", ".join(map(str, self.columns))
            raise ConfigError(f"columns for timestamp, {', '.join(FIELDS)}", found=found, fix="name each of them")
        if self.zone is not None and self.zone not in zoneinfo.available_timezones():
            raise ConfigError("zone as a time zone", found=repr(self.zone), fix="write UTC or e.g. Europe/Berlin")

    @property
    def expected_files(self) -> str:
        return "files named <SYMBOL>.csv"

    def accept(self, path: Path) -> SourceFile | LeftOut:
        """Take every file that does not speak of another market: its name is the symbol."""
        symbol = unicodedata.normalize("NFC", path.stem)
        other = self.another_market(path, folder_market(Path(self.folder), path))
        return other or self.another_market(path, word_market(symbol)) or SourceFile(path, symbol, BARS, None)

    def read(self, file: SourceFile) -> Rows:
        """Return the rows of one file, stamped by their opens."""
        table = self._table(file.path)
        time_ms = self._stamps(table.column(self.columns["timestamp"]), file.path)
        shift = self.interval_ms if self.stamp == "close" else 0
        values: Float64Array = np.column_stack([table.column(self.columns[name]).to_numpy() for name in FIELDS])
        refuse_without_volume(values, file.path.name, "")
        if len(time_ms) > 1 and (np.diff(time_ms) < 0).all():
            notes = (f"{file.path.name} is newest first: its rows are counted from the last",)
            return Rows((time_ms[::-1] - shift, np.ascontiguousarray(values[::-1])), notes)
        return Rows((time_ms - shift, values))

    def _table(self, path: Path) -> pa.Table:
        data = read_table(path, self.skip_lines, tuple(self.columns.values()))
        types: dict[str, pa.DataType] = {self.columns[name]: pa.float64() for name in FIELDS}
        types[self.columns["timestamp"]] = pa.string() if self.unit == "text" else pa.int64()
        options = pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(self.columns.values()))
        try:
            return pyarrow.csv.read_csv(pa.BufferReader(data), convert_options=options)
        except pa.ArrowException as error:
            fix = "check the file and job.source.unit"
            raise DataError(f"numbers and timestamps in {path.name}", found=str(error), fix=fix) from error

    def _stamps(self, column: pa.ChunkedArray, path: Path) -> Int64Array:
        if column.null_count:
            raise DataError(f"a timestamp in every row of {path.name}", found="missing ones", fix="add them")
        if self.unit == "text":
            return _parse_texts(column, self.zone, path)
        # Checked in years before it is scaled: milliseconds read as seconds would overflow.
        numbers = column.to_numpy().astype(np.float64) / _UNITS[self.unit]
        clipped: Int64Array = np.clip(numbers, -9e15, 9e15).astype(np.int64)
        check_years(clipped, path.name)
        off = np.flatnonzero(clipped != numbers)
        if len(off):
            found = f"{len(off)} with fractions, the first in row {off[0]} ({iso_exact(int(clipped[off[0]]))})"
            raise DataError(f"timestamps of {path.name} in whole milliseconds", found=found, fix="round the stamps")
        return clipped


def _parse_texts(column: pa.ChunkedArray, zone: str | None, path: Path) -> Int64Array:
    texts = column.combine_chunks()
    named = pc.match_substring_regex(texts, r"(Z|[+-]\d{2}:?\d{2})$")
    with_zone = bool(pc.all(named).as_py())
    if not with_zone and (zone is None or pc.any(named).as_py()):
        first = next(text for text, has in zip(texts.to_pylist(), named.to_pylist(), strict=True) if not has)
        raise DataError(
            f"a time zone with every timestamp of {path.name}",
            found=f"none with {first!r}",
            fix="say which zone it is: job.source.zone=UTC",
        )
    # Tools write whole milliseconds with any number of digits: Arrow reads nine of them.
    texts = pc.replace_substring_regex(texts, r"(\.\d{3})0+(Z|[+-]\d{2}:?\d{2}|)$", r"\1\2")
    try:
        moments = pc.cast(texts, pa.timestamp("ns", tz="UTC") if with_zone else pa.timestamp("ns"))
        if not with_zone:
            moments = pc.assume_timezone(moments, zone)
    except pa.ArrowException as error:
        raise DataError(f"ISO 8601 timestamps in {path.name}", found=str(error), fix="set job.source.unit") from error
    return whole_milliseconds(moments, path.name)
