"""Binance USD-M: urls, two books of orders, codes, lists and stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from quantlab.core.checks import check_whole
from quantlab.core.clock import MS_PER_WEEK
from quantlab.core.errors import DataError
from quantlab.core.redaction import hide_values
from quantlab.core.venue.answers import OrderState, Payment, PositionState, VenueTrade
from quantlab.core.venue.facts import VenueFacts
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book, OrderRef, OrderRequest, OrderType
from quantlab.data.exchange.retry import retry_after
from quantlab.venue.binance_facts import Fees, read_facts, read_fees
from quantlab.venue.binance_frames import read_frame
from quantlab.venue.binance_rows import (
    read_conditional,
    read_grid,
    read_payment,
    read_plain,
    read_positions,
    read_trade,
)
from quantlab.venue.budget import Usage
from quantlab.venue.dialect import Dialect, Frame, OrderCall, OrderReply, Read
from quantlab.venue.listings import Listing, Listings
from quantlab.venue.rows import Row, rows_of

_STREAM = "wss://fstream.binance.com"
_ROWS = 1_000
_BANNED = re.compile(r"banned until (\d{13})")
_TYPES = MappingProxyType(
    {
        OrderType.MARKET: ("market", {}),
        OrderType.IOC: ("limit", {"timeInForce": "IOC"}),
        OrderType.LIMIT: ("limit", {"timeInForce": "GTC"}),
        # Not postOnly, which ccxt refuses beside a client's own time in force; GTX is Binance's name of it.
        OrderType.POST_ONLY: ("limit", {"timeInForce": "GTX"}),
        OrderType.STOP_MARKET: ("market", {}),
    }
)


@dataclass(frozen=True)
class Binance(Dialect):
    """Binance's USD-M futures.

    Parameters
    ----------
    asset : str
        Margin asset.
    conditional_slots : int
        Conditional orders that an account may have open.
    """

    asset: str
    conditional_slots: int
    exchange: ClassVar[str] = "binanceusdm"
    options: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"fetchCurrencies": False, "warnOnFetchOpenOrdersWithoutSymbol": False, "fetchMarkets": {"types": ["linear"]}}
    )

    def __post_init__(self) -> None:
        check_whole("execution.venue.adapter.dialect.conditional_slots", self.conditional_slots, low=1)

    def point(self, client: Any, rest: str | None) -> str:
        """Lead every url of ccxt to `rest`, so that no request goes elsewhere."""
        urls = client.urls["api"]
        if rest is not None:
            for name, text in urls.items():
                if isinstance(text, str):
                    urls[name] = rest.rstrip("/") + urlsplit(text).path
        return urlsplit(str(urls["fapiPrivate"])).netloc

    def grid_of(self, row: Mapping[str, Any]) -> Grid:
        return read_grid(row)

    def call_of(self, order: OrderRequest, grid: Grid) -> OrderCall:
        """A stop goes to the conditional book by its ``stopLossPrice``, with nothing else to be told."""
        kind, params = _TYPES[order.type]
        sent: dict[str, Any] = {**params, "clientOrderId": order.client_id, "recvWindow": order.valid_for_ms}
        if order.trigger_ticks is not None:
            sent |= {"stopLossPrice": grid.price_text(order.trigger_ticks), "workingType": "CONTRACT_PRICE"}
        if order.close_position:
            sent["closePosition"] = True
        elif order.reduce_only:
            sent["reduceOnly"] = True
        return OrderCall(
            type=kind,
            side="buy" if order.side > 0 else "sell",
            amount=None if order.lots is None else grid.size_text(order.lots),
            price=None if order.price_ticks is None else grid.price_text(order.price_ticks),
            params=sent,
        )

    def params_of(self, ref: OrderRef) -> dict[str, Any]:
        named = {"clientOrderId": ref.client_id}
        return {**named, "trigger": True} if ref.book is Book.CONDITIONAL else named

    def read_order(self, sent: Any, book: Book, listings: Listings) -> OrderReply:
        """A conditional order that was cancelled is confirmed without its fields."""
        row = Row(sent, "an order")
        if book is Book.PLAIN:
            return OrderReply(read_plain(row, listings))
        if "algoStatus" not in row.sent and str(row.sent.get("code")) == "200":
            return OrderReply(None, acknowledged=True)
        return OrderReply(read_conditional(row, listings))

    def read_refusal(self, sent: Any) -> tuple[int | None, str]:
        if not isinstance(sent, Mapping) or "code" not in sent:
            return None, ""
        text = str(sent["code"])
        code = int(text) if re.fullmatch(r"-?\d{1,6}", text) else None
        return (None if code == 200 else code), str(sent.get("msg", ""))

    def is_clock_refusal(self, code: int | None) -> bool:
        return code == -1021

    def can_ask_again(self, status: int | None, code: int | None) -> bool:
        """Codes down to -1099 are about the server, the line and the clock; -1022 is the signature."""
        if code is None:
            return status not in (401, 403, 404)
        return code > -1100 and code not in (-1002, -1022)

    def is_not_found(self, code: int | None) -> bool:
        return code == -2013

    def usage_of(self, headers: Mapping[str, str]) -> Usage:
        names = ("x-mbx-used-weight-1m", "x-mbx-order-count-10s", "x-mbx-order-count-1m")
        found = [headers.get(name, "") for name in names]
        return Usage(*(int(text) if text.isdecimal() else None for text in found))

    def wait_ms(self, headers: Mapping[str, str], sent: Any, now_ms: int) -> int | None:
        seconds = retry_after(dict(headers), now_ms / 1_000)
        if seconds > 0:
            return round(seconds * 1_000)
        banned = _BANNED.search(self.read_refusal(sent)[1])
        return max(int(banned.group(1)) - now_ms, 0) if banned else None

    async def positions(self, read: Read, listings: Listings) -> tuple[PositionState, ...]:
        return read_positions(await read("fapiPrivateV3GetPositionRisk", {}, 5), listings)

    async def open_orders(self, read: Read, listings: Listings) -> tuple[OrderState, ...]:
        plain, conditional = await asyncio.gather(
            read("fapiPrivateGetOpenOrders", {}, 40), read("fapiPrivateGetOpenAlgoOrders", {}, 40)
        )
        resting = [read_plain(row, listings) for row in rows_of(plain, "an order")]
        waiting = [read_conditional(row, listings) for row in rows_of(conditional, "a conditional order")]
        return (*resting, *waiting)

    async def wallet(self, read: Read) -> Decimal:
        rows = rows_of(await read("fapiPrivateV3GetBalance", {}, 5), "a balance")
        found = [row.decimal("balance") for row in rows if row.text("asset") == self.asset]
        if not found:
            raise DataError(f"a balance in {self.asset}", found="none", fix="put money into the futures wallet")
        return found[0]

    async def trades_from(self, read: Read, listing: Listing, from_id: int) -> tuple[list[VenueTrade], bool]:
        return await self._trades(read, listing, {"fromId": from_id})

    async def trades_between(
        self, read: Read, listing: Listing, start_ms: int, end_ms: int
    ) -> tuple[list[VenueTrade], bool]:
        return await self._trades(read, listing, {"startTime": start_ms, "endTime": end_ms})

    async def _trades(self, read: Read, listing: Listing, which: Mapping[str, int]) -> tuple[list[VenueTrade], bool]:
        asked = {"symbol": listing.venue_symbol, "limit": _ROWS, **which}
        rows = rows_of(await read("fapiPrivateGetUserTrades", asked, 5), "a trade")
        # By number: ccxt sorts ids as text, and 100 comes before 99.
        found = sorted((read_trade(row, listing) for row in rows), key=lambda trade: int(trade.trade_id))
        return found, len(rows) >= _ROWS

    async def payments_between(
        self, read: Read, listings: Listings, start_ms: int, end_ms: int, page: int
    ) -> tuple[list[Payment], bool]:
        asked = {"startTime": start_ms, "endTime": end_ms, "limit": _ROWS, "page": page}
        rows = rows_of(await read("fapiPrivateGetIncome", asked, 30), "a payment")
        return [read_payment(row, listings) for row in rows], len(rows) >= _ROWS

    async def market_ms(self, read: Read, listing: Listing) -> int:
        row = Row(await read("fapiPublicGetPremiumIndex", {"symbol": listing.venue_symbol}, 1), "a mark price")
        return row.whole("time")

    async def client_id_of(self, read: Read, listing: Listing, venue_id: str) -> str:
        asked = {"symbol": listing.venue_symbol, "orderId": venue_id}
        return Row(await read("fapiPrivateGetOrder", asked, 1), "an order").text("clientOrderId")

    async def facts(self, read: Read, listings: Listings, fees: Mapping[str, Fees]) -> VenueFacts:
        wallet = await self.wallet(read)
        return await read_facts(read, listings, fees, wallet=wallet, conditional_slots=self.conditional_slots)

    async def fees_of(self, read: Read, listing: Listing) -> Fees:
        return read_fees(await read("fapiPrivateGetCommissionRate", {"symbol": listing.venue_symbol}, 20))

    async def open_stream(self, read: Read) -> str:
        key = Row(await read("fapiPrivatePostListenKey", {}, 1), "a listen key").text("listenKey")
        hide_values([key])
        return key

    async def keep_stream(self, read: Read, key: str) -> None:
        await read("fapiPrivatePutListenKey", {"listenKey": key}, 1)

    def stream_url(self, base: str | None, key: str) -> str:
        return f"{(base or _STREAM).rstrip('/')}/private/ws?listenKey={quote(key, safe='')}"

    def read_frame(self, text: str, names: Mapping[str, str]) -> Frame:
        return read_frame(text, names)

    @property
    def longest_window_ms(self) -> int:
        return MS_PER_WEEK
