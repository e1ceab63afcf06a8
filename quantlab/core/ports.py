"""The seams of the house: small protocols that rooms on one floor meet through.

Users extend quantlab by writing a class with these methods and naming it in yaml; nothing needs to
inherit.

Every port has a stand-in for tests in ``quantlab.core.fakes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.core.events import AccountView, Alert, Decision, Event, RawBar
from quantlab.core.market import Bars
from quantlab.core.results import Simulation, Study, TuningStage
from quantlab.core.types import Dataset, Features, Signal


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        ...


class Stage(Protocol):
    """One running stage of a long job."""

    def advance(self, steps: float = 1.0) -> None:
        """Say that `steps` more of the stage's total are done."""
        ...

    def say(self, text: str) -> None:
        """Show a remark beside the stage, in place of the last one."""
        ...


class Progress(Protocol):
    """Shows what a long job is doing and how long it will take."""

    def stage(self, name: str, total: float) -> AbstractContextManager[Stage]:
        """Open a stage of `total` steps; closing it removes or completes its bar."""
        ...


class DataSource(Protocol):
    """Where bars come from; everything it yields has passed the quality gate."""

    @property
    def synthetic(self) -> bool:
        """Is the market made up? Every report says so."""
        ...

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """Bars with ``start_ms <= open < end_ms`` (None: all there is), on one dense grid.

        Raises
        ------
        DataError
            If data is missing, malformed or inconsistent.
        """
        ...

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The same bars one at a time, oldest first, each a :class:`Bars` of length 1."""
        ...


class FeatureStream(Protocol):
    """Features of one bar after another; carries the state that a batch run carries inside."""

    def update(self, bar: Bars) -> Features:
        """One bar in, one row of features out, bit-equal to the batch's row."""
        ...

    def state(self) -> bytes:
        """Everything that the next update depends on."""
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


class SignalStream(Protocol):
    """A running signal source: explicit state, one bar at a time."""

    def update(self, bar: Bars) -> Signal:
        """One bar in, one row of signal out, equal to the batch's row."""
        ...

    def state(self) -> bytes:
        """Everything that the next update depends on; a session survives by it."""
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


class FeatureReader(Protocol):
    """A signal stream that shows which features it has read, for those who watch over them."""

    @property
    def newest_features(self) -> Features | None:
        """Features (1, S, F) of the newest bar; None before the first."""
        ...


@runtime_checkable
class SignalSource(Protocol):
    """Turns bars into opinions; frozen and without feedback from positions."""

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
class Learner(Protocol):
    """Something that must be fitted on the past before it can speak about the future."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        """Walk forward over `bars`: fit on the past, speak about the future, never both."""
        ...


class Model(Protocol):
    """One member of the ensemble."""

    @property
    def name(self) -> str:
        """``xgboost``, ``lightgbm``, ``nhits`` or ``patchtst``, or a user's own."""
        ...

    def fit(self, train: Dataset, valid: Dataset) -> FittedModel:
        """Fit on `train`, stop early on `valid`; deterministic given the member's own seed."""
        ...


class FittedModel(Protocol):
    """A member that can speak."""

    def predict_proba(self, features: Features) -> Float32Array:
        """float32 (T, S, 3) that sum to 1; NaN where a row is not ready.

        Raises
        ------
        ContractError
            If `features` are not the ones it was fitted on, or a ready row holds a NaN.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write native files into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the caller has verified hashes before."""
        ...


class ModelStore(Protocol):
    """Where fitted members are kept; hands out nothing that it did not verify."""

    def active(self) -> dict[str, str]:
        """Member -> version that serves.

        Raises
        ------
        ArtifactError
            If the store itself is damaged.
        """
        ...

    def describe(self, version: str) -> dict[str, Any]:
        """The verified facts of a version: what it was fitted on, with whom, and how good it was."""
        ...

    def load(self, version: str, features: FeatureSource) -> FittedModel:
        """A member that may be asked about `features`.

        Raises
        ------
        ContractError
            If it was fitted on others.
        ArtifactError
            If it cannot be trusted.
        """
        ...


class Policy(Protocol):
    """Decides, from one bar's signal and the account, what to hold; a frozen dataclass.

    ``step`` is a compiled function of the signature ``quantlab.trading.strategy.policies.STEP``; everything
    it may vary is in ``params``, so that another value never recompiles.
    """

    @property
    def step(self) -> Any: ...

    def params(self) -> Float64Array:
        """float64 (P,) handed to every call of ``step``."""
        ...

    def begin(self, n_symbols: int) -> Float64Array:
        """float64 (K, S) memory at the start of a run."""
        ...


class PositionSizer(Protocol):
    """Turns a side and its strength into a signed weight of equity; a frozen dataclass.

    ``size`` is a compiled function of the signature ``quantlab.trading.strategy.sizers.SIZE``.
    """

    @property
    def size(self) -> Any: ...

    def params(self) -> Float64Array:
        """float64 (P,) handed to every call of ``size``."""
        ...


class BacktestEngine(Protocol):
    """Simulates a strategy over a history; ``conf/backtest`` names the one that is used."""

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        """Simulate one account over `bars`; `limits_on` is false where halts must not hide what comes after them."""
        ...


class ThresholdSearch(Protocol):
    """Chooses the thresholds of every test window on the tested bars before that window."""

    def search(self, study: Study, bars: Bars, progress: Progress) -> tuple[TuningStage, ...]:
        """Run one search for each test window but the first, which keeps the configured thresholds."""
        ...

    def choose(self, study: Study, bars: Bars, progress: Progress) -> tuple[Study, Any]:
        """Return the study at the chosen thresholds, and the strategy that trades it."""
        ...

    def with_cache(self, folder: Path) -> Self:
        """Return the same search with another folder for its finished rounds."""
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
