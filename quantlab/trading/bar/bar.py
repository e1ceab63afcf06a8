"""One bar of an account: the only place where the order of things is written.

1. Funding on the units held before this bar's fills.
2. Orders decided at the last close fill at the open, reducing legs first.
3. Stops and take-profits, on the entry bar too, the stop first; then positions in symbols that are gone are settled.
4. Mark to the last finite close.
5. Liquidation of the whole book below the maintenance margin.
6. The risk guard's latches.
7. The decision: the policy's step, sizing, and the guard's rules.

The backtest runs this inside a compiled loop, a bar-by-bar session calls it from Python; it cannot
know which.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE
from quantlab.core.results import OrderReason
from quantlab.trading.account.latches import begin_day, update_latches
from quantlab.trading.account.ledger import charge_funding, mark_to_close
from quantlab.trading.account.suspicion import is_doubted
from quantlab.trading.bar.function_table import FunctionTable
from quantlab.trading.bar.protection import protect_positions
from quantlab.trading.bar.settlement import clear_bar, fill_orders, liquidate, settle_delisted
from quantlab.trading.guard.guard import guard
from quantlab.trading.interface.policy import Intents, clear_intents, intents_of
from quantlab.trading.interface.sizer import Entry
from quantlab.trading.lowlevel.compact import list_marked
from quantlab.trading.lowlevel.layout import (
    BAR,
    BREAK_EVEN_DISTANCE,
    CLOSING,
    EQUITY,
    INCREASE,
    INLINED,
    MARK,
    N_ACTIVE,
    REASON,
    REDUCE,
    REPEATED,
    SIDE,
    STOP_DISTANCE,
    TAKE_DISTANCE,
    TRAIL_DISTANCE,
    UNITS,
    WEIGHT,
    Records,
    Row,
    Rules,
    State,
)
from quantlab.trading.lowlevel.prefetch import prefetch

SIGNAL_REASON = int(OrderReason.SIGNAL)
TIME_EXIT_REASON = int(OrderReason.TIME_EXIT)


@compiled(**INLINED)
def advance_bar(
    state: State, records: Records, rules: Rules, row: Row, view: Any, t: int, functions: FunctionTable
) -> None:
    """Run bar `t`; `records` must have room for ``ORDERS_PER_SYMBOL`` and ``EVENTS_PER_BAR`` more."""
    settle_bar(state, records, rules, row)
    decide_bar(state, records, rules, row, view, t, functions)


@compiled(**INLINED)
def settle_bar(state: State, records: Records, rules: Rules, row: Row) -> None:
    """Steps 1 to 5, what the market does to the account: a simulated venue's part. No signal is read."""
    begin_day(state, row.open_time_ms)
    clear_bar(state)
    charge_funding(state, row)
    fill_orders(state, records, rules, row)
    protect_positions(state, records, rules, row)
    settle_delisted(state, records, rules, row)
    worst, maintenance = mark_to_close(state, rules, row)
    liquidate(state, records, rules, row, worst, maintenance)


@compiled(**INLINED)
def decide_bar(
    state: State, records: Records, rules: Rules, row: Row, view: Any, t: int, functions: FunctionTable
) -> None:
    """Steps 6 and 7, what the strategy does about it; the same on a simulated and on a real venue."""
    update_latches(state, records, rules, row.open_time_ms)
    decide(state, rules, row, view, t, functions)
    state.counters[BAR] += 1


@compiled(**INLINED)
def decide(state: State, rules: Rules, row: Row, view: Any, t: int, functions: FunctionTable) -> None:
    """Write the orders of the next bar into ``state.orders`` and ``state.active``."""
    intents = intents_of(state.intents)
    clear_intents(intents)
    functions.step(view, np.uint64(t))
    _request(state, rules, row, intents, functions.size)
    guard(state, rules, row)


@compiled(**INLINED)
def _request(state: State, rules: Rules, row: Row, intents: Intents, size: Any) -> None:
    """Turn weights into legs: units to take off, and units to add."""
    orders, n = state.orders, 0
    for i in range(_list_requests(state, row, intents)):
        s = state.active[i]
        weight = intents.target[s]
        if np.isnan(weight) and not np.isnan(intents.strength[s]):
            weight = _weight_of(state, rules, row, intents, s, size)
        if np.isnan(weight) and orders[CLOSING, s] == 0.0:
            continue
        held = state.positions[UNITS, s]
        orders[REDUCE, s] = 0.0
        orders[INCREASE, s] = 0.0
        if np.isnan(weight):
            # A close that was cut is issued again; nothing is left of it once flat.
            orders[REDUCE, s] = abs(held)
            orders[REASON, s] = orders[CLOSING, s] - 1.0
            orders[REPEATED, s] = 1.0
        else:
            orders[REPEATED, s] = 0.0
            timed = weight == 0.0 and intents.reason[s] == TIME_EXIT_REASON
            orders[REASON, s] = TIME_EXIT_REASON if timed else SIGNAL_REASON
            orders[WEIGHT, s] = weight
            orders[SIDE, s] = 1.0 if weight > 0.0 else -1.0
            orders[STOP_DISTANCE, s] = intents.stop_distance[s]
            orders[TAKE_DISTANCE, s] = intents.take_distance[s]
            orders[TRAIL_DISTANCE, s] = intents.trail_distance[s]
            orders[BREAK_EVEN_DISTANCE, s] = intents.break_even_distance[s]
            _split_into_legs(state, row, s, weight, held)
        orders[CLOSING, s] = 0.0
        if orders[REDUCE, s] > 0.0 or orders[INCREASE, s] > 0.0:
            state.active[n] = s
            n += 1
    state.counters[N_ACTIVE] = n


@compiled(**INLINED)
def _list_requests(state: State, row: Row, intents: Intents) -> int:
    """Write the symbols of which anything may be wanted into ``state.active``, and return their number."""
    n_requests = 0
    for s in range(state.orders.shape[1]):
        idle = np.isnan(intents.target[s]) & np.isnan(intents.strength[s]) & (state.orders[CLOSING, s] == 0.0)
        state.active[s] = 0 if idle else 1
        n_requests += 0 if idle else 1
    if n_requests == 0:
        return 0
    n = list_marked(state.active)
    for i in range(n):
        prefetch(row.ohlcv, (state.active[i], CLOSE))
        prefetch(row.confidence, state.active[i])
    return n


@compiled(**INLINED)
def _weight_of(state: State, rules: Rules, row: Row, intents: Intents, s: int, size: Any) -> float:
    """The sizer's weight; what is not finite becomes infinite, which the guard refuses and counts."""
    strength = intents.strength[s]
    if strength == 0.0:
        return np.nan
    entry = Entry(
        strength,
        row.confidence[s],
        row.atr[s],
        row.ohlcv[s, CLOSE],
        state.account[EQUITY],
        intents.stop_distance[s],
        intents.take_distance[s],
    )
    weight = size(rules.sizer, entry)
    if np.isfinite(weight):
        return weight
    return np.inf if strength > 0.0 else -np.inf


@compiled(**INLINED)
def _split_into_legs(state: State, row: Row, s: int, weight: float, held: float) -> None:
    """Wanted units = weight x equity / close; an impossible size is infinite, which the guard refuses."""
    if weight == 0.0:
        state.orders[REDUCE, s] = abs(held)
        return
    equity = state.account[EQUITY]
    close = row.ohlcv[s, CLOSE]
    # A reduction needs a price too, and no rule may cut it: take the mark where there is no close to trust.
    trusted = np.isfinite(close) and not is_doubted(row, s)
    price = close if trusted or held == 0.0 else state.positions[MARK, s]
    wanted = abs(weight) * equity / price
    if not (equity > 0.0 and 0.0 < price < np.inf and np.isfinite(wanted)):
        wanted = np.inf
    if held != 0.0 and (held > 0.0) != (weight > 0.0):
        state.orders[REDUCE, s] = abs(held)
        state.orders[INCREASE, s] = wanted
    elif wanted > abs(held):
        state.orders[INCREASE, s] = wanted - abs(held)
    else:
        state.orders[REDUCE, s] = abs(held) - wanted
