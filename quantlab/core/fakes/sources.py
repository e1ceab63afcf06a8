"""Stand-ins for a source of bars and a source of signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.types import Signal


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
