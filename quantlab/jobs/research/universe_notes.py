"""What a report says of the choice of symbols: who knew it, and when."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from quantlab.core.market import Bars
from quantlab.core.ports import DataSource

SURVIVORS = (
    "The symbols are those that the data hold, on every date: no dated universe says who could be traded when "
    "(survivorship). Whoever was delisted or forgotten since is missing, which flatters results; job=universe takes snapshots"
)


@runtime_checkable
class KnowsItsUniverse(Protocol):
    """A source whose symbols are chosen point in time."""

    def universe_notes(self, bars: Bars) -> tuple[str, ...]:
        """What a reader of results on `bars` must know of their universe."""
        ...


@runtime_checkable
class KnowsItsData(Protocol):
    """A source that can say what its bars do not show, such as which trading rules are defaults."""

    def data_notes(self) -> tuple[str, ...]:
        """What a reader of results must know."""
        ...


def universe_notes(source: DataSource, bars: Bars) -> tuple[str, ...]:
    """Nothing of an invented market; else the source's own account of its universe, or that it has none, and its data."""
    if source.synthetic:
        return ()
    data = source.data_notes() if isinstance(source, KnowsItsData) else ()
    universe = source.universe_notes(bars) if isinstance(source, KnowsItsUniverse) else (SURVIVORS,)
    return (*universe, *data)
