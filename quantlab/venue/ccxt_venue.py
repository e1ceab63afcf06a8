"""The port :class:`~quantlab.core.ports.venue.Venue` through ccxt; one venue's language is its :class:`~quantlab.venue.dialect.Dialect`.

1. A size or a price goes out and comes in as decimal text of whole lots and ticks: floats are cut to a lot less.
2. An order is sent once. Its answer is status, code and content as they came; which exception ccxt makes of them is nothing
   to us.
3. What the venue shows counts only when it is whole: an order with another client id than the one that was asked for is none.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from quantlab.core.checks import check_whole
from quantlab.core.errors import DataError
from quantlab.core.venue.answers import Answer, Hint, OrderState, Payment, VenueBooks, VenueTrade
from quantlab.core.venue.facts import VenueFacts
from quantlab.core.venue.requests import OrderRef, OrderRequest
from quantlab.data.exchange.answers import UnsoundAnswer
from quantlab.venue.answers import RawAnswer, ask
from quantlab.venue.budget import PRIORITY_OF, Budget, BudgetRules, Priority
from quantlab.venue.clock import ClockRules, VenueTime
from quantlab.venue.connection import Connection, ReadRules
from quantlab.venue.dialect import Dialect
from quantlab.venue.keys import KeyNames
from quantlab.venue.listings import Listing, Listings
from quantlab.venue.lists import payments_since, trades_after, trades_since
from quantlab.venue.stream import StreamRules, UserStream

_OK, _LIMITED, _BANNED = 200, 429, 418


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question about one order: the call, its purpose, and what its answer must name."""

    call: Callable[[Any], Awaitable[object]]
    priority: Priority
    weight: int
    orders: int
    patience_ms: float
    ref: OrderRef


class CcxtVenue:
    """An account at an exchange that ccxt knows.

    Parameters
    ----------
    symbols : sequence of str
        The session's names.
    dialect : Dialect
    keys : KeyNames
    rest, stream_base : str or None
        Addresses in place of the venue's own, ``http://127.0.0.1:8900`` and ``ws://127.0.0.1:8900``.
    settings : mapping
        Of ccxt's constructor: timeout, proxies.
    clock : ClockRules
    budget : BudgetRules
    reads : ReadRules
    stream : StreamRules
    fees_a_call : int
        Symbols whose fees :meth:`facts` asks for again, the oldest first; those that are not known yet are all asked for.
    within : mapping
        Environment, clocks and sleep of :class:`~quantlab.venue.connection.Connection` in place of the machine's.

    Raises
    ------
    ConfigError
        If a setting would break a promise of the port, or a variable with a key is missing.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        dialect: Dialect,
        keys: KeyNames,
        rest: str | None,
        stream_base: str | None,
        settings: Mapping[str, Any],
        clock: ClockRules,
        budget: BudgetRules,
        reads: ReadRules,
        stream: StreamRules,
        fees_a_call: int,
        within: Mapping[str, Any] | None = None,
    ) -> None:
        self._line = Connection(dialect, tuple(symbols), keys, rest, settings, clock, budget, reads, **(within or {}))
        check_whole("execution.venue.adapter.fees_a_call", fees_a_call, low=0)
        self._dialect, self._fees_a_call, self._is_busy = dialect, fees_a_call, False
        self._fees: dict[str, tuple[Decimal, Decimal]] = {}  # the oldest first
        read = self._line.read
        self.stream = UserStream(
            stream,
            open_key=lambda: dialect.open_stream(read),
            keep_key=lambda key: dialect.keep_stream(read, key),
            url_of=lambda key: dialect.stream_url(stream_base, key),
            read_frame=lambda text: dialect.read_frame(text, self._line.names()),
            is_busy=lambda: self._is_busy,
            proxy=settings.get("wssProxy"),
        )

    def __repr__(self) -> str:
        return f"CcxtVenue({self._dialect.exchange}, {len(self._line.symbols)} symbols)"

    @property
    def budget(self) -> Budget:
        """Counts of requests and orders, for monitoring."""
        return self._line.counts

    @property
    def time(self) -> VenueTime:
        """The venue's time and the number of its measurements, for monitoring."""
        return self._line.time

    def now_ms(self) -> int:
        """The venue's time, as far as it is known."""
        return self._line.time.now_ms()

    async def facts(self) -> VenueFacts:
        """Listings, modes, permissions and fees, all asked for anew; of the fees a few."""
        listings, read = await self._line.listings(anew=True), self._line.read
        await self._refresh_fees(listings)
        facts = await self._dialect.facts(read, listings, self._fees)
        await self._line.time_ready(if_due=True)
        offset = await self._line.time.residual(self._line.read_time)
        return replace(facts, name=self._dialect.exchange, host=self._line.host, clock_offset_ms=offset.ahead_ms)

    async def send(self, order: OrderRequest) -> Answer:
        """Send an order, once.

        Raises
        ------
        ContractError
            If the venue does not list its symbol: a fault of the program, as preflight refuses that.
        """
        return await self._ask(
            _Asked(
                call=functools.partial(self._create, order),
                priority=PRIORITY_OF[order.kind],
                weight=0,
                orders=1,
                patience_ms=order.valid_for_ms,
                ref=order.ref,
            )
        )

    async def cancel(self, ref: OrderRef) -> Answer:
        """Cancel an order by its client id, once."""
        return await self._ask(
            _Asked(functools.partial(self._name, "cancel_order", ref), Priority.PROTECTION, 1, 0, 0.0, ref)
        )

    async def find(self, ref: OrderRef) -> Answer:
        """Look for an order by its client id in its book, once."""
        return await self._ask(
            _Asked(functools.partial(self._name, "fetch_order", ref), Priority.RECONCILE, 1, 0, 0.0, ref)
        )

    async def books(self) -> VenueBooks:
        """Positions, both lists of open orders, and the wallet, asked for at the same time."""
        listings, read = await self._line.listings(), self._line.read
        asked_ms = self.now_ms()
        positions, orders, wallet = await asyncio.gather(
            self._dialect.positions(read, listings),
            self._dialect.open_orders(read, listings),
            self._dialect.wallet(read),
        )
        self._is_busy = bool(positions or orders)
        return VenueBooks(positions, orders, wallet, asked_ms, self.now_ms())

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        """All trades after one (None = since a time), oldest first; pages are followed to their end."""
        listing, read = (await self._line.listings()).of(symbol), self._line.read
        if after_id is not None:
            return await trades_after(self._dialect, read, listing, int(after_id))
        return await trades_since(self._dialect, read, listing, since_ms, await self._market_ms(listing, since_ms))

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        """Client id of a plain order by the venue's number of it; None where the venue has forgotten it."""
        listing = (await self._line.listings()).of(symbol)
        found: list[int | None] = []
        try:
            return await self._dialect.client_id_of(functools.partial(self._line.read, codes=found), listing, venue_id)
        except DataError:
            if found and self._dialect.is_not_found(found[-1]):
                return None
            raise

    async def payments(self, since_ms: int) -> Sequence[Payment]:
        """All payments at or after a time, oldest first; pages are followed to their end."""
        listings = await self._line.listings()
        now = await self._market_ms(next(iter(listings.ours.values())), since_ms)
        return await payments_since(self._dialect, self._line.read, listings, since_ms, now)

    async def hints(self) -> AsyncIterator[Hint]:
        """Words of the account's stream; never ends by itself, opens anew what broke."""
        await self._line.listings()
        async for hint in self.stream.hints():
            yield hint

    async def close(self) -> None:
        """End connections; a later request may open others."""
        await self._line.close()

    async def _refresh_fees(self, listings: Listings) -> None:
        """Ask one after the other: a request of its own for each symbol, at Binance of 20 weight."""
        unknown = [symbol for symbol in listings.ours if symbol not in self._fees]
        oldest = [symbol for symbol in self._fees if symbol in listings.ours][: self._fees_a_call]
        for symbol in (*unknown, *oldest):
            self._fees.pop(symbol, None)  # the newest comes last
            self._fees[symbol] = await self._dialect.fees_of(self._line.read, listings.ours[symbol])

    async def _create(self, order: OrderRequest, client: Any) -> object:
        listing = (await self._line.listings()).of(order.symbol)
        call = self._dialect.call_of(order, listing.grid)
        for text, cut in ((call.amount, client.amount_to_precision), (call.price, client.price_to_precision)):
            if text is not None and Decimal(cut(listing.unified, text)) != Decimal(text):
                raise UnsoundAnswer(f"ccxt would cut {text}")
        return await client.create_order(listing.unified, call.type, call.side, call.amount, call.price, call.params)

    async def _name(self, method: str, ref: OrderRef, client: Any) -> object:
        listing = (await self._line.listings()).of(ref.symbol)
        return await getattr(client, method)(None, listing.unified, self._dialect.params_of(ref))

    async def _ask(self, asked: _Asked) -> Answer:
        line = self._line
        try:
            listings = await line.listings()
            listings.of(asked.ref.symbol)
            wait = await line.admit(asked.priority, asked.weight, asked.orders, asked.patience_ms)
            if wait:
                return self._held_back(wait)
            await line.time_ready(if_due=False)
        except DataError as error:
            now = self.now_ms()
            return Answer(None, None, f"nothing was sent: {error.expected}: {error.found}"[:300], None, now, now)
        sent_ms = self.now_ms()
        raw = await ask(functools.partial(asked.call, line.client()))
        return await self._read(asked, raw, listings, sent_ms)

    async def _read(self, asked: _Asked, raw: RawAnswer, listings: Listings, sent_ms: int) -> Answer:
        code, _, wait = self._line.note(raw)
        received_ms = self.now_ms()
        if raw.status != _OK or code is not None:
            return Answer(raw.status, code, self._line.describe(raw), None, sent_ms, received_ms, wait)
        try:
            reply = self._dialect.read_order(raw.document(), asked.ref.book, listings)
        except DataError as error:
            return Answer(raw.status, None, f"an answer that cannot be read: {error}"[:300], None, sent_ms, received_ms)
        if reply.acknowledged:
            # The venue says yes and no more: the order is asked for, so that its answer is whole.
            found = await self.find(asked.ref)
            return Answer(raw.status, None, found.message, found.order, sent_ms, found.received_ms)
        if reply.order is None or not _is_of(asked.ref, reply.order):
            return Answer(raw.status, None, "an answer about another order", None, sent_ms, received_ms)
        return Answer(raw.status, None, "", reply.order, sent_ms, received_ms)

    def _held_back(self, wait_ms: int) -> Answer:
        """Answer in the venue's place, which would refuse the request and count it against us."""
        now = self.now_ms()
        banned = now < self._line.counts.banned_until_ms
        words = f"nothing was sent: {'the venue bans us' if banned else 'the request limit is reached'} for {wait_ms} ms more"
        return Answer(_BANNED if banned else _LIMITED, None, words, None, now, now, wait_ms)

    async def _market_ms(self, listing: Listing, since_ms: int) -> int:
        """End of a list's last window; asked for only where one window does not do."""
        now = self.now_ms()
        if now - since_ms < self._dialect.longest_window_ms:
            return now
        return await self._dialect.market_ms(self._line.read, listing)


def _is_of(ref: OrderRef, order: OrderState) -> bool:
    return (order.symbol, order.client_id, order.book) == (ref.symbol, ref.client_id, ref.book)
