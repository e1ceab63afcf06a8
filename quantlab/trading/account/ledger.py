"""Cash, units and entry price; the mark and the order in which equity is summed."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME
from quantlab.core.results import RiskEvent
from quantlab.trading.account.matching import has_volume
from quantlab.trading.account.suspicion import is_doubted, is_suspect, worse
from quantlab.trading.lowlevel.compact import list_marked
from quantlab.trading.lowlevel.layout import (
    ABSENT_BARS,
    AGREED,
    BAR,
    BARS_HELD,
    BREAK_EVEN_LEVEL,
    CASH,
    ENTRY,
    EQUITY,
    FUNDING,
    GROSS,
    INLINED,
    LOSS_STREAK,
    MARK,
    MISSING_FUNDING,
    N_EVENTS,
    N_HELD,
    N_ORDERS,
    NEXT_ORDER_ID,
    PROCEEDS,
    STALE_MARKS,
    STOP_LEVEL,
    TAKE_LEVEL,
    TRAIL,
    UNITS,
    Records,
    Row,
    Rules,
    State,
)

BUY_ORDER, SELL_ORDER = 0, 1  # vectorbt's codes


@compiled(**INLINED)
def book_fill(state: State, records: Records, s: int, units: float, price: float, fee: float, reason: int) -> None:
    """Settle one fill of `units` (signed, not 0) and record it.

    ``cash -= units * price``, then ``cash -= fee``. A fill from zero sets the entry price, one that
    adds averages it, one that reduces keeps it; reaching zero clears the position and its levels.
    """
    position = state.positions
    held = position[UNITS, s]
    state.account[CASH] -= units * price
    state.account[CASH] -= fee
    after = held + units
    position[UNITS, s] = after
    position[PROCEEDS, s] -= units * price + fee
    if after == 0.0:
        _close(state, s)
    elif held == 0.0:
        position[ENTRY, s] = price
        position[MARK, s] = price
        position[ABSENT_BARS, s] = 0.0
    elif (held > 0.0) == (units > 0.0):
        position[ENTRY, s] = (held * position[ENTRY, s] + units * price) / after

    k = state.counters[N_ORDERS]
    order = records.orders[k]
    order["id"] = state.counters[NEXT_ORDER_ID]
    order["col"] = s
    order["idx"] = state.counters[BAR]
    order["size"] = abs(units)
    order["price"] = price
    order["fees"] = fee
    order["side"] = BUY_ORDER if units > 0.0 else SELL_ORDER
    records.reasons[k] = reason
    records.over_participation[k] = False
    state.counters[N_ORDERS] = k + 1
    state.counters[NEXT_ORDER_ID] += 1


@compiled(**INLINED)
def _close(state: State, s: int) -> None:
    """Forget a position that reached zero, and count whether it lost."""
    position = state.positions
    # What its own fills brought: no funding, no liquidation fee.
    lost = position[PROCEEDS, s] < 0.0
    state.counters[LOSS_STREAK] = state.counters[LOSS_STREAK] + 1 if lost else 0
    position[ENTRY, s] = 0.0
    position[BARS_HELD, s] = 0.0
    position[PROCEEDS, s] = 0.0
    position[STOP_LEVEL, s] = np.nan
    position[TAKE_LEVEL, s] = np.nan
    position[TRAIL, s] = np.inf
    position[BREAK_EVEN_LEVEL, s] = np.nan


@compiled(**INLINED)
def record_event(state: State, records: Records, kind: RiskEvent, equity: float, level: float) -> None:
    """Append one risk event of this bar."""
    k = state.counters[N_EVENTS]
    event = records.events[k]
    event["idx"] = state.counters[BAR]
    event["kind"] = kind
    event["equity"] = equity
    event["level"] = level
    state.counters[N_EVENTS] = k + 1


@compiled(**INLINED)
def list_held(state: State) -> None:
    """Rewrite ``state.held`` after fills, so that the steps after it visit only open positions."""
    for s in range(state.positions.shape[1]):
        state.held[s] = 1 if state.positions[UNITS, s] != 0.0 else 0
    state.counters[N_HELD] = list_marked(state.held)


@compiled(**INLINED)
def charge_funding(state: State, row: Row) -> None:
    """Longs pay, shorts receive, a positive rate; at the open, on the units held before any fill."""
    state.account[FUNDING] = 0.0
    if row.funding_first == row.funding_last:
        return
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        units = state.positions[UNITS, s]
        if units == 0.0:
            continue
        rate = 0.0
        for k in range(row.funding_first, row.funding_last):
            if np.isnan(row.funding[k, s]):
                state.counters[MISSING_FUNDING] += 1
            else:
                rate += row.funding[k, s]
        open_price = row.ohlcv[s, OPEN]
        price = open_price if np.isfinite(open_price) else state.positions[MARK, s]
        if is_suspect(row, s):
            price = state.positions[AGREED, s]
        payment = units * price * rate
        state.account[CASH] -= payment
        state.account[FUNDING] += payment


@compiled(**INLINED)
def mark_to_close(state: State, rules: Rules, row: Row) -> tuple[float, float]:
    """Move every mark to a finite close, count one more close held, and sum the equity, from cash, in symbol order.

    While a suspicion stands the mark is the worse of that close and the agreed one.

    Returns
    -------
    (float, float)
        What the book was worth at its adverse extremes, and its maintenance margin there, USD.
    """
    cash = state.account[CASH]
    equity, gross = cash, 0.0
    worst, maintenance = cash, 0.0
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        units = state.positions[UNITS, s]
        if units == 0.0:
            continue
        price = row.ohlcv[s, CLOSE]
        if np.isfinite(price):
            if is_doubted(row, s):
                price = worse(units, state.positions[AGREED, s], price)
            else:
                state.positions[AGREED, s] = price
            state.positions[MARK, s] = price
        else:
            price = state.positions[MARK, s]
            state.counters[STALE_MARKS] += 1
        equity += units * price
        gross += abs(units * price)
        state.positions[BARS_HELD, s] += 1.0
        extreme = adverse_extreme(state, row, s)
        worst += units * extreme
        maintenance += rules.maintenance[s] * abs(units) * extreme
    state.account[EQUITY] = equity
    state.account[GROSS] = gross
    return worst, maintenance


@compiled(**INLINED)
def adverse_extreme(state: State, row: Row, s: int) -> float:
    """Low for a long, high for a short, the mark in a bar without volume; with a suspect print never better than the mark."""
    if not has_volume(row.ohlcv[s, VOLUME], row.ohlcv[s, OPEN]):
        return state.positions[MARK, s]
    units = state.positions[UNITS, s]
    extreme = row.ohlcv[s, LOW] if units > 0.0 else row.ohlcv[s, HIGH]
    return worse(units, extreme, state.positions[MARK, s]) if is_suspect(row, s) else extreme


@compiled(**INLINED)
def sum_equity(state: State) -> None:
    """Write equity and gross from cash, units and marks."""
    equity = state.account[CASH]
    gross = 0.0
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        value = state.positions[UNITS, s] * state.positions[MARK, s]
        if state.positions[UNITS, s] != 0.0:
            equity += value
            gross += abs(value)
    state.account[EQUITY] = equity
    state.account[GROSS] = gross


@compiled(**INLINED)
def taker_fee(rules: Rules, s: int, units: float, price: float) -> float:
    """USD."""
    return abs(units) * price * rules.taker_fee[s]


@compiled(**INLINED)
def maker_fee(rules: Rules, s: int, units: float, price: float) -> float:
    """USD."""
    return abs(units) * price * rules.maker_fee[s]
