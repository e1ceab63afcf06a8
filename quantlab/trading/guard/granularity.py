"""Rules on the size of an order that a venue takes: the lot and the minimum notional.

Where one lot, or the smallest notional itself, is worth more than ``coarsest_order_usd``, today's rule is not the one
of this price: it counts as unknown.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE
from quantlab.core.results import CUT_RULES
from quantlab.trading.account.matching import round_down, usable_lot, usable_notional
from quantlab.trading.account.suspicion import is_doubted
from quantlab.trading.guard.legs import drop_increase, is_partial
from quantlab.trading.lowlevel.layout import (
    INCREASE,
    INLINED,
    MARK,
    N_ACTIVE,
    REDUCE,
    Row,
    Rules,
    State,
)

LOT = CUT_RULES.index("lot")
MIN_NOTIONAL = CUT_RULES.index("min_notional")


@compiled(**INLINED)
def _order_price(state: State, row: Row, s: int) -> float:
    """Return the price that an order is valued at: the close, or the mark where there is no close to trust."""
    close = row.ohlcv[s, CLOSE]
    return close if np.isfinite(close) and not is_doubted(row, s) else state.positions[MARK, s]


@compiled(**INLINED)
def round_to_lot(state: State, rules: Rules, row: Row) -> None:
    """Round the change in units down to a usable lot; a full close is exempt."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        lot = usable_lot(rules.lot[s], _order_price(state, row, s), rules.coarsest_order_usd)
        if state.orders[INCREASE, s] > 0.0:
            state.orders[INCREASE, s] = round_down(state.orders[INCREASE, s], lot)
            if state.orders[INCREASE, s] == 0.0:
                state.cuts[LOT] += 1
        elif is_partial(state, s):
            state.orders[REDUCE, s] = round_down(state.orders[REDUCE, s], lot)
            if state.orders[REDUCE, s] == 0.0:
                state.cuts[LOT] += 1


@compiled(**INLINED)
def require_notional(state: State, rules: Rules, row: Row) -> None:
    """Drop legs that are worth too little at the close; a full close is exempt."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        smallest = usable_notional(rules.min_notional[s], rules.coarsest_order_usd)
        price = _order_price(state, row, s)
        if state.orders[INCREASE, s] > 0.0:
            if state.orders[INCREASE, s] * price < smallest:
                drop_increase(state, s, MIN_NOTIONAL)
        elif is_partial(state, s) and state.orders[REDUCE, s] * price < smallest:
            state.orders[REDUCE, s] = 0.0
            state.cuts[MIN_NOTIONAL] += 1
