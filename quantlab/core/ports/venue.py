"""The port of a venue: one account of one exchange, as a broker sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from quantlab.core.venue.answers import Answer, Hint, Payment, VenueBooks, VenueTrade
from quantlab.core.venue.facts import VenueFacts
from quantlab.core.venue.requests import OrderRef, OrderRequest


class Venue(Protocol):
    """An exchange account. All times are the venue's; sizes and prices are whole lots and ticks.

    :meth:`send`, :meth:`cancel` and :meth:`find` ask once, never try again, and never raise for what came back or did
    not: an :class:`~quantlab.core.venue.answers.Answer` says it. The other methods ask as often as their limits allow and raise
    :class:`~quantlab.core.errors.DataError` where no whole answer can be had.
    """

    def now_ms(self) -> int:
        """The venue's time, as far as it is known."""
        ...

    async def facts(self) -> VenueFacts:
        """Listings, modes, permissions and fees; preflight judges them."""
        ...

    async def send(self, order: OrderRequest) -> Answer:
        """Send an order, once."""
        ...

    async def cancel(self, ref: OrderRef) -> Answer:
        """Cancel an order by its client id, once."""
        ...

    async def find(self, ref: OrderRef) -> Answer:
        """Look for an order by its client id in its book, once."""
        ...

    async def books(self) -> VenueBooks:
        """Positions, both lists of open orders, and the wallet."""
        ...

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        """All trades after one (None = since a time), oldest first; pages are followed to their end."""
        ...

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        """Client id of a plain order by the venue's number of it, as a trade names it; None where the venue has forgotten it."""
        ...

    async def payments(self, since_ms: int) -> Sequence[Payment]:
        """All payments at or after a time, oldest first; pages are followed to their end."""
        ...

    def hints(self) -> AsyncIterator[Hint]:
        """Words of the account's stream; never ends by itself, opens anew what broke."""
        ...

    async def close(self) -> None:
        """End connections; a later request may open others."""
        ...
