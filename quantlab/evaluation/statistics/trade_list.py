"""The list of trades that reports, files and notebooks show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quantlab.core.arrays import BoolArray, Int64Array, Records
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, Simulation
from quantlab.evaluation.statistics.excursions import excursions
from quantlab.evaluation.statistics.trades import round_trips

_REASONS = {int(reason): reason.name.lower() for reason in OrderReason}


def trade_list(simulation: Simulation, bars: Bars) -> pd.DataFrame:
    """One row per round trip, oldest entry first.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated, (T, S).

    Returns
    -------
    DataFrame
        ``symbol``; ``side`` ``"long"`` or ``"short"``; ``entry_time``, ``exit_time`` opens of the bars of the first and
        the last fill, UTC, the latter NaT while the trade is open; ``bars`` whole bars held, an open trade up to the last
        close; ``size`` units bought (long) or sold (short) in total; ``entry_price``, ``exit_price`` size-weighted
        averages in USD, what is still open at its last mark; ``fees`` USD; ``pnl`` USD after fees, before funding;
        ``return`` P&L over size x entry price; ``entry_reason``, ``exit_reason`` names of
        :class:`~quantlab.core.results.OrderReason` in small letters, the latter ``"open"`` while the trade is open;
        ``mae``, ``mfe`` as :func:`~quantlab.evaluation.statistics.excursions.excursions` defines them; ``closed`` bool.
    """
    records = round_trips(simulation, bars).records
    closed, notional = records["closed"], records["size"] * records["entry_price"]
    times = pd.DatetimeIndex(pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))
    mae, mfe = excursions(records, bars)
    return pd.DataFrame(
        {
            "symbol": np.array(bars.symbols, dtype=object)[records["symbol"]],
            "side": np.where(records["side"] > 0, "long", "short").astype(object),
            "entry_time": times[records["entry_idx"]],
            "exit_time": times[records["exit_idx"]].where(closed),
            "bars": bars_held(records, bars.n_bars),
            "size": records["size"],
            "entry_price": records["entry_price"],
            "exit_price": records["exit_price"],
            "fees": records["fees"],
            "pnl": records["pnl"],
            "return": records["pnl"] / notional,
            "entry_reason": _names(_entry_reasons(records, simulation)),
            "exit_reason": np.where(closed, _names(records["exit_reason"]), "open").astype(object),
            "mae": mae,
            "mfe": mfe,
            "closed": closed,
        }
    )


def bars_held(trades: Records, n_bars: int) -> Int64Array:
    """Whole bars between entry and exit, int64 (N,); an open trade is held to the close of the last bar."""
    held: Int64Array = np.where(trades["closed"], trades["exit_idx"], n_bars) - trades["entry_idx"]
    return held


def _entry_reasons(trades: Records, simulation: Simulation) -> Int64Array:
    """int64 (N,): reason of the fill that opened each trade: the last of its bar, symbol and side."""
    orders, n_bars = simulation.orders, len(simulation.equity)
    keys = _cell(orders["col"], orders["idx"], orders["side"] == 0, n_bars)
    order = np.argsort(keys, kind="stable")
    wanted = _cell(trades["symbol"], trades["entry_idx"], trades["side"] > 0, n_bars)
    found = order[np.searchsorted(keys[order], wanted, side="right") - 1]
    return simulation.reasons[found].astype(np.int64)


def _cell(column: Int64Array, row: Int64Array, bought: BoolArray, n_bars: int) -> Int64Array:
    return (column * n_bars + row) * 2 + bought


def _names(reasons: Int64Array) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array([_REASONS.get(int(reason), "open") for reason in reasons], dtype=object)
