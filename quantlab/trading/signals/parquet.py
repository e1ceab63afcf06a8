"""Signals that a user made elsewhere, played back from a parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.core.arrays import Int64Array
from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.checks import check_has
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, ContractError, DataError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, FeatureStream
from quantlab.core.types import Features, Signal
from quantlab.trading.signals.arrays import signal_of
from quantlab.trading.signals.parquet_file import SignalRows, read_signal_rows

_MARK = b"quantlab file signal 1\n"


@dataclass(frozen=True)
class FileSignal:
    """The signals of a parquet file, bar by bar; quantlab is then a backtester of your own signals.

    One row of the file is about one bar of one symbol:

    ======================  =======================================================================
    ``timestamp``           timestamp with a time zone: the bar's *open*. The row is taken as known at
                            that bar's *close*, and what it decides fills at the next open.
    ``symbol``              string, as the bars name it
    ``side``                int8: -1 SELL, 0 HOLD, +1 BUY; or
    ``target``              float64: signed weight of equity, 0 = close, empty = keep; or both
    ``confidence``          float64, 0 .. 1; 1 where the column is missing
    ``stop_distance``,      float64, USD from the fill, inf = deliberately none, empty = unknown, which
    ``take_distance``,      blocks the increase; a missing column means none everywhere
    ``trail_distance``,
    ``break_even_distance``
    ======================  =======================================================================

    A bar without a row is HOLD and keeps. Rows outside the bars' range are passed over. Unlike the other
    sources it also decides in the features' warm-up: what you bring is yours to answer for.

    Parameters
    ----------
    path : str
    features : FeatureSource or None
        For the ATR, which some policies, sizers and benchmarks need; None leaves it unknown.

    Raises
    ------
    ConfigError
        If `path` is not a text, or `features` are not features.
    """

    path: str
    features: FeatureSource | None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise ConfigError("signal.path as a file", found=repr(self.path), fix="set signal.path")
        object.__setattr__(self, "path", str(self.path))
        if self.features is not None:
            check_has("signal.features", self.features, "transform", "stream")

    @cached_property
    def rows(self) -> SignalRows:
        """The file, read once.

        Raises
        ------
        DataError
            If it is not as above.
        """
        return read_signal_rows(Path(self.path))

    @property
    def fingerprint(self) -> str:
        """sha256 over the file's content, wherever it lies, and the features."""
        features = None if self.features is None else self.features.fingerprint
        return fingerprint("FileSignal", self.rows.sha256, features)

    def signal(self, bars: Bars) -> Signal:
        """Signal of a whole history.

        Raises
        ------
        DataError
            If no row falls into it, or one names a symbol or a time that the bars do not have.
        """
        row, column = _cells(self.rows, bars.symbols, int(bars.open_time_ms[0]), bars.interval_ms)
        inside = (row >= 0) & (row < bars.n_bars)
        if not inside.any():
            raise DataError(
                f"a row of {self.rows.name} from {_span(bars.open_time_ms)}",
                found=f"rows from {_span(self.rows.time_ms)}",
                fix="take bars and signals of the same time",
            )
        features = None if self.features is None else self.features.transform(bars)
        return _signal_of_rows(self.rows, np.flatnonzero(inside), row, column, bars, features)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _FileStream:
        """The same, one bar at a time."""
        features = None if self.features is None else self.features.stream(symbols, interval_ms)
        order = np.argsort(self.rows.time_ms, kind="stable")
        return _FileStream(self.rows, features, order, self.rows.time_ms[order])


@dataclass
class _FileStream:
    rows: SignalRows
    features: FeatureStream | None
    order: Int64Array
    sorted_ms: Int64Array
    column: Int64Array | None = None

    def update(self, bar: Bars) -> Signal:
        now = int(bar.open_time_ms[0])
        if self.column is None:
            _, self.column = _cells(self.rows, bar.symbols, now, bar.interval_ms)
        first, last = np.searchsorted(self.sorted_ms, [now, now + 1])
        here = self.order[first:last]
        features = None if self.features is None else self.features.update(bar)
        return _signal_of_rows(self.rows, here, np.zeros(len(self.order), np.int64), self.column, bar, features)

    def state(self) -> bytes:
        """The features' own: a row of the file remembers nothing."""
        features = b"" if self.features is None else self.features.state()
        return pack_arrays(_MARK, {"file": self.rows.sha256}, {"features": np.frombuffer(features, dtype=np.uint8)})

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as the port says."""
        header, arrays = unpack_arrays(_MARK, state, "file-signal state")
        if header["file"] != self.rows.sha256:
            raise ContractError(f"the state of {self.rows.name}", found="that of another file", fix="warm up again")
        if self.features is not None:
            self.features.restore(arrays["features"].tobytes())


def _cells(
    rows: SignalRows, symbols: tuple[str, ...], first_ms: int, interval_ms: int
) -> tuple[Int64Array, Int64Array]:
    """Bar index (it may lie outside the bars) and symbol index of every row."""
    place = {symbol: s for s, symbol in enumerate(symbols)}
    unknown = sorted(set(rows.symbol) - set(place))
    if unknown:
        few = ", ".join(unknown[:5])
        raise DataError(
            f"no symbols in {rows.name} but the bars' {len(symbols)}", found=few, fix="drop them, or load their bars"
        )
    row, off = np.divmod(rows.time_ms - first_ms, interval_ms)
    if off.any():
        bad = int(rows.time_ms[np.flatnonzero(off)[0]])
        raise DataError(
            f"stamps of {rows.name} at the opens of {interval_ms} ms bars", found=iso_utc(bad), fix="stamp bar opens"
        )
    return row, np.array([place[symbol] for symbol in rows.symbol], dtype=np.int64)


def _signal_of_rows(
    rows: SignalRows, which: Int64Array, row: Int64Array, column: Int64Array, bars: Bars, features: Features | None
) -> Signal:
    """The rows `which` at their cells; every other cell says nothing."""
    shape = (bars.n_bars, bars.n_symbols)
    grids: dict[str, NDArray[Any]] = {}
    for name, values in rows.values.items():
        grid = np.zeros(shape, np.int8) if name == "side" else np.full(shape, np.nan)
        grid[row[which], column[which]] = values[which]
        grids[name] = grid
    return signal_of(**grids, atr=None if features is None else average_true_range(bars, features))


def _span(time_ms: Int64Array) -> str:
    return f"{iso_utc(int(time_ms.min()))} to {iso_utc(int(time_ms.max()))}"
