"""One UTC day of all symbols as a parquet file: rows cut at midnight, and bytes that depend on the rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ArtifactError, DataError
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.alignment import Series
from quantlab.data.series.timestamp_checks import drop_repeats
from quantlab.data.store.manifest import Part, StoredFile

BARS, FUNDING = "bars", "funding"
#: The columns of each kind, after ``symbol`` and ``timestamp``.
COLUMNS: dict[str, tuple[str, ...]] = {BARS: FIELDS, FUNDING: ("funding_rate",)}
#: Rows of a row group: a reader of one symbol skips the groups that do not hold it.
_ROW_GROUP = 65_536


@dataclass(frozen=True)
class DayTable:
    """A day file in memory, sorted by symbol, then time.

    Parameters
    ----------
    symbols : tuple of str, length S
        Sorted.
    code : int32 (N,)
        Index into `symbols`.
    time_ms : int64 (N,)
    values : float64 (N, K)
    """

    symbols: tuple[str, ...]
    code: NDArray[np.int32]
    time_ms: Int64Array
    values: Float64Array

    def series(self) -> dict[str, Series]:
        """Each symbol's rows."""
        edges = np.searchsorted(self.code, np.arange(len(self.symbols) + 1))
        return {
            symbol: (self.time_ms[a:b], self.values[a:b])
            for symbol, a, b in zip(self.symbols, edges[:-1], edges[1:], strict=True)
        }


def day_of(time_ms: int) -> str:
    """The UTC day of an instant.

    Examples
    --------
    >>> day_of(1_746_057_599_999), day_of(1_746_057_600_000)
    ('2025-04-30', '2025-05-01')
    """
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d")


def split_by_day(series: Mapping[str, Series]) -> dict[str, dict[str, Series]]:
    """Split rows by UTC day: day -> symbol -> its rows of that day, days in order."""
    days: dict[str, dict[str, Series]] = {}
    for symbol, (time_ms, values) in series.items():
        edges = np.flatnonzero(np.diff(time_ms // MS_PER_DAY)) + 1
        for a, b in zip([0, *edges], [*edges, len(time_ms)], strict=True):
            if a < b:
                days.setdefault(day_of(int(time_ms[a])), {})[symbol] = (time_ms[a:b], values[a:b])
    return dict(sorted(days.items()))


def merge_rows(old: Series | None, new: Series, origin: str) -> tuple[Series, int]:
    """Put stored and new rows in time order; count the new ones that were there already.

    Raises
    ------
    DataError
        If a new row contradicts a stored one.
    """
    if old is None:
        return new, 0
    try:
        time_ms, values, repeated = drop_repeats(
            np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]]), origin
        )
    except DataError as error:
        raise DataError(
            f"new rows of {origin} that agree with the stored ones",
            found=error.found,
            fix="find out which source is wrong; to take the new ones, collect into another folder",
        ) from error
    order = np.argsort(time_ms)
    return (time_ms[order], values[order]), repeated


def encode_day(kind: str, series: dict[str, Series]) -> bytes:
    """A day's parquet file (zstd); `series` holds at least one row."""
    symbols = sorted(symbol for symbol, (time_ms, _) in series.items() if len(time_ms))
    lengths = [len(series[symbol][0]) for symbol in symbols]
    code = pa.array(np.repeat(np.arange(len(symbols), dtype=np.int32), lengths))
    time_ms = np.concatenate([series[symbol][0] for symbol in symbols])
    values = np.concatenate([series[symbol][1] for symbol in symbols])
    columns = {
        "symbol": pa.DictionaryArray.from_arrays(code, pa.array(symbols, pa.string())),
        "timestamp": pa.array(time_ms).cast(pa.timestamp("ms", tz="UTC")),
        **{name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(COLUMNS[kind])},
    }
    sink = pa.BufferOutputStream()
    # Prices hardly repeat within a day: a dictionary of them costs space and time.
    options = {"compression": "zstd", "use_dictionary": ["symbol"], "row_group_size": _ROW_GROUP}
    pq.write_table(pa.table(columns), sink, write_page_checksum=True, **options)
    return bytes(sink.getvalue())


def describe_file(data: bytes, rows: int) -> StoredFile:
    """The manifest's entry for a file of these bytes."""
    return StoredFile(hashlib.sha256(data).hexdigest(), rows, len(data))


def read_day(root: Path, part: Part, stored: StoredFile) -> DayTable:
    """Read one file, its hash verified before any byte is decoded.

    Raises
    ------
    ArtifactError
        If the file is missing or is not the one that the manifest names.
    """
    path = stored.path(root, part)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from error
    if hashlib.sha256(data).hexdigest() != stored.sha256:
        raise _damaged(path, f"{len(data)} bytes with another hash")
    table = pq.read_table(pa.BufferReader(data))
    symbol = table.column("symbol").combine_chunks()
    symbol = symbol.chunk(0) if isinstance(symbol, pa.ChunkedArray) else symbol
    values = np.empty((table.num_rows, len(COLUMNS[part.kind])))
    for k, name in enumerate(COLUMNS[part.kind]):
        values[:, k] = table.column(name).to_numpy()
    return DayTable(
        tuple(symbol.dictionary.to_pylist()),
        np.ascontiguousarray(symbol.indices.to_numpy(), dtype=np.int32),
        np.ascontiguousarray(table.column("timestamp").cast(pa.int64()).to_numpy()),
        values,
    )


def _damaged(path: Path, found: str) -> ArtifactError:
    return ArtifactError(
        f"{path} as the manifest names it",
        found=found,
        fix="run job=collect job.repair=true, which forgets the damaged days and fetches them again",
    )
