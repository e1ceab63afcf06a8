"""The simulated venue: the backtest's own matching and ledger, one bar at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from quantlab.core.errors import ArtifactError, ContractError
from quantlab.core.events import AccountView, Decision, Event
from quantlab.core.market import Bars
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import CASH, EQUITY, UNITS


class PaperBroker:
    """Fills what was decided at the last close exactly as the backtest does.

    Parameters
    ----------
    account : Stepper
        Decisions are its order rows, so that what is submitted is already there: settling the next bar
        fills them with the scan's own compiled step.
    wait : callable, optional
        Takes seconds; must return early when the session is to stop.
    """

    def __init__(self, account: Stepper, wait: Callable[[float], object] = time.sleep) -> None:
        self._account, self._wait = account, wait

    def gather(self, until_ms: int) -> Sequence[Event]:
        """Nothing: there is nobody to ask, the next bar says everything."""
        return ()

    def take(self, event: Event) -> None:
        """Refuse a fact: none is ever gathered.

        Raises
        ------
        ContractError
            Always; the journal is one of a session on a venue.
        """
        raise ContractError(
            "no fact of a venue where fills are simulated",
            found=f"an entry {event.kind!r}",
            fix="go on with the broker that the session began with, or begin a session in a new folder",
        )

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

    def attend(self, seconds: float) -> None:
        """Wait: there is no order to look after between two bars."""
        self._wait(seconds)

    def account(self) -> AccountView:
        """Cash, equity and open positions."""
        return account_view(self._account)

    def state(self) -> bytes:
        """Nothing: everything lies in the account."""
        return b""

    def restore(self, state: bytes) -> None:
        """Continue from nothing.

        Raises
        ------
        ArtifactError
            If it is something.
        """
        if state:
            raise ArtifactError(
                "a snapshot of a session whose fills are simulated",
                found=f"{len(state)} bytes of another broker",
                fix="go on with the broker that the session began with, or begin a session in a new folder",
            )


def account_view(account: Stepper) -> AccountView:
    """Cash, equity and open positions of an account."""
    state = account.state
    held = np.flatnonzero(state.positions[UNITS])
    units = {account.symbols[s]: float(state.positions[UNITS, s]) for s in held}
    return AccountView(float(state.account[CASH]), float(state.account[EQUITY]), units)
