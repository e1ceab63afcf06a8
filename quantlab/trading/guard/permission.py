"""Rules on whether anything may be increased at all: known inputs, no halt, a traded bar."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE, BarState
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.trading.account.latches import halted, must_flatten
from quantlab.trading.account.suspicion import SUSPECT, is_doubted
from quantlab.trading.guard.legs import drop_increase
from quantlab.trading.lowlevel.layout import (
    BREAK_EVEN_DISTANCE,
    INCREASE,
    INLINED,
    N_ACTIVE,
    N_HELD,
    REASON,
    REDUCE,
    REPEATED,
    STOP_DISTANCE,
    TAKE_DISTANCE,
    TRAIL_DISTANCE,
    UNITS,
    Row,
    Rules,
    State,
)

NOT_FINITE = CUT_RULES.index("not_finite")
HALT = CUT_RULES.index("halt")
TRADABLE = CUT_RULES.index("tradable")
TRADED = int(BarState.TRADED)
FLATTEN_REASON = int(OrderReason.FLATTEN)


@compiled(**INLINED)
def _distances_known(state: State, s: int) -> bool:
    """Positive, infinite ones among them; false for NaN."""
    orders = state.orders
    fixed = orders[STOP_DISTANCE, s] > 0.0 and orders[TAKE_DISTANCE, s] > 0.0
    return fixed and orders[TRAIL_DISTANCE, s] > 0.0 and orders[BREAK_EVEN_DISTANCE, s] > 0.0


@compiled(**INLINED)
def require_finite(state: State, row: Row) -> None:
    """Refuse an increase whose size, distances or close are not known."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] == 0.0:
            continue
        known = _distances_known(state, s)
        if not (known and np.isfinite(state.orders[INCREASE, s]) and np.isfinite(row.ohlcv[s, CLOSE])):
            drop_increase(state, s, NOT_FINITE)


@compiled(**INLINED)
def halt(state: State) -> None:
    """Refuse every increase while a latch is set."""
    if not halted(state.account):
        return
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            drop_increase(state, s, HALT)


@compiled(**INLINED)
def flatten(state: State, rules: Rules) -> None:
    """Replace the request by the close of everything that is held."""
    if not must_flatten(state, rules):
        return
    # Increases are gone under a halt, so the held symbols are the whole request.
    n = 0
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        if state.positions[UNITS, s] != 0.0:
            state.orders[REDUCE, s] = abs(state.positions[UNITS, s])
            state.orders[INCREASE, s] = 0.0
            state.orders[REASON, s] = FLATTEN_REASON
            state.orders[REPEATED, s] = 1.0
            state.active[n] = s
            n += 1
    state.counters[N_ACTIVE] = n


@compiled(**INLINED)
def require_tradable(state: State, row: Row) -> None:
    """Refuse an increase in a symbol that did not trade in this bar, or at whose close a suspicion stands."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] == 0.0:
            continue
        if row.state[s] != TRADED:
            drop_increase(state, s, TRADABLE)
        elif is_doubted(row, s):
            drop_increase(state, s, SUSPECT)
