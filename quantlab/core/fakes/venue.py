"""A venue in memory, which does what a test says: it takes orders, and fills, fires and cancels by hand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from quantlab.core.clock import FakeClock
from quantlab.core.errors import DataError
from quantlab.core.fakes.venue_facts import account_in_order, listed_symbol
from quantlab.core.venue.answers import (
    Answer,
    Hint,
    OrderState,
    OrderStatus,
    Payment,
    PaymentKind,
    PositionState,
    VenueBooks,
    VenueTrade,
)
from quantlab.core.venue.facts import ListedSymbol, VenueFacts
from quantlab.core.venue.requests import Book, OrderRef, OrderRequest, OrderType

__all__ = ["MemoryVenue", "Scripted", "listed_symbol"]

_REFUSALS = {
    "send": (-2022, "ReduceOnly Order is rejected."),
    "cancel": (-2011, "Unknown order sent."),
    "find": (-2013, "Order does not exist."),
}


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer in place of the true one.

    Parameters
    ----------
    status, code : int or None
    message : str
    applied : bool
        True if the request takes effect all the same.
    retry_after_ms : int or None
    """

    status: int | None = None
    code: int | None = None
    message: str = "no answer"
    applied: bool = False
    retry_after_ms: int | None = None


@dataclass
class MemoryVenue:
    """A :class:`~quantlab.core.ports.Venue` of one-way positions, exact money, and answers that a test may script.

    Parameters
    ----------
    listed : dict of str to ListedSymbol
    clock : FakeClock
        The venue's.
    wallet : Decimal
        USD.
    ticks : dict of str to int
        A market price: with one, MARKET and IOC orders fill at once, whole, at it or not at all; without it every
        order waits for :meth:`fill`.
    script : dict of str to deque of Scripted
        Next answers of ``send``, ``cancel`` and ``find``; the true ones where it is empty.
    hidden : set of str
        Client ids that :meth:`find` and :meth:`books` do not show yet.
    pause : callable or None
        Awaited between the effect of a request and its answer.
    """

    listed: dict[str, ListedSymbol]
    clock: FakeClock = field(default_factory=FakeClock)
    wallet: Decimal = Decimal(10_000)
    ticks: dict[str, int] = field(default_factory=dict)
    script: dict[str, deque[Scripted]] = field(
        default_factory=lambda: {"send": deque(), "cancel": deque(), "find": deque()}
    )
    hidden: set[str] = field(default_factory=set)
    pause: Callable[[], Awaitable[None]] | None = None
    #: Requests that arrived, in order.
    sent: list[OrderRequest] = field(default_factory=list, init=False)
    cancelled: list[OrderRef] = field(default_factory=list, init=False)
    asked: list[OrderRef] = field(default_factory=list, init=False)
    #: Everything that was ever taken, by the venue's number.
    orders: dict[str, OrderState] = field(default_factory=dict, init=False)
    positions: dict[str, PositionState] = field(default_factory=dict, init=False)
    filled: list[VenueTrade] = field(default_factory=list, init=False)
    paid: list[Payment] = field(default_factory=list, init=False)
    closed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._hints: asyncio.Queue[Hint] = asyncio.Queue()
        self.told = account_in_order(self.listed, self.wallet)

    def now_ms(self) -> int:
        return self.clock.now_ms()

    async def facts(self) -> VenueFacts:
        """Facts that a test may replace (`told`), with the wallet of now."""
        return replace(self.told, wallet=self.wallet)

    async def send(self, order: OrderRequest) -> Answer:
        self.sent.append(order)
        nothing = order.reduce_only and not self._reducible(order)
        return await self._answer("send", order.ref, lambda: None if nothing else self.take(order))

    async def cancel(self, ref: OrderRef) -> Answer:
        self.cancelled.append(ref)
        return await self._answer("cancel", ref, lambda: self._end(ref, OrderStatus.CANCELLED))

    async def find(self, ref: OrderRef) -> Answer:
        self.asked.append(ref)
        return await self._answer("find", ref, lambda: None if ref.client_id in self.hidden else self.newest(ref))

    async def books(self) -> VenueBooks:
        orders = tuple(o for o in self.orders.values() if not o.status.is_final and o.client_id not in self.hidden)
        return VenueBooks(tuple(self.positions.values()), orders, self.wallet, self.now_ms(), self.now_ms())

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        found = [trade for trade in self.filled if trade.symbol == symbol]
        if after_id is None:
            return [trade for trade in found if trade.time_ms >= since_ms]
        return [trade for trade in found if int(trade.trade_id) > int(after_id)]

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        order = self.orders.get(venue_id)
        return order.client_id if order is not None and order.symbol == symbol else None

    async def payments(self, since_ms: int) -> Sequence[Payment]:
        return [payment for payment in self.paid if payment.time_ms >= since_ms]

    async def hints(self) -> AsyncIterator[Hint]:
        while True:
            yield await self._hints.get()

    async def close(self) -> None:
        self.closed += 1

    def newest(self, ref: OrderRef) -> OrderState | None:
        """The last order that was taken under a client id in one book; None for none."""
        wanted = (ref.symbol, ref.client_id, ref.book)
        found = [order for order in self.orders.values() if (order.symbol, order.client_id, order.book) == wanted]
        return found[-1] if found else None

    def take(self, order: OrderRequest) -> OrderState:
        """Take an order, as if it had been sent by somebody; with a price in `ticks` it may fill at once.

        A reduce-only order is cut to the position.
        """
        cut = (
            None if order.lots is None else min(order.lots, self._reducible(order)) if order.reduce_only else order.lots
        )
        state = OrderState(
            symbol=order.symbol,
            client_id=order.client_id,
            venue_id=str(len(self.orders) + 1),
            book=order.book,
            side=order.side,
            status=OrderStatus.OPEN,
            lots=cut,
            filled_lots=0,
            price_ticks=order.price_ticks,
            trigger_ticks=order.trigger_ticks,
            reduce_only=order.can_only_reduce,
            close_position=order.close_position,
            updated_ms=self.now_ms(),
        )
        self.orders[state.venue_id] = state
        ticks = self.ticks.get(order.symbol)
        if ticks is None or order.type not in (OrderType.MARKET, OrderType.IOC):
            return state
        lots = cut or 0
        if order.price_ticks is not None and order.side * (order.price_ticks - ticks) < 0:
            lots = 0
        if lots:
            self.fill(state.venue_id, lots, ticks)
        return self._end(order.ref, OrderStatus.EXPIRED) or self.orders[state.venue_id]

    def fill(
        self, venue_id: str, lots: int, ticks: int, *, maker: bool = False, fee: Decimal | None = None
    ) -> VenueTrade:
        """Trade a part or the whole of a plain order at a price; the fee is the listed one unless it is given."""
        order = self.orders[venue_id]
        filled = order.filled_lots + lots
        if order.book is not Book.PLAIN or order.lots is None or filled > order.lots or order.status.is_final:
            raise DataError(f"an open plain order of {lots} lots or more", found=str(order), fix="fill another order")
        listed = self.listed[order.symbol]
        rate = (listed.maker_fee if maker else listed.taker_fee) or Decimal(0)
        paid = fee if fee is not None else rate * lots * listed.grid.lot * ticks * listed.grid.tick
        number = 1 + sum(trade.symbol == order.symbol for trade in self.filled)
        trade = VenueTrade(
            order.symbol, str(number), venue_id, order.side, lots, ticks, paid, "USDT", maker, self.now_ms()
        )
        self.filled.append(trade)
        self._book(trade)
        status = OrderStatus.FILLED if filled == order.lots else OrderStatus.PARTLY_FILLED
        self.orders[venue_id] = replace(order, filled_lots=filled, status=status, updated_ms=self.now_ms())
        return trade

    def fire(self, venue_id: str, ticks: int) -> VenueTrade | None:
        """Fire a conditional order: the plain one that it becomes fills whole; None where nothing is left to close."""
        order = self.orders[venue_id]
        reduces = self._reducible(order)
        lots = reduces if order.lots is None else min(order.lots, reduces) if order.reduce_only else order.lots
        if not lots:
            self.orders[venue_id] = replace(order, status=OrderStatus.EXPIRED, updated_ms=self.now_ms())
            return None
        plain = replace(order, venue_id=str(len(self.orders) + 1), book=Book.PLAIN, lots=lots, trigger_ticks=None)
        self.orders[plain.venue_id] = plain
        self.orders[venue_id] = replace(
            order, status=OrderStatus.TRIGGERED, became=plain.venue_id, updated_ms=self.now_ms()
        )
        return self.fill(plain.venue_id, lots, ticks)

    def pay(self, amount: Decimal, kind: PaymentKind, symbol: str | None = None) -> Payment:
        """Move the wallet: funding, a transfer."""
        number = str(len(self.paid) + 1)
        payment = Payment(kind, kind.value.upper(), number, symbol, amount, "USDT", self.now_ms())
        self.wallet += amount
        self.paid.append(payment)
        return payment

    def hint(self, symbol: str | None, what: str = "order") -> None:
        """Say a word on the stream."""
        self._hints.put_nowait(Hint(symbol, what))

    def lots(self, symbol: str) -> int:
        """Lots that are held, with their sign."""
        held = self.positions.get(symbol)
        return held.lots if held else 0

    def _reducible(self, order: OrderRequest | OrderState) -> int:
        """Lots by which an order of its side can make the position smaller."""
        return max(-order.side * self.lots(order.symbol), 0)

    async def _answer(self, what: str, ref: OrderRef, effect: Callable[[], OrderState | None]) -> Answer:
        sent_ms = self.now_ms()
        scripted = self.script[what].popleft() if self.script[what] else None
        order = effect() if scripted is None or scripted.applied else None
        if self.pause is not None:
            await self.pause()
        if scripted is not None:
            said = (scripted.status, scripted.code, scripted.message, None)
            return Answer(*said, sent_ms, self.now_ms(), scripted.retry_after_ms)
        if order is None:
            return Answer(400, *_REFUSALS[what], None, sent_ms, self.now_ms())
        return Answer(200, None, "", order, sent_ms, self.now_ms())

    def _end(self, ref: OrderRef, status: OrderStatus) -> OrderState | None:
        order = self.newest(ref)
        if order is None or order.status.is_final:
            return None
        ended = replace(order, status=status, updated_ms=self.now_ms())
        self.orders[order.venue_id] = ended
        return ended

    def _book(self, trade: VenueTrade) -> None:
        grid = self.listed[trade.symbol].grid
        price, signed = trade.price_ticks * grid.tick, trade.side * trade.lots
        held = self.positions.pop(trade.symbol, None)
        before, entry = (held.lots, held.entry_price) if held else (0, price)
        closes = min(abs(before), trade.lots) if before * signed < 0 else 0
        gain = closes * grid.lot * (price - entry) * (1 if before > 0 else -1)
        self.wallet += gain - trade.fee
        after = before + signed
        if after * before > 0:
            entry = entry if closes else (abs(before) * entry + trade.lots * price) / abs(after)
        else:
            entry = price
        if after:
            self.positions[trade.symbol] = PositionState(trade.symbol, after, entry, trade.time_ms)
