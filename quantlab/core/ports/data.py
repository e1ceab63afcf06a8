"""Ports of market data: sources of bars, what a source may offer in addition, and importers that fill a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, runtime_checkable

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import DataError
from quantlab.core.market import Bars
from quantlab.core.types import CollectOutcome

StoreT_contra = TypeVar("StoreT_contra", contravariant=True)


class DataSource(Protocol):
    """A source of bars; everything it yields has passed the quality gate."""

    @property
    def synthetic(self) -> bool:
        """True for a synthetic market; every report says so."""
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


@runtime_checkable
class HasFileChecks(Protocol):
    """Optional: a source that can name everything wrong with its files; asked by the doctor and ``job=data``."""

    def problems(self) -> tuple[DataError, ...]:
        """Return every refusal that reading its files would meet."""
        ...


@runtime_checkable
class HasSoundPart(Protocol):
    """Optional: a source that can go on without the files that it refuses; asked by ``job=data``."""

    def sound_part(self) -> DataSource | None:
        """Return the source without those symbols; None if nothing is left."""
        ...


@runtime_checkable
class HasDataNotes(Protocol):
    """Optional: a source that can say what its bars do not show, such as which trading rules are defaults."""

    def data_notes(self) -> tuple[str, ...]:
        """Return sentences that a reader of results must know."""
        ...


@runtime_checkable
class HasUniverseNotes(Protocol):
    """Optional: a source whose symbols are chosen point in time; asked by every report."""

    def universe_notes(self, bars: Bars) -> tuple[str, ...]:
        """Return what a reader of results on `bars` must know of their universe."""
        ...


@runtime_checkable
class HasMarket(Protocol):
    """Optional: a source or a feed that knows the market of its bars; a session refuses two that differ."""

    def bar_market(self) -> str:
        """Return ``linear`` for linear perpetuals, or ``spot``."""
        ...


class PlantedEdge(Protocol):
    """The edge of a synthetic market, bar by bar: everything in it is known at the close of its bar."""

    def expected_return(self, horizon: int) -> Float64Array:
        """float64 (T, S): expected return from the next open over `horizon` bars, fraction."""
        ...

    def score(self, horizon: int) -> Float64Array:
        """float64 (T, S): that return in its standard deviations."""
        ...


@runtime_checkable
class HasTruth(Protocol):
    """Optional: a source of a synthetic market that can tell the edge it planted; asked by the oracle."""

    def truth(self) -> PlantedEdge:
        """Return the edge, row by row and symbol by symbol as in the source's whole history."""
        ...


class CollectProgress(Protocol):
    """The progress display of a collection."""

    def plan(self, steps: Mapping[str, int]) -> None:
        """Announce the number of steps of each symbol."""
        ...

    def advance(self, symbol: str) -> None:
        """Report that one step of `symbol` is done."""
        ...


class Importer(Protocol[StoreT_contra]):
    """An exchange or a folder of files whose rows ``job=collect`` puts into a dataset (the store)."""

    @property
    def exchange(self) -> str:
        """ccxt's name of the exchange that the rows belong to."""
        ...

    @property
    def interval_ms(self) -> int: ...

    @property
    def market(self) -> str:
        """The market of the rows: ``linear`` perpetuals, or ``spot``."""
        ...

    def fill(self, store: StoreT_contra, progress: CollectProgress) -> CollectOutcome:
        """Add what the dataset lacks.

        Raises
        ------
        QuantlabError
            If nothing more can be had; what was committed before stays.
        """
        ...
