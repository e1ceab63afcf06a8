"""States and numbers of orders and accounts where one thing meets another: same ids, amendments, margins, unknown ticks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal

from quantlab.core.market import Instrument
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, open_exchange

SYMBOL = {"symbol": "SYN00USDT"}
BUY = {**SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "2", "newOrderRespType": "RESULT"}
REST = {**SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "2", "price": "800"}
STOP = {
    **SYMBOL,
    "side": "SELL",
    "algoType": "CONDITIONAL",
    "type": "STOP_MARKET",
    "quantity": "1",
    "triggerPrice": "800",
    "reduceOnly": "true",
}


def test_limit_orders_are_taken_at_the_market_where_ticks_and_lots_are_unknown(
    client, small_market, exchange_costs
) -> None:
    unknown = dataclasses.replace(small_market, instruments=(Instrument(0.0, 0.0, 5.0, 0.01, 2.0, 4.0),) * 2)
    settings = Settings(VenueRules("lockstep"), history_bars=100)
    client.exchange = open_exchange(unknown, exchange_costs, settings, client.now_ms)
    price = json.loads(client.send("GET", "/fapi/v1/ticker/price", "symbol=SYN00USDT").body)["price"]
    rule = json.loads(client.send("GET", "/fapi/v1/exchangeInfo").body)["symbols"][0]["filters"][0]
    assert Decimal(rule["maxPrice"]) > 1_000 * Decimal(price)
    order = client.take("POST", "order", **{**REST, "price": f"{2 * float(price):.2f}", "newOrderRespType": "RESULT"})
    assert order["status"] == "FILLED"
    assert (
        client.take("POST", "algoOrder", **{**STOP, "triggerPrice": f"{0.9 * float(price):.2f}"})["algoStatus"] == "NEW"
    )


def test_an_open_order_is_found_by_its_client_id_before_one_that_a_trigger_made(client) -> None:
    """A stop may have the client id of an open plain order, and the order that comes of it keeps that id."""
    venue = client.exchange.venue
    client.take("POST", "order", **BUY)
    resting = client.take("POST", "order", **{**REST, "price": "500"}, newClientOrderId="same")
    price = Decimal(json.loads(client.send("GET", "/fapi/v1/ticker/price", "symbol=SYN00USDT").body)["price"])
    level = f"{price * Decimal('0.9999'):.2f}"
    client.take("POST", "algoOrder", **{**STOP, "triggerPrice": level}, clientAlgoId="same")
    while venue.open_conditional("main", None, venue.now_ms):
        client.pass_time()
    assert [entry["client_id"] for entry in client.ledger("order")] == ["auto_1", "same", "same"]
    assert client.take("GET", "order", **SYMBOL, origClientOrderId="same")["orderId"] == resting["orderId"]
    assert client.refused("POST", "order", **REST, newClientOrderId="same") == -4116
    assert client.take("DELETE", "order", **SYMBOL, origClientOrderId="same")["orderId"] == resting["orderId"]
    assert client.refused("DELETE", "order", **SYMBOL, origClientOrderId="same") == -2011


def test_an_amendment_is_refused_by_what_is_wrong_with_it(client) -> None:
    filled, resting = client.take("POST", "order", **BUY), client.take("POST", "order", **REST)
    asked = {**SYMBOL, "side": "BUY", "quantity": "2", "price": "801"}
    assert client.refused("PUT", "order", **asked, orderId=filled["orderId"]) == -5025
    assert client.refused("PUT", "order", **{**asked, "quantity": "0.001"}, orderId=resting["orderId"]) == -5029
    assert client.refused("PUT", "order", **{**asked, "price": "800"}, orderId=resting["orderId"]) == -5027
    client.take("DELETE", "order", **SYMBOL, orderId=resting["orderId"])
    assert client.refused("PUT", "order", **asked, orderId=resting["orderId"]) == -2013
    assert client.refused("PUT", "order", **asked, orderId=77) == -2013
    assert client.ledger("amend") == []


def test_a_fill_or_kill_order_fills_whole_or_leaves_nothing(client) -> None:
    filled = {**REST, "timeInForce": "FOK", "price": "2000", "newOrderRespType": "RESULT"}
    assert client.take("POST", "order", **filled)["status"] == "FILLED"
    assert client.refused("POST", "order", **{**filled, "price": "800"}) == -5021
    venue = client.exchange.venue
    venue.set_liquidity("SYN00USDT", 0.0, venue.now_ms)
    assert client.refused("POST", "order", **filled) == -5021
    assert len(client.ledger("order")) == 1


def test_margins_of_positions_add_up_to_the_account_s(client) -> None:
    client.take("POST", "order", **BUY)
    client.take("POST", "order", **REST)
    client.take("POST", "order", **{**REST, "symbol": "SYN01USDT", "price": "0.00003", "quantity": "1000000"})
    account, rows = client.take("GET", "/fapi/v3/account"), client.take("GET", "/fapi/v3/positionRisk")
    for name in ("initialMargin", "positionInitialMargin", "openOrderInitialMargin"):
        total = Decimal(account[f"total{name[0].upper()}{name[1:]}"])
        assert total > 0
        for positions in (account["positions"], rows):
            assert abs(sum(Decimal(row[name]) for row in positions) - total) <= Decimal("2e-8"), name


def test_profits_that_are_not_realised_cannot_be_withdrawn(client) -> None:
    client.take("POST", "order", **BUY)
    client.pass_time()
    client.exchange.venue.state.marks["SYN00USDT"] *= 2
    account = client.take("GET", "/fapi/v2/account")
    assert Decimal(account["availableBalance"]) > Decimal(account["totalWalletBalance"])
    assert account["maxWithdrawAmount"] == account["totalWalletBalance"]


def test_orders_are_counted_by_symbol(make_client: Callable) -> None:
    client = make_client(max_orders=1, max_conditional=1)
    client.take("POST", "order", **BUY)
    other = {"symbol": "SYN01USDT", "price": "0.00003", "quantity": "1000000"}
    client.take("POST", "order", **REST)
    client.take("POST", "order", **{**REST, **other})
    assert client.refused("POST", "order", **REST) == -2025
    client.take("POST", "algoOrder", **STOP)
    assert client.refused("POST", "algoOrder", **STOP) == -4045
    client.take("POST", "algoOrder", **{**STOP, "symbol": "SYN01USDT", "triggerPrice": "0.00003"})


def test_leverage_that_the_account_cannot_bear_is_refused(client) -> None:
    client.take("POST", "order", **{**BUY, "quantity": "12"})
    assert client.refused("POST", "leverage", **SYMBOL, leverage=1) == -2028
    assert client.refused("POST", "leverage", **SYMBOL, leverage=126) == -4028
    assert client.take("POST", "leverage", **SYMBOL, leverage=10)["leverage"] == 10
