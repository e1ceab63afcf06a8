"""The risk guard's latches: daily loss limit, circuit breaker, loss streak and stop rate.

All of them live in the account's arrays, so that a session can write them to its journal.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.compiled import compiled
from quantlab.core.results import RiskEvent
from quantlab.trading.account.ledger import record_event
from quantlab.trading.lowlevel.layout import (
    BREAKER_HALT,
    DAILY_HALT,
    DAY,
    DAY_START_EQUITY,
    EQUITY,
    FEED_HALT,
    HIGH_WATER_MARK,
    INLINED,
    LOSS_STREAK,
    LOSS_STREAK_HALT,
    N_STOPS,
    OWNER_HALT,
    STOP_MEMORY,
    STOP_RATE_HALT,
    VENUE_HALT,
    Records,
    Rules,
    State,
)

DAILY_LIMIT_EVENT = int(RiskEvent.DAILY_LIMIT)
BREAKER_EVENT = int(RiskEvent.BREAKER)
LOSS_STREAK_EVENT = int(RiskEvent.LOSS_STREAK)
STOP_RATE_EVENT = int(RiskEvent.STOP_RATE)


@compiled(**INLINED)
def begin_day(state: State, open_time_ms: int) -> None:
    """On the first bar of a UTC date: remember the equity before it, and release the latches of the day."""
    # Multiplied, not divided: this runs on every bar.
    since = open_time_ms - state.counters[DAY] * MS_PER_DAY
    if not 0 <= since < MS_PER_DAY:
        state.counters[DAY] = open_time_ms // MS_PER_DAY
        # Still the equity of the bar before; the initial cash on the first bar.
        state.account[DAY_START_EQUITY] = state.account[EQUITY]
        state.account[DAILY_HALT] = 0.0
        state.account[LOSS_STREAK_HALT] = 0.0
        state.account[STOP_RATE_HALT] = 0.0
        state.counters[LOSS_STREAK] = 0


@compiled(**INLINED)
def update_latches(state: State, records: Records, rules: Rules, open_time_ms: int) -> None:
    """Compare the account with every limit; each latches, with one event."""
    _latch_equity(state, records, rules)
    if rules.loss_streak < np.inf:
        _latch_losses(state, records, rules)
    if rules.max_stops < np.inf:
        _latch_stops(state, records, rules, open_time_ms)


@compiled(**INLINED)
def _latch_equity(state: State, records: Records, rules: Rules) -> None:
    """The daily loss limit and the breaker; NaN = off."""
    account = state.account
    equity = account[EQUITY]
    if equity > account[HIGH_WATER_MARK]:
        account[HIGH_WATER_MARK] = equity
    floor = (1.0 - rules.daily_loss_limit) * account[DAY_START_EQUITY]
    if account[DAILY_HALT] == 0.0 and equity <= floor:
        account[DAILY_HALT] = 1.0
        record_event(state, records, DAILY_LIMIT_EVENT, equity, floor)
    floor = (1.0 - rules.breaker) * account[HIGH_WATER_MARK]
    if account[BREAKER_HALT] == 0.0 and equity <= floor:
        account[BREAKER_HALT] = 1.0
        record_event(state, records, BREAKER_EVENT, equity, floor)


@compiled(**INLINED)
def _latch_losses(state: State, records: Records, rules: Rules) -> None:
    """So many positions in a row closed at a loss, on one UTC day."""
    if state.account[LOSS_STREAK_HALT] == 0.0 and state.counters[LOSS_STREAK] >= rules.loss_streak:
        state.account[LOSS_STREAK_HALT] = 1.0
        record_event(state, records, LOSS_STREAK_EVENT, state.account[EQUITY], rules.loss_streak)


@compiled(**INLINED)
def _latch_stops(state: State, records: Records, rules: Rules, open_time_ms: int) -> None:
    """So many stops within the window; looked at in bars in which a stop filled."""
    n, most = state.counters[N_STOPS], int(rules.max_stops)
    if state.account[STOP_RATE_HALT] != 0.0 or n < most:
        return
    newest, first = state.stop_times[(n - 1) % STOP_MEMORY], state.stop_times[(n - most) % STOP_MEMORY]
    if newest == open_time_ms and open_time_ms - first < rules.stop_window_ms:
        state.account[STOP_RATE_HALT] = 1.0
        record_event(state, records, STOP_RATE_EVENT, state.account[EQUITY], rules.max_stops)


@compiled(**INLINED)
def halted(account: Any) -> bool:
    """Tell whether increases are refused: by a latch, or by a halt that a session has set, in the account's slots (N_ACCOUNT_SLOTS,)."""
    by_equity = account[DAILY_HALT] != 0.0 or account[BREAKER_HALT] != 0.0
    by_exits = account[LOSS_STREAK_HALT] != 0.0 or account[STOP_RATE_HALT] != 0.0
    by_session = account[FEED_HALT] != 0.0 or account[VENUE_HALT] != 0.0 or account[OWNER_HALT] != 0.0
    return by_equity or by_exits or by_session


@compiled(**INLINED)
def must_flatten(state: State, rules: Rules) -> bool:
    """Tell whether the guard closes everything: always under the breaker, by choice under the daily limit."""
    return state.account[BREAKER_HALT] != 0.0 or (state.account[DAILY_HALT] != 0.0 and rules.daily_flatten)


def reset_breaker(state: State) -> None:
    """Release the circuit breaker by hand; the high-water mark starts again at the current equity."""
    state.account[BREAKER_HALT] = 0.0
    state.account[HIGH_WATER_MARK] = state.account[EQUITY]
