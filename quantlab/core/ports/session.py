"""Ports of a running session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from quantlab.core.clock import ClockOffset
from quantlab.core.events import AccountView, Alert, Decision, Event, RawBar
from quantlab.core.market import Bars


class Clock(Protocol):
    """The source of the time."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        ...


class BarFeed(Protocol):
    """Closed bars as they become known."""

    @property
    def clock(self) -> Clock:
        """The clock that its bars are timed by: the venue's as far as it is known, or the market's own in a replay."""
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


class BarFetcher(Protocol):
    """Closed bars of a venue on request; a polled feed asks for them."""

    def fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        """Return the bars with ``start_ms <= open < end_ms`` that the venue has, in any order.

        Raises
        ------
        DataError
            If the answer cannot be had or understood; the feed asks again.
        """
        ...

    def close(self) -> None:
        """End whatever connection there is; a later request may open another one."""
        ...


@runtime_checkable
class HasVenueTime(Protocol):
    """Optional: a fetcher that can read the venue's clock; a polled feed asks it."""

    def venue_ms(self) -> int | None:
        """Return the venue's time in epoch milliseconds; None where the venue shows no clock.

        Raises
        ------
        DataError
            If the answer cannot be had or understood.
        """
        ...


@runtime_checkable
class HasVenueClock(Protocol):
    """Optional: a feed whose clock can follow the venue's; without it bars are judged by the feed's own clock."""

    def measure_clock(self) -> ClockOffset | None:
        """Measure the venue's lead and let :attr:`BarFeed.clock` follow it; None where the venue shows no clock.

        Raises
        ------
        DataError
            If it cannot be measured; the clock then goes on as it did.
        """
        ...


class Broker(Protocol):
    """The venue where decisions become fills.

    A session asks it for each bar, in this order: :meth:`gather`, :meth:`take` of every fact that was gathered, once
    the journal holds them, :meth:`sync` within the work on the bar, :meth:`submit` after its commit. While it waits for
    the next bar it lets the broker work (:meth:`attend`); what a broker then appends to the journal by itself, it takes
    by itself, at once and in that order. A session that starts again restores :meth:`state` from its snapshot and hands
    :meth:`take` the later entries of :data:`~quantlab.core.events.VENUE_KINDS`, in their order, between the bars.
    """

    def gather(self, until_ms: int) -> Sequence[Event]:
        """Ask for everything that happened before `until_ms`, a close, and return it; not yet journalled.

        Kinds are of :data:`~quantlab.core.events.VENUE_KINDS`. What was taken before is not returned again.

        Raises
        ------
        QuantlabError
            If the venue cannot be asked, or its answer cannot be trusted; the session stops before the bar.
        """
        ...

    def take(self, event: Event) -> None:
        """Keep one fact that the journal holds for the next :meth:`sync`.

        A function of state and fact alone, whatever the entry's number: recovery calls it too, and asks no network.
        """
        ...

    def sync(self, bar: Bars) -> None:
        """Bring the account up to date with everything that happened until the close of `bar`."""
        ...

    def submit(self, decision: Decision) -> None:
        """Send a decision that the journal already holds; sending it again must change nothing."""
        ...

    def attend(self, seconds: float) -> None:
        """Work while the session waits; returns after `seconds`, or early when the session is to stop."""
        ...

    def account(self) -> AccountView:
        """Cash, equity and positions after the last :meth:`sync`."""
        ...

    def state(self) -> bytes:
        """Everything that it remembers beside the account: open orders, facts that were taken and not yet synced."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged, or of another broker.
        """
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

    def latest(self, kind: str) -> Event | None:
        """Return the newest event of a kind, None if there is none; a session begins and recovers by it."""
        ...

    def newest(self, kind: str, count: int | None) -> list[Event]:
        """Return the last `count` events of a kind, oldest first, all of them for None; a handover warms up on them.

        Of the snapshots only the newest is sure to have its payload.
        """
        ...


class AlertSink(Protocol):
    """The place that alerts to a person are sent to."""

    def send(self, alert: Alert) -> None:
        """Must not raise and must not block for long: trading goes on."""
        ...


Release_co = TypeVar("Release_co", covariant=True)


class ReleaseSource(Protocol[Release_co]):
    """Promoted strategies that may take over in a running session, which asks for them between two bars."""

    #: The release that the session is started with.
    name: str

    def newer(self) -> Release_co | None:
        """Return the release that was made active since the last call; None if it is still the same.

        What was refused once is not returned again until another one is made active.

        Raises
        ------
        QuantlabError
            If it cannot be trusted, or does not fit what the session trades.
        """
        ...
