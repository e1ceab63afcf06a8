"""One parquet file in, checked arrays out; or one sentence that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import DataError
from quantlab.data.quality.bar_checks import FIELDS, check_rows
from quantlab.data.series.arrow_stamps import whole_milliseconds
from quantlab.data.series.timestamp_checks import check_years, drop_repeats_and_check_order, floor_to_hour

_STAMP = "timestamp"


def read_bars(path: Path) -> tuple[Int64Array, Float64Array]:
    """Bars of one symbol.

    Parameters
    ----------
    path : Path
        Columns ``timestamp`` (any resolution, with a time zone; the bar's open) and ``open``, ``high``,
        ``low``, ``close`` (USD), ``volume`` (base units), float64, or whole numbers or float32, which are widened; others are
        ignored.

    Returns
    -------
    open_time_ms : int64 (N,)
        Strictly increasing.
    ohlcv : float64 (N, 5)
        Every row sound.

    Raises
    ------
    DataError
        If anything is not as above. Rows that repeat another exactly are dropped, and logged; nothing is
        sorted, filled or guessed.
    """
    table = _read(path, FIELDS)
    time_ms = _stamps(table, path)
    ohlcv = np.column_stack([_floats(table, name, path) for name in FIELDS])
    time_ms, ohlcv = drop_repeats_and_check_order(time_ms, ohlcv, path.name)
    check_rows(ohlcv, time_ms, path.name)
    return time_ms, ohlcv


def read_funding(path: Path) -> tuple[Int64Array, Float64Array]:
    """Funding rates of one symbol.

    Parameters
    ----------
    path : Path
        Columns ``timestamp`` (with a time zone) and ``funding_rate`` (float64, fraction of notional).

    Returns
    -------
    time_ms : int64 (N,)
        The hours at which the rates are charged, strictly increasing.
    rate : float64 (N,)
        As in the file: the source decides which are sound.

    Raises
    ------
    DataError
        If anything is not as above, or two rates belong to one hour.
    """
    table = _read(path, ("funding_rate",))
    time_ms = _stamps(table, path)
    rate = _floats(table, "funding_rate", path)
    time_ms, column = drop_repeats_and_check_order(time_ms, rate[:, None], path.name)
    rate = np.ascontiguousarray(column[:, 0])
    return floor_to_hour(time_ms, path.name), rate


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(file.schema_arrow.names, (_STAMP, *columns), path)
            table = file.read(columns=[_STAMP, *columns])
    except (pa.ArrowException, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise DataError(
            f"a whole parquet file {path.name}",
            found=f"an empty file ({path})" if size == 0 else f"{size} bytes that cannot be read ({error})",
            fix="fetch or write that file again",
        ) from error
    if table.num_rows == 0:
        raise DataError(f"at least one row in {path.name}", found="none", fix="fetch it again, or leave it out")
    return table


def _check_columns(names: list[str], wanted: tuple[str, ...], path: Path) -> None:
    missing = [name for name in wanted if names.count(name) != 1]
    if missing:
        # pandas writes the columns of a table with several rows of headings as texts like "('Close', 'BTC-USD')".
        stacked = any(name.startswith("('") and name.endswith(")") for name in names)
        raise DataError(
            f"the columns {', '.join(wanted)}, each once, in {path.name}",
            found=f"{', '.join(names)} (wrong or missing: {', '.join(missing)})",
            fix="the table has several rows of headings: keep one before it is written (in pandas: table.columns = "
            "table.columns.get_level_values(0)) and rename the columns to exactly these"
            if stacked
            else "rename the columns to exactly these; names are never guessed",
        )


def _stamps(table: pa.Table, path: Path) -> Int64Array:
    column = table.column(_STAMP)
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        naive = "a time without a zone" if pa.types.is_timestamp(column.type) else str(column.type)
        raise DataError(
            f"timestamp in {path.name} as a time with a zone (UTC)",
            found=naive,
            fix="convert it, saying which zone and unit it is in, e.g. to timestamp[ms, tz=UTC]",
        )
    if column.null_count:
        raise DataError(
            f"a timestamp in every row of {path.name}", found=f"{column.null_count} missing", fix="add them"
        )
    time = whole_milliseconds(column, path.name)
    check_years(time, path.name)
    return time


def widened_columns(path: Path) -> dict[str, str]:
    """Columns of bars that are not float64 but can be widened to it -> their type; empty for a file that cannot be read."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return {}
    kinds = {name: schema.field(name).type for name in FIELDS if schema.names.count(name) == 1}
    return {name: str(kind) for name, kind in kinds.items() if _can_be_widened(kind)}


def _can_be_widened(kind: pa.DataType) -> bool:
    """True for whole numbers and shorter floats: every value of theirs that is read is exact."""
    return pa.types.is_integer(kind) or kind in (pa.float32(), pa.float16())


def _floats(table: pa.Table, name: str, path: Path) -> Float64Array:
    column = table.column(name)
    if _can_be_widened(column.type):
        try:
            column = column.cast(pa.float64(), safe=True)
        except pa.ArrowException as error:
            raise DataError(
                f"column {name} of {path.name} with numbers that float64 holds exactly",
                found=" ".join(str(error).split()),
                fix="convert that column to float64",
            ) from error
    if column.type != pa.float64():
        raise DataError(
            f"column {name} of {path.name} as float64, or as whole numbers or float32, which are widened",
            found=str(column.type),
            fix="convert that column to float64",
        )
    values: Float64Array = column.to_numpy()
    return values
