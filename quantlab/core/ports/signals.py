"""Ports of signals: sources that are asked, and learners that are fitted first."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from quantlab.core.market import Bars
from quantlab.core.ports.progress import Progress
from quantlab.core.results import Study
from quantlab.core.types import Features, Signal, Votes


class SignalStream(Protocol):
    """A running signal source: explicit state, one bar at a time."""

    def update(self, bar: Bars) -> Signal:
        """One bar in, one row of signal out, equal to the batch's row."""
        ...

    def state(self) -> bytes:
        """State that the next update depends on; a session survives by it."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged.
        ContractError
            If it belongs to another source, other symbols or another interval.
        """
        ...


@runtime_checkable
class FeatureReader(Protocol):
    """Optional: a signal stream that shows which features it has read; asked by drift monitoring and by parity."""

    @property
    def newest_features(self) -> Features | None:
        """Features (1, S, F) of the newest bar; None before the first."""
        ...


@runtime_checkable
class VoteReader(Protocol):
    """Optional: a signal stream of several members that shows what each has forecast; a session journals it."""

    @property
    def newest_votes(self) -> Votes | None:
        """Votes at the newest bar; None before the first since the stream was opened or restored."""
        ...


@runtime_checkable
class SignalSource(Protocol):
    """Turns bars into signals; frozen and without feedback from positions."""

    @property
    def fingerprint(self) -> str:
        """sha256 over everything that can change what it says."""
        ...

    def signal(self, bars: Bars) -> Signal:
        """Signals of a whole history; row t depends on bars <= t only."""
        ...

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> SignalStream:
        """The same source, one bar at a time, from before the first bar."""
        ...


@runtime_checkable
class HasWarmup(Protocol):
    """Optional: a signal source that forgets the bars before its warm-up; sessions and parity ask for it."""

    @property
    def warmup(self) -> int:
        """Bars after which its values depend on no earlier bar, to the last bit."""
        ...


@runtime_checkable
class Learner(Protocol):
    """Something that must be fitted on the past before it can forecast the future."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        """Walk forward over `bars`: fit on the past, forecast what follows, never both."""
        ...


@runtime_checkable
class HasModels(Protocol):
    """Optional: a signal source that names the stored members it is made of; asked for by a run's manifest."""

    def models(self) -> dict[str, Any]:
        """Strict JSON: ``members`` with the origin and sha256 of each, and the ``ensemble`` over them."""
        ...
