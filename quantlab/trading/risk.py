"""The risk guard's two latches on equity: the daily loss limit and the circuit breaker."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.core.results import RiskEvent
from quantlab.trading.layout import (
    BREAKER_HALT,
    DAILY_HALT,
    DAY,
    DAY_START_EQUITY,
    EQUITY,
    HIGH_WATER_MARK,
    INLINED,
    Records,
    Rules,
    State,
)
from quantlab.trading.ledger import record_event

MS_PER_DAY = 86_400_000

DAILY_LIMIT_EVENT = int(RiskEvent.DAILY_LIMIT)
BREAKER_EVENT = int(RiskEvent.BREAKER)


@compiled(**INLINED)
def begin_day(state: State, open_time_ms: int) -> None:
    """On the first bar of a UTC date: remember the equity before it, and release the daily latch."""
    day = open_time_ms // MS_PER_DAY
    if day != state.counters[DAY]:
        state.counters[DAY] = day
        # Still the equity of the bar before; the initial cash on the first bar.
        state.account[DAY_START_EQUITY] = state.account[EQUITY]
        state.account[DAILY_HALT] = 0.0


@compiled(**INLINED)
def watch(state: State, records: Records, rules: Rules) -> None:
    """Compare the recorded equity with both limits; each latches, with one event. NaN = off."""
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
def halted(state: State) -> bool:
    """Whether increases are refused."""
    return state.account[DAILY_HALT] != 0.0 or state.account[BREAKER_HALT] != 0.0


@compiled(**INLINED)
def must_flatten(state: State, rules: Rules) -> bool:
    """Whether the guard closes everything: always under the breaker, by choice under the daily limit."""
    return state.account[BREAKER_HALT] != 0.0 or (state.account[DAILY_HALT] != 0.0 and rules.daily_flatten)


def reset_breaker(state: State) -> None:
    """Release the circuit breaker by hand; the high-water mark starts again at the current equity."""
    state.account[BREAKER_HALT] = 0.0
    state.account[HIGH_WATER_MARK] = state.account[EQUITY]
