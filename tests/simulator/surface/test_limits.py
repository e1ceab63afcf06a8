"""Weights, order counts and bans."""

from __future__ import annotations

import json
from collections.abc import Callable

from quantlab.simulator.wire.limits import LimitRules


def test_weight_is_counted_by_minute_and_said_in_a_header(client) -> None:
    used = [client.send("GET", "/fapi/v1/klines", "symbol=SYN00USDT&interval=5m&limit=1000").headers for _ in range(3)]
    assert [headers["X-MBX-USED-WEIGHT-1M"] for headers in used] == ["5", "10", "15"]
    client.now_ms += 59_999
    assert client.send("GET", "/fapi/v1/ping").headers["X-MBX-USED-WEIGHT-1M"] == "16"
    client.now_ms += 1
    assert client.send("GET", "/fapi/v1/ping").headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_orders_are_counted_and_refused_beyond_the_limit(make_client: Callable) -> None:
    client = make_client(limits=LimitRules(orders_10s=2))
    order = {"symbol": "SYN00USDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    replies = [client.ask("POST", "/fapi/v1/order", **order) for _ in range(3)]
    assert [reply.headers["X-MBX-ORDER-COUNT-10S"] for reply in replies] == ["1", "2", "3"]
    assert (replies[2].status, json.loads(replies[2].body)["code"]) == (429, -1015)
    assert len(client.ledger("order")) == 2
    client.now_ms += 10_000
    assert client.ask("POST", "/fapi/v1/order", **order).status == 200


def test_a_batch_counts_as_five_orders_of_ten_seconds_and_one_of_the_minute(client) -> None:
    order = {"symbol": "SYN00USDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    client.ask("POST", "/fapi/v1/order", **order)
    headers = client.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([order, order])).headers
    assert [headers[f"X-MBX-ORDER-COUNT-{window}"] for window in ("10S", "1M")] == ["6", "2"]
    assert headers["X-MBX-USED-WEIGHT-1M"] == "5"


def test_who_asks_on_is_banned_each_time_twice_as_long(make_client: Callable) -> None:
    client = make_client(limits=LimitRules(weight_1m=3, ban_after=2, ban_ms=100_000, longest_ban_ms=250_000))
    bans = []
    for _ in range(4):
        while (reply := client.send("GET", "/fapi/v1/ping")).status != 418:
            assert reply.status in (200, 429)
            assert reply.status == 200 or int(reply.headers["Retry-After"]) <= 60
        bans.append(int(reply.headers["Retry-After"]))
        client.now_ms += bans[-1] * 1_000 - 1
        assert client.send("GET", "/fapi/v1/ping").status == 418
        client.now_ms += 1
        assert client.send("GET", "/fapi/v1/ping").status == 200
        client.now_ms += 60_000
    assert bans == [100, 200, 250, 250]
