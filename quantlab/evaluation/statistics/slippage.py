"""Slippage of every fill: the amount paid beyond the quoted price."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import OPEN, Bars
from quantlab.core.results import OrderReason, Simulation

#: Orders that were decided at a close and filled at the next open.
FILLED_AT_OPEN = (OrderReason.SIGNAL, OrderReason.TIME_EXIT, OrderReason.FLATTEN)


def fill_slippage(simulation: Simulation, bars: Bars) -> Float64Array:
    """USD lost by every fill to slippage and price rounding, float64 (N,), positive = paid.

    Exact, against the open, for orders that fill at an open. A stop's record does not hold its level,
    so stops are valued at the notional-weighted average rate of the fills at opens; take-profits and
    liquidations have none.
    """
    orders, reasons = simulation.orders, simulation.reasons
    paid = np.zeros(len(orders))
    at_open, stops = np.isin(reasons, FILLED_AT_OPEN), reasons == OrderReason.STOP
    fills = orders[at_open]
    reference = bars.ohlcv[fills["idx"], fills["col"], OPEN]
    direction = np.where(fills["side"] == 0, 1.0, -1.0)
    paid[at_open] = direction * (fills["price"] - reference) * fills["size"]
    base = float(np.sum(reference * fills["size"]))
    if base > 0.0:
        paid[stops] = float(np.sum(paid[at_open])) / base * orders["price"][stops] * orders["size"][stops]
    return paid


def slippage_usd(simulation: Simulation, bars: Bars) -> float:
    """Sum of :func:`fill_slippage`."""
    return float(np.sum(fill_slippage(simulation, bars)))
