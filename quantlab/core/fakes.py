"""Stand-ins for the ports: small, honest objects for tests and examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.clock import FakeClock
from quantlab.core.errors import ArtifactError
from quantlab.core.events import AccountView, Alert, Decision, Event, RawBar
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, FittedModel
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Dataset, Features, Signal

__all__ = [
    "BarsSource",
    "ConstantModel",
    "FakeBroker",
    "FakeClock",
    "FixedSignal",
    "ListFeed",
    "ListFetcher",
    "ListReleases",
    "MemoryAlerts",
    "MemoryJournal",
    "MemoryStore",
    "SilentProgress",
]


@dataclass(frozen=True)
class BarsSource:
    """A :class:`~quantlab.core.ports.DataSource` of bars that are already in memory."""

    bars: Bars
    synthetic: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """The rows whose open lies in ``[start_ms, end_ms)``."""
        times = self.bars.open_time_ms
        start = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
        stop = len(times) if end_ms is None else int(np.searchsorted(times, end_ms))
        return self.bars.rows(start, stop)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The same rows, one at a time."""
        history = self.history(start_ms, end_ms)
        return (history.rows(t, t + 1) for t in range(history.n_bars))


@dataclass(frozen=True)
class FixedSignal:
    """A :class:`~quantlab.core.ports.SignalSource` that plays back what it was given, row by row."""

    recording: Signal

    @property
    def fingerprint(self) -> str:
        return fingerprint("FixedSignal", self.recording)

    def signal(self, bars: Bars) -> Signal:
        """The first ``bars.n_bars`` rows."""
        return self.recording.rows(0, bars.n_bars)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _FixedStream:
        return _FixedStream(self.recording)


@dataclass
class _FixedStream:
    recording: Signal
    row: int = 0

    def update(self, bar: Bars) -> Signal:
        self.row += 1
        return self.recording.rows(self.row - 1, self.row)

    def state(self) -> bytes:
        return str(self.row).encode()

    def restore(self, state: bytes) -> None:
        self.row = int(state)


@dataclass(frozen=True)
class ConstantModel:
    """A :class:`~quantlab.core.ports.Model` that answers the class shares of its training rows."""

    name: str = "constant"

    def fit(self, train: Dataset, valid: Dataset) -> FittedConstant:
        labels = train.label[train.mask]
        share = np.bincount(labels, minlength=3).astype(np.float64) / max(len(labels), 1)
        return FittedConstant((float(share[0]), float(share[1]), float(share[2])))


@dataclass(frozen=True)
class FittedConstant:
    """The fitted form of :class:`ConstantModel`."""

    share: tuple[float, float, float]

    def predict_proba(self, features: Features) -> Float32Array:
        proba = np.full((*features.ready.shape, 3), np.nan, dtype=np.float32)
        proba[features.ready] = self.share
        return proba

    def save(self, folder: Path) -> None:
        np.save(folder / "share.npy", np.array(self.share))

    @classmethod
    def load(cls, folder: Path) -> Self:
        share = np.load(folder / "share.npy", allow_pickle=False)
        return cls((float(share[0]), float(share[1]), float(share[2])))


@dataclass
class MemoryStore:
    """A :class:`~quantlab.core.ports.ModelStore` of members in memory, each version with its facts.

    A version in `broken` is refused by :meth:`load`.
    """

    models: dict[str, FittedModel]
    facts: dict[str, dict[str, Any]]
    serving: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def active(self) -> dict[str, str]:
        return dict(self.serving)

    def describe(self, version: str) -> dict[str, Any]:
        return self.facts[version]

    def load(self, version: str, features: FeatureSource) -> FittedModel:
        if version in self.broken:
            raise ArtifactError(f"{version} as it was stored", found="a broken one", fix="promote another")
        return self.models[version]


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

    def sync(self, bar: Bars) -> None:
        self.synced.append(int(bar.open_time_ms[0]))

    def submit(self, decision: Decision) -> None:
        if decision not in self.submitted:
            self.submitted.append(decision)

    def account(self) -> AccountView:
        return AccountView(0.0, 0.0, {})


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
