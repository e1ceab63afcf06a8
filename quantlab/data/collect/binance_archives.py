"""Binance's public archives (data.binance.vision): zipped csv files of klines and funding rates.

``BTCUSDT-5m-2025-05.zip`` (a month), ``BTCUSDT-5m-2025-05-01.zip`` (a day) and
``BTCUSDT-fundingRate-2025-05.zip``, with or without a line of headings; stamps in milliseconds, and in
microseconds in spot archives from 2025 on. A ``.CHECKSUM`` file beside an archive is held against it.

Klines of perpetuals, spot, mark price and premium index have one and the same name. The folders of the archive tell
them apart; where files lie elsewhere, their rows tell what they can: the unit of a stamp, and volumes that are all 0.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY, iso_exact
from quantlab.core.errors import DataError
from quantlab.data.collect.file_choice import LeftOut, SourceFile
from quantlab.data.collect.file_markets import TITLES, folder_market, quoted_in, symbol_market
from quantlab.data.collect.from_files import FileImport, Rows
from quantlab.data.collect.row_markets import refuse_without_volume
from quantlab.data.series.spans import Span
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import LINEAR, SPOT

#: A browser appends (1) to a second file of one name.
_NAME = re.compile(r"(\S+?)-(\d+(?:mo|[smhdwM])|[A-Za-z]+)-(\d{4})-(\d{2})(?:-(\d{2}))?(?: ?\(\d+\))?\.(?i:zip)")
_KLINES = ("open_time", "open", "high", "low", "close", "volume", "close_time")
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
#: Milliseconds have 13 digits and microseconds 16, from 2001 to 2286.
_MICROSECONDS = 10**14
#: Since 2025 archives of spot are in microseconds, and no others are.
_SPOT_MICROSECONDS_SINCE = 1_735_689_600_000
#: The ninth column of klines: trades of a bar, or updates of a mark price.
_COUNT = 8


@dataclass(frozen=True)
class ArchiveImport(FileImport):
    """Archives as they were downloaded, in any folders below `folder`.

    Parameters
    ----------
    folder, exchange, market, largest_funding_rate, largest_step
        As in :class:`~quantlab.data.collect.from_files.FileImport`.
    timeframe : str
        Archives of other intervals are left out.
    quotes : sequence of str
        Currencies that may be quoted in; archives name no quote, so a symbol must end with one of them.
    """

    quotes: Sequence[str]
    ending: ClassVar[str] = ".zip"

    @property
    def expected_files(self) -> str:
        return f"archives named SYMBOL-{self.timeframe}-YYYY-MM.zip"

    def accept(self, path: Path) -> SourceFile | LeftOut:
        """Take bars of the timeframe, and funding rates, of the wanted market."""
        match = _NAME.fullmatch(unicodedata.normalize("NFC", path.name))
        if match is None:
            return LeftOut(path, "a name other than SYMBOL-INTERVAL-YYYY-MM.zip or SYMBOL-INTERVAL-YYYY-MM-DD.zip")
        symbol, content = match.group(1), match.group(2)
        folder = folder_market(Path(self.folder), path)
        other = self.another_market(path, folder) or self.another_market(path, symbol_market(symbol))
        if other is not None:
            return other
        if not quoted_in(symbol, self.quotes):
            return LeftOut(
                path,
                f"quoted in none of {', '.join(self.quotes)} (job.source.quotes)",
                "add the currency to job.source.quotes",
            )
        if content == "fundingRate" and self.market == SPOT:
            return LeftOut(path, "funding rates, which perpetuals pay")
        if content == "fundingRate":
            return SourceFile(path, symbol, FUNDING, _period(path, match))
        if content != self.timeframe:
            kind = f"bars of {content}" if content[0].isdigit() else content
            return LeftOut(
                path,
                f"{kind}, not {self.timeframe} (job.source.timeframe)",
                "set job.source.timeframe to the one of your files",
            )
        period = _period(path, match)
        return SourceFile(path, symbol, BARS, period, folder is not None or period[0] >= _SPOT_MICROSECONDS_SINCE)

    def read(self, file: SourceFile) -> Rows:
        """Return the rows of one archive, in milliseconds.

        Raises
        ------
        DataError
            If its bars close at another distance from their opens than the timeframe, or are of another market.
        """
        data = _read_csv(file.path)
        if file.kind == FUNDING:
            table = _table(data, _FUNDING, file.path)
            rates = np.array(table.column(2).to_numpy()).reshape(-1, 1)
            return Rows((_milliseconds(table.column(0), file.path)[0], rates))
        table = _table(data, _KLINES, file.path)
        time_ms, unit = _milliseconds(table.column(0), file.path)
        self._check_unit(time_ms, unit, file.path)
        lengths = (table.column(6).to_numpy() - table.column(0).to_numpy() + 1) / unit
        notes = self._judge_lengths(time_ms, lengths, file.path.name)
        values = np.column_stack([table.column(k).to_numpy() for k in range(1, 6)])
        counted = table.num_columns == len(_KLINES) + 1 and bool(np.any(table.column(7).to_numpy() > 0))
        certain = folder_market(Path(self.folder), file.path) is not None
        if counted or not certain:
            fix = "; if nothing was traded in that time, keep it in the archive's own folders (futures/um/...)"
            refuse_without_volume(values, file.path.name, fix)
        return Rows((time_ms, values), notes)

    def _judge_lengths(self, time_ms: Int64Array, lengths: Float64Array, name: str) -> tuple[str, ...]:
        """Note the bars that an outage cut short; refuse a file of another interval, or a bar without a possible close.

        Lengths are from open to close in ms; a close is written as the last unit of time before the next open.
        """
        if not len(lengths):
            return ()
        values, counts = np.unique(np.round(lengths), return_counts=True)
        usual = values[counts.argmax()]
        if abs(usual - self.interval_ms) > 1:
            row = int(np.argmax(np.abs(lengths - self.interval_ms) > 1))
            raise DataError(
                f"bars of {self.timeframe} in {name}",
                found=f"bars that close {usual / 1000:g} s after they open, as {counts.max()} of {len(lengths)} do, the first "
                f"in row {row} ({iso_exact(int(time_ms[row]))})",
                fix="fetch the file again, or correct its name",
            )
        other = np.flatnonzero(np.abs(lengths - self.interval_ms) > 1)
        wrong = other[(lengths[other] <= 0) | (lengths[other] > self.interval_ms)]
        for row in wrong[:1]:
            raise DataError(
                f"bars of {self.timeframe} in {name}",
                found=f"row {row} ({iso_exact(int(time_ms[row]))}), which closes {lengths[row] / 1000:g} s after it opens",
                fix="fetch the file again, or take that row out",
            )
        if not len(other):
            return ()
        first = int(other[0])
        return (
            f"{name}: {len(other)} {'bar closes' if len(other) == 1 else 'bars close'} early, as in an outage, and "
            f"{'is' if len(other) == 1 else 'are'} taken, the first in row {first} ({iso_exact(int(time_ms[first]))}, "
            f"after {lengths[first] / 1000:g} s)",
        )

    def _check_unit(self, time_ms: Int64Array, unit: int, path: Path) -> None:
        if self.market == LINEAR and unit > 1:
            raise DataError(
                f"klines of {TITLES[LINEAR]} in {path.name}",
                found="stamps in microseconds, which only archives of spot have",
                fix="take it out, or collect spot into a dataset of its own (job.source.market=spot, another job.root)",
            )
        if self.market == SPOT and unit == 1 and len(time_ms) and time_ms[0] >= _SPOT_MICROSECONDS_SINCE:
            raise DataError(
                f"klines of {TITLES[SPOT]} in {path.name}",
                found="stamps in milliseconds, which archives of spot do not have since 2025",
                fix="take it out, or collect perpetuals into a dataset of their own (job.source.market=linear)",
            )


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
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
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
    wanted = [*names, *columns[_COUNT : _COUNT + 1]] if names is _KLINES else list(names)
    whole = {names[0], "close_time", "funding_interval_hours"}
    types = {name: pa.int64() if name in whole else pa.float64() for name in wanted}
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(column_names=columns, skip_rows=int(heading), use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=wanted),
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
