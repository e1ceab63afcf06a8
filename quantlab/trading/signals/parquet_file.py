"""One parquet file of a user's own signals in, checked columns out; or one sentence on what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import iso_utc
from quantlab.core.errors import DataError
from quantlab.core.files import sha256_file
from quantlab.trading.signals.arrays import DISTANCES

#: Column -> type; `timestamp` and `symbol` name the cell, the others say something about it.
VALUES = {"side": pa.int8(), **dict.fromkeys(("target", "confidence", *DISTANCES), pa.float64())}


@dataclass(frozen=True)
class SignalRows:
    """The rows of one file, in its order.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    time_ms : int64 (N,)
        Bar opens.
    symbol : tuple of str, length N
    values : dict of column name to array (N,)
        int8 for side, float64 for the others.
    sha256 : str
        Of the file's bytes.
    """

    name: str
    time_ms: Int64Array
    symbol: tuple[str, ...]
    values: dict[str, NDArray[Any]]
    sha256: str


def read_signal_rows(path: Path) -> SignalRows:
    """Read and check a file; see :class:`quantlab.trading.signals.parquet.FileSignal` for its columns.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, unknown, of another type or holds an impossible
        value, or two rows speak about one cell. Nothing is sorted, dropped, filled or guessed.
    """
    table = _read(path)
    _check_columns(table, path)
    time_ms = _stamps(table, path)
    symbol = tuple(table.column("symbol").to_pylist())
    _check_unique(time_ms, symbol, path)
    values = {name: _numbers(table, name) for name in VALUES if name in table.column_names}
    _check_ranges(values, path)
    return SignalRows(path.name, time_ms, symbol, values, sha256_file(path))


def _read(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"a parquet file of signals at {path}", found=str(error).splitlines()[0], fix="set signal.path to one"
        ) from error


def _check_columns(table: pa.Table, path: Path) -> None:
    names = table.column_names
    wanted = {"timestamp", "symbol", *VALUES}
    if len(set(names)) != len(names) or not set(names) <= wanted:
        raise DataError(
            f"no columns in {path.name} but {', '.join(sorted(wanted))}",
            found=", ".join(sorted(n for n in names if n not in wanted or names.count(n) > 1)),
            fix="drop or rename them",
        )
    if not ({"timestamp", "symbol"} <= set(names) and {"side", "target"} & set(names)):
        found = ", ".join(names) or "none"
        raise DataError(
            f"columns timestamp, symbol, and side or target in {path.name}", found=found, fix="add what is missing"
        )
    types: dict[str, Any] = {"symbol": pa.string(), **VALUES}
    for name in names:
        kind = table.schema.field(name).type
        stamped = name == "timestamp" and pa.types.is_timestamp(kind) and kind.tz is not None
        if not (stamped or kind == types.get(name) or (name == "symbol" and kind == pa.large_string())):
            expected = types.get(name, "timestamp with a time zone")
            raise DataError(f"column {name!r} of {path.name} as {expected}", found=str(kind), fix="convert it first")
    empty = [name for name in ("timestamp", "symbol", "side") if name in names and table.column(name).null_count]
    if empty or table.num_rows == 0:
        found = "no row at all" if not empty else f"empty cells in {', '.join(empty)}"
        raise DataError(f"a timestamp, a symbol and a side in every row of {path.name}", found=found, fix="fix them")


def _stamps(table: pa.Table, path: Path) -> Int64Array:
    """Epoch milliseconds; a finer stamp that is not a whole one is refused."""
    try:
        times = table.column("timestamp").cast(pa.timestamp("ms", tz="UTC"))
    except pa.ArrowInvalid as error:
        found = str(error).splitlines()[0]
        raise DataError(f"stamps of {path.name} in whole milliseconds", found=found, fix="round them") from error
    stamps: Int64Array = times.cast(pa.int64()).to_numpy().astype(np.int64)
    return stamps


def _check_unique(time_ms: Int64Array, symbol: tuple[str, ...], path: Path) -> None:
    seen: set[tuple[int, str]] = set()
    for cell in zip(time_ms.tolist(), symbol, strict=True):
        if cell in seen:
            found = f"two for {cell[1]} at {iso_utc(cell[0])}"
            raise DataError(f"one row for a bar of a symbol in {path.name}", found=found, fix="keep one of them")
        seen.add(cell)


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """An empty cell is NaN: not known."""
    array: NDArray[Any] = table.column(name).to_numpy()
    return array


def _check_ranges(values: dict[str, NDArray[Any]], path: Path) -> None:
    bounds: dict[str, tuple[float, float]] = {"side": (-1, 1), "confidence": (0.0, 1.0)}
    finite = np.finfo(np.float64).max
    bounds["target"] = (-finite, finite)
    for name, array in values.items():
        low, high = bounds.get(name, (np.nextafter(0.0, 1.0), np.inf))
        outside = np.flatnonzero((array < low) | (array > high))
        if len(outside):
            expected = "above 0 (inf = none)" if name in DISTANCES else f"between {low:g} and {high:g}"
            found = f"{array[outside[0]]} in row {outside[0]}"
            raise DataError(f"every {name} of {path.name} {expected}", found=found, fix="correct or empty it")
