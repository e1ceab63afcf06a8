"""The venue in memory: money adds up, reduce-only reduces, scripted answers come in place of the true ones."""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.core.errors import DataError
from quantlab.core.fakes import MemoryVenue, Scripted, listed_symbol
from quantlab.core.ports import Venue
from quantlab.core.venue.answers import OrderStatus, PaymentKind
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType


def new_venue(**changes: Any) -> MemoryVenue:
    return MemoryVenue({"BTC": listed_symbol("BTC")}, **changes)


def market(client_id: str, lots: int, kind: OrderKind = OrderKind.ENTRY, **changes: Any) -> OrderRequest:
    side = 1 if lots > 0 else -1
    return OrderRequest(client_id, kind, "BTC", side, OrderType.MARKET, abs(lots), **changes)


def stop(client_id: str, side: int = -1) -> OrderRequest:
    return OrderRequest(
        client_id,
        OrderKind.STOP,
        "BTC",
        side,
        OrderType.STOP_MARKET,
        None,
        trigger_ticks=900,
        close_position=True,
    )


@given(fills=st.lists(st.tuples(st.integers(-40, 40).filter(bool), st.integers(500, 1_500)), max_size=30))
def test_wallet_and_position_are_those_of_the_cash_that_changed_hands(fills: list[tuple[int, int]]) -> None:
    venue = new_venue()
    cash, lots, fees = Decimal(10_000), 0, Decimal(0)
    for number, (signed, ticks) in enumerate(fills):
        venue.ticks["BTC"] = ticks
        answer = asyncio.run(venue.send(market(f"c{number}", signed)))
        assert answer.order is not None
        assert answer.order.status is OrderStatus.FILLED
        notional = signed * Decimal("0.001") * ticks * Decimal("0.1")
        cash, lots, fees = cash - notional, lots + signed, fees + abs(notional) * Decimal("0.0005")
    assert venue.lots("BTC") == lots
    held = venue.positions.get("BTC")
    entry = held.entry_price if held else Decimal(0)
    assert abs(venue.wallet - (cash - fees + lots * Decimal("0.001") * entry)) < Decimal("1e-15")


def test_a_reduce_only_order_is_cut_and_a_limit_does_not_trade_beyond_itself() -> None:
    venue = new_venue(ticks={"BTC": 1_000})
    asyncio.run(venue.send(market("a", 5)))
    cut = asyncio.run(venue.send(market("b", -9, OrderKind.REDUCE, reduce_only=True))).order
    assert cut is not None
    assert (cut.status, cut.lots, cut.filled_lots, venue.lots("BTC")) == (OrderStatus.FILLED, 5, 5, 0)
    assert asyncio.run(venue.send(market("d", -9, OrderKind.REDUCE, reduce_only=True))).code == -2022
    ioc = OrderRequest("c", OrderKind.ENTRY, "BTC", 1, OrderType.IOC, 3, price_ticks=999)
    missed = asyncio.run(venue.send(ioc)).order
    assert missed is not None
    assert (missed.status, missed.filled_lots) == (OrderStatus.EXPIRED, 0)


def test_a_stop_becomes_a_plain_order_that_its_trade_names() -> None:
    venue = new_venue(ticks={"BTC": 1_000})
    asyncio.run(venue.send(market("a", 5)))
    placed = asyncio.run(venue.send(stop("s"))).order
    assert placed is not None
    trade = venue.fire(placed.venue_id, 890)
    found = asyncio.run(venue.find(stop("s").ref)).order
    assert trade is not None
    assert found is not None
    assert (found.status, found.became, venue.lots("BTC")) == (OrderStatus.TRIGGERED, trade.venue_id, 0)
    assert asyncio.run(venue.client_id_of("BTC", trade.venue_id)) == "s"
    again = asyncio.run(venue.send(stop("t"))).order
    assert again is not None
    assert venue.fire(again.venue_id, 890) is None
    assert asyncio.run(venue.books()).orders == ()


@pytest.mark.parametrize("applied", [True, False])
def test_a_scripted_answer_comes_whether_or_not_the_request_took_effect(applied: bool) -> None:
    venue = new_venue(ticks={"BTC": 1_000})
    venue.script["send"] = deque([Scripted(503, -1007, "status unknown", applied)])
    answer = asyncio.run(venue.send(market("a", 5)))
    assert (answer.status, answer.code, answer.order) == (503, -1007, None)
    assert venue.lots("BTC") == (5 if applied else 0)
    found = asyncio.run(venue.find(market("a", 5).ref))
    assert (found.status, found.code) == ((200, None) if applied else (400, -2013))
    venue.hidden.add("a")
    assert asyncio.run(venue.find(market("a", 5).ref)).code == -2013


def test_orders_end_once_and_payments_move_the_wallet() -> None:
    venue: Venue = new_venue()
    memory = venue
    assert isinstance(memory, MemoryVenue)
    placed = asyncio.run(venue.send(market("a", 5))).order
    assert placed is not None
    memory.fill(placed.venue_id, 2, 1_000, maker=True, fee=Decimal(0))
    ended = asyncio.run(venue.cancel(market("a", 5).ref)).order
    assert ended is not None
    assert (ended.status, ended.filled_lots) == (OrderStatus.CANCELLED, 2)
    assert asyncio.run(venue.cancel(market("a", 5).ref)).code == -2011
    with pytest.raises(DataError, match="open plain order"):
        memory.fill(placed.venue_id, 1, 1_000)
    memory.pay(Decimal("-1.5"), PaymentKind.FUNDING, "BTC")
    assert asyncio.run(venue.books()).wallet == Decimal("9998.5")
    memory.hint("BTC")
    assert asyncio.run(anext(venue.hints())).symbol == "BTC"
