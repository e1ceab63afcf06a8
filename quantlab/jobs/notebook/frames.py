"""Histories, forecasts and orders as DataFrames, for a notebook.

Whatever has a value per bar and symbol has the same index, (``time``, ``symbol``), so that prices, features
and forecasts join without a word. ``time`` is the bar's *open*, UTC; what the row says is known at its close.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from quantlab.core.arrays import Int64Array
from quantlab.core.durations import duration_ms
from quantlab.core.errors import ContractError
from quantlab.core.market import CLOSE, Bars, BarState
from quantlab.core.results import OrderReason, SignalReport, Simulation
from quantlab.core.types import Features, Signal
from quantlab.features.frames import big_bars_of

#: Columns of the table of members.
MEMBER_NUMBERS = ("auc", "auc_se", "log_loss", "weight", "influence")
_REASONS = {int(reason): reason.name.lower() for reason in OrderReason}


def utc(time_ms: Int64Array) -> pd.DatetimeIndex:
    """Epoch milliseconds as a UTC index named ``time``."""
    return pd.DatetimeIndex(pd.to_datetime(time_ms, unit="ms", utc=True), name="time")


def bars_frame(bars: Bars) -> pd.DataFrame:
    """Open, high, low, close (USD), volume (base units) and state of every bar and symbol.

    Returns
    -------
    DataFrame, (T * S) rows
        ``state`` is a category: traded, zero_volume, filled or absent; prices of absent bars are NaN.
    """
    frame = pd.DataFrame(
        bars.ohlcv.reshape(-1, 5), index=_cells(bars), columns=["open", "high", "low", "close", "volume"]
    )
    codes = bars.state.astype(np.int8).ravel()
    return frame.assign(state=pd.Categorical.from_codes(codes, pd.Index([state.name.lower() for state in BarState])))


def big_bars(bars: Bars, timeframe: str) -> pd.DataFrame:
    """Bars of a longer time frame, each with the time at which it is known.

    Buckets begin at multiples of `timeframe` in UTC, days at 00:00, weeks on Monday. Only whole ones are there: a
    bucket in which the symbol has an absent bar, or which began before its first bar, is left out.
    :class:`quantlab.features.BigBarStream` gives the same bits one bar at a time.

    Parameters
    ----------
    bars : Bars
    timeframe : str
        ``"15m"``, ``"1h"``, ``"1d"``, ``"1w"``: a multiple of the bars', and a part of a day or a week.

    Returns
    -------
    DataFrame
        Index (``symbol``, ``known_at``): the close of the bucket's last bar, UTC, which is the first bar to see it.
        Columns ``open high low close volume``. Values made of it go back to the bars with
        ``values_of(bars, table, known_after=0)``.

    Raises
    ------
    ConfigError, ContractError
        If it is no such time frame, or the bars do not lie on the UTC grid.
    """
    ohlcv, known_at_ms = big_bars_of(bars, duration_ms("timeframe", timeframe))
    cells = pd.MultiIndex.from_product([pd.Index(bars.symbols, name="symbol"), utc(known_at_ms).rename("known_at")])
    by_symbol = ohlcv.swapaxes(0, 1).reshape(-1, 5)
    frame = pd.DataFrame(by_symbol, index=cells, columns=["open", "high", "low", "close", "volume"])
    return frame[~np.isnan(by_symbol[:, CLOSE])]


def features_frame(bars: Bars, features: Features) -> pd.DataFrame:
    """One column per feature; NaN in the warm-up.

    Raises
    ------
    ContractError
        If the features are those of other bars.
    """
    _same_cells(bars, features.ready.shape)
    values = features.values.reshape(-1, len(features.names))
    return pd.DataFrame(values, index=_cells(bars), columns=list(features.names))


def forecasts_frame(bars: Bars, signal: Signal) -> pd.DataFrame:
    """Forecasts of a signal: its side and the probabilities that the side rests on.

    Returns
    -------
    DataFrame, (T * S) rows
        ``sell``, ``hold``, ``buy`` are probabilities, NaN where no member has a forecast; ``side`` is -1, 0 or +1 after
        every threshold; ``atr`` is in USD.

    Raises
    ------
    ContractError
        If the signal is one of other bars.
    """
    _same_cells(bars, signal.side.shape)
    columns: dict[str, Any] = dict(zip(("sell", "hold", "buy"), signal.proba.reshape(-1, 3).T, strict=True))
    for name in ("confidence", "consensus", "live_members", "side", "atr"):
        columns[name] = getattr(signal, name).ravel()
    return pd.DataFrame(columns, index=_cells(bars))


def orders_frame(simulation: Simulation) -> pd.DataFrame:
    """One row per fill, oldest first; ``time`` is the open of the bar in which it filled."""
    orders = simulation.orders
    return pd.DataFrame(
        {
            "symbol": np.array(simulation.symbols, dtype=object)[orders["col"]],
            "side": np.where(orders["side"] == 0, "buy", "sell"),
            "units": orders["size"],
            "price": orders["price"],
            "fee": orders["fees"],
            "reason": [_REASONS[int(reason)] for reason in simulation.reasons],
        },
        index=utc(simulation.open_time_ms[orders["idx"]]),
    )


def members_frame(report: SignalReport) -> pd.DataFrame:
    """One row per ensemble member: out-of-sample AUC with its error, log loss, weight, influence."""
    rows = {who: [getattr(member, name) for name in MEMBER_NUMBERS] for who, member in report.members.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(MEMBER_NUMBERS), dtype=np.float64)
    return frame.rename_axis("member")


def numbers_frame(summaries: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Summaries side by side, one row per number; NaN where it is undefined.

    Parameters
    ----------
    summaries : dict of run name to dict
        From :func:`quantlab.evaluation.statistics.summary.summarise`; counts of events and cuts are left out.
    """
    plain = {
        run: {name: value for name, value in numbers.items() if not isinstance(value, dict | str)}
        for run, numbers in summaries.items()
    }
    return pd.DataFrame(plain, dtype=np.float64).rename_axis("number")


def _cells(bars: Bars) -> pd.MultiIndex:
    return pd.MultiIndex.from_product([utc(bars.open_time_ms), pd.Index(bars.symbols, name="symbol")])


def _same_cells(bars: Bars, shape: tuple[int, ...]) -> None:
    if shape != bars.state.shape:
        raise ContractError(
            f"values of these {bars.n_bars} bars and {bars.n_symbols} symbols",
            found=f"{shape[0]} bars and {shape[1]} symbols",
            fix="pass the bars that they were made of",
        )
