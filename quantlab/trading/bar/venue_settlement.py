"""Settlement on a venue: a fold of what the venue reports into the account, in place of matching.

1. Payments: funding, then money that came in or went out.
2. Fills, in the order of the venue's ledger; orders decided at the last close are over.
3. Stops follow the bar's prices, as they do in a backtest.
4. Mark to the last finite close.

Nothing is matched, settled or liquidated here: the venue does that, and its fills say so. Fees and funding are the
venue's numbers, never computed. A fold that is told the fills and payments of a simulated account is that account, bit for
bit but for what only matching reads: the participation budget, and its counts.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.market import HIGH, LOW, OPEN, VOLUME
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading.account.latches import begin_day
from quantlab.trading.account.ledger import book_fill, mark_to_close, record_event
from quantlab.trading.account.matching import has_volume, whole_lots
from quantlab.trading.account.suspicion import is_suspect
from quantlab.trading.bar.protection import follow_price, note_stop, set_levels
from quantlab.trading.bar.settlement import clear_bar, count_absence, end_orders
from quantlab.trading.lowlevel.compact import list_marked
from quantlab.trading.lowlevel.layout import (
    BARS_HELD,
    CASH,
    DAY_START_EQUITY,
    ENTRY,
    EQUITY,
    FUNDING,
    HIGH_WATER_MARK,
    INLINED,
    LIQUIDATION_FEE,
    MISSING_FUNDING,
    N_HELD,
    STOPPED,
    UNITS,
    Facts,
    Records,
    Row,
    Rules,
    State,
)

SIGNAL_REASON = int(OrderReason.SIGNAL)
STOP_REASON = int(OrderReason.STOP)
LIQUIDATION_REASON = int(OrderReason.LIQUIDATION)
LIQUIDATION_EVENT = int(RiskEvent.LIQUIDATION)

#: Row of ``State.intents``, which is scratch until the decision, for the order that opened a position in this bar.
OPENER = 0


@compiled(**INLINED)
def settle_venue(state: State, records: Records, rules: Rules, row: Row, facts: Facts) -> None:
    """Fold one bar's facts into the account; `records` must have room for two fills of each, and for an event."""
    begin_day(state, row.open_time_ms)
    clear_bar(state)
    _take_payments(state, facts)
    state.account[LIQUIDATION_FEE] = 0.0
    liquidated = False
    for i in range(len(facts.symbol)):
        _take_fill(state, records, rules, row, facts, i)
        liquidated |= facts.reason[i] == LIQUIDATION_REASON
    end_orders(state)
    _list_held(state)
    _follow_prices(state, rules, row)
    mark_to_close(state, rules, row)
    if liquidated:  # at a margin that the venue alone has computed
        record_event(state, records, LIQUIDATION_EVENT, state.account[EQUITY], np.nan)


@compiled(**INLINED)
def _take_payments(state: State, facts: Facts) -> None:
    """Funding; then deposits and withdrawals, which are neither gain nor loss.

    With them the high-water mark and the day's start move by the same ratio as the equity of the last close, so every drawdown
    stays what it was: by the same amount, half the money withdrawn would double the day's loss and trip its limit. Where
    nothing is left, or nothing was there, no ratio is defined: the marks stay, and the limits judge.
    """
    account = state.account
    account[FUNDING] = 0.0
    for amount in facts.funding:
        account[CASH] += amount
        account[FUNDING] -= amount
    state.counters[MISSING_FUNDING] += facts.missing_funding
    equity = account[EQUITY]
    for amount in facts.moved:
        account[CASH] += amount
        if equity > 0.0 and equity + amount > 0.0:
            ratio = (equity + amount) / equity
            account[HIGH_WATER_MARK] *= ratio
            account[DAY_START_EQUITY] *= ratio
        equity += amount


@compiled(**INLINED)
def _take_fill(state: State, records: Records, rules: Rules, row: Row, facts: Facts, i: int) -> None:
    """Book one fill; one that goes through zero, as no leg of a decision does, is a close and an opening."""
    s, reason, fee = facts.symbol[i], facts.reason[i], facts.fee[i]
    left = facts.units[i]
    if facts.whole_lots:
        left = whole_lots(state.positions[UNITS, s], left, rules.lot[s])
    if reason == LIQUIDATION_REASON:  # booked apart, as a simulated one
        state.account[CASH] -= fee
        state.account[LIQUIDATION_FEE] += fee
        fee = 0.0
    if left == 0.0:
        state.account[CASH] -= fee
    while left != 0.0:
        held = state.positions[UNITS, s]
        crosses = held != 0.0 and (held > 0.0) != (left > 0.0) and abs(left) > abs(held)
        units = -held if crosses else left
        part = fee * (units / left) if crosses else fee
        if held == 0.0:
            state.intents[OPENER, s] = facts.order[i]
        book_fill(state, records, s, units, facts.price[i], part, reason)
        _note_fill(state, rules, row, s, reason, facts.order[i])
        left = left - units if crosses else 0.0
        fee -= part


@compiled(**INLINED)
def _note_fill(state: State, rules: Rules, row: Row, s: int, reason: int, order: int) -> None:
    """Set the levels of a position that this fill opened, or count the stop that it ended.

    An opening order may fill in several trades: its levels are measured from their mean price, which is the entry as long as
    no other order has added. Only orders of a decision have distances; a position that somebody else
    opened has no level here. A stop counts once it has closed the position, however many trades that took.
    """
    after = state.positions[UNITS, s]
    if after == 0.0:
        if reason == STOP_REASON:
            note_stop(state, row, s)
        return
    young = state.positions[BARS_HELD, s] == 0.0  # opened in this bar
    if reason == SIGNAL_REASON and young and state.intents[OPENER, s] == order:
        set_levels(state, rules, s, 1.0 if after > 0.0 else -1.0, state.positions[ENTRY, s])


@compiled(**INLINED)
def _list_held(state: State) -> None:
    """Rewrite ``state.held``: open positions, and what a stop closed in this bar, whose mark the next bar clears."""
    for s in range(state.positions.shape[1]):
        state.held[s] = 1 if state.positions[UNITS, s] != 0.0 or state.positions[STOPPED, s] != 0.0 else 0
    state.counters[N_HELD] = list_marked(state.held)


@compiled(**INLINED)
def _follow_prices(state: State, rules: Rules, row: Row) -> None:
    """Move stops after this bar's prices where they can be trusted, and count the bars without any."""
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        if state.positions[UNITS, s] == 0.0:
            continue
        count_absence(state, row, s)
        if has_volume(row.ohlcv[s, VOLUME], row.ohlcv[s, OPEN]) and not is_suspect(row, s):
            follow_price(state, rules, s, row.ohlcv[s, LOW], row.ohlcv[s, HIGH])
