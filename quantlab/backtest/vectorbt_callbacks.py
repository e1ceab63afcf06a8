"""What vectorbt's simulator calls around a bar and around an order: the one bar step, on vectorbt's books.

What vectorbt is handed it compiles for, in every process: so all of an account is handed over as one block of
memory (:mod:`quantlab.trading.lowlevel.pointers`), and the callbacks are thin; what they call is compiled once.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
from numba import types
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import Direction, OrderStatus

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.results import EVENT_DTYPE, OrderReason, RiskEvent
from quantlab.trading.bar.bar import advance_bar
from quantlab.trading.bar.function_table import CALLS_TYPE, read_calls
from quantlab.trading.interface.policy_view import desk_of
from quantlab.trading.interface.rows import HISTORY_TYPE, History, row_of
from quantlab.trading.lowlevel.layout import (
    CASH,
    EQUITY,
    INLINED,
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
from quantlab.trading.lowlevel.pointers import ROOM, lay_into, lay_out, reader, room_for

#: Slots of ``Kept.counts``.
ORDERS, EVENTS, UNFILLED, LIQUIDATIONS = 0, 1, 2, 3

_MAKER = int(OrderReason.TAKE_PROFIT)
_LIQUIDATION = int(RiskEvent.LIQUIDATION)
_FILLED = int(OrderStatus.Filled)
_BOTH = int(Direction.Both)


class Kept(NamedTuple):
    """What vectorbt does not record, for the whole run."""

    reasons: Any  #: int8 (C,)
    over_participation: Any  #: bool (C,)
    events: Any  #: EVENT_DTYPE (D,)
    curves: Any  #: float64 (4, T): equity, gross; funding and liquidation fees stay 0
    counts: Any  #: int64 (4,)


class _Bound(NamedTuple):
    state: Any
    records: Any
    rules: Any
    history: Any
    kept: Any
    calls: Any


_KEPT: Any = tuple_type(
    Kept,
    writable_array(types.int8, 1),
    writable_array(types.boolean, 1),
    writable_array(numba.from_dtype(EVENT_DTYPE), 1),
    writable_array(types.float64, 2),
    writable_array(types.int64, 1),
)
_PARTS = (STATE_TYPE, RECORDS_TYPE, RULES_TYPE, HISTORY_TYPE, _KEPT)
_BOUND: Any = tuple_type(_Bound, *_PARTS, CALLS_TYPE)
_read_bound = reader(_BOUND)
_ARRAY = writable_array(types.float64, 1)


class Callbacks(NamedTuple):
    """For ``Portfolio.from_order_func(flexible=True)``; each is handed the room of an account first."""

    before_bar: Any
    next_order: Any
    after_order: Any
    after_bar: Any


def written_down(state: State, records: Records, rules: Rules, history: History, kept: Kept, calls: Any) -> Any:
    """uint8 array in which an account is written down; its arrays must be kept alive while it is used."""
    room = room_for(_BOUND)
    _binder()(room, state, records, rules, history, kept, calls)
    return room


@cache
def _binder() -> Any:
    return compiled(signature=types.void(ROOM, *_PARTS, ROOM), _nrt=False)(_bind)


def _bind(room: Any, state: State, records: Records, rules: Rules, history: History, kept: Kept, calls: Any) -> None:
    lay_into(room, _Bound(state, records, rules, history, kept, read_calls(calls)))


@compiled(**INLINED)
def _has_failed(kept: Kept) -> bool:
    """After a liquidation, or an order that vectorbt changed, the run is refused: stand still until its end."""
    return kept.counts[UNFILLED] + kept.counts[LIQUIDATIONS] > 0


def _advance(room: Any, t: int) -> None:
    """One bar of the account; its reasons and events are kept."""
    b = _read_bound(room)
    b.state.counters[N_ORDERS] = 0
    b.state.counters[N_EVENTS] = 0
    if _has_failed(b.kept):
        return
    desk = lay_out(desk_of(b.state, b.rules, b.history))
    advance_bar(b.state, b.records, b.rules, row_of(b.history, t), desk, t, b.calls)
    counts = b.kept.counts
    for k in range(b.state.counters[N_ORDERS]):
        b.kept.reasons[counts[ORDERS]] = b.records.reasons[k]
        b.kept.over_participation[counts[ORDERS]] = b.records.over_participation[k]
        counts[ORDERS] += 1
    for k in range(b.state.counters[N_EVENTS]):
        b.kept.events[counts[EVENTS]] = b.records.events[k]
        counts[EVENTS] += 1
        if b.records.events[k]["kind"] == _LIQUIDATION:
            counts[LIQUIDATIONS] += 1


def _fill(room: Any, k: int) -> tuple[int, float, float, float]:
    """Column, signed units, price and fee rate of the bar's fill number `k`; column -1 behind the last."""
    b = _read_bound(room)
    if k >= b.state.counters[N_ORDERS] or _has_failed(b.kept):
        return -1, 0.0, 0.0, 0.0
    order = b.records.orders[k]
    s = order["col"]
    units = order["size"] if order["side"] == 0 else -order["size"]
    fee = b.rules.maker_fee[s] if b.records.reasons[k] == _MAKER else b.rules.taker_fee[s]
    return s, units, order["price"], fee


def _note_unfilled(room: Any) -> None:
    _read_bound(room).kept.counts[UNFILLED] += 1


def _take_over(room: Any, t: int, position: Float64Array, price: Float64Array, cash: float, value: float) -> None:
    """Make vectorbt's books at the end of a bar the account's."""
    b = _read_bound(room)
    gross = 0.0
    for s in range(len(position)):
        b.state.positions[UNITS, s] = position[s]
        if position[s] != 0.0:
            gross += abs(position[s]) * price[s]
    b.state.account[CASH] = cash
    b.state.account[EQUITY] = value
    b.kept.curves[0, t] = value
    b.kept.curves[1, t] = gross


@cache
def callbacks() -> Callbacks:
    """Compile them. vectorbt takes functions as types of their own, so that nothing that calls them can be cached."""
    f8, i8 = types.float64, types.int64
    advance = compiled(signature=types.void(ROOM, i8), _nrt=False)(_advance)
    fill = compiled(signature=types.Tuple((i8, f8, f8, f8))(ROOM, i8), _nrt=False)(_fill)  # type: ignore[no-untyped-call]
    note_unfilled = compiled(signature=types.void(ROOM), _nrt=False)(_note_unfilled)
    take_over = compiled(signature=types.void(ROOM, i8, _ARRAY, _ARRAY, f8, f8), _nrt=False)(_take_over)

    def before_bar(c: Any, room: Any) -> Any:
        advance(room, c.i)
        return (room,)

    def next_order(c: Any, room: Any) -> Any:
        s, units, price, fee = fill(room, c.call_idx)
        return s, nb.order_nb(size=units, price=price, fees=fee, direction=_BOTH, allow_partial=False)

    def after_order(c: Any, room: Any) -> None:
        if c.order_result.status != _FILLED:
            note_unfilled(room)

    def after_bar(c: Any, room: Any, reserve: float) -> None:
        cash, value = c.last_cash[c.group] - reserve, c.last_value[c.group] - reserve
        take_over(room, c.i, c.last_position, c.last_val_price, cash, value)

    return Callbacks(*(compiled(f, cache=False) for f in (before_bar, next_order, after_order, after_bar)))
