"""A venue whose time is the market's: in lockstep nothing happens between two bars, so no time passes there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from quantlab.core.ports import Clock, Venue
from quantlab.core.venue.answers import Answer, Hint, Payment, VenueBooks, VenueTrade
from quantlab.core.venue.facts import VenueFacts
from quantlab.core.venue.requests import OrderRef, OrderRequest


@dataclass(frozen=True)
class MarketTime:
    """A :class:`~quantlab.core.ports.Venue` whose answers carry the time of a feed; everything else is the venue's own.

    Parameters
    ----------
    venue : Venue
        A simulated exchange in lockstep: its stamps are the market's, its requests go by this machine's clock.
    clock : Clock
        The feed's.
    """

    venue: Venue
    clock: Clock

    def now_ms(self) -> int:
        """The market's time."""
        return self.clock.now_ms()

    async def facts(self) -> VenueFacts:
        """The venue's own."""
        return await self.venue.facts()

    async def send(self, order: OrderRequest) -> Answer:
        """Send an order, once."""
        return self._timed(await self.venue.send(order))

    async def cancel(self, ref: OrderRef) -> Answer:
        """Cancel an order, once."""
        return self._timed(await self.venue.cancel(ref))

    async def find(self, ref: OrderRef) -> Answer:
        """Look for an order, once."""
        return self._timed(await self.venue.find(ref))

    async def books(self) -> VenueBooks:
        """The venue's own, asked and answered now."""
        return replace(await self.venue.books(), asked_ms=self.now_ms(), answered_ms=self.now_ms())

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        """The venue's own."""
        return await self.venue.trades(symbol, after_id, since_ms)

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        """The venue's own."""
        return await self.venue.client_id_of(symbol, venue_id)

    async def payments(self, since_ms: int) -> Sequence[Payment]:
        """The venue's own."""
        return await self.venue.payments(since_ms)

    def hints(self) -> AsyncIterator[Hint]:
        """The venue's own."""
        return self.venue.hints()

    async def close(self) -> None:
        """End connections."""
        await self.venue.close()

    def _timed(self, answer: Answer) -> Answer:
        return replace(answer, sent_ms=self.now_ms(), received_ms=self.now_ms())
