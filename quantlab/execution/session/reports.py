"""Entries and alerts of a session, stamped by its feed's clock; an alert follows its entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quantlab.core.errors import ContractError
from quantlab.core.events import Alert, Event
from quantlab.core.ports import AlertSink, BarFeed, Journal

#: Kind of the entry of an alert about which no other entry says anything.
ALERTED = "alerted"


def alerted_event(alert: Alert) -> Event:
    """Return the entry of an alert about which no other entry says anything."""
    return Event(ALERTED, {"kind": alert.kind, "message": alert.message, "at_ms": alert.time_ms})


class Reports:
    """Everything that a session says: to its journal, and to a person.

    Parameters
    ----------
    journal : Journal
    alerts : AlertSink
    feed : BarFeed
        Its clock is read.
    counter_seconds : callable
        A counter that no setting of the clock changes.
    """

    def __init__(
        self, journal: Journal, alerts: AlertSink, feed: BarFeed, counter_seconds: Callable[[], float]
    ) -> None:
        self._journal, self._alerts, self._feed, self._counter = journal, alerts, feed, counter_seconds
        #: Seconds that the newest commit of a bar took; None before the first.
        self.commit_seconds: float | None = None

    def now_ms(self) -> int:
        """Epoch milliseconds by the feed's clock."""
        return self._feed.clock.now_ms()

    def commit(self, events: Sequence[Event]) -> None:
        """Journal a bar with everything that belongs to it, and measure how long that takes.

        Raises
        ------
        InstallationError
            If it cannot be written; nothing was.
        """
        began = self._counter()
        self._journal.append(events)
        self.commit_seconds = self._counter() - began

    def note(self, kind: str, facts: dict[str, Any], message: str) -> None:
        """Journal something that is no bar and send an alert of the same kind."""
        self._journal.append([Event(kind, {**facts, "at_ms": self.now_ms()})])
        self.alert(kind, message, facts)

    @contextmanager
    def noted_failure(self, kind: str, open_ms: int) -> Iterator[None]:
        """Note a broken promise in the work on a bar, and raise it."""
        try:
            yield
        except ContractError as error:
            self.note(kind, {"open_ms": open_ms, "error": str(error)}, str(error))
            raise

    def note_dropped(self, fault: str, open_ms: int) -> None:
        """Journal and send the alert that a bar was dropped, which no other entry says."""
        alert = Alert(fault, f"the bar of {open_ms} ms was dropped: {fault}", self.now_ms(), {"open_ms": open_ms})
        self._journal.append([alerted_event(alert)])
        self._alerts.send(alert)

    def alert(self, kind: str, message: str, facts: dict[str, Any]) -> None:
        """Send an alert about something that the journal holds."""
        self._alerts.send(Alert(kind, message, self.now_ms(), dict(facts)))

    def send(self, alerts: Sequence[Alert]) -> None:
        """Send alerts about things that the journal holds."""
        for alert in alerts:
            self._alerts.send(alert)


class FeedAge:
    """Watch over the age of the newest close: entries are off beyond a limit, and a change of that is told once.

    Parameters
    ----------
    limit_ms : int or None
        None = any age will do.
    interval_ms : int
        Of a bar.
    """

    def __init__(self, limit_ms: int | None, interval_ms: int) -> None:
        self._limit, self._interval = limit_ms, interval_ms
        self._stale = False

    def is_stale(self, lag_ms: int) -> bool:
        """Tell whether a bar that came so long after its close is too old to enter on."""
        return self._limit is not None and lag_ms > self._limit

    def report_silence(self, last_ms: int | None, now_ms: int, reports: Reports) -> None:
        """Report, where nothing new came, that what there is has become too old; `last_ms` opened the newest bar."""
        if last_ms is not None:
            lag_ms = now_ms - last_ms - 2 * self._interval  # since the next bar should have closed
            if self.is_stale(lag_ms):
                self.report(lag_ms, reports)

    def report(self, lag_ms: int, reports: Reports) -> None:
        """Report a feed that has become too old, or fresh again."""
        stale = self.is_stale(lag_ms)
        if stale != self._stale:
            self._stale = stale
            message = f"the newest bar is {lag_ms} ms late: entries are {'off' if stale else 'on'}"
            reports.note("stale_feed" if stale else "fresh_feed", {"lag_ms": lag_ms}, message)
