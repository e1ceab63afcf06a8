"""Every fault of the line and every hostile body: one request each, an Answer that says what came, never an exception."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from quantlab.core.errors import DataError
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.simulator.wire.faults import REST_KINDS
from quantlab.simulator.wire.messages import Now, Request

#: Status and code of the answer to each fault; an order is in none of them.
CAME = {
    "429": (429, None),
    "418": (418, None),
    "-1003": (429, -1003),
    "-1000": (400, -1000),
    "-1008": (503, -1008),
    "-1007": (408, -1007),
    "502": (502, None),
    "ack_lost": (None, None),
    "dropped": (None, None),
    "slow": (None, None),
    "truncated": (200, None),
}


def test_every_kind_of_fault_has_its_answer() -> None:
    assert set(CAME) == set(REST_KINDS)


@pytest.mark.parametrize("kind", REST_KINDS)
def test_a_faulty_line_is_told_as_it_was_and_asked_once(
    kind: str, desk: Any, order_pair: Callable[..., Any], canaries: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    venue = desk.renew(settings__timeout=150)
    for book, path in (("plain", "order"), ("conditional", "algoOrder")):
        for method, request in (("POST", "send"), ("GET", "find"), ("DELETE", "cancel")):
            order = order_pair(f"ql{request}", 100)[book]
            if request != "send":
                desk.run(venue.send(order))
            before = desk.count(method, path)
            desk.fault(at=f"{method} /fapi/v1/{path}", nth=1, kind=kind, ms=400)
            answer = desk.run(venue.send(order) if request == "send" else getattr(venue, request)(order.ref))
            assert (answer.status, answer.code, answer.order) == (*CAME[kind], None), answer
            assert desk.count(method, path) == before + 1
            assert answer.sent_ms <= answer.received_ms
            if kind in ("429", "418"):
                assert answer.retry_after_ms == {"429": 1_000, "418": 120_000}[kind]
            assert answer.message
            assert not any(secret in answer.message for secret in canaries)
            if CAME[kind][0] in (418, 429):
                venue = desk.renew()  # one that remembers no limit
            shown = desk.run(venue.find(order.ref))
            took_effect = {
                "send": shown.code is None,
                "find": None,
                "cancel": shown.order and shown.order.status.is_final,
            }
            assert took_effect[request] in (REST_KINDS[kind], None)
            desk.run(venue.cancel(order.ref))
    assert not any(secret in caplog.text for secret in canaries)


def test_reads_are_asked_again_and_then_told_in_a_sentence(desk: Any, canaries: Any) -> None:
    desk.run(desk.venue.books())
    asked = desk.count("GET", "openOrders")
    desk.fault(at="GET /fapi/v1/openOrders", nth=1, kind="truncated")
    assert desk.run(desk.venue.books()).orders == ()
    assert desk.count("GET", "openOrders") == asked + 2
    venue = desk.renew(reads__pause_ms=1)
    desk.fault(at="GET /fapi/v1/openOrders", kind="502")
    with pytest.raises(DataError, match=r"fapiPrivateGetOpenOrders from 127.*status 502") as caught:
        desk.run(venue.books())
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in canaries)


BODIES = {
    "a page": "<html><body>maintenance</body></html>",
    "nothing": "",
    "null": "null",
    "a number": "7",
    "a list": "[{}]",
    "an empty object": "{}",
    "not a number": '{"symbol": "SYN00USDT", "orderId": 1, "origQty": "NaN"}',
    "deep": "[" * 100_000,
    "a huge exponent": '{"origQty": "1e999999999"}',
    "another symbol": '{"symbol": "XUSDT", "orderId": 1}',
    "broken": '{"symbol": "SYN00USDT", "orderId": 1, "clientOr',
}
WHOLE = (
    '{"symbol": "SYN00USDT", "orderId": 1, "clientOrderId": "%s", "origQty": "%s", "executedQty": "0", "price": "0",'
    ' "side": "BUY", "status": "%s", "reduceOnly": false, "closePosition": false, "updateTime": 1}'
)
BODIES |= {
    "another client's order": WHOLE % ("qleother", "0.1", "NEW"),
    "off the grid": WHOLE % ("qle1", "0.10005", "NEW"),
    "an unknown word": WHOLE % ("qle1", "0.1", "PONDERING"),
}


def test_hostile_bodies_are_no_orders_and_redirects_are_not_followed(
    desk: Any, market_order: Callable[..., Any]
) -> None:
    """A server of its own, which is honest about everything but orders."""
    posts: list[str] = []
    body = [""]

    async def serve(request: web.Request) -> web.Response:
        if request.path.endswith("/order"):
            posts.append(request.method)
            if body[0] == "redirect":
                raise web.HTTPTemporaryRedirect(location="/fapi/v1/order")
            return web.Response(text=body[0], content_type="application/json")
        exchange, now = desk.running.exchange, int(time.time() * 1_000)
        reply = exchange.answer(Request(request.method, request.path, request.query_string), Now(now, now))
        return web.Response(text=reply.body, content_type="application/json")

    async def work() -> None:
        server = web.AppRunner(web.Application())
        server.app.router.add_route("*", "/{any:.*}", serve)
        await server.setup()
        site = web.TCPSite(server, "127.0.0.1", 0)
        await site.start()
        venue = desk.make(f"http://127.0.0.1:{server.addresses[0][1]}")
        for name, text in BODIES.items():
            body[0] = text
            answer = await venue.send(market_order("qle1", 100))
            assert (answer.status, answer.order) == (200, None), name
            assert answer.message, name
        body[0] = WHOLE % ("qle1", "0.1", "NEW")
        assert (await venue.send(market_order("qle1", 100))).order is not None
        before, body[0] = len(posts), "redirect"
        answer = await venue.send(market_order("qle1", 100))
        assert (answer.status, answer.order, len(posts)) == (None, None, before + 1)
        assert "redirect" in answer.message
        await venue.close()
        await server.cleanup()

    asyncio.run(work())


def test_what_ccxt_refuses_is_told_as_not_sent(desk: Any, market_order: Callable[..., Any]) -> None:
    desk.run(desk.venue.books())
    desk.venue._line.client().markets["SYN00/USDT:USDT"]["info"]["orderTypes"].remove("MARKET")
    desk.venue._line.client().markets["SYN01/USDT:USDT"]["precision"]["amount"] = 0.03
    before = len(desk.requests)
    for symbol, why in (("SYN00", "InvalidOrder"), ("SYN01", "ccxt would cut 0.100")):
        answer = desk.run(desk.venue.send(market_order("qle1", 100, OrderKind.ENTRY, symbol)))
        assert (answer.status, answer.code, answer.order) == (None, None, None)
        assert answer.message == f"nothing was sent ({why})"
    assert len(desk.requests) == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_line_with_a_fault_in_every_fourth_request(seed: int, open_desk: Callable[..., Any]) -> None:
    """No order twice, no order that is shown and is not there, no exception, whatever comes together."""
    desk = open_desk(settings={"faults": {"seed": seed, "rate": 0.25, "ms": 200}})
    sent, shown = [], {}

    async def trade(venue: Any) -> None:
        for number in range(120):
            venue.budget.limited_until_ms = venue.budget.banned_until_ms = 0
            kind, reduces = (OrderKind.REDUCE, True) if number % 3 == 2 else (OrderKind.ENTRY, False)
            side = -1 if reduces else 1
            order = OrderRequest(f"ql{number}", kind, "SYN00", side, OrderType.MARKET, 20 + number, reduce_only=reduces)
            answer = await venue.send(order)
            if not answer.message.startswith("nothing was sent"):
                sent.append(order.client_id)
            for _ in range(20):
                venue.budget.limited_until_ms = venue.budget.banned_until_ms = 0
                if answer.order is not None:
                    shown[order.client_id] = (answer.order.lots, answer.order.filled_lots)
                    break
                if answer.code == -2013:
                    break
                answer = await venue.find(order.ref)

    desk.run(trade(desk.make(desk.running.url, settings__timeout=100, reads__attempts=20, reads__pause_ms=0)))
    placed = [entry for entry in desk.ledger("order") if entry["client_id"].startswith("ql")]
    assert desk.count("POST", "order") == len(sent) > 100
    assert len({entry["client_id"] for entry in placed}) == len(placed), "no order twice"
    assert {entry["client_id"] for entry in placed} == set(shown), "what is there is found, what is found is there"
    assert len(desk.running.exchange.faults.struck) > 30
