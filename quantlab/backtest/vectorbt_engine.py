"""The same strategy inside vectorbt's own simulator: a second set of books, kept while trading.

1. At every bar vectorbt calls the one bar step (`quantlab.trading.bar`), which says what fills.
2. vectorbt executes these fills by its own rules, in its own cash and positions, and values them.
3. Its cash, positions and value *become* the account before the next bar: the step decides on vectorbt's
   books, never on its own. Two engines that agree to the last bar therefore agreed at every bar.

vectorbt knows no margin: it refuses what its cash cannot pay, where a perpetual's account would go on. So it is
lent a reserve, which is taken off again wherever its cash is read. It also knows neither funding nor a fee apart
from orders: a market with funding and a run that meets a liquidation are refused, never approximated.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import pandas as pd
import vectorbt as vbt
from numba import types
from numba.typed import List
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import Direction, OrderStatus

from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.results import EVENT_DTYPE, OrderReason, RiskEvent, Simulation
from quantlab.core.types import Bars, Float64Array, Signal, check_flag, check_range
from quantlab.trading.account import begin_account, record_buffers, simulation_of
from quantlab.trading.bar import advance_bar
from quantlab.trading.calls import CALLS_TYPE, Calls, calls_of, read_calls
from quantlab.trading.desk import desk_of
from quantlab.trading.laid_out import ROOM, lay_out
from quantlab.trading.layout import (
    CASH,
    EQUITY,
    EVENTS_PER_BAR,
    N_EVENTS,
    N_ORDERS,
    ORDERS_PER_SYMBOL,
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
from quantlab.trading.rows import HISTORY_TYPE, History, history_of, row_of
from quantlab.trading.strategy import Strategy, rules_of

#: Slots of ``Kept.counts``.
_ORDERS, _EVENTS, _UNFILLED, _LIQUIDATIONS = 0, 1, 2, 3

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
_PARTS = (
    STATE_TYPE, RECORDS_TYPE, RULES_TYPE, HISTORY_TYPE, _KEPT, CALLS_TYPE,
)  # fmt: skip
_BOUND: Any = tuple_type(_Bound, *_PARTS)
_ONE: Any = types.ListType(_BOUND)  # type: ignore[no-untyped-call]
_ARRAY = writable_array(types.float64, 1)


@compiled(_nrt=False)
def _advance_row(
    state: State, records: Records, rules: Rules, history: History, kept: Kept, t: int, calls: Calls
) -> None:
    # Reference counts are off in here and on in the caller: only plain arguments may cross.
    state.counters[N_ORDERS] = 0
    state.counters[N_EVENTS] = 0
    advance_bar(state, records, rules, row_of(history, t), lay_out(desk_of(state, rules, history)), t, calls)
    for k in range(state.counters[N_ORDERS]):
        kept.reasons[kept.counts[_ORDERS]] = records.reasons[k]
        kept.over_participation[kept.counts[_ORDERS]] = records.over_participation[k]
        kept.counts[_ORDERS] += 1
    for k in range(state.counters[N_EVENTS]):
        kept.events[kept.counts[_EVENTS]] = records.events[k]
        kept.counts[_EVENTS] += 1
        if records.events[k]["kind"] == _LIQUIDATION:
            kept.counts[_LIQUIDATIONS] += 1


def _bind(state: State, records: Records, rules: Rules, history: History, kept: Kept, calls: Any) -> Any:
    # One object instead of seventy arrays: what vectorbt is handed, it compiles for, in every process.
    one = List.empty_list(_BOUND)
    one.append(_Bound(state, records, rules, history, kept, read_calls(calls)))
    return one


def _advance(one: Any, t: int) -> None:
    """One bar of the account; its reasons and events are kept."""
    b = one[0]
    # After a liquidation or an order that vectorbt changed the run is refused: stand still until its end.
    b.state.counters[N_ORDERS] = 0
    if b.kept.counts[_UNFILLED] + b.kept.counts[_LIQUIDATIONS] == 0:
        _advance_row(b.state, b.records, b.rules, b.history, b.kept, t, b.calls)


def _fill(one: Any, k: int) -> tuple[int, float, float, float]:
    """Column, signed units, price and fee rate of the bar's fill number `k`; column -1 behind the last."""
    b = one[0]
    if k >= b.state.counters[N_ORDERS] or b.kept.counts[_UNFILLED] + b.kept.counts[_LIQUIDATIONS] > 0:
        return -1, 0.0, 0.0, 0.0
    order = b.records.orders[k]
    s = order["col"]
    units = order["size"] if order["side"] == 0 else -order["size"]
    fee = b.rules.maker_fee[s] if b.records.reasons[k] == _MAKER else b.rules.taker_fee[s]
    return s, units, order["price"], fee


def _note_unfilled(one: Any) -> None:
    one[0].kept.counts[_UNFILLED] += 1


def _take_over(one: Any, t: int, position: Float64Array, price: Float64Array, cash: float, value: float) -> None:
    """Make vectorbt's books at the end of a bar the account's."""
    b = one[0]
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
def _compiled() -> tuple[Any, Any, Any, Any, Any]:
    """What binds an account to vectorbt, and what vectorbt calls around a bar and around an order.

    vectorbt takes functions as types of their own, so that nothing that calls them can be cached; the
    callbacks are thin, and what they call is compiled once.
    """
    f8, i8 = types.float64, types.int64
    advance = compiled(signature=types.void(_ONE, i8))(_advance)
    fill = compiled(signature=types.Tuple((i8, f8, f8, f8))(_ONE, i8))(_fill)  # type: ignore[no-untyped-call]
    note_unfilled = compiled(signature=types.void(_ONE))(_note_unfilled)
    take_over = compiled(signature=types.void(_ONE, i8, _ARRAY, _ARRAY, f8, f8))(_take_over)

    def before_bar(c: Any, one: Any) -> Any:
        advance(one, c.i)
        return (one,)

    def next_order(c: Any, one: Any) -> Any:
        s, units, price, fee = fill(one, c.call_idx)
        return s, nb.order_nb(size=units, price=price, fees=fee, direction=_BOTH, allow_partial=False)

    def after_order(c: Any, one: Any) -> None:
        if c.order_result.status != _FILLED:
            note_unfilled(one)

    def after_bar(c: Any, one: Any, reserve: float) -> None:
        cash, value = c.last_cash[c.group] - reserve, c.last_value[c.group] - reserve
        take_over(one, c.i, c.last_position, c.last_val_price, cash, value)

    callbacks = (before_bar, next_order, after_order, after_bar)
    return compiled(signature=_ONE(*_PARTS[:-1], ROOM))(_bind), *(compiled(f, cache=False) for f in callbacks)


@dataclass(frozen=True)
class VectorbtEngine:
    """Runs a strategy over a history in vectorbt's flexible simulator; several seconds of compiling per process.

    Parameters
    ----------
    initial_cash : float
        USD, > 0.
    reserve : float
        Multiples of the initial cash that vectorbt is lent, so that its cash never limits an order.
    ignore_funding : bool
        Leave the market's funding rates out, and say so in the result, instead of refusing them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    initial_cash: float
    reserve: float
    ignore_funding: bool

    def __post_init__(self) -> None:
        check_range("initial_cash", self.initial_cash, low=1e-6)
        # Much more would cost digits: cash is kept to 16 of them.
        check_range("backtest.reserve", self.reserve, low=0.0, high=1e6)
        check_flag("backtest.ignore_funding", self.ignore_funding)

    def run(self, bars: Bars, signal: Signal, strategy: Strategy, *, limits_on: bool = True) -> Simulation:
        """Simulate one account over all of `bars`; see :meth:`quantlab.backtest.scan.Scan.run`.

        Raises
        ------
        ContractError
            If the bars carry funding, the account is liquidated, or vectorbt does not fill an order as asked.
        """
        if bars.funding is not None and not self.ignore_funding:
            raise ContractError(
                "bars without funding rates, which vectorbt does not know",
                found=f"{len(bars.funding.time_ms)} funding stamps",
                mend="use backtest=scan, or set backtest.ignore_funding=true to leave them out",
            )
        bars = dataclasses.replace(bars, funding=None)
        state = begin_account(bars.n_symbols, self.initial_cash, strategy.policy)
        kept = _room(bars)
        orders = self._simulate(bars, signal, strategy, state, kept, limits_on)
        _check(kept)
        return simulation_of(
            state,
            Records(
                orders,
                kept.reasons[: len(orders)],
                kept.over_participation[: len(orders)],
                kept.events[: kept.counts[_EVENTS]],
            ),
            kept.curves,
            open_time_ms=bars.open_time_ms,
            interval_ms=bars.interval_ms,
            symbols=bars.symbols,
            initial_cash=self.initial_cash,
            has_funding=False,
        )

    def _simulate(
        self, bars: Bars, signal: Signal, strategy: Strategy, state: State, kept: Kept, limits_on: bool
    ) -> Any:
        """Order records of vectorbt's run; `state` and `kept` are written on the way."""
        bind, before_bar, next_order, after_order, after_bar = _compiled()
        records = record_buffers(ORDERS_PER_SYMBOL * bars.n_symbols, EVENTS_PER_BAR)
        rules = rules_of(strategy, bars.instruments, limits_on=limits_on)
        one = bind(state, records, rules, history_of(bars, signal), kept, calls_of(strategy))
        lent = self.reserve * self.initial_cash
        portfolio = vbt.Portfolio.from_order_func(
            pd.DataFrame(bars.close, columns=list(bars.symbols)),
            next_order,
            flexible=True,
            init_cash=self.initial_cash + lent,
            group_by=True,
            cash_sharing=True,
            pre_segment_func_nb=before_bar,
            pre_segment_args=(one,),
            post_order_func_nb=after_order,
            post_segment_func_nb=after_bar,
            post_segment_args=(one, lent),
            ffill_val_price=True,
            fill_pos_record=False,
            max_orders=len(kept.reasons),
        )
        return portfolio.order_records


def _room(bars: Bars) -> Kept:
    """Buffers for the most that can happen; pages that nothing is written to cost no memory."""
    orders = ORDERS_PER_SYMBOL * bars.n_symbols * bars.n_bars
    return Kept(
        reasons=np.empty(orders, np.int8),
        over_participation=np.empty(orders, np.bool_),
        events=record_buffers(0, EVENTS_PER_BAR * bars.n_bars).events,
        curves=np.zeros((4, bars.n_bars)),
        counts=np.zeros(4, np.int64),
    )


def _check(kept: Kept) -> None:
    if kept.counts[_LIQUIDATIONS]:
        raise ContractError(
            "an account that is never liquidated: vectorbt knows no fee apart from orders",
            found="a liquidation",
            mend="use backtest=scan, or less leverage",
        )
    if kept.counts[_UNFILLED]:
        raise ContractError(
            "vectorbt to fill every order as asked",
            found=f"order {int(kept.counts[_ORDERS])} rejected or changed",
            mend="raise backtest.reserve, or use backtest=scan",
        )
