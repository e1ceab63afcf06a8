"""A user's own prices: DataFrames in, bars through the quality gate out, refused where a file would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import DataError
from quantlab.core.market import Bars, Funding, Instrument
from quantlab.data.quality.bar_checks import FIELDS, check_rows
from quantlab.data.quality.grid import RawGrid
from quantlab.data.series.alignment import Series, align_bars, align_funding, common_interval
from quantlab.data.series.timestamp_checks import check_years, drop_repeats_and_check_order, floor_to_hour


@dataclass(frozen=True)
class UserBars:
    """A :class:`~quantlab.core.ports.DataSource` of DataFrames that are in memory.

    Parameters
    ----------
    grid : RawGrid
        From :func:`grid_from_frames`.
    """

    grid: RawGrid

    @property
    def synthetic(self) -> bool:
        return False

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """Bars with ``start_ms <= open < end_ms``; see the port."""
        return self.grid.history(start_ms, end_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The same bars, one at a time."""
        return self.grid.stream(start_ms, end_ms)


def grid_from_frames(
    frames: Mapping[str, pd.DataFrame], instrument: Instrument, funding: Mapping[str, pd.Series] | None = None
) -> RawGrid:
    """Prices of several symbols on one dense grid, not yet through the gate.

    Parameters
    ----------
    frames : dict of symbol to DataFrame
        Index: the bar's *open*, with a time zone, increasing. Columns ``open``, ``high``, ``low``, ``close``
        (USD), ``volume`` (base units), all float64; others are ignored. The bar interval is found in the data.
    instrument : Instrument
        Trading rules that hold for every symbol.
    funding : dict of symbol to Series of float64, optional
        Rates as a fraction of notional, by the time at which they fall due. Symbols without one have unknown
        rates; None = no funding data, which every result says.

    Raises
    ------
    DataError
        If anything is not so. Rows that repeat another exactly are dropped, and logged; nothing is sorted, filled
        or guessed.
    """
    if not isinstance(frames, Mapping) or not frames:
        found = "none" if isinstance(frames, Mapping) else type(frames).__name__
        raise DataError("at least one symbol with its bars", found=found, fix="pass bars={symbol: DataFrame}")
    series = {symbol: _bars(symbol, frame) for symbol, frame in frames.items()}
    interval_ms = common_interval(series)
    open_time_ms, ohlcv = align_bars(series, interval_ms)
    symbols = tuple(series)
    rates = None if funding is None else _funding(funding, symbols)
    return RawGrid(ohlcv, open_time_ms, interval_ms, symbols, (instrument,) * len(symbols), rates)


def milliseconds(index: pd.Index, origin: str) -> Int64Array:
    """Stamps of an index, int64 epoch milliseconds.

    Raises
    ------
    DataError
        If it is no index of times with a zone in whole milliseconds between 2009 and 2099.
    """
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        found = "times without a zone" if isinstance(index, pd.DatetimeIndex) else f"an index of {index.dtype}"
        fix = "say the zone: frame.tz_localize('UTC'), after pandas.to_datetime where they are no times yet"
        raise DataError(f"{origin} indexed by times with a zone", found=found, fix=fix)
    off = np.flatnonzero(index != index.floor("ms"))  # also where there is no time at all
    if len(off):
        found = f"{len(off)} others, the first in row {off[0]} ({index[off[0]]})"
        raise DataError(f"{origin} indexed by whole milliseconds", found=found, fix="drop or round those stamps")
    time_ms = np.ascontiguousarray(index.tz_convert("UTC").as_unit("ms").asi8, dtype=np.int64)
    check_years(time_ms, origin)
    return time_ms


def _bars(symbol: str, frame: pd.DataFrame) -> Series:
    origin = f"the bars of {symbol}"
    if not isinstance(frame, pd.DataFrame) or frame.empty:
        found = "an empty one" if isinstance(frame, pd.DataFrame) else type(frame).__name__
        raise DataError(f"{origin} as a DataFrame", found=found, fix="pass one row per bar")
    missing = [name for name in FIELDS if list(frame.columns).count(name) != 1]
    if missing:
        raise DataError(
            f"the columns {', '.join(FIELDS)}, each once, in {origin}",
            found=f"{', '.join(map(str, frame.columns))} (wrong or missing: {', '.join(missing)})",
            fix="keep one row of headings: frame.columns = frame.columns.get_level_values(0).str.lower()"
            if isinstance(frame.columns, pd.MultiIndex)
            else "rename the columns to exactly these; names are never guessed",
        )
    ohlcv = np.column_stack([_floats(frame[name], f"{name} in {origin}") for name in FIELDS])
    time_ms, ohlcv = drop_repeats_and_check_order(milliseconds(frame.index, origin), ohlcv, origin)
    check_rows(ohlcv, time_ms, origin)
    return time_ms, ohlcv


def _funding(funding: Mapping[str, pd.Series], symbols: tuple[str, ...]) -> Funding:
    unknown = sorted(set(funding) - set(symbols))
    if unknown:
        raise DataError("funding of symbols that have bars", found=", ".join(unknown), fix="leave these out")
    return align_funding({symbol: _rates(symbol, rates) for symbol, rates in funding.items()}, symbols)


def _rates(symbol: str, rates: pd.Series) -> Series:
    origin = f"the funding of {symbol}"
    column = _floats(rates, origin)
    if not np.isfinite(column).all():
        raise DataError(f"finite rates in {origin}", found="missing or infinite ones", fix="drop those rows")
    time_ms, values = drop_repeats_and_check_order(milliseconds(rates.index, origin), column[:, None], origin)
    return floor_to_hour(time_ms, origin), np.ascontiguousarray(values[:, 0])


def _floats(column: pd.Series, name: str) -> Float64Array:
    if column.dtype != np.float64:
        raise DataError(f"{name} as float64", found=str(column.dtype), fix="convert it: astype('float64')")
    values: Float64Array = column.to_numpy()
    return values
