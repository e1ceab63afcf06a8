"""The simulated exchange as a port :class:`~quantlab.core.ports.Venue`, without a socket and on virtual time.

Signed requests and their JSON answers are the wire's; a request that has left arrives, whatever becomes of the process
that sent it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import numpy as np

from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.venue.answers import Answer, OrderState, OrderStatus, PositionState, VenueBooks, VenueTrade
from quantlab.core.venue.facts import ListedSymbol
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book, OrderRef, OrderRequest, OrderType
from quantlab.simulator.engine.queries import Page
from quantlab.simulator.engine.requests import HUMAN, Placed
from quantlab.simulator.engine.requests import OrderRequest as EngineRequest
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.values import OrderType as EngineType
from quantlab.simulator.engine.values import Side
from quantlab.simulator.server.opening import ACCOUNT, Settings, open_exchange
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.wire.messages import Now, Reply, Request
from quantlab.trading.strategy.strategy import Costs

WIRE_MS = 1_800_000_000_000
INTERVAL_MS = 3_600_000
#: Name, price, tick, lot.
MARKET = (
    ("BTC", 60_000.0, 0.1, 0.001),
    ("ETH", 2_500.0, 0.01, 0.001),
    ("XRP", 0.8, 0.0001, 1.0),
    ("SOL", 30.0, 0.01, 0.1),
)
CLOSES = {name: price for name, price, _, _ in MARKET}
_STATUSES = {
    "NEW": OrderStatus.OPEN, "PARTIALLY_FILLED": OrderStatus.PARTLY_FILLED, "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED, "EXPIRED": OrderStatus.EXPIRED, "REJECTED": OrderStatus.REJECTED,
    "TRIGGERED": OrderStatus.TRIGGERED, "FINISHED": OrderStatus.TRIGGERED,
}  # fmt: skip
_FORMS = {
    OrderType.MARKET: {"type": "MARKET"},
    OrderType.IOC: {"type": "LIMIT", "timeInForce": "IOC"},
    OrderType.LIMIT: {"type": "LIMIT", "timeInForce": "GTC"},
    OrderType.POST_ONLY: {"type": "LIMIT", "timeInForce": "GTX"},
    OrderType.STOP_MARKET: {"type": "STOP_MARKET", "algoType": "CONDITIONAL"},
}


def still_market(n_bars: int = 4, reach: float = 0.1, lots: float = 1e9) -> Bars:
    """Four symbols that open and close at one price.

    Parameters
    ----------
    n_bars : int
    reach : float
        Share of the price by which each bar reaches up and down before its close.
    lots : float
        Of a bar's volume.
    """
    rows = [[price, price * (1 + reach), price * (1 - reach), price, lots * lot] for _, price, _, lot in MARKET]
    return Bars(
        ohlcv=np.ascontiguousarray(np.broadcast_to(np.array(rows), (n_bars, len(MARKET), 5))),
        open_time_ms=WIRE_MS - 2 * INTERVAL_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64),
        interval_ms=INTERVAL_MS,
        state=np.full((n_bars, len(MARKET)), BarState.TRADED, np.uint8),
        symbols=tuple(name for name, _, _, _ in MARKET),
        instruments=tuple(Instrument(tick, lot, 5.0, 0.01, 2.0, 4.0) for _, _, tick, lot in MARKET),
    )


_BARS = still_market()
_COSTS = Costs(slippage_bps=2.0, participation=1.0, liquidation_fee_bps=125.0)


def open_market(**changes: Any) -> Exchange:
    """A new exchange in lockstep; rules of the venue go by their names, the rest are settings."""
    rules = {name: changes.pop(name) for name in tuple(changes) if name in VenueRules.__dataclass_fields__}
    settings = Settings(VenueRules("lockstep", **rules), history_bars=2, cash=1_000_000.0, **changes)
    return open_exchange(_BARS, _COSTS, settings, WIRE_MS)


def hold(exchange: Exchange, symbol: str, lots: int) -> None:
    """Give the account a position."""
    side = Side.BUY if lots > 0 else Side.SELL
    order = EngineRequest(f"{symbol}USDT", side, EngineType.MARKET, abs(lots))
    assert isinstance(exchange.venue.place(ACCOUNT, order, exchange.venue.now_ms, HUMAN), Placed)


@dataclass
class Wire:
    """Times of a request on its way.

    Parameters
    ----------
    orders_ms : int
        Time until a request that places an order arrives.
    there_ms : int
        Time until any other one arrives.
    back_ms : int
    timeout_ms : int
        After which the client gives up; the request goes on.
    """

    orders_ms: int = 10
    there_ms: int = 10
    back_ms: int = 10
    timeout_ms: int = 3_000


@dataclass
class ExchangeVenue:
    """One account of a simulated exchange.

    Parameters
    ----------
    exchange : Exchange
    wire : Wire
    cut : callable
        Called with a word before a request leaves and after its answer came: a place at which the process may die.
    """

    exchange: Exchange
    wire: Wire = field(default_factory=Wire)
    cut: Callable[[str], None] = lambda word: None
    _on_their_way: set[asyncio.Task[Reply]] = field(default_factory=set)

    # -- the port ----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return WIRE_MS + round(asyncio.get_running_loop().time() * 1000)

    async def send(self, order: OrderRequest) -> Answer:
        grid, conditional = self.grid(order.symbol), order.book is Book.CONDITIONAL
        pairs: dict[str, Any] = {
            "symbol": f"{order.symbol}USDT",
            "side": "BUY" if order.side > 0 else "SELL",
            **_FORMS[order.type],
        }
        pairs["clientAlgoId" if conditional else "newClientOrderId"] = order.client_id
        if order.lots is not None:
            pairs["quantity"] = grid.size_text(order.lots)
        if order.price_ticks is not None:
            pairs["price"] = grid.price_text(order.price_ticks)
        if order.trigger_ticks is not None:
            pairs["triggerPrice"] = grid.price_text(order.trigger_ticks)
        if order.close_position:
            pairs["closePosition"] = "true"
        elif order.reduce_only:
            pairs["reduceOnly"] = "true"
        path = "algoOrder" if conditional else "order"
        return await self._ask(
            "POST", path, {**pairs, "newOrderRespType": "RESULT"}, order.symbol, order.book, order.valid_for_ms
        )

    async def cancel(self, ref: OrderRef) -> Answer:
        return await self._ask("DELETE", *self._named(ref), ref.symbol, ref.book)

    async def find(self, ref: OrderRef) -> Answer:
        return await self._ask("GET", *self._named(ref), ref.symbol, ref.book)

    async def books(self) -> VenueBooks:
        venue, now_ms = self.exchange.venue, self._market_ms()
        positions = tuple(
            PositionState(_name(p.symbol), p.lots, Decimal(str(p.entry_price)), now_ms)
            for p in venue.positions(ACCOUNT, now_ms)
            if p.lots
        )
        return VenueBooks(positions, (), venue.wallet(ACCOUNT, now_ms).wallet, self.now_ms(), self.now_ms())

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> Sequence[VenueTrade]:
        venue = self.exchange.venue
        page = Page(start_ms=since_ms - WIRE_MS + venue.market.open_ms(venue.row), limit=1_000)
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
            for t in venue.trades(ACCOUNT, f"{symbol}USDT", page, self._market_ms())
        ]

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        order = self.exchange.venue.state.accounts[ACCOUNT].orders.get(int(venue_id))
        return None if order is None else order.client_id

    # -- the wire ----------------------------------------------------------------------------------------------------

    async def _ask(
        self, method: str, path: str, pairs: dict[str, Any], symbol: str, book: Book, window_ms: int = 5_000
    ) -> Answer:
        self.cut(f"before {method} {path}")
        sent_ms = self.now_ms()
        text = urlencode({**pairs, "recvWindow": window_ms, "timestamp": sent_ms})
        text += "&signature=" + hmac.new(b"demo-secret", text.encode(), hashlib.sha256).hexdigest()
        query, body = ("", text) if method == "POST" else (text, "")
        request = Request(method, f"/fapi/v1/{path}", query, body, {"x-mbx-apikey": "demo-key"})
        arriving = asyncio.ensure_future(self._arrive(request))
        self._on_their_way.add(arriving)
        arriving.add_done_callback(self._on_their_way.discard)
        done, _ = await asyncio.wait({arriving}, timeout=self.wire.timeout_ms / 1000)
        self.cut(f"after {method} {path}")
        if not done or arriving.result().lost:
            return Answer(None, None, "timed out" if not done else "connection lost", None, sent_ms, self.now_ms())
        return self._read(arriving.result(), symbol, book, sent_ms)

    async def _arrive(self, request: Request) -> Reply:
        there_ms = self.wire.orders_ms if request.method == "POST" else self.wire.there_ms
        await asyncio.sleep(there_ms / 1000)
        reply = self.exchange.answer(request, Now(self.now_ms(), self._market_ms()))
        await asyncio.sleep((self.wire.back_ms + reply.delay_ms) / 1000)
        return reply

    def _read(self, reply: Reply, symbol: str, book: Book, sent_ms: int) -> Answer:
        try:
            document = json.loads(reply.body)
        except ValueError:
            document = {}
        retry = reply.headers.get("Retry-After")
        shared = (sent_ms, self.now_ms(), None if retry is None else int(retry) * 1000)
        if reply.status != 200 or "side" not in document:
            code = document.get("code") if reply.status != 200 else None
            return Answer(reply.status, code, document.get("msg", reply.body[:80]), None, *shared)
        return Answer(200, None, "", order_state(document, self.grid(symbol), book), *shared)

    def _named(self, ref: OrderRef) -> tuple[str, dict[str, Any]]:
        if ref.book is Book.CONDITIONAL:
            return "algoOrder", {"symbol": f"{ref.symbol}USDT", "clientAlgoId": ref.client_id}
        return "order", {"symbol": f"{ref.symbol}USDT", "origClientOrderId": ref.client_id}

    def _market_ms(self) -> int:
        venue = self.exchange.venue
        return venue.market.open_ms(venue.row) + self.now_ms() - WIRE_MS

    def end_bar(self) -> None:
        """Let the running bar reach up, down and to its close."""
        self.exchange.venue.advance(self.exchange.venue.close_ms)

    # -- what the exchange knows -------------------------------------------------------------------------------------

    def grid(self, symbol: str) -> Grid:
        grid = self.exchange.venue.listings[f"{symbol}USDT"].grid
        return Grid(grid.tick, grid.lot)

    def listed(self, largest: int | None = None) -> dict[str, ListedSymbol]:
        """The session's symbols."""
        return {
            name: ListedSymbol(
                name,
                f"{name}USDT",
                self.grid(name),
                Decimal(5),
                1,
                largest,
                largest,
                None,
                None,
                None,
                20,
                True,
                True,
                None,
                None,
            )
            for name in CLOSES
        }

    def held(self) -> dict[str, int]:
        """Positions in lots, flat ones left out."""
        account = self.exchange.venue.state.accounts[ACCOUNT]
        return {_name(symbol): p.lots for symbol, p in account.positions.items() if p.lots}

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        """What was really done by our own requests."""
        return [entry.to_dict() for entry in self.exchange.venue.ledger if entry.kind == kind]

    def effects(self, client_id: str) -> int:
        """Orders that the venue took under a client id, in either book; one that a stop became does not count."""
        plain = [e for e in self.ledger("order") if e["client_id"] == client_id and not e["algo_id"]]
        return len(plain) + sum(e["client_id"] == client_id for e in self.ledger("algo"))

    def shown(self, ref: OrderRef) -> bool:
        """Tell whether an order of ours rests."""
        account = self.exchange.venue.state.accounts[ACCOUNT]
        orders = account.waiting() if ref.book is Book.CONDITIONAL else account.resting(f"{ref.symbol}USDT")
        return any(order.client_id == ref.client_id for order in orders)


def order_state(document: dict[str, Any], grid: Grid, book: Book) -> OrderState:
    """An order from the venue's JSON."""
    conditional = book is Book.CONDITIONAL
    lots = grid.lots(document["quantity" if conditional else "origQty"])
    price = grid.ticks(document["price"])
    return OrderState(
        symbol=_name(document["symbol"]),
        client_id=document["clientAlgoId" if conditional else "clientOrderId"],
        venue_id=str(document["algoId" if conditional else "orderId"]),
        book=book,
        side=1 if document["side"] == "BUY" else -1,
        status=_STATUSES[document["algoStatus" if conditional else "status"]],
        lots=None if document["closePosition"] else lots,
        filled_lots=0 if conditional else grid.lots(document["executedQty"]),
        price_ticks=price or None,
        trigger_ticks=grid.ticks(document["triggerPrice"]) if conditional else None,
        reduce_only=document["reduceOnly"],
        close_position=document["closePosition"],
        updated_ms=document["updateTime"],
        became=document.get("actualOrderId") or None,
    )


def _name(symbol: str) -> str:
    return symbol.removesuffix("USDT")
