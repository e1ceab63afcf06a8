"""Stand-ins for the parts of a running session."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quantlab.core.clock import FakeClock
from quantlab.core.events import AccountView, Alert, Decision, Event, RawBar
from quantlab.core.market import Bars


@dataclass
class ListFeed:
    """A :class:`~quantlab.core.ports.BarFeed` that plays a list, None included; the clock moves to every close.

    Bars at the beginning of the list that open at or before `after_ms` are left out, as a session has them.
    """

    items: list[RawBar | None]
    interval_ms: int
    clock: FakeClock = field(default_factory=FakeClock)
    begins_ms: int | None = None

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        begun = after_ms is None
        for item in self.items:
            if item is not None:
                begun = begun or after_ms is None or item.open_time_ms > after_ms
                if not begun:
                    continue
                self.clock.time_ms = max(self.clock.time_ms, item.open_time_ms + self.interval_ms)
            yield item


@dataclass
class ListFetcher:
    """A :class:`~quantlab.core.ports.BarFetcher` of bars that are already in memory, newest first."""

    items: list[RawBar]

    def fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        return [raw for raw in reversed(self.items) if start_ms <= raw.open_time_ms < end_ms]

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class ListReleases:
    """A :class:`~quantlab.core.ports.ReleaseSource` that plays a list, one item a call; then nothing is newer."""

    name: str
    items: list[Any]

    def newer(self) -> Any:
        return self.items.pop(0) if self.items else None


@dataclass
class FakeBroker:
    """A :class:`~quantlab.core.ports.Broker` that fills nothing and remembers every call."""

    synced: list[int] = field(default_factory=list)
    submitted: list[Decision] = field(default_factory=list)
    taken: list[Event] = field(default_factory=list)
    attended: list[float] = field(default_factory=list)

    def gather(self, until_ms: int) -> Sequence[Event]:
        return ()

    def take(self, event: Event) -> None:
        self.taken.append(event)

    def sync(self, bar: Bars) -> None:
        self.synced.append(int(bar.open_time_ms[0]))

    def submit(self, decision: Decision) -> None:
        if decision not in self.submitted:
            self.submitted.append(decision)

    def attend(self, seconds: float) -> None:
        self.attended.append(seconds)

    def account(self) -> AccountView:
        return AccountView(0.0, 0.0, {})

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """Do nothing: what was called is forgotten with the process."""


@dataclass
class MemoryJournal:
    """A :class:`~quantlab.core.ports.Journal` that forgets when the process ends; facts are strict JSON here too."""

    events: list[Event] = field(default_factory=list)

    def append(self, events: Sequence[Event]) -> None:
        first = len(self.events) + 1
        stored = [replace(event, facts=_as_json(event.facts), seq=seq) for seq, event in enumerate(events, first)]
        self.events.extend(stored)

    def replay(self, after: int = 0) -> Iterator[Event]:
        return iter(self.events[after:])

    def latest(self, kind: str) -> Event | None:
        return next((event for event in reversed(self.events) if event.kind == kind), None)

    def newest(self, kind: str, count: int | None) -> list[Event]:
        found = [event for event in self.events if event.kind == kind]
        return found if count is None else found[max(0, len(found) - count) :]


def _as_json(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts as a journal on disk gives them back."""
    read: dict[str, Any] = json.loads(json.dumps(facts, allow_nan=False))
    return read


@dataclass
class MemoryAlerts:
    """An :class:`~quantlab.core.ports.AlertSink` that keeps what it was sent."""

    sent: list[Alert] = field(default_factory=list)

    def send(self, alert: Alert) -> None:
        self.sent.append(alert)
