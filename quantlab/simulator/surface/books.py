"""Order books as the venue counts their changes: numbers that snapshots and the frames of a diff stream share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.surface.market_shapes import Top, top_of_book

#: Levels that are kept for the next frame to take away; without a listener there is no next frame.
_MOST_LEVELS = 1_000


@dataclass(slots=True)
class _Book:
    """One symbol's book: its state and number now, the number of the last frame, and levels that were seen since."""

    top: Top | None = None
    number: int = 0
    told: int = 0
    bids: set[str] = field(default_factory=set)
    asks: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Books:
    """Books of all symbols.

    A frame replaces every level that a snapshot or the last frame showed, so that a client which applies frames to a snapshot
    (``U <= lastUpdateId <= u``, then ``pu`` = the last ``u``) has the one level a side that there is.
    """

    _books: dict[str, _Book] = field(default_factory=dict)

    def snapshot(self, state: VenueState, listing: Listing) -> tuple[int, Top]:
        """Number and levels of a book now."""
        book, top = self._now(state, listing)
        return book.number, top

    def diff(self, state: VenueState, listing: Listing) -> dict[str, Any] | None:
        """The frame from the last one to the book now; None where nothing has changed."""
        book, top = self._now(state, listing)
        if book.number == book.told:
            return None
        head = {"e": "depthUpdate", "E": state.now_ms, "T": state.now_ms, "s": listing.symbol, "ps": listing.symbol}
        ids = {"st": 0, "U": book.told + 1, "u": book.number, "pu": book.told}
        bids = [[price, "0"] for price in sorted(book.bids - {top.bid})] + [[top.bid, top.bid_size]]
        asks = [[price, "0"] for price in sorted(book.asks - {top.ask})] + [[top.ask, top.ask_size]]
        book.told, book.bids, book.asks = book.number, {top.bid}, {top.ask}
        return {**head, **ids, "b": bids, "a": asks}

    def _now(self, state: VenueState, listing: Listing) -> tuple[_Book, Top]:
        book, top = self._books.setdefault(listing.symbol, _Book()), top_of_book(state, listing)
        if top != book.top:
            book.top, book.number = top, book.number + 1
            for levels, price in ((book.bids, top.bid), (book.asks, top.ask)):
                if len(levels) >= _MOST_LEVELS:
                    levels.clear()
                levels.add(price)
        return book, top
