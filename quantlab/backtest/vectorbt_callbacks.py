"""Callbacks of vectorbt's simulator around a bar and around an order: the one bar step, on vectorbt's account.

What vectorbt is given it compiles for, in every process: so all of an account is passed as one block of
memory (:mod:`quantlab.trading.lowlevel.pointers`), and the callbacks are thin; what they call is compiled once.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import Direction, OrderStatus

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE
from quantlab.core.results import EVENT_DTYPE, OrderReason, RiskEvent
from quantlab.trading.account.suspicion import is_doubted
from quantlab.trading.bar.bar import advance_bar
from quantlab.trading.bar.function_table import FUNCTION_TABLE_TYPE, read_function_table
from quantlab.trading.interface.policy_view import policy_view
from quantlab.trading.interface.rows import HISTORY_TYPE, History, row_of
from quantlab.trading.lowlevel.layout import (
    CASH,
    EQUITY,
    INLINED,
    MARK,
    N_EVENTS,
    N_ORDERS,
    RECORDS_TYPE,
    RULES_TYPE,
    STATE_TYPE,
    UNITS,
    Records,
    Rules,
    State,
    tuple_type,
    writable_array,
)
from quantlab.trading.lowlevel.pointers import BUFFER, buffer_for, stack_pointer, tuple_reader, write_tuple

#: Slots of ``AccountRecords.counts``.
ORDERS, EVENTS, UNFILLED, LIQUIDATIONS = 0, 1, 2, 3

_MAKER = int(OrderReason.TAKE_PROFIT)
_LIQUIDATION = int(RiskEvent.LIQUIDATION)
_FILLED = int(OrderStatus.Filled)
_BOTH = int(Direction.Both)


class AccountRecords(NamedTuple):
    """Records of the whole run that vectorbt does not keep."""

    reasons: Any  #: int8 (C,)
    over_participation: Any  #: bool (C,)
    events: Any  #: EVENT_DTYPE (D,)
    curves: Any  #: float64 (4, T): equity, gross; funding and liquidation fees stay 0
    counts: Any  #: int64 (4,)


class _PointerTable(NamedTuple):
    """Everything that one bar reads and writes."""

    state: Any
    records: Any
    rules: Any
    history: Any
    account_records: Any
    functions: Any


_ACCOUNT_RECORDS_TYPE: Any = tuple_type(
    AccountRecords,
    writable_array(types.int8, 1),
    writable_array(types.boolean, 1),
    writable_array(numba.from_dtype(EVENT_DTYPE), 1),
    writable_array(types.float64, 2),
    writable_array(types.int64, 1),
)
_PARTS = (STATE_TYPE, RECORDS_TYPE, RULES_TYPE, HISTORY_TYPE, _ACCOUNT_RECORDS_TYPE)
_POINTER_TABLE_TYPE: Any = tuple_type(_PointerTable, *_PARTS, FUNCTION_TABLE_TYPE)
_read_table = tuple_reader(_POINTER_TABLE_TYPE)
_ARRAY = writable_array(types.float64, 1)


class Callbacks(NamedTuple):
    """For ``Portfolio.from_order_func(flexible=True)``.

    Around a bar they take buffers of an account (K, N), one for every stretch of bars with the same trading rules, and
    the first bar of each (K,); around an order the buffer that `before_bar` has chosen.
    """

    before_bar: Any
    next_order: Any
    after_order: Any
    after_bar: Any


def account_buffer(
    state: State, records: Records, rules: Rules, history: History, account_records: AccountRecords, functions: Any
) -> Any:
    """Return a uint8 array of pointers to an account; its arrays must be kept alive while it is used."""
    buffer = buffer_for(_POINTER_TABLE_TYPE)
    _table_writer()(buffer, state, records, rules, history, account_records, functions)
    return buffer


@cache
def _table_writer() -> Any:
    return compiled(signature=types.void(BUFFER, *_PARTS, BUFFER), _nrt=False)(_write_table)


def _write_table(
    buffer: Any,
    state: State,
    records: Records,
    rules: Rules,
    history: History,
    account_records: AccountRecords,
    functions: Any,
) -> None:
    write_tuple(buffer, _PointerTable(state, records, rules, history, account_records, read_function_table(functions)))


@compiled(**INLINED)
def _has_failed(account_records: AccountRecords) -> bool:
    """After a liquidation, or an order that vectorbt changed, the run is refused: stand still until its end."""
    return account_records.counts[UNFILLED] + account_records.counts[LIQUIDATIONS] > 0


def _advance(buffer: Any, t: int) -> None:
    """One bar of the account; its reasons and events are kept."""
    table = _read_table(buffer)
    table.state.counters[N_ORDERS] = 0
    table.state.counters[N_EVENTS] = 0
    if _has_failed(table.account_records):
        return
    view = stack_pointer(policy_view(table.state, table.rules, table.history))
    advance_bar(table.state, table.records, table.rules, row_of(table.history, t), view, t, table.functions)
    counts = table.account_records.counts
    for k in range(table.state.counters[N_ORDERS]):
        table.account_records.reasons[counts[ORDERS]] = table.records.reasons[k]
        table.account_records.over_participation[counts[ORDERS]] = table.records.over_participation[k]
        counts[ORDERS] += 1
    for k in range(table.state.counters[N_EVENTS]):
        table.account_records.events[counts[EVENTS]] = table.records.events[k]
        counts[EVENTS] += 1
        if table.records.events[k]["kind"] == _LIQUIDATION:
            counts[LIQUIDATIONS] += 1


def _fill(buffer: Any, k: int) -> tuple[int, float, float, float]:
    """Column, signed units, price and fee rate of the bar's fill number `k`; column -1 after the last."""
    table = _read_table(buffer)
    if k >= table.state.counters[N_ORDERS] or _has_failed(table.account_records):
        return -1, 0.0, 0.0, 0.0
    order = table.records.orders[k]
    s = order["col"]
    units = order["size"] if order["side"] == 0 else -order["size"]
    fee = table.rules.maker_fee[s] if table.records.reasons[k] == _MAKER else table.rules.taker_fee[s]
    return s, units, order["price"], fee


def _note_unfilled(buffer: Any) -> None:
    _read_table(buffer).account_records.counts[UNFILLED] += 1


def _copy_account(buffer: Any, t: int, position: Float64Array, price: Float64Array, cash: float, value: float) -> None:
    """Copy vectorbt's positions, cash and value at the end of a bar into the account.

    vectorbt values at closes: where a suspicion stands at one, or there is none since, the difference to the mark is taken off.
    """
    table = _read_table(buffer)
    row = row_of(table.history, t)
    gross = 0.0
    for s in range(len(position)):
        table.state.positions[UNITS, s] = position[s]
        if position[s] != 0.0:
            at = price[s]
            if is_doubted(row, s) or np.isnan(row.ohlcv[s, CLOSE]):
                at = table.state.positions[MARK, s]
                value += position[s] * (at - price[s])
            gross += abs(position[s]) * at
    table.state.account[CASH] = cash
    table.state.account[EQUITY] = value
    table.account_records.curves[0, t] = value
    table.account_records.curves[1, t] = gross


@cache
def callbacks() -> Callbacks:
    """Compile them. vectorbt takes functions as types of their own, so that nothing that calls them can be cached."""
    f8, i8 = types.float64, types.int64
    advance = compiled(signature=types.void(BUFFER, i8), _nrt=False)(_advance)
    fill = compiled(signature=types.Tuple((i8, f8, f8, f8))(BUFFER, i8), _nrt=False)(_fill)  # type: ignore[no-untyped-call]
    note_unfilled = compiled(signature=types.void(BUFFER), _nrt=False)(_note_unfilled)
    copy_account = compiled(signature=types.void(BUFFER, i8, _ARRAY, _ARRAY, f8, f8), _nrt=False)(_copy_account)

    def before_bar(c: Any, buffers: Any, starts: Any) -> Any:
        k = 0
        while k + 1 < len(starts) and starts[k + 1] <= c.i:
            k += 1
        buffer = buffers[k]
        advance(buffer, c.i)
        return (buffer,)

    def next_order(c: Any, buffer: Any) -> Any:
        s, units, price, fee = fill(buffer, c.call_idx)
        return s, nb.order_nb(size=units, price=price, fees=fee, direction=_BOTH, allow_partial=False)

    def after_order(c: Any, buffer: Any) -> None:
        if c.order_result.status != _FILLED:
            note_unfilled(buffer)

    def after_bar(c: Any, buffers: Any, reserve: float) -> None:
        cash, value = c.last_cash[c.group] - reserve, c.last_value[c.group] - reserve
        copy_account(buffers[0], c.i, c.last_position, c.last_val_price, cash, value)

    return Callbacks(*(compiled(f, cache=False) for f in (before_bar, next_order, after_order, after_bar)))
