"""Checks of bars in files, imports and live feeds, by the one definition in :mod:`quantlab.core.soundness`."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array, UInt8Array
from quantlab.core.clock import iso_utc
from quantlab.core.compiled import compiled
from quantlab.core.errors import DataError
from quantlab.core.soundness import LARGEST, NOT_FINITE, ORDER, PRICE, SIZE, SMALLEST, VOLUME, bar_faults

FIELDS = ("open", "high", "low", "close", "volume")

_SENTENCES = {
    PRICE: "a price that is not positive",
    VOLUME: "a negative volume",
    SIZE: f"a price or volume that is not between {SMALLEST:g} and {LARGEST:g}",
    ORDER: "a low and high that do not enclose the open and close",
}


@compiled
def bar_codes(ohlcv: Float64Array) -> UInt8Array:
    """uint8 (N,): :func:`~quantlab.core.soundness.bar_faults` of every row of a float64 (N, 5) array."""
    codes = np.empty(ohlcv.shape[0], dtype=np.uint8)
    for i in range(ohlcv.shape[0]):
        codes[i] = bar_faults(ohlcv[i, 0], ohlcv[i, 1], ohlcv[i, 2], ohlcv[i, 3], ohlcv[i, 4])
    return codes


def check_rows(ohlcv: Float64Array, time_ms: Int64Array, origin: str) -> None:
    """Refuse a file's rows unless every one is sound.

    Parameters
    ----------
    ohlcv : float64 (N, 5)
    time_ms : int64 (N,)
        Bar opens, for the message.
    origin : str
        The file's name, for the message.

    Raises
    ------
    DataError
        Listing every kind of fault with the number of rows and where each starts.
    """
    codes = bar_codes(ohlcv)
    if not codes.any():
        return
    raise DataError(
        f"sound bars ({SMALLEST:g} <= low <= open, close <= high <= {LARGEST:g}, volume 0 or as these) in {origin}",
        found="; ".join(_faults(codes, ohlcv, time_ms)),
        fix="correct those rows in the file, or delete them: the quality gate marks what is missing",
    )


def _faults(codes: UInt8Array, ohlcv: Float64Array, time_ms: Int64Array) -> list[str]:
    found = []
    missing = codes == NOT_FINITE
    if missing.any():
        counts = (~np.isfinite(ohlcv)).sum(axis=0)
        columns = ", ".join(f"{name} {count}" for name, count in zip(FIELDS, counts, strict=True) if count)
        found.append(f"missing or infinite values ({columns}) in {_where(np.flatnonzero(missing), time_ms)}")
    for bit, sentence in _SENTENCES.items():
        rows = np.flatnonzero(codes & bit)
        if len(rows):
            found.append(f"{sentence} in {_where(rows, time_ms)}")
    return found


def _where(rows: Int64Array, time_ms: Int64Array) -> str:
    shown = ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
    kind = "row" if len(rows) == 1 else f"{len(rows)} rows"
    return f"{kind} {shown} (first {iso_utc(int(time_ms[rows[0]]))})"


def fault_in_bar(bar: Float64Array) -> str:
    """Name the faults of one float64 (5,) bar that is not sound."""
    code = bar_faults(*(float(x) for x in bar))
    if code == NOT_FINITE:
        return "missing or infinite " + ", ".join(n for n, x in zip(FIELDS, bar, strict=True) if not np.isfinite(x))
    values = ", ".join(f"{name} {value:g}" for name, value in zip(FIELDS, bar, strict=True))
    return " and ".join(sentence for bit, sentence in _SENTENCES.items() if code & bit) + f" ({values})"
