"""The simulated venue: the backtest's own matching and ledger, one bar at a time."""

from __future__ import annotations

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.events import AccountView, Decision, Leg
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import (
    CASH,
    EQUITY,
    INCREASE,
    N_ACTIVE,
    REASON,
    REDUCE,
    SIDE,
    STOP_DISTANCE,
    TAKE_DISTANCE,
    UNITS,
)


class PaperBroker:
    """Fills what was decided at the last close exactly as the backtest does.

    Parameters
    ----------
    account : Stepper
        Decisions are its order rows, so that what is submitted is already there: settling the next bar
        fills them with the scan's own compiled step.
    """

    def __init__(self, account: Stepper) -> None:
        self._account = account

    def sync(self, bar: Bars) -> None:
        """Settle one bar: funding, orders at the open, protective exits, delistings, mark, liquidation."""
        self._account.settle(bar)

    def submit(self, decision: Decision) -> None:
        """Nothing is left to do: the decision waits in the account for the next bar.

        Raises
        ------
        ContractError
            If it is not the account's last one.
        """
        if decision.open_time_ms != self._account.last_ms:
            raise ContractError(
                f"the decision of the bar that opened at {self._account.last_ms}",
                found=str(decision.open_time_ms),
                fix="submit every decision once, in order",
            )

    def account(self) -> AccountView:
        """Cash, equity and open positions."""
        state = self._account.state
        held = np.flatnonzero(state.positions[UNITS])
        units = {self._account.symbols[s]: float(state.positions[UNITS, s]) for s in held}
        return AccountView(float(state.account[CASH]), float(state.account[EQUITY]), units)


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
    )


def _distance(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
