"""What a report says of the choice of symbols: who knew it, and when."""

from __future__ import annotations

from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, HasDataNotes, HasUniverseNotes

SURVIVORS = (
    "The symbols are those that the data hold, on every date: no dated universe says who could be traded when "
    "(survivorship). Whoever was delisted or forgotten since is missing, which flatters results; job=universe takes snapshots"
)


def universe_notes(source: DataSource, bars: Bars) -> tuple[str, ...]:
    """Nothing of an invented market; else the source's own account of its universe, or that it has none, and its data."""
    if source.synthetic:
        return ()
    data = source.data_notes() if isinstance(source, HasDataNotes) else ()
    universe = source.universe_notes(bars) if isinstance(source, HasUniverseNotes) else (SURVIVORS,)
    return (*universe, *data)
