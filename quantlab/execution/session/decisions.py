"""The decision that waits in an account, as a value: the legs that every broker is sent."""

from __future__ import annotations

import numpy as np

from quantlab.core.events import Decision, Leg
from quantlab.core.results import OrderReason
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import (
    BREAK_EVEN_DISTANCE,
    INCREASE,
    N_ACTIVE,
    REASON,
    REDUCE,
    SIDE,
    STOP_DISTANCE,
    TAKE_DISTANCE,
    TRAIL_DISTANCE,
    UNITS,
)


def decision_of(account: Stepper, open_time_ms: int) -> Decision:
    """The legs that the last decision asks for, reducing legs of all symbols first."""
    state = account.state
    active = [int(s) for s in state.active[: int(state.counters[N_ACTIVE])]]
    reducing = [_reducing(account, open_time_ms, s) for s in active if state.orders[REDUCE, s] > 0.0]
    increasing = [_increasing(account, open_time_ms, s) for s in active if state.orders[INCREASE, s] > 0.0]
    return Decision(open_time_ms, (*reducing, *increasing))


def _reducing(account: Stepper, open_time_ms: int, s: int) -> Leg:
    state, symbol = account.state, account.symbols[s]
    return Leg(
        order_id=f"{open_time_ms}-{symbol}-reduce",
        symbol=symbol,
        side=-1 if state.positions[UNITS, s] > 0.0 else 1,
        units=float(state.orders[REDUCE, s]),
        reduce_only=True,
        reason=OrderReason(int(state.orders[REASON, s])).name,
    )


def _increasing(account: Stepper, open_time_ms: int, s: int) -> Leg:
    state, symbol = account.state, account.symbols[s]
    return Leg(
        order_id=f"{open_time_ms}-{symbol}-increase",
        symbol=symbol,
        side=1 if state.orders[SIDE, s] > 0.0 else -1,
        units=float(state.orders[INCREASE, s]),
        reduce_only=False,
        reason=OrderReason.SIGNAL.name,
        stop_distance=_distance(state.orders[STOP_DISTANCE, s]),
        take_distance=_distance(state.orders[TAKE_DISTANCE, s]),
        trail_distance=_distance(state.orders[TRAIL_DISTANCE, s]),
        break_even_distance=_distance(state.orders[BREAK_EVEN_DISTANCE, s]),
    )


def _distance(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
