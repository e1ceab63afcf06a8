"""A signal source that records its streams: forecasts bar by bar, and their features compared with history's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureReader, FeatureSource, FeatureStream, SignalSource, SignalStream
from quantlab.core.types import Features, Signal


@dataclass
class StreamRecord:
    """The record of a stream; it grows with the session.

    Parameters
    ----------
    features : Features, (T, S, F)
        Of history, on the rows that are compared.
    open_time_ms : int64 (T,)
        Of these rows; what comes before the first is warm-up.
    """

    features: Features
    open_time_ms: Int64Array
    rows: list[Signal] = field(default_factory=list)
    compared: int = 0
    differing: int = 0
    #: Of the first feature that differs: row, column and name, and the values of the stream and of history.
    first_differing: tuple[int, int, str, float, float] | None = None

    def add(self, open_ms: int, signal: Signal, row: Features) -> None:
        """Add one bar: its row of the signal, and the features (1, S, F) that it was made of.

        Raises
        ------
        ContractError
            If it is not the next bar of the comparison.
        """
        t = len(self.rows)
        if open_ms < self.open_time_ms[0]:
            return
        if t == len(self.open_time_ms) or open_ms != self.open_time_ms[t]:
            raise ContractError("the bars of the comparison, in order", found=f"{open_ms} ms", fix="report this bug")
        self.rows.append(signal)
        ours, theirs = row.ready[0], self.features.ready[t]
        same_bits = row.values[0].view(np.uint32) == self.features.values[t].view(np.uint32)
        either, both = ours | theirs, ours & theirs
        self.compared += int(either.sum()) * same_bits.shape[1]
        self.differing += int((~same_bits[both]).sum()) + int((ours ^ theirs).sum()) * same_bits.shape[1]
        different = (~same_bits & both[:, None]) | (ours ^ theirs)[:, None]
        if self.first_differing is None and different.any():
            s, column = (int(i) for i in np.argwhere(different)[0])
            values = (float(row.values[0, s, column]), float(self.features.values[t, s, column]))
            self.first_differing = (t, s, self.features.names[column], *values)

    def signal(self) -> Signal:
        """Return all rows as one signal."""
        return concatenate_signals(self.rows)


def concatenate_signals(parts: list[Signal]) -> Signal:
    """Join signals one after another."""
    names = [name for name, value in vars(parts[0]).items() if value is not None]
    return Signal(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True, eq=False)
class RecordedSignal:
    """A signal source whose streams are recorded in a :class:`StreamRecord`, and otherwise unchanged.

    Parameters
    ----------
    source : SignalSource
    features : FeatureSource
        What to compute features with where the stream does not show its own.
    stream_record : StreamRecord
    """

    source: SignalSource
    features: FeatureSource
    stream_record: StreamRecord

    @property
    def fingerprint(self) -> str:
        """The source's own."""
        return self.source.fingerprint

    def signal(self, bars: Bars) -> Signal:
        """The source's own."""
        return self.source.signal(bars)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _RecordedStream:
        """Return the source's own stream, with a record beside it."""
        inner = self.source.stream(symbols, interval_ms)
        feature_stream = None if isinstance(inner, FeatureReader) else self.features.stream(symbols, interval_ms)
        return _RecordedStream(inner, feature_stream, self.stream_record)


@dataclass
class _RecordedStream:
    inner: SignalStream
    feature_stream: FeatureStream | None
    stream_record: StreamRecord

    def update(self, bar: Bars) -> Signal:
        signal = self.inner.update(bar)
        self.stream_record.add(int(bar.open_time_ms[0]), signal, self._features(bar))
        return signal

    def _features(self, bar: Bars) -> Features:
        if self.feature_stream is not None:
            return self.feature_stream.update(bar)
        row: Any = self.inner.newest_features  # type: ignore[attr-defined]
        features: Features = row
        return features

    def state(self) -> bytes:
        return self.inner.state()

    def restore(self, state: bytes) -> None:
        self.inner.restore(state)
