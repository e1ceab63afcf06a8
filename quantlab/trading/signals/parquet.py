"""Signals that a user made elsewhere, played back from a parquet file."""

from __future__ import annotations

from collections.abc import Iterator
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
from quantlab.trading.signals.placement import Placement, check_stamps, check_step, rows_at
from quantlab.trading.signals.step_words import IN_A_FILE
from quantlab.trading.signals.table_step import Column

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

    A file of which a column has a longer step than the bars (:mod:`quantlab.trading.signals.table_step`) is refused
    unless `known_after` says when its rows are known: hourly rows on 5-minute bars would decide 55 minutes before.

    Parameters
    ----------
    path : str
    features : FeatureSource or None
        For the ATR, which some policies, sizers and benchmarks need; None leaves it unknown.
    known_after : str, 0 or None
        Time from a row's stamp until it is known, e.g. ``"1h"`` for hourly rows stamped with the open of their hour;
        0 where the stamp is that time. The row then lands on the bar that closes at stamp + `known_after`.
    hold : bool or None
        True repeats a row until the symbol's next one: right for a filter, while a repeated target trades; None is off.

    Raises
    ------
    ConfigError
        If `path` is not a text, `features` are not features, or `known_after` or `hold` is something else.
    """

    path: str
    features: FeatureSource | None
    known_after: str | int | None = None
    hold: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise ConfigError("signal.path as a file", found=repr(self.path), fix="set signal.path")
        object.__setattr__(self, "path", str(self.path))
        _ = self.placement  # refused here, not at the first bar
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

    @cached_property
    def placement(self) -> Placement:
        """`known_after` and `hold`, checked."""
        return Placement(self.known_after, False if self.hold is None else self.hold)

    @property
    def fingerprint(self) -> str:
        """sha256 over the file's content, wherever it lies, the features, and how its rows are placed."""
        features = None if self.features is None else self.features.fingerprint
        return fingerprint("FileSignal", self.rows.sha256, features, *self.placement.options)

    def signal(self, bars: Bars) -> Signal:
        """Signal of a whole history.

        Raises
        ------
        DataError
            If no row falls into it, one names a symbol or a time that the bars do not have, or the step of the
            rows is longer than the bars'.
        """
        placed = _place(self, bars.symbols, int(bars.open_time_ms[0]), bars.interval_ms)
        cells = placed.cells(bars.close_time_ms)
        if not (cells >= 0).any():
            raise DataError(
                f"a row of {self.rows.name} from {_span(bars.open_time_ms)}",
                found=f"rows from {_span(self.rows.time_ms)}",
                fix="take bars and signals of the same time",
            )
        features = None if self.features is None else self.features.transform(bars)
        return _signal_of_rows(self.rows, cells, bars, features)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _FileStream:
        """The same, one bar at a time; it refuses at the first bar."""
        features = None if self.features is None else self.features.stream(symbols, interval_ms)
        return _FileStream(self, features)


@dataclass
class _FileStream:
    source: FileSignal
    features: FeatureStream | None
    placed: _PlacedRows | None = None

    def update(self, bar: Bars) -> Signal:
        if self.placed is None:
            self.placed = _place(self.source, bar.symbols, int(bar.open_time_ms[0]), bar.interval_ms)
        features = None if self.features is None else self.features.update(bar)
        return _signal_of_rows(self.source.rows, self.placed.cells(bar.close_time_ms), bar, features)

    def state(self) -> bytes:
        """The features' own: which row is in force is a function of the file and the time."""
        features = b"" if self.features is None else self.features.state()
        return pack_arrays(_MARK, self._identity(), {"features": np.frombuffer(features, dtype=np.uint8)})

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as the port says."""
        header, arrays = unpack_arrays(_MARK, state, "file-signal state")
        if header != self._identity():
            found = "that of another file" if header.get("file") != self.source.rows.sha256 else "other options"
            raise ContractError(f"the state of {self.source.rows.name}", found=found, fix="warm up again")
        if self.features is not None:
            self.features.restore(arrays["features"].tobytes())

    def _identity(self) -> dict[str, Any]:
        return {"file": self.source.rows.sha256, **dict(self.source.placement.options)}


@dataclass(frozen=True)
class _PlacedRows:
    """The rows of each symbol, in order of the closes at which they are known.

    Parameters
    ----------
    index : tuple of int64 arrays, length S
        Places of the symbol's rows in the file.
    known_ms : tuple of int64 arrays, length S
    hold : bool
    """

    index: tuple[Int64Array, ...]
    known_ms: tuple[Int64Array, ...]
    hold: bool

    def cells(self, close_ms: Int64Array) -> Int64Array:
        """int64 (T, S): the file's row in force at each close, or -1."""
        out = np.full((len(close_ms), len(self.index)), -1, dtype=np.int64)
        for s, (index, known_ms) in enumerate(zip(self.index, self.known_ms, strict=True)):
            rows = rows_at(close_ms, known_ms, hold=self.hold)
            out[rows >= 0, s] = index[rows[rows >= 0]]
        return out


def _place(source: FileSignal, symbols: tuple[str, ...], first_ms: int, interval_ms: int) -> _PlacedRows:
    """The rows on bars of which one opens at `first_ms`; DataError if they do not fit."""
    rows, placement = source.rows, source.placement
    place = {symbol: s for s, symbol in enumerate(symbols)}
    unknown = sorted(set(rows.symbol) - set(place))
    if unknown:
        few = ", ".join(unknown[:5])
        raise DataError(
            f"no symbols in {rows.name} but the bars' {len(symbols)}", found=few, fix="drop them, or load their bars"
        )
    column = np.array([place[symbol] for symbol in rows.symbol], dtype=np.int64)
    order = np.lexsort((rows.time_ms, column))
    index = tuple(np.split(order, np.searchsorted(column[order], np.arange(1, len(symbols)))))
    check_stamps(rows.time_ms, first_ms, interval_ms, placement, DataError, rows.name)
    columns = _columns(rows, symbols, index)
    check_step(columns, interval_ms, placement, DataError, IN_A_FILE)
    known_ms = tuple(placement.known_ms(rows.time_ms[one], interval_ms) for one in index)
    return _PlacedRows(index, known_ms, placement.hold)


def _columns(rows: SignalRows, symbols: tuple[str, ...], index: tuple[Int64Array, ...]) -> Iterator[Column]:
    """Columns of the file, symbol by symbol: a confidence or a distance looks ahead as well as a side does."""
    for name, values in rows.values.items():
        for symbol, one in zip(symbols, index, strict=True):
            yield f"column {name} of {symbol}", rows.time_ms[one], values[one].astype(np.float64)


def _signal_of_rows(rows: SignalRows, cells: Int64Array, bars: Bars, features: Features | None) -> Signal:
    """The rows `cells` (T, S) at their cells; every other cell says nothing."""
    there = cells >= 0
    grids: dict[str, NDArray[Any]] = {}
    for name, values in rows.values.items():
        grid = np.zeros(cells.shape, np.int8) if name == "side" else np.full(cells.shape, np.nan)
        grid[there] = values[cells[there]]
        grids[name] = grid
    return signal_of(**grids, atr=None if features is None else average_true_range(bars, features))


def _span(time_ms: Int64Array) -> str:
    return f"{iso_utc(int(time_ms.min()))} to {iso_utc(int(time_ms.max()))}"
