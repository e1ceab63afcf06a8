"""Stamps of an Arrow column in whole milliseconds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from quantlab.core.arrays import Int64Array
from quantlab.core.errors import DataError

#: Units of a timestamp type in a millisecond; seconds are longer than one.
_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def whole_milliseconds(column: pa.ChunkedArray | pa.Array, origin: str) -> Int64Array:
    """Epoch milliseconds of a column of timestamps without missing values, in any unit.

    Raises
    ------
    DataError
        Naming the first stamp that is none, with its row.
    """
    stamps = np.array(column.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
    if column.type.unit == "s":
        return stamps * 1000
    per_ms = _PER_MS[column.type.unit]
    off = np.flatnonzero(stamps % per_ms)
    if len(off):
        first = np.datetime64(int(stamps[off[0]]), column.type.unit)
        raise DataError(
            f"timestamps of {origin} in whole milliseconds",
            found=f"{len(off)} with fractions, the first in row {off[0]} ({first}Z)",
            fix="round the stamps",
        )
    return stamps // per_ms
