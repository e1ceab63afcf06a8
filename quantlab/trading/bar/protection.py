"""Protection of an open position inside one bar: stop, take-profit, trailing stop, break-even.

Levels are set by the fill that opens a position and cleared when it reaches zero. A stop may follow
the price, but only ever towards it, and only from the next bar on.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import HIGH, LOW, OPEN, VOLUME
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.trading.account.ledger import book_fill, maker_fee, taker_fee
from quantlab.trading.account.matching import (
    budget,
    fill_price,
    gain_reached,
    has_volume,
    stop_level,
    stop_touched,
    take_level,
    take_passed,
    tighter_stop,
    usable_lot,
    within_budget,
)
from quantlab.trading.account.suspicion import SUSPECT, is_suspect
from quantlab.trading.lowlevel.layout import (
    BREAK_EVEN_DISTANCE,
    BREAK_EVEN_LEVEL,
    CAPPED,
    ENTRY,
    INLINED,
    N_HELD,
    N_ORDERS,
    N_STOPS,
    STOP_DISTANCE,
    STOP_LEVEL,
    STOP_MEMORY,
    STOPPED,
    TAKE_DISTANCE,
    TAKE_LEVEL,
    TRAIL,
    TRAIL_DISTANCE,
    UNITS,
    Records,
    Row,
    Rules,
    State,
)

PARTICIPATION = CUT_RULES.index("participation")
STOP_REASON = int(OrderReason.STOP)
TAKE_PROFIT_REASON = int(OrderReason.TAKE_PROFIT)


@compiled(**INLINED)
def remaining_budget(state: State, rules: Rules, row: Row, s: int) -> float:
    """Return the units of symbol `s` that capped fills may still take in this bar."""
    lot = usable_lot(rules.lot[s], row.ohlcv[s, OPEN], rules.coarsest_order_usd)
    return budget(rules.participation, row.ohlcv[s, VOLUME], state.positions[CAPPED, s], lot)


@compiled(**INLINED)
def set_levels(state: State, rules: Rules, s: int, side: float, price: float) -> None:
    """Measure every level of a position that was just opened from its fill, with the order's distances."""
    orders, positions = state.orders, state.positions
    tick, coarsest = rules.tick[s], rules.coarsest_tick
    fixed = stop_level(side, price, orders[STOP_DISTANCE, s], tick, coarsest)
    trailing = stop_level(side, price, orders[TRAIL_DISTANCE, s], tick, coarsest)
    positions[STOP_LEVEL, s] = tighter_stop(side, fixed, trailing)
    positions[TAKE_LEVEL, s] = take_level(side, price, orders[TAKE_DISTANCE, s], tick, coarsest)
    positions[TRAIL, s] = orders[TRAIL_DISTANCE, s]
    positions[BREAK_EVEN_LEVEL, s] = take_level(side, price, orders[BREAK_EVEN_DISTANCE, s], tick, coarsest)


@compiled(**INLINED)
def protect_positions(state: State, records: Records, rules: Rules, row: Row) -> None:
    """Stops, then take-profits, symbol by symbol; when one bar reaches both levels, the stop.

    What is still open after its checks may have its stop moved, which binds from the next bar on. Where a print is
    suspect, stops fill and nothing else happens.
    """
    positions = state.positions
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        units = positions[UNITS, s]
        open_price = row.ohlcv[s, OPEN]
        if units == 0.0 or not has_volume(row.ohlcv[s, VOLUME], open_price):
            continue
        low, high = row.ohlcv[s, LOW], row.ohlcv[s, HIGH]
        if stop_touched(units, low, high, positions[STOP_LEVEL, s]):
            _fill_stop(state, records, rules, row, s, units)
            continue
        passed = take_passed(units, low, high, positions[TAKE_LEVEL, s])
        if is_suspect(row, s):
            state.cuts[SUSPECT] += 1 if passed else 0
            continue
        if passed:
            _fill_take_profit(state, records, rules, row, s, units)
        if positions[UNITS, s] != 0.0:
            follow_price(state, rules, s, low, high)


@compiled(**INLINED)
def follow_price(state: State, rules: Rules, s: int, low: float, high: float) -> None:
    """Move the stop of an open position after a bar's favourable extreme; it never loosens."""
    positions = state.positions
    side = positions[UNITS, s]
    if positions[TRAIL, s] < np.inf:
        extreme = high if side > 0.0 else low
        trailing = stop_level(side, extreme, positions[TRAIL, s], rules.tick[s], rules.coarsest_tick)
        positions[STOP_LEVEL, s] = tighter_stop(side, positions[STOP_LEVEL, s], trailing)
    if gain_reached(side, low, high, positions[BREAK_EVEN_LEVEL, s]):
        entry = stop_level(side, positions[ENTRY, s], 0.0, rules.tick[s], rules.coarsest_tick)
        positions[STOP_LEVEL, s] = tighter_stop(side, positions[STOP_LEVEL, s], entry)
        positions[BREAK_EVEN_LEVEL, s] = np.nan


@compiled(**INLINED)
def _fill_stop(state: State, records: Records, rules: Rules, row: Row, s: int, units: float) -> None:
    """The whole position at the stop, or at the open beyond it: uncapped, slipped, as a taker."""
    level, open_price = state.positions[STOP_LEVEL, s], row.ohlcv[s, OPEN]
    reached = min(open_price, level) if units > 0.0 else max(open_price, level)
    price = fill_price(-units, reached, rules.slippage, rules.tick[s], rules.coarsest_tick)
    above_budget = abs(units) > within_budget(abs(units), remaining_budget(state, rules, row, s))
    book_fill(state, records, s, -units, price, taker_fee(rules, s, units, price), STOP_REASON)
    records.over_participation[state.counters[N_ORDERS] - 1] = above_budget
    note_stop(state, row, s)


@compiled(**INLINED)
def note_stop(state: State, row: Row, s: int) -> None:
    """Remember that a stop has closed a position in this bar."""
    state.positions[STOPPED, s] = 1.0
    state.stop_times[state.counters[N_STOPS] % STOP_MEMORY] = row.open_time_ms
    state.counters[N_STOPS] += 1


@compiled(**INLINED)
def _fill_take_profit(state: State, records: Records, rules: Rules, row: Row, s: int, units: float) -> None:
    """A resting limit: at the level, or at the open beyond it; capped, as a maker; the rest keeps resting."""
    level, open_price = state.positions[TAKE_LEVEL, s], row.ohlcv[s, OPEN]
    filled = within_budget(abs(units), remaining_budget(state, rules, row, s))
    if filled < abs(units):
        state.cuts[PARTICIPATION] += 1
    if filled > 0.0:
        signed = -filled if units > 0.0 else filled
        reached = max(open_price, level) if units > 0.0 else min(open_price, level)
        price = fill_price(signed, reached, 0.0, rules.tick[s], rules.coarsest_tick)
        book_fill(state, records, s, signed, price, maker_fee(rules, s, signed, price), TAKE_PROFIT_REASON)
        state.positions[CAPPED, s] += filled
