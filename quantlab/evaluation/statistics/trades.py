"""Round trips: the order records folded into trades.

One trade is one position's life from zero to zero. Adds and partial exits belong to it; a flip ends
one trade and starts the next, whether it came as two records or as one that crosses zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int8Array, Int64Array, Records
from quantlab.core.compiled import compiled
from quantlab.core.last_marks import last_marks
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, Simulation

#: Memory layout of one trade; see :class:`Trades`.
TRADE_DTYPE = np.dtype(
    [
        ("symbol", "i8"),
        ("side", "i8"),
        ("entry_idx", "i8"),
        ("exit_idx", "i8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("size", "f8"),
        ("fees", "f8"),
        ("pnl", "f8"),
        ("exit_reason", "i8"),
        ("closed", "?"),
    ],
    align=True,
)
#: Leftover of a position, as a share of what was bought, that is the rounding of many fills.
_DUST = 1e-10


@dataclass(frozen=True)
class Trades:
    """Trades in the order in which they were opened.

    Parameters
    ----------
    records : TRADE_DTYPE (N,)
        ``symbol`` column index; ``side`` +1 long, -1 short; ``entry_idx`` and ``exit_idx`` bar rows of
        the first and the last fill; ``entry_price`` and ``exit_price`` size-weighted averages in USD;
        ``size`` units bought (long) or sold (short) in total; ``fees`` USD; ``pnl`` USD after fees,
        before funding and liquidation fees, which the account pays as a whole; ``exit_reason`` the
        :class:`OrderReason` of the last reducing fill, -1 if there was none. An open trade has
        ``closed`` False, its rest is valued at the last mark.
    """

    records: Records

    @property
    def closed(self) -> Records:
        """The round trips that ended."""
        closed: Records = self.records[self.records["closed"]]
        return closed

    @property
    def open(self) -> Records:
        """The positions still held at the end."""
        still_open: Records = self.records[~self.records["closed"]]
        return still_open


def round_trips(simulation: Simulation, bars: Bars) -> Trades:
    """All trades of a simulation, open ones valued at the account's marks after the last bar."""
    orders = simulation.orders
    signed = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    records = np.zeros(2 * len(orders), TRADE_DTYPE)
    count = _fold(
        np.ascontiguousarray(orders["col"]),
        np.ascontiguousarray(orders["idx"]),
        signed,
        np.ascontiguousarray(orders["price"]),
        np.ascontiguousarray(orders["fees"]),
        np.ascontiguousarray(simulation.reasons),
        last_marks(bars, simulation.units),
        records,
    )
    return Trades(records[:count].copy())


def exit_share(closed: Records, reason: OrderReason) -> float | None:
    """Share of closed trades that ended for `reason`; None without trades."""
    return float(np.mean(closed["exit_reason"] == reason)) if len(closed) else None


@compiled
def _fold(
    col: Int64Array,
    idx: Int64Array,
    signed: Float64Array,
    price: Float64Array,
    fees: Float64Array,
    reasons: Int8Array,
    marks: Float64Array,
    out: Records,
) -> int:
    """Write one record per trade to `out`; return how many.

    While a trade is open, ``pnl`` holds its cash flow, and the prices hold sums of units x price.
    """
    n_symbols = len(marks)
    held = np.zeros(n_symbols)
    exited = np.zeros(n_symbols)
    current = np.full(n_symbols, -1)
    count = 0
    for i in range(len(col)):
        s = col[i]
        left = signed[i]
        while left != 0.0:
            if held[s] == 0.0:
                current[s] = count
                out[count].symbol = s
                out[count].side = 1 if left > 0.0 else -1
                out[count].entry_idx = idx[i]
                out[count].exit_reason = -1
                exited[s] = 0.0
                count += 1
            k = current[s]
            side = out[k].side
            units = left
            if left * side < 0.0:
                # The part of a record that crosses zero belongs to the next trade.
                if abs(left) > abs(held[s]) + _DUST * out[k].size:
                    units = -held[s]
                out[k].exit_price += abs(units) * price[i]
                out[k].exit_reason = reasons[i]
                exited[s] += abs(units)
            else:
                out[k].entry_price += abs(units) * price[i]
                out[k].size += abs(units)
            fee = fees[i] * (units / signed[i])
            out[k].fees += fee
            out[k].pnl -= units * price[i] + fee
            out[k].exit_idx = idx[i]
            held[s] += units
            left = 0.0 if units == left else left - units
            if abs(held[s]) <= _DUST * out[k].size:
                held[s] = 0.0
                out[k].closed = True
                out[k].entry_price /= out[k].size
                out[k].exit_price /= exited[s]
    for s in range(n_symbols):
        if held[s] != 0.0:
            k = current[s]
            out[k].entry_price /= out[k].size
            out[k].pnl += held[s] * marks[s]
            out[k].exit_price = (out[k].exit_price + abs(held[s]) * marks[s]) / (exited[s] + abs(held[s]))
    return count
