"""The loop of a sweep: the one bar step over a whole history, keeping a summary instead of records.

A backtest keeps every order and every bar. Of ten thousand strategies nobody can read those: here each bar's
records are folded into a few sums and forgotten before the next bar, and of the equity only the end of each
UTC day stays. What a strategy costs in memory does not depend on how many bars or orders it has.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.market import OPEN
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading.bar.bar import advance_bar
from quantlab.trading.bar.function_table import read_function_table
from quantlab.trading.interface.policy_view import policy_view
from quantlab.trading.interface.rows import HISTORY_TYPE, History, row_of
from quantlab.trading.lowlevel.layout import (
    EQUITY,
    FUNDING,
    GROSS,
    INLINED,
    LIQUIDATION_FEE,
    N_EVENTS,
    N_ORDERS,
    RECORDS_TYPE,
    RULES_TYPE,
    STATE_TYPE,
    Records,
    Row,
    Rules,
    State,
    writable_array,
)
from quantlab.trading.lowlevel.pointers import BUFFER, stack_pointer
from quantlab.trading.lowlevel.prefetch import prefetch_bar

#: Slots of the sums (N_SUMS,).
FEES = 0
NOTIONAL = 1  # traded, buys and sells
AT_OPEN_PAID = 2  # slippage and rounding of fills at opens, USD
AT_OPEN_NOTIONAL = 3  # of these fills, valued at the open itself
STOP_NOTIONAL = 4
FUNDING_PAID = 5
LIQUIDATION_FEES = 6
EXPOSURE = 7  # sum over bars of gross / equity
EXPOSED_BARS = 8  # bars with a positive equity
PEAK = 9  # highest equity, begins at the initial cash
TROUGH = 10  # lowest equity since then, begins there too
MAX_DRAWDOWN = 11
FILLS = 12
TRADES = 13  # round trips that ended
EVENTS = 14  # one slot for each RiskEvent
N_SUMS = EVENTS + len(RiskEvent)

#: Rows of the open trades (2, S), as `quantlab.evaluation.statistics.trades` folds them.
HELD = 0  # signed units
BOUGHT = 1  # units that increased the position since it was opened

#: Leftover of a position, as a share of what was bought, that is the rounding of many fills.
DUST = 1e-10

STOP_REASON = int(OrderReason.STOP)
AT_OPEN_REASONS = (int(OrderReason.SIGNAL), int(OrderReason.TIME_EXIT), int(OrderReason.FLATTEN))


@compiled(**INLINED)
def _note_orders(records: Records, row: Row, n_orders: int, sums: Float64Array, trades: Float64Array) -> None:
    """Fold the fills of one bar into the sums."""
    for k in range(n_orders):
        order = records.orders[k]
        s = order["col"]
        value = order["size"] * order["price"]
        units = order["size"] if order["side"] == 0 else -order["size"]
        sums[FILLS] += 1.0
        sums[FEES] += order["fees"]
        sums[NOTIONAL] += value
        reason = records.reasons[k]
        if reason == STOP_REASON:
            sums[STOP_NOTIONAL] += value
        elif reason == AT_OPEN_REASONS[0] or reason == AT_OPEN_REASONS[1] or reason == AT_OPEN_REASONS[2]:
            open_price = row.ohlcv[s, OPEN]
            sums[AT_OPEN_PAID] += units * (order["price"] - open_price)
            sums[AT_OPEN_NOTIONAL] += order["size"] * open_price
        if trades[HELD, s] * units >= 0.0:
            trades[BOUGHT, s] += abs(units)
        trades[HELD, s] += units
        if abs(trades[HELD, s]) <= DUST * trades[BOUGHT, s]:
            trades[HELD, s] = 0.0
            trades[BOUGHT, s] = 0.0
            sums[TRADES] += 1.0


@compiled(**INLINED)
def _note_account(state: State, sums: Float64Array) -> None:
    """Fold one bar's equity, exposure and payments into the sums."""
    equity = state.account[EQUITY]
    sums[FUNDING_PAID] += state.account[FUNDING]
    sums[LIQUIDATION_FEES] += state.account[LIQUIDATION_FEE]
    if equity > 0.0:
        sums[EXPOSURE] += state.account[GROSS] / equity
        sums[EXPOSED_BARS] += 1.0
    if equity > sums[PEAK]:
        _note_drawdown(sums)
        sums[PEAK] = equity
        sums[TROUGH] = equity
    sums[TROUGH] = min(sums[TROUGH], equity)


@compiled(**INLINED)
def _note_drawdown(sums: Float64Array) -> None:
    """Fold what was lost since the peak, at its lowest: one division for a peak instead of one for a bar."""
    sums[MAX_DRAWDOWN] = max(sums[MAX_DRAWDOWN], 1.0 - sums[TROUGH] / sums[PEAK])


def _summarise(
    state: State,
    records: Records,
    rules: Rules,
    history: History,
    day_ends: Any,
    marks: Float64Array,
    sums: Float64Array,
    trades: Float64Array,
    start: int,
    buffer: Any,
) -> None:
    """Fold the bars from `start` to the end of ``history.ohlcv`` into the sums; it goes on where another call ended."""
    day = 0
    while day_ends[day] < start:
        day += 1
    n_bars = history.ohlcv.shape[0]
    functions = read_function_table(buffer)
    view = stack_pointer(policy_view(state, rules, history))
    for t in range(start, n_bars):
        row = row_of(history, t)
        state.counters[N_ORDERS] = 0
        state.counters[N_EVENTS] = 0
        advance_bar(state, records, rules, row, view, t, functions)
        if t + 1 < n_bars:
            prefetch_bar(state, history.ohlcv[t + 1])
        if state.counters[N_ORDERS] > 0:
            _note_orders(records, row, state.counters[N_ORDERS], sums, trades)
        for k in range(state.counters[N_EVENTS]):
            sums[EVENTS + records.events[k]["kind"]] += 1.0
        _note_account(state, sums)
        if t == day_ends[day]:
            marks[day] = state.account[EQUITY]
            day += 1
    _note_drawdown(sums)


#: One signature for every policy and sizer, so that the loop is compiled once and cached.
SUMMARISE = types.void(
    STATE_TYPE,
    RECORDS_TYPE,
    RULES_TYPE,
    HISTORY_TYPE,
    writable_array(types.int64, 1),
    writable_array(types.float64, 1),
    writable_array(types.float64, 1),
    writable_array(types.float64, 2),
    types.int64,
    BUFFER,
)


@cache
def summary_loop() -> Any:
    """Compile the loop, or read it from the cache, at first use; it runs without Python's lock."""
    return compiled(signature=SUMMARISE, _nrt=False, nogil=True)(_summarise)
