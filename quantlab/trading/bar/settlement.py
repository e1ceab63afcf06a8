"""Settlement: what the market does to the account in one bar, but for stops and take-profits: orders, delistings, liquidation."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.core.market import OPEN, VOLUME, BarState
from quantlab.core.results import CUT_RULES, OrderReason, RiskEvent
from quantlab.trading.account.ledger import adverse_extreme, book_fill, list_held, record_event, sum_equity, taker_fee
from quantlab.trading.account.matching import fill_price, has_volume, within_budget
from quantlab.trading.account.suspicion import SUSPECT, is_suspect, worse
from quantlab.trading.bar.protection import remaining_budget, set_levels
from quantlab.trading.lowlevel.layout import (
    ABSENT_BARS,
    AGREED,
    BARS_HELD,
    CAPPED,
    CASH,
    GROSS,
    INCREASE,
    INLINED,
    LIQUIDATION_FEE,
    MARK,
    N_ACTIVE,
    N_HELD,
    N_ORDERS,
    REASON,
    REDUCE,
    REPEATED,
    SIDE,
    STOPPED,
    UNITS,
    Records,
    Row,
    Rules,
    State,
)

NO_VOLUME = CUT_RULES.index("no_volume")
PARTICIPATION = CUT_RULES.index("participation")
SIGNAL_REASON = int(OrderReason.SIGNAL)
LIQUIDATION_REASON = int(OrderReason.LIQUIDATION)
LIQUIDATION_EVENT = int(RiskEvent.LIQUIDATION)
DELISTED_REASON = int(OrderReason.DELISTED)
ABSENT = int(BarState.ABSENT)


@compiled(**INLINED)
def _fill_capped(state: State, records: Records, rules: Rules, row: Row, s: int, units: float, reason: int) -> float:
    """Fill up to `units` (signed) at the open; return the units left unfilled, >= 0.

    A leg that does not fill wholly counts once, under the rule that stopped it; a flatten and a close
    that is issued again count nothing.
    """
    wanted = abs(units)
    counted = 0 if state.orders[REPEATED, s] != 0.0 else 1
    if not has_volume(row.ohlcv[s, VOLUME], row.ohlcv[s, OPEN]):
        state.cuts[NO_VOLUME] += counted
        return wanted
    filled = within_budget(wanted, remaining_budget(state, rules, row, s))
    if filled < wanted:
        state.cuts[PARTICIPATION] += counted
    if filled > 0.0:
        signed = filled if units > 0.0 else -filled
        price = fill_price(signed, row.ohlcv[s, OPEN], rules.slippage, rules.tick[s], rules.coarsest_tick)
        if is_suspect(row, s):  # a reducing leg: no other fills there
            agreed = fill_price(signed, state.positions[AGREED, s], rules.slippage, rules.tick[s], rules.coarsest_tick)
            price = worse(-signed, price, agreed)
        book_fill(state, records, s, signed, price, taker_fee(rules, s, signed, price), reason)
        state.positions[CAPPED, s] += filled
    return wanted - filled


@compiled(**INLINED)
def fill_orders(state: State, records: Records, rules: Rules, row: Row) -> None:
    """Fill what was decided at the last close: reducing legs of all symbols, then increasing ones.

    The opening leg of a flip is dropped, and counted like its closing leg, unless that one filled
    completely. No increase fills in a bar with a suspect print. Only the fill that takes a position from zero sets its stop and take-profit.
    """
    orders, positions = state.orders, state.positions
    n = state.counters[N_ACTIVE]
    if n == 0:
        return
    for i in range(n):
        s = state.active[i]
        if orders[REDUCE, s] > 0.0:
            units = -orders[REDUCE, s] if positions[UNITS, s] > 0.0 else orders[REDUCE, s]
            orders[REDUCE, s] = _fill_capped(state, records, rules, row, s, units, int(orders[REASON, s]))
    for i in range(n):
        s = state.active[i]
        if orders[INCREASE, s] == 0.0:
            continue
        if orders[REDUCE, s] > 0.0:
            traded = has_volume(row.ohlcv[s, VOLUME], row.ohlcv[s, OPEN])
            state.cuts[PARTICIPATION if traded else NO_VOLUME] += 1
            continue
        if is_suspect(row, s) and has_volume(row.ohlcv[s, VOLUME], row.ohlcv[s, OPEN]):
            state.cuts[SUSPECT] += 1
            continue
        opening = positions[UNITS, s] == 0.0
        side = orders[SIDE, s]
        _fill_capped(state, records, rules, row, s, side * orders[INCREASE, s], SIGNAL_REASON)
        if opening and positions[UNITS, s] != 0.0:
            positions[BARS_HELD, s] = 0.0
            set_levels(state, rules, s, side, records.orders[state.counters[N_ORDERS] - 1]["price"])
    end_orders(state)
    list_held(state)


@compiled(**INLINED)
def end_orders(state: State) -> None:
    """Forget what is left of the orders decided at the last close: an order lives one bar."""
    for i in range(state.counters[N_ACTIVE]):
        state.orders[REDUCE, state.active[i]] = 0.0
        state.orders[INCREASE, state.active[i]] = 0.0


@compiled(**INLINED)
def settle_delisted(state: State, records: Records, rules: Rules, row: Row) -> None:
    """Count the bars in a row that held symbols have been absent, and close a position at its mark when it is too many.

    A venue that ends a market settles what is open. Without that it would stay open for ever and keep its slot.
    """
    positions = state.positions
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        units = positions[UNITS, s]
        if units == 0.0:
            continue
        count_absence(state, row, s)
        if positions[ABSENT_BARS, s] >= rules.delisted_after:
            mark = positions[MARK, s]
            book_fill(state, records, s, -units, mark, taker_fee(rules, s, units, mark), DELISTED_REASON)


@compiled(**INLINED)
def count_absence(state: State, row: Row, s: int) -> None:
    """Count the bars in a row, up to this one, in which a held symbol was absent."""
    state.positions[ABSENT_BARS, s] = state.positions[ABSENT_BARS, s] + 1.0 if row.state[s] == ABSENT else 0.0


@compiled(**INLINED)
def liquidate(state: State, records: Records, rules: Rules, row: Row, worst: float, maintenance: float) -> None:
    """Close the whole book at its adverse extremes if it is worth less than the maintenance margin there.

    The liquidation fee on the notional replaces the taker fee and is booked apart: the order
    records carry fee 0.
    """
    state.account[LIQUIDATION_FEE] = 0.0
    if state.account[GROSS] == 0.0 or not worst < maintenance:
        return
    record_event(state, records, LIQUIDATION_EVENT, worst, maintenance)
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        units = state.positions[UNITS, s]
        if units != 0.0:
            price = fill_price(-units, adverse_extreme(state, row, s), 0.0, rules.tick[s], rules.coarsest_tick)
            book_fill(state, records, s, -units, price, 0.0, LIQUIDATION_REASON)
            fee = abs(units) * price * rules.liquidation_fee
            state.account[CASH] -= fee
            state.account[LIQUIDATION_FEE] += fee
    sum_equity(state)


@compiled(**INLINED)
def clear_bar(state: State) -> None:
    """Forget what belonged to the last bar only: stops fill in held symbols, budgets are asked for by these and orders."""
    for i in range(state.counters[N_HELD]):
        state.positions[STOPPED, state.held[i]] = 0.0
        state.positions[CAPPED, state.held[i]] = 0.0
    for i in range(state.counters[N_ACTIVE]):
        state.positions[CAPPED, state.active[i]] = 0.0
