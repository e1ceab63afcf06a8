"""Ports of a running session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from quantlab.core.events import AccountView, Alert, Decision, Event, RawBar
from quantlab.core.market import Bars


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        ...


class BarFeed(Protocol):
    """Closed bars as they become known."""

    @property
    def clock(self) -> Clock:
        """The clock that its bars are timed by: the machine's, or the market's own in a replay."""
        ...

    @property
    def begins_ms(self) -> int | None:
        """Open of the first bar that a new session gets; None = whatever follows the history it has."""
        ...

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """Every bar that opens later than `after_ms`, those missed meanwhile first.

        None means that there is nothing new: the session uses it to look at its own health. A feed ends
        only when no more bars will ever come.
        """
        ...


class Broker(Protocol):
    """Where decisions become fills."""

    def sync(self, bar: Bars) -> None:
        """Bring the account up to date with everything that happened until the close of `bar`."""
        ...

    def submit(self, decision: Decision) -> None:
        """Send a decision that the journal already holds; sending it again must change nothing."""
        ...

    def account(self) -> AccountView:
        """Cash, equity and positions after the last :meth:`sync`."""
        ...


class Journal(Protocol):
    """The append-only record that a session is rebuilt from."""

    def append(self, events: Sequence[Event]) -> None:
        """Keep them all or none; on return they are durable.

        Raises
        ------
        InstallationError
            If they cannot be written; nothing was.
        """
        ...

    def replay(self, after: int = 0) -> Iterator[Event]:
        """Every event with a number above `after`, oldest first, each one verified."""
        ...


class AlertSink(Protocol):
    """Where a person is told."""

    def send(self, alert: Alert) -> None:
        """Must not raise and must not block for long: trading goes on."""
        ...
