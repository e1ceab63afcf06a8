"""Binance's public archives (data.binance.vision): zipped csv files of klines and funding rates.

``BTCUSDT-5m-2025-05.zip`` (a month), ``BTCUSDT-5m-2025-05-01.zip`` (a day) and
``BTCUSDT-fundingRate-2025-05.zip``, with or without a line of headings; stamps in milliseconds, and in
microseconds in spot archives from 2025 on. A ``.CHECKSUM`` file beside an archive is held against it.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import DataError
from quantlab.data.collect.from_files import FileImport, SourceFile
from quantlab.data.series.alignment import Series
from quantlab.data.series.spans import Span
from quantlab.data.store.day_files import BARS, FUNDING

_NAME = re.compile(r"([A-Z0-9_]+)-(\d+[smhdw]|1mo|fundingRate)-(\d{4})-(\d{2})(?:-(\d{2}))?\.zip")
_KLINES = ("open_time", "open", "high", "low", "close", "volume", "close_time")
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
#: Milliseconds have 13 digits and microseconds 16, from 2001 to 2286.
_MICROSECONDS = 10**14


@dataclass(frozen=True)
class ArchiveImport(FileImport):
    """Archives as they were downloaded, in any folders below `folder`.

    Parameters
    ----------
    folder, exchange
        As in :class:`~quantlab.data.collect.from_files.FileImport`.
    timeframe : str
        Archives of other intervals are left alone.
    """

    pattern: ClassVar[str] = "*.zip"

    @property
    def expected_files(self) -> str:
        return f"archives named SYMBOL-{self.timeframe}-YYYY-MM.zip"

    def accept(self, path: Path) -> SourceFile | None:
        """Take bars of the timeframe, and funding rates."""
        match = _NAME.fullmatch(path.name)
        if match is None or match.group(2) not in (self.timeframe, "fundingRate"):
            return None
        kind = FUNDING if match.group(2) == "fundingRate" else BARS
        return SourceFile(path, match.group(1), kind, _period(path, match))

    def read(self, file: SourceFile) -> Series:
        """Return the rows of one archive, in milliseconds.

        Raises
        ------
        DataError
            If its bars close at another distance from their opens than the timeframe.
        """
        data = _read_csv(file.path)
        if file.kind == FUNDING:
            table = _table(data, _FUNDING, file.path)
            return _milliseconds(table.column(0), file.path)[0], np.array(table.column(2).to_numpy()).reshape(-1, 1)
        table = _table(data, _KLINES, file.path)
        time_ms, unit = _milliseconds(table.column(0), file.path)
        closes = table.column(6).to_numpy()
        lasts = closes - table.column(0).to_numpy()
        if len(lasts) and not np.all(np.abs(lasts - self.interval_ms * unit) <= unit):
            raise DataError(
                f"bars of {self.timeframe} in {file.path.name}",
                found=f"bars that close {lasts[0] / unit / 1000:g} s after they open",
                fix="fetch the file again, or correct its name",
            )
        values = np.column_stack([table.column(k).to_numpy() for k in range(1, 6)])
        return time_ms, values


def _period(path: Path, match: re.Match[str]) -> Span:
    year, month, day = int(match.group(3)), int(match.group(4)), int(match.group(5) or 1)
    try:
        first = datetime(year, month, day, tzinfo=UTC)
    except ValueError as error:
        raise DataError(f"a date in the name of {path.name}", found=str(error), fix="correct the name") from error
    start = round(first.timestamp() * 1000)
    if match.group(5):
        return start, start + MS_PER_DAY
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return start, round(after.timestamp() * 1000)


def _read_csv(path: Path) -> bytes:
    data = path.read_bytes()
    checksum = path.with_name(path.name + ".CHECKSUM")
    if checksum.is_file():
        expected = checksum.read_text(encoding="utf-8", errors="replace").split()[:1]
        if expected != [hashlib.sha256(data).hexdigest()]:
            raise DataError(f"{path.name} with the sha256 of its CHECKSUM file", found="another", fix="fetch it again")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv")]
            if len(names) != 1:
                raise DataError(f"one csv file in {path.name}", found=str(len(names)), fix="fetch it again")
            return archive.read(names[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:  # the last: with a password
        raise DataError(f"a whole zip file {path.name}", found=str(error), fix="fetch it again") from error


def _table(data: bytes, names: tuple[str, ...], path: Path) -> pa.Table:
    heading = not data[:1].isdigit()
    if heading:
        found = data.split(b"\n", 1)[0].decode(errors="replace").strip().split(",")[: len(names)]
        if tuple(found) != names:
            raise DataError(f"the columns {', '.join(names)} in {path.name}", found=", ".join(found), fix="check it")
    columns = [*names, *(f"more_{k}" for k in range(data.split(b"\n", 1)[0].count(b",") + 1 - len(names)))]
    whole = {names[0], "close_time", "funding_interval_hours"}
    types = {name: pa.int64() if name in whole else pa.float64() for name in names}
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(column_names=columns, skip_rows=int(heading), use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(names)),
        )
    except (pa.ArrowException, KeyError) as error:
        raise DataError(
            f"a table of {', '.join(names)} in {path.name}", found=str(error), fix="fetch it again"
        ) from error


def _milliseconds(column: pa.ChunkedArray, path: Path) -> tuple[Int64Array, int]:
    """Stamps in ms, and how many of the file's units a millisecond has."""
    stamps = np.array(column.to_numpy(), dtype=np.int64)
    if not len(stamps) or stamps.min() < _MICROSECONDS:
        if len(stamps) and stamps.max() >= _MICROSECONDS:
            raise DataError(f"one unit of time in {path.name}", found="milliseconds and microseconds", fix="check it")
        return stamps, 1
    if np.any(stamps % 1000):
        raise DataError(f"stamps of whole milliseconds in {path.name}", found="fractions", fix="check the file")
    return stamps // 1000, 1000
