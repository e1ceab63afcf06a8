"""Each method of the port against the exchange's own ledger and state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest

from quantlab.core.errors import ContractError, DataError
from quantlab.core.ports import Venue
from quantlab.core.venue.answers import OrderStatus, PaymentKind
from quantlab.core.venue.requests import Book, OrderKind, OrderRef, OrderRequest, OrderType

DAY_MS = 86_400_000


def test_facts_are_the_exchanges(desk: Any) -> None:
    facts = desk.run(desk.venue.facts())
    assert (facts.name, facts.host) == ("binanceusdm", desk.running.url.removeprefix("http://"))
    assert (facts.one_way, facts.single_asset, facts.fees_in_margin_asset) == (True, True, True)
    assert (facts.can_trade, facts.can_withdraw, facts.can_transfer, facts.is_ip_restricted) == (
        True,
        False,
        False,
        True,
    )
    assert (facts.wallet, facts.free_conditional_orders) == (Decimal(10_000), 200)
    assert abs(facts.clock_offset_ms) < 250
    listed, listing = facts.symbols["SYN00"], desk.running.exchange.venue.listings["SYN00USDT"]
    assert (listed.grid.tick, listed.grid.lot) == (Decimal("0.01"), Decimal("0.001"))
    assert (listed.maker_fee, listed.taker_fee, listed.maintenance) == (
        Decimal("0.0002"),
        Decimal("0.0004"),
        Decimal("0.01"),
    )
    assert (listed.min_notional, listed.min_lots, listed.leverage, listed.is_cross) == (5, 1, 20, True)
    assert (listed.is_trading, listing.symbol) == (True, listed.venue_symbol)
    assert desk.count("GET", "commissionRate") == 2


def test_fees_are_asked_for_at_first_and_then_in_turn(desk: Any) -> None:
    venue = desk.renew(fees_a_call=1)
    for _ in range(4):
        desk.run(venue.facts())
    asked = [parse_qs(one.query)["symbol"][0] for one in desk.requests if one.path.endswith("commissionRate")]
    assert asked == ["SYN00USDT", "SYN01USDT", "SYN00USDT", "SYN01USDT", "SYN00USDT"]


def test_orders_of_every_form_arrive_as_whole_lots_and_ticks(desk: Any, market_order: Callable[..., Any]) -> None:
    """Floats would cut some of these sizes to a lot less: 0.29 / 0.01 is 28.999999999999996."""
    venue: Venue = desk.venue
    sizes = [29, 57, 58, 113, 2_999]
    for number, lots in enumerate(sizes):
        answer = desk.run(venue.send(market_order(f"qle0000{number}", lots)))
        assert (answer.status, answer.order.filled_lots) == (200, lots)
    mark = answer_price(desk)
    limits = [(OrderType.LIMIT, "GTC"), (OrderType.POST_ONLY, "GTX"), (OrderType.IOC, "IOC")]
    for kind, life in limits:
        order = OrderRequest(f"qle{life}", OrderKind.ENTRY, "SYN00", 1, kind, 57, price_ticks=mark - 1_029)
        got = desk.run(venue.send(order)).order
        assert (got.price_ticks, got.lots, got.client_id) == (mark - 1_029, 57, f"qle{life}")
        sent = parse_qs(desk.requests[-1].body)
        assert (sent["timeInForce"], sent["quantity"], sent["price"]) == (
            [life],
            ["0.057"],
            [f"{(mark - 1_029) / 100:.2f}"],
        )
        assert sent["recvWindow"] == ["5000"]
    placed = [entry for entry in desk.ledger("order") if entry["client_id"].startswith("qle")]
    assert [entry["lots"] for entry in placed] == [*sizes, 57, 57, 57]
    small = OrderRequest("qlesmall", OrderKind.ENTRY, "SYN01", 1, OrderType.LIMIT, 100_000_000, price_ticks=123_457)
    got = desk.run(venue.send(small)).order
    assert parse_qs(desk.requests[-1].body)["price"] == ["0.000123457"]
    assert (got.price_ticks, got.lots) == (123_457, 100_000_000)


def answer_price(desk: Any) -> int:
    return int(desk.ledger("trade")[-1]["price_ticks"])


def test_a_stop_rests_in_its_own_book_fires_and_names_what_it_became(
    desk: Any, market_order: Callable[..., Any], stop_order: Callable[..., Any], plain_ref: Callable[..., OrderRef]
) -> None:
    venue: Venue = desk.venue
    desk.run(venue.send(market_order("qle1", 100)))
    entry = answer_price(desk)
    placed = desk.run(venue.send(stop_order("qls1", entry - 100))).order
    assert (placed.book, placed.status, placed.lots, placed.trigger_ticks) == (
        Book.CONDITIONAL,
        OrderStatus.OPEN,
        None,
        entry - 100,
    )
    assert desk.run(venue.find(plain_ref("qls1"))).code == -2013, "the plain book does not know it"
    books = desk.run(venue.books())
    assert [(p.symbol, p.lots) for p in books.positions] == [("SYN00", 100)]
    assert [(o.client_id, o.close_position, o.reduce_only) for o in books.orders] == [("qls1", True, True)]
    for _ in range(40):
        desk.advance()
        found = desk.run(venue.find(stop_order("qls1", 1).ref)).order
        if found.status is OrderStatus.TRIGGERED:
            break
    trades = desk.run(venue.trades("SYN00", "1", 0))
    assert [(t.side, t.lots, t.venue_id) for t in trades] == [(-1, 100, found.became)]
    assert desk.run(venue.client_id_of("SYN00", found.became)) == "qls1"
    books = desk.run(venue.books())
    assert (books.positions, books.orders) == ((), ())
    wallet = desk.running.exchange.venue.wallet("main", desk.running.exchange.venue.now_ms).wallet
    assert books.wallet == wallet


def test_orders_are_cancelled_in_both_books(
    desk: Any, market_order: Callable[..., Any], stop_order: Callable[..., Any]
) -> None:
    venue: Venue = desk.venue
    desk.run(venue.send(market_order("qle1", 100)))
    take = OrderRequest(
        "qlt1", OrderKind.TAKE, "SYN00", -1, OrderType.POST_ONLY, 40, answer_price(desk) + 9_000, reduce_only=True
    )
    stop = stop_order("qls1", 1_000)
    for order, deletes in ((take, "order"), (stop, "algoOrder")):
        assert desk.run(venue.send(order)).order.status is OrderStatus.OPEN
        ended = desk.run(venue.cancel(order.ref))
        assert (ended.status, ended.order.status, ended.order.client_id) == (
            200,
            OrderStatus.CANCELLED,
            order.client_id,
        )
        assert desk.count("DELETE", deletes) == 1
        again = desk.run(venue.cancel(order.ref))
        assert (again.code, again.order) == (-2011, None)
        assert desk.run(venue.find(order.ref)).order.status is OrderStatus.CANCELLED
    assert desk.run(venue.books()).orders == ()


def test_refusals_come_with_the_venues_code(
    desk: Any, market_order: Callable[..., Any], stop_order: Callable[..., Any]
) -> None:
    send = desk.venue.send
    assert desk.run(send(market_order("qle1", 1))).code == -4164
    assert desk.run(send(market_order("qlr1", -5, OrderKind.REDUCE))).code == -2022
    desk.run(send(market_order("qle2", 100)))
    assert desk.run(send(stop_order("qls1", 10**7))).code == -2021
    assert desk.run(send(stop_order("qls2", 1_000))).code is None
    assert desk.run(send(stop_order("qls3", 1_000))).code == -4130
    refused = desk.run(send(market_order("qle3", 10**9)))
    assert (refused.status, refused.order) == (400, None)
    with pytest.raises(ContractError, match="a symbol that the venue lists"):
        desk.run(send(market_order("qle4", 100, symbol="NONE")))


def test_trades_and_payments_are_the_ledgers_page_by_page(
    desk: Any, market_order: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids pass from 99 to 100, where an order by text would turn back."""
    monkeypatch.setattr("quantlab.venue.binance._ROWS", 17)
    began = desk.running.exchange.venue.now_ms
    for number in range(54):
        desk.run(desk.venue.send(market_order(f"qle{number}", 20 if number % 2 else 40)))
        desk.run(desk.venue.send(market_order(f"qlr{number}", -20, OrderKind.REDUCE)))
    ledger = [(str(e["trade_id"]), e["lots"], e["price_ticks"], e["time_ms"]) for e in desk.ledger("trade")]
    for trades in (desk.run(desk.venue.trades("SYN00", None, began)), desk.run(desk.venue.trades("SYN00", "0", 0))):
        assert [(t.trade_id, t.lots, t.price_ticks, t.time_ms) for t in trades] == ledger
    assert [t.trade_id for t in desk.run(desk.venue.trades("SYN00", "97", 0))] == [str(n) for n in range(98, 109)]
    assert desk.run(desk.venue.trades("SYN01", None, began)) == []
    assert desk.run(desk.venue.trades("SYN00", None, began + 1)) == []
    asyncio_pay = desk.run(desk.venue.payments(began - 40 * DAY_MS))
    assert sum(p.amount for p in asyncio_pay) == desk.run(desk.venue.books()).wallet
    fees = [p for p in asyncio_pay if p.type == "COMMISSION"]
    assert len(fees) == 108
    assert -sum(p.amount for p in fees) == sum(t.fee for t in desk.run(desk.venue.trades("SYN00", "0", 0)))
    assert {p.kind for p in asyncio_pay} == {PaymentKind.OF_TRADES, PaymentKind.TRANSFER}
    assert desk.run(desk.venue.payments(began + 1)) == []


def test_orders_of_others_and_unknown_numbers(desk: Any, market_order: Callable[..., Any]) -> None:
    venue: Venue = desk.venue
    order = market_order("someone-else", 10**9, symbol="SYN01")
    other = desk.make(desk.running.url)
    assert desk.run(other.send(order)).order.filled_lots == 10**9
    only = desk.make(desk.running.url)
    only._line.symbols = ("SYN00",)  # a session of one symbol sees a position in another under the venue's name
    assert [(p.symbol, p.lots) for p in desk.run(only.books()).positions] == [("SYN01USDT", 10**9)]
    assert desk.run(venue.client_id_of("SYN00", "987654")) is None
    with pytest.raises(DataError, match="fapiPrivateGetOrder"):
        desk.run(venue.client_id_of("SYN00", "no number"))


def test_a_closed_adapter_opens_again_and_serves_many_at_once(desk: Any, market_order: Callable[..., Any]) -> None:
    desk.run(desk.venue.books())
    desk.run(desk.venue.close())

    async def many() -> list[Any]:
        return await asyncio.gather(*(desk.venue.send(market_order(f"qle{n}", 20 + n)) for n in range(30)))

    answers = desk.run(many())
    assert {a.message for a in answers} == {""}
    assert [a.order.filled_lots for a in answers] == [20 + n for n in range(30)]
    assert [a.order.client_id for a in answers] == [f"qle{n}" for n in range(30)]
