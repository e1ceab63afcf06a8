"""Plain CSV files, one per symbol; the configuration states what the files themselves do not show.

A csv file says nothing of its market but what its folders and its name say; for the rest, `market` is a statement.
"""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_choice, check_whole
from quantlab.core.errors import ConfigError
from quantlab.data.collect.csv_faults import unread_lines
from quantlab.data.collect.csv_headings import check_headings
from quantlab.data.collect.csv_stamps import UNITS, parse_stamps
from quantlab.data.collect.csv_text import DELIMITERS, CsvText, read_text
from quantlab.data.collect.file_choice import LeftOut, SourceFile
from quantlab.data.collect.file_markets import folder_market, word_market
from quantlab.data.collect.from_files import FileImport, Rows
from quantlab.data.collect.row_markets import refuse_without_volume
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.file_names import without_copy_mark
from quantlab.data.store.day_files import BARS

#: Name of a public archive of klines, which may have been unpacked.
_ARCHIVE = re.compile(r"\S+-\d+(?:mo|[smhdwM])-\d{4}-\d{2}(?:-\d{2})?")


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
    delimiter : {"comma", "semicolon", "tab"}
        Character between two fields.
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
    delimiter: str
    ending: ClassVar[str] = ".csv"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("unit", self.unit, ("text", *UNITS))
        check_choice("stamp", self.stamp, ("open", "close"))
        check_choice("job.source.delimiter", self.delimiter, tuple(DELIMITERS))
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
        symbol = without_copy_mark(unicodedata.normalize("NFC", path.stem))
        if _ARCHIVE.fullmatch(symbol):
            fix = "import the zip files with job/source=archives, or name each file by its symbol"
            return LeftOut(path, "unpacked archives: their names are no symbols", fix)
        other = self.another_market(path, folder_market(Path(self.folder), path))
        return other or self.another_market(path, word_market(symbol)) or SourceFile(path, symbol, BARS, None)

    def read(self, file: SourceFile) -> Rows:
        """Return the rows of one file, stamped by their opens."""
        text = read_text(file.path, self.skip_lines, self.delimiter)
        check_headings(text, self.columns)
        table = self._table(text)
        stamps = table.column(self.columns["timestamp"]).combine_chunks()
        time_ms = parse_stamps(stamps, self.unit, self.zone, text, self.columns)
        shift = self.interval_ms if self.stamp == "close" else 0
        values: Float64Array = np.column_stack([table.column(self.columns[name]).to_numpy() for name in FIELDS])
        refuse_without_volume(values, file.path.name, "")
        if len(time_ms) > 1 and (np.diff(time_ms) < 0).all():
            notes = (f"{file.path.name} is newest first: its rows are counted from the last",)
            return Rows((time_ms[::-1] - shift, np.ascontiguousarray(values[::-1])), notes)
        return Rows((time_ms - shift, values))

    def _table(self, text: CsvText) -> pa.Table:
        types: dict[str, pa.DataType] = {self.columns[name]: pa.float64() for name in FIELDS}
        types[self.columns["timestamp"]] = pa.string()
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(text.table()),
                parse_options=pyarrow.csv.ParseOptions(delimiter=DELIMITERS[self.delimiter]),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=types, include_columns=list(dict.fromkeys(self.columns.values()))
                ),
            )
        except pa.ArrowException as error:
            raise unread_lines(text, self.columns, str(error)) from error
