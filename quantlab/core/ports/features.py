"""Ports of the unified feature pipeline."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from quantlab.core.market import Bars
from quantlab.core.types import Features


class FeatureStream(Protocol):
    """Features of one bar after another; carries the state that a batch run carries inside."""

    def update(self, bar: Bars) -> Features:
        """One bar in, one row of features out, bit-equal to the batch's row."""
        ...

    def state(self) -> bytes:
        """State that the next update depends on."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process."""
        ...


class FeatureSource(Protocol):
    """The unified feature pipeline as other rooms see it."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str:
        """sha256 over names, order, definitions, windows, dtype and interval."""
        ...

    @property
    def warmup(self) -> int:
        """Bars before a symbol's rows are ready."""
        ...

    def transform(self, bars: Bars) -> Features:
        """Features of a whole history."""
        ...

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> FeatureStream:
        """A stream that starts before the first bar."""
        ...


@runtime_checkable
class HasDefinitions(Protocol):
    """Optional: a feature source that can say what its fingerprint is made of; asked where two fingerprints differ."""

    @property
    def definitions(self) -> dict[str, str]:
        """Feature name -> digest of its definition; then the bar interval, the warm-up and the dtype."""
        ...
