"""Thousands of random requests, sound and not: each is answered in JSON, and the books still add up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from quantlab.simulator.surface.exchange import ROUTES
from quantlab.simulator.wire.limits import LimitRules

WIDE = LimitRules(weight_1m=10**9, orders_10s=10**9, orders_1m=10**9)
ODD = ("", "0", "-1", "1e5", "NaN", "9" * 20, f"{'9' * 20}.{'9' * 20}", "0.00000000000000000001", "true", "[1]", "[{}]", "{}", "[", "null", "\u00fc", "a b", "STOP", "GTD")  # fmt: skip
SOUND = {
    "symbol": ("SYN00USDT", "SYN01USDT"),
    "side": ("BUY", "SELL"),
    "type": ("MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET"),
    "quantity": ("1", "2.5", "0.5"),
    "price": ("960.00", "980.12", "950.00"),
    "triggerPrice": ("900.00", "1000.00"),
    "timeInForce": ("GTC", "IOC", "GTX"),
    "algoType": ("CONDITIONAL",),
    "closePosition": ("true", "False"),
    "reduceOnly": ("true", "false"),
    "orderId": ("1", "3"),
    "algoId": ("1",),
    "startTime": ("0", "1735719600000"),
    "limit": ("5",),
    "interval": ("5m", "1h"),
    "leverage": ("3",),
    "batchOrders": ('[{"symbol":"SYN00USDT","side":"BUY","type":"MARKET","quantity":2},{"symbol":1},{"side":[]}]',),
    "orderIdList": ("[1,2]",),
    "origClientOrderIdList": ('["a"]',),
    "countdownTime": ("1000",),
    "contractType": ("PERPETUAL",),
    "pair": ("SYN00USDT",),
    "incomeType": ("COMMISSION",),
}
USED = {
    "MARKET": ("symbol", "side", "type", "quantity"),
    "LIMIT": ("symbol", "side", "type", "quantity", "price", "timeInForce"),
    "STOP_MARKET": ("symbol", "side", "type", "quantity", "algoType", "triggerPrice"),
    "TAKE_PROFIT_MARKET": ("symbol", "side", "type", "quantity", "algoType", "triggerPrice"),
}


@pytest.mark.parametrize("mode", ["lockstep", "wall"])
def test_no_request_breaks_the_exchange_and_its_books_add_up(make_client: Callable, mode: str) -> None:
    client, rng = make_client(mode, limits=WIDE, pace=300.0), random.Random(5)  # noqa: S311
    routes = [*ROUTES, *[("POST", "/fapi/v1/order")] * 40, *[("POST", "/fapi/v1/algoOrder")] * 25]
    for k in range(3_000):
        method, path = rng.choice(routes)
        kind = rng.choice(SOUND["type"])
        names = (
            USED[kind] if method == "POST" and path.endswith("rder") else rng.sample(sorted(SOUND), rng.randint(0, 3))
        )
        asked = {name: kind if name == "type" else rng.choice(SOUND[name]) for name in names}
        if asked and rng.random() < 0.3:
            asked[rng.choice(sorted(asked))] = rng.choice(ODD)
        reply = client.ask(method, path, **asked)
        assert reply.status in (200, 400, 401, 404), (method, path, asked, reply)
        json.loads(reply.body)
        client.exchange.user_frames()
        if k % 30 == 0:
            client.pass_time()
    account = client.exchange.venue.state.accounts["main"]
    trades = client.ledger("trade")
    assert len(trades) > 30
    assert account.wallet == sum(income.amount for income in account.incomes)
    fees = sum(Decimal(trade["fee"]) for trade in trades)
    assert fees == -sum(i.amount for i in account.incomes if i.type == "COMMISSION")
    for symbol in client.exchange.venue.listings:
        signed = [t["lots"] if t["side"] == "BUY" else -t["lots"] for t in trades if t["symbol"] == symbol]
        assert sum(signed) == account.lots(symbol)
    rested = {e["order_id"] for e in client.ledger("order")} - {e["order_id"] for e in client.ledger("order_end")}
    assert rested == set(account.open_orders)
