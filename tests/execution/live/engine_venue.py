"""The simulated exchange's engine as a venue without a wire: the same port, in one process, at the speed of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

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
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book, OrderKind, OrderRequest, OrderType
from quantlab.core.venue.requests import OrderRef as Ref
from quantlab.simulator.engine.queries import OrderRef, Page
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import ConditionalRequest
from quantlab.simulator.engine.requests import OrderRequest as EngineRequest
from quantlab.simulator.engine.values import (
    AlgoOrder,
    AlgoStatus,
    IncomeType,
    Order,
    Side,
    TimeInForce,
)
from quantlab.simulator.engine.values import OrderStatus as EngineStatus
from quantlab.simulator.engine.values import OrderType as EngineType
from quantlab.simulator.engine.venue import Venue as Engine

ACCOUNT = "main"
_STATUS = {
    EngineStatus.NEW: OrderStatus.OPEN,
    EngineStatus.PARTIALLY_FILLED: OrderStatus.PARTLY_FILLED,
    EngineStatus.FILLED: OrderStatus.FILLED,
    EngineStatus.CANCELED: OrderStatus.CANCELLED,
    EngineStatus.EXPIRED: OrderStatus.EXPIRED,
}
_ALGO_STATUS = {
    AlgoStatus.NEW: OrderStatus.OPEN,
    AlgoStatus.TRIGGERED: OrderStatus.TRIGGERED,
    AlgoStatus.FINISHED: OrderStatus.TRIGGERED,
    AlgoStatus.CANCELED: OrderStatus.CANCELLED,
    AlgoStatus.REJECTED: OrderStatus.REJECTED,
    AlgoStatus.EXPIRED: OrderStatus.EXPIRED,
}
_TIME_IN_FORCE = {
    OrderType.IOC: TimeInForce.IOC,
    OrderType.POST_ONLY: TimeInForce.GTX,
    OrderType.LIMIT: TimeInForce.GTC,
    OrderType.MARKET: TimeInForce.GTC,
}
_PAYMENTS = {
    IncomeType.FUNDING_FEE: PaymentKind.FUNDING,
    IncomeType.TRANSFER: PaymentKind.TRANSFER,
    IncomeType.REALIZED_PNL: PaymentKind.OF_TRADES,
    IncomeType.COMMISSION: PaymentKind.OF_TRADES,
    IncomeType.INSURANCE_CLEAR: PaymentKind.OTHER,
}


@dataclass
class EngineVenue:
    """A :class:`~quantlab.core.ports.Venue` on an engine in lockstep; venue time is the market's.

    Parameters
    ----------
    engine : Engine
    names : dict of str to str
        From the session's symbols to the engine's.
    """

    engine: Engine
    names: dict[str, str]
    requests: list[tuple[str, OrderRequest | Ref]] = field(default_factory=list)
    hinted: list[Hint] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ours = {theirs: ours for ours, theirs in self.names.items()}

    def now_ms(self) -> int:
        return self.engine.now_ms

    async def facts(self) -> VenueFacts:
        wallet = self.engine.wallet(ACCOUNT, self.now_ms()).wallet
        modes = (True, True, True, True, False, False, True)
        return VenueFacts("engine", "in process", self.listed(), *modes, wallet, 0.0, 200)

    def listed(self) -> dict[str, ListedSymbol]:
        """Every symbol by its present rules."""
        found = {}
        for ours, theirs in self.names.items():
            one = self.engine.listings[theirs]
            grid = Grid(one.grid.tick, one.grid.lot)
            fees = (one.maker_fee, one.taker_fee, one.maintenance)
            found[ours] = ListedSymbol(
                ours, theirs, grid, one.min_notional, 1, None, None, *fees, 20, True, True, None, None
            )
        return found

    async def send(self, order: OrderRequest) -> Answer:
        self.requests.append(("send", order))
        if order.book is Book.CONDITIONAL:
            placed = self.engine.place_conditional(ACCOUNT, self._conditional(order), self.now_ms())
        else:
            placed = self.engine.place(ACCOUNT, self._plain(order), self.now_ms())
        return self._answer(placed if isinstance(placed, Refused) else placed.order)

    async def cancel(self, ref: Ref) -> Answer:
        self.requests.append(("cancel", ref))
        theirs = OrderRef(client_id=ref.client_id)
        if ref.book is Book.CONDITIONAL:
            return self._answer(self.engine.cancel_conditional(ACCOUNT, theirs, self.now_ms()))
        return self._answer(self.engine.cancel(ACCOUNT, self.names[ref.symbol], theirs, self.now_ms()))

    async def find(self, ref: Ref) -> Answer:
        self.requests.append(("find", ref))
        theirs = OrderRef(client_id=ref.client_id)
        if ref.book is Book.CONDITIONAL:
            return self._answer(self.engine.conditional(ACCOUNT, theirs, self.now_ms()))
        return self._answer(self.engine.order(ACCOUNT, self.names[ref.symbol], theirs, self.now_ms()))

    async def books(self) -> VenueBooks:
        now_ms = self.now_ms()
        positions = tuple(
            PositionState(self._ours[p.symbol], p.lots, p.entry_price, p.updated_ms)
            for p in self.engine.positions(ACCOUNT, now_ms)
            if p.lots
        )
        plain = self.engine.open_orders(ACCOUNT, None, now_ms)
        conditional = self.engine.open_conditional(ACCOUNT, None, now_ms)
        orders = tuple(self._state(order) for order in (*plain, *conditional))
        return VenueBooks(positions, orders, self.engine.wallet(ACCOUNT, now_ms).wallet, now_ms, now_ms)

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        page = Page(start_ms=since_ms, limit=10**9) if after_id is None else Page(int(after_id) + 1, limit=10**9)
        return [
            VenueTrade(
                symbol,
                str(t.trade_id),
                str(t.order_id),
                int(t.side),
                t.lots,
                t.price_ticks,
                t.fee,
                "USDT",
                t.maker,
                t.time_ms,
            )
            for t in self.engine.trades(ACCOUNT, self.names[symbol], page, self.now_ms())
        ]

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        found = self.engine.order(ACCOUNT, self.names[symbol], OrderRef(int(venue_id)), self.now_ms())
        return None if isinstance(found, Refused) else found.client_id

    async def payments(self, since_ms: int) -> Sequence[Payment]:
        page = Page(start_ms=since_ms, limit=10**9)
        return [
            Payment(
                _PAYMENTS[i.type], i.type.value, str(i.tran_id), self._ours.get(i.symbol), i.amount, "USDT", i.time_ms
            )
            for i in self.engine.income(ACCOUNT, None, None, page, self.now_ms())
        ]

    async def hints(self) -> AsyncIterator[Hint]:
        while True:
            await asyncio.sleep(3_600)
            yield Hint(None, "never")

    async def close(self) -> None:
        """Nothing is open."""

    def _plain(self, order: OrderRequest) -> EngineRequest:
        kind = EngineType.MARKET if order.type is OrderType.MARKET else EngineType.LIMIT
        price, life = order.price_ticks or 0, _TIME_IN_FORCE[order.type]
        symbol, side = self.names[order.symbol], Side(order.side)
        return EngineRequest(symbol, side, kind, order.lots or 0, price, life, order.reduce_only, order.client_id)

    def _conditional(self, order: OrderRequest) -> ConditionalRequest:
        assert order.kind is OrderKind.STOP
        return ConditionalRequest(
            self.names[order.symbol],
            Side(order.side),
            EngineType.STOP_MARKET,
            order.trigger_ticks or 0,
            close_position=order.close_position,
            client_id=order.client_id,
        )

    def _answer(self, found: Order | AlgoOrder | Refused) -> Answer:
        now_ms = self.now_ms()
        if isinstance(found, Refused):
            return Answer(400, found.code, found.message, None, now_ms, now_ms)
        return Answer(200, None, "", self._state(found), now_ms, now_ms)

    def _state(self, order: Order | AlgoOrder) -> OrderState:
        symbol, side = self._ours[order.symbol], int(order.side)
        if isinstance(order, AlgoOrder):
            became = str(order.order_id) if order.order_id else None
            lots = None if order.close_position else order.lots
            status, closes = _ALGO_STATUS[order.status], order.close_position
            numbers = (lots, 0, order.price_ticks or None, order.trigger_ticks, order.reduce_only, closes)
            return OrderState(
                symbol,
                order.client_id,
                str(order.algo_id),
                Book.CONDITIONAL,
                side,
                status,
                *numbers,
                order.updated_ms,
                became,
            )
        numbers = (
            order.lots,
            order.filled_lots,
            order.price_ticks or None,
            None,
            order.reduce_only,
            order.close_position,
        )
        return OrderState(
            symbol,
            order.client_id,
            str(order.order_id),
            Book.PLAIN,
            side,
            _STATUS[order.status],
            *numbers,
            order.updated_ms,
        )


def engine_names(engine: Engine) -> dict[str, str]:
    """The session's symbols, and the engine's."""
    return {listing.name: symbol for symbol, listing in engine.listings.items()}
