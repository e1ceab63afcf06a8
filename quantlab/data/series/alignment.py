"""Series of many symbols, each with its own stamps, put side by side on one grid."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import iso_exact
from quantlab.core.durations import duration_text, usual_step
from quantlab.core.errors import DataError
from quantlab.core.market import Funding
from quantlab.data.series.steps import check_one_step, told_step
from quantlab.data.series.timestamp_checks import check_on_grid

#: Strictly increasing stamps in ms, and one row of values for each.
Series = tuple[Int64Array, Float64Array]
_ONE_FOLDER_EACH = "keep each interval in a folder of its own (data.root), and one interval in all files of it"


def common_interval(series: dict[str, Series], stated_ms: int | None = None) -> int:
    """The bar interval in ms: the one stated, or the usual step of every symbol, found equal in all of them.

    A symbol of many missing bars may have another usual step, if it has bars one interval apart as well; where its
    steps are too few or too uneven to tell an interval, it takes that of the others.

    Parameters
    ----------
    series : dict of symbol to Series
    stated_ms : int or None
        None finds it in the stamps.

    Raises
    ------
    DataError
        If no interval can be told, two symbols differ, one changes its step, or a bar does not open on a multiple of it.
    """
    interval_ms = _found_interval(series) if stated_ms is None else stated_ms
    for symbol, (time_ms, _) in series.items():
        check_one_step(time_ms, interval_ms, symbol, _ONE_FOLDER_EACH)
        check_on_grid(time_ms, interval_ms, symbol)
    return interval_ms


def _found_interval(series: dict[str, Series]) -> int:
    steps = {symbol: usual_step(time_ms) for symbol, (time_ms, _) in series.items() if len(time_ms) > 1}
    if not steps:
        raise DataError("at least two bars of one symbol", found="one bar each", fix="use a longer period")
    told = {symbol: step for symbol in steps if (step := told_step(series[symbol][0])) is not None}
    if not told:
        symbol = next(iter(steps))
        time_ms = series[symbol][0]
        raise DataError(
            f"bars whose interval can be told from the stamps of {', '.join(list(steps)[:3])}",
            found=f"{len(time_ms)} bars of {symbol} from {iso_exact(int(time_ms[0]))} to {iso_exact(int(time_ms[-1]))}, most "
            f"often {duration_text(steps[symbol])} apart, and as often not at multiples of it",
            fix="say it: data.interval=5m, or what it is; or import the file with job/source=csv and its timeframe",
        )
    interval_ms = min(told.values())
    for symbol, step in told.items():
        if step != interval_ms and np.diff(series[symbol][0]).min() != interval_ms:
            usual = min(told, key=lambda name: told[name])
            raise DataError(
                "one bar interval in all files",
                found=f"{duration_text(interval_ms)} in {usual}, {duration_text(step)} in {symbol}",
                fix=_ONE_FOLDER_EACH,
            )
    return interval_ms


def align_bars(series: dict[str, Series], interval_ms: int) -> tuple[Int64Array, Float64Array]:
    """One dense grid over all symbols.

    Returns
    -------
    open_time_ms : int64 (T,)
        From the earliest to the latest bar of any symbol.
    ohlcv : float64 (T, S, 5)
        NaN where a symbol has no bar.
    """
    first = min(int(time_ms[0]) for time_ms, _ in series.values())
    last = max(int(time_ms[-1]) for time_ms, _ in series.values())
    open_time_ms = np.arange(first, last + interval_ms, interval_ms, dtype=np.int64)
    ohlcv = np.full((len(open_time_ms), len(series), 5), np.nan)
    for s, (time_ms, values) in enumerate(series.values()):
        ohlcv[(time_ms - first) // interval_ms, s] = values
    return open_time_ms, ohlcv


def align_funding(series: dict[str, Series], symbols: tuple[str, ...]) -> Funding:
    """All stamps of all symbols; NaN where a symbol has no rate at a stamp."""
    stamps = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(time_ms for time_ms, _ in series.values())]))
    rate = np.full((len(stamps), len(symbols)), np.nan)
    for symbol, (time_ms, values) in series.items():
        rate[np.searchsorted(stamps, time_ms), symbols.index(symbol)] = values
    return Funding(stamps, rate)
