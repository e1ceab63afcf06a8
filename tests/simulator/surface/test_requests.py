"""Requests as the venue reads them: signature, clock, rights, parameters; each refusal by its code."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from quantlab.core.errors import ConfigError
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings
from quantlab.simulator.surface.exchange import ROUTES
from quantlab.simulator.wire.signing import Security

ORDER = {"symbol": "SYN00USDT", "side": "BUY", "type": "MARKET", "quantity": "1.5"}
LIMIT = {**ORDER, "type": "LIMIT", "timeInForce": "GTC", "price": "900.00"}
ALGO = {
    "algoType": "CONDITIONAL",
    "symbol": "SYN00USDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "800.00",
    "closePosition": "true",
}


def _code(reply) -> int:
    return json.loads(reply.body)["code"]


def test_a_signature_covers_the_raw_query_and_the_raw_body_together(client) -> None:
    query, body = (
        "symbol=SYN00USDT&side=BUY&newClientOrderId=a%2Fb",
        f"type=MARKET&quantity=1.500&timestamp={client.now_ms}",
    )
    signed = f"{body}&signature={client.sign(query + body)}"
    assert client.send("POST", "/fapi/v1/order", query, signed).status == 200
    assert client.ledger("order")[0]["client_id"] == "a/b"
    decoded = query.replace("%2F", "/")  # the same parameters, another text
    assert _code(client.send("POST", "/fapi/v1/order", decoded, signed)) == -1022
    assert len(client.ledger("order")) == 1


@pytest.mark.parametrize(
    ("offset_ms", "window", "code"),
    [
        (0, None, 200),
        (-4_999, None, 200),
        (-5_001, None, -1021),
        (-9_000, "10000", 200),
        (999, None, 200),
        (1_000, None, -1021),
        (0, "60001", -1131),
    ],
)
def test_a_time_stamp_must_lie_in_its_window(client, offset_ms: int, window: str | None, code: int) -> None:
    pairs = {**ORDER, "timestamp": client.now_ms + offset_ms} | ({"recvWindow": window} if window else {})
    text = urlencode(pairs)
    reply = client.send("POST", "/fapi/v1/order", body=f"{text}&signature={client.sign(text)}")
    assert (reply.status if code == 200 else _code(reply)) == code


def test_keys_are_refused_by_what_is_wrong_with_them(client, make_client: Callable) -> None:
    client.headers = {}
    assert (client.ask("POST", "/fapi/v1/order", **ORDER).status, client.refused("POST", "order", **ORDER)) == (
        401,
        -2014,
    )
    client.headers = {"x-mbx-apikey": "another"}
    assert client.refused("POST", "order", **ORDER) == -2015
    reader = make_client(can_trade=False)
    assert reader.refused("POST", "order", **ORDER) == -2015
    assert reader.take("GET", "/fapi/v2/account")["canTrade"] is False
    restrictions = reader.take("GET", "/sapi/v1/account/apiRestrictions")
    assert (restrictions["enableWithdrawals"], restrictions["enableFutures"]) == (False, False)
    reader.signs_with = "wrong"
    assert reader.refused("GET", "/fapi/v2/account") == -1022


@pytest.mark.parametrize(
    ("path", "parameters", "changes", "code"),
    [
        ("order", ORDER, {"symbol": None}, -1102),
        ("order", ORDER, {"symbol": "NONEUSDT"}, -1121),
        ("order", ORDER, {"side": "HOLD"}, -1117),
        ("order", ORDER, {"type": "ICEBERG"}, -1116),
        ("order", ORDER, {"type": "STOP_MARKET", "stopPrice": "800"}, -4120),
        ("order", ORDER, {"quantity": ""}, -1105),
        ("order", ORDER, {"quantity": "1e2"}, -1100),
        ("order", ORDER, {"quantity": "-1"}, -1100),
        ("order", ORDER, {"quantity": "NaN"}, -1100),
        ("order", ORDER, {"quantity": "1.0005"}, -1111),
        ("order", ORDER, {"quantity": "0"}, -4003),
        ("order", ORDER, {"quantity": "9" * 20}, -4005),
        ("order", ORDER, {"quantity": f"{'9' * 20}.{'9' * 20}"}, -1111),
        ("order", LIMIT, {"price": "9" * 20}, -4002),
        ("order", ORDER, {"price": "900"}, -1106),
        ("order", ORDER, {"timeInForce": "GTC"}, -1106),
        ("order", ORDER, {"quantity": "1\n"}, -1100),
        ("order", ORDER, {"newClientOrderId": "a\n"}, -1100),
        ("order", ORDER, {"positionSide": "BACK"}, -4060),
        ("order", ORDER, {"workingType": "LAST"}, -4031),
        ("order", ORDER, {"priceMatch": "QUEUE"}, -5037),
        ("order", ORDER, {"selfTradePreventionMode": "SOME"}, -5039),
        ("order", LIMIT, {"timeInForce": "FOK"}, -5021),
        ("order", ORDER, {"closePosition": "true"}, -4136),
        ("order", ORDER, {"positionSide": "LONG"}, -4061),
        ("order", ORDER, {"reduceOnly": "maybe"}, -1102),
        ("order", ORDER, {"newOrderRespType": "FULL"}, -1136),
        ("order", ORDER, {"newClientOrderId": "x" * 37}, -4015),
        ("order", ORDER, {"newClientOrderId": "a b"}, -1100),
        ("order", ORDER, {"colour": "red"}, -1104),
        ("order", LIMIT, {"timeInForce": None}, -1102),
        ("order", LIMIT, {"timeInForce": "EVER"}, -1115),
        ("order", LIMIT, {"price": "900.001"}, -1111),
        ("order", LIMIT, {"price": "0"}, -4001),
        ("order", LIMIT, {"quantity": "0.001"}, -4164),
        ("algoOrder", ALGO, {"algoType": None}, -1102),
        ("algoOrder", ALGO, {"type": "MARKET"}, -4120),
        ("algoOrder", ALGO, {"quantity": "1"}, -4137),
        ("algoOrder", ALGO, {"reduceOnly": "true"}, -1106),
        ("algoOrder", ALGO, {"type": "STOP", "price": "800"}, -4136),
        ("algoOrder", ALGO, {"triggerPrice": None}, -1102),
        ("algoOrder", ALGO, {"triggerPrice": "99999"}, -2021),
        ("algoOrder", {**ALGO, "closePosition": "false"}, {}, -1102),
        ("algoOrder", {**ALGO, "closePosition": "false", "type": "TRAILING_STOP_MARKET", "quantity": "1"}, {"callbackRate": "11"}, -2007),
    ],
)  # fmt: skip
def test_each_malformed_order_has_its_code_and_leaves_nothing(
    client, path: str, parameters, changes, code: int
) -> None:
    asked = {name: value for name, value in {**parameters, **changes}.items() if value is not None}
    assert client.refused("POST", path, **asked) == code
    assert client.ledger("order") + client.ledger("algo") == []


def test_booleans_are_texts_in_any_case(client) -> None:
    client.take("POST", "order", **ORDER)
    assert client.take("POST", "algoOrder", **{**ALGO, "closePosition": "True"})["closePosition"] is True


def test_sizes_and_prices_are_exact_decimals(client) -> None:
    order = client.take("POST", "order", **{**LIMIT, "quantity": "0.123", "price": "870.07"})
    assert (order["origQty"], order["price"]) == ("0.123", "870.07")
    kept = client.ledger("order")[0]
    assert (kept["lots"], kept["price_ticks"]) == (123, 87_007)


def test_a_duplicate_parameter_is_refused_and_the_query_counts_before_the_body(client) -> None:
    text = urlencode({**ORDER, "timestamp": client.now_ms}) + "&side=SELL"
    assert _code(client.send("POST", "/fapi/v1/order", body=f"{text}&signature={client.sign(text)}")) == -1101
    body = urlencode({**ORDER, "timestamp": client.now_ms})
    signed = f"side=SELL&signature={client.sign('side=SELL' + body)}"
    reply = client.send("POST", "/fapi/v1/order", signed, f"{body}&signature=00")
    assert (reply.status, json.loads(reply.body)["side"]) == (200, "SELL")


@pytest.mark.parametrize("odd", ["%C2%B2", "9" * 5_000, "5%0A"])
def test_digits_of_other_scripts_and_endless_ones_are_no_numbers(client, odd: str) -> None:
    reply = client.send("GET", "/fapi/v1/klines", f"symbol=SYN00USDT&interval=5m&limit={odd}")
    assert _code(reply) == -1102
    text = f"timestamp={odd}"
    assert _code(client.send("GET", "/fapi/v2/account", f"{text}&signature={client.sign(text)}")) == -1102
    text = f"recvWindow={odd}&timestamp={client.now_ms}"
    assert _code(client.send("GET", "/fapi/v2/account", f"{text}&signature={client.sign(text)}")) == -1102


def test_other_endpoints_have_the_venue_s_codes_too(client) -> None:
    symbol = {"symbol": "SYN00USDT"}
    times = {"startTime": 2, "endTime": 1}
    assert client.refused("GET", "income", **times) == -1023
    assert client.refused("POST", "marginType", **symbol, marginType="HALF") == -1130
    assert client.refused("DELETE", "batchOrders", **symbol, orderIdList=str([*range(1, 12)])) == -4032
    assert client.refused("PUT", "listenKey") == -1125
    for asked, code in (
        ({"pair": "NONE", "contractType": "PERPETUAL"}, -4144),
        ({"pair": "SYN00USDT", "contractType": "NEXT_QUARTER"}, -4104),
    ):
        text = urlencode({**asked, "interval": "5m"})
        assert _code(client.send("GET", "/fapi/v1/continuousKlines", text)) == code
    text = urlencode({**symbol, "interval": "5m", **times})
    assert _code(client.send("GET", "/fapi/v1/klines", text)) == -1023


@pytest.mark.parametrize("nested", ["[" * 100_000, '[{"a":' + "[" * 800 + "]" * 800 + "}]"])
def test_deeply_nested_batches_are_refused(client, nested: str) -> None:
    reply = client.ask("POST", "/fapi/v1/batchOrders", batchOrders=nested)
    assert reply.status in (200, 400)
    assert "code" in reply.body
    assert client.ledger("order") == []


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_endpoint_refuses_what_it_does_not_know_before_it_acts(client, route: tuple[str, str]) -> None:
    method, path = route
    needed = {
        "symbol": "SYN00USDT",
        "pair": "SYN00USDT",
        "contractType": "PERPETUAL",
        "interval": "5m",
        "leverage": "3",
    }
    needed |= {
        "orderId": "1",
        "algoId": "1",
        "countdownTime": "0",
        "marginType": "CROSSED",
        "dualSidePosition": "false",
    }
    needed |= {"multiAssetsMargin": "false", "feeBurn": "false", "orderIdList": "[1]", "batchOrders": "[{}]"}
    needed |= {**ALGO} if path.endswith("algoOrder") and method == "POST" else {**LIMIT} if "rder" in path else {}
    entries, events = len(client.exchange.venue.ledger), client.exchange.venue.take_events()
    assert events == ()
    if ROUTES[route].security < Security.READ:
        text = urlencode({**needed, "colour": "red"})
        assert _code(client.send(method, path, text)) in (-1104, -1103)
    else:
        assert client.refused(method, path, **needed, colour="red") == -1104
    assert (len(client.exchange.venue.ledger), client.exchange.venue.take_events()) == (entries, ())


def test_an_unknown_path_is_404(client) -> None:
    reply = client.ask("GET", "/fapi/v1/nothing")
    assert (reply.status, _code(reply)) == (404, -5000)


def test_keys_in_the_shape_of_real_ones_are_refused() -> None:
    with pytest.raises(ConfigError, match="invented"):
        Settings(VenueRules("wall"), key="aB3" * 21 + "x")
    with pytest.raises(ConfigError, match=r"secret that you invented"):
        Settings(VenueRules("wall"), secret="z" * 64)
