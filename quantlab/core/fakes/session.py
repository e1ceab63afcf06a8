"""Stand-ins for the parts of a running session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
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
    """A :class:`~quantlab.core.ports.Broker` of a venue that reports what a script holds, and remembers every call.

    Parameters
    ----------
    settle : callable
        Takes a bar and the facts taken for it, and brings the account up to date: where there are none, nothing was filled.
    script : list of (int, Event)
        Facts with the time at which each happened, epoch ms, ascending.
    view : AccountView
        That it reports.
    """

    settle: Callable[[Bars, Sequence[Event]], None]
    script: Sequence[tuple[int, Event]] = ()
    view: AccountView = field(default_factory=lambda: AccountView(0.0, 0.0, {}))
    synced: list[int] = field(default_factory=list)
    submitted: list[Decision] = field(default_factory=list)
    attended: list[float] = field(default_factory=list)
    n_taken: int = 0
    pending: list[Event] = field(default_factory=list)

    def gather(self, until_ms: int) -> Sequence[Event]:
        return [event for time_ms, event in self.script[self.n_taken :] if time_ms < until_ms]

    def take(self, event: Event) -> None:
        self.n_taken += 1
        self.pending.append(event)

    def sync(self, bar: Bars) -> None:
        self.settle(bar, self.pending)
        self.pending = []
        self.synced.append(int(bar.open_time_ms[0]))

    def submit(self, decision: Decision) -> None:
        if decision not in self.submitted:
            self.submitted.append(decision)

    def attend(self, seconds: float) -> None:
        self.attended.append(seconds)

    def account(self) -> AccountView:
        return self.view

    def state(self) -> bytes:
        return json.dumps([self.n_taken, [[event.kind, event.facts] for event in self.pending]]).encode()

    def restore(self, state: bytes) -> None:
        self.n_taken, pending = json.loads(state)
        self.pending = [Event(kind, facts) for kind, facts in pending]


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
