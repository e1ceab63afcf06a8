"""Rules of the two order books as a client meets them: codes, switches, lag, forced orders, lists of the past."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from quantlab.core.clock import MS_PER_WEEK
from quantlab.simulator.surface.spans import read_page, recent
from quantlab.simulator.wire.parameters import Parameters

SYMBOL = {"symbol": "SYN00USDT"}
BUY = {**SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "2", "newOrderRespType": "RESULT"}
SELL = {**BUY, "side": "SELL", "reduceOnly": "true"}
TAKE = {
    **SYMBOL,
    "side": "SELL",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "2",
    "price": "1200",
    "reduceOnly": "true",
}
STOP = {
    **SYMBOL,
    "side": "SELL",
    "algoType": "CONDITIONAL",
    "type": "STOP_MARKET",
    "triggerPrice": "800",
    "closePosition": "true",
}


def test_the_books_are_listed_and_cancelled_apart(client) -> None:
    client.take("POST", "order", **BUY)
    plain, stop = client.take("POST", "order", **TAKE), client.take("POST", "algoOrder", **STOP)
    assert [row["orderId"] for row in client.take("GET", "openOrders")] == [plain["orderId"]]
    assert [row["algoId"] for row in client.take("GET", "openAlgoOrders")] == [stop["algoId"]]
    assert client.refused("DELETE", "order", **SYMBOL, orderId=99) == -2011
    client.take("DELETE", "allOpenOrders", **SYMBOL)
    assert len(client.take("GET", "openAlgoOrders", **SYMBOL)) == 1
    client.take("DELETE", "algoOpenOrders", **SYMBOL)
    assert client.take("GET", "openAlgoOrders", **SYMBOL) == []
    assert client.take("GET", "order", **SYMBOL, orderId=plain["orderId"])["status"] == "CANCELED"
    assert client.take("GET", "algoOrder", algoId=stop["algoId"])["algoStatus"] == "CANCELED"
    assert client.refused("GET", "openOrder", **SYMBOL, orderId=plain["orderId"]) == -2013


@pytest.mark.parametrize(("rule", "code"), [("shrink", None), ("reject", -2022), ("count_open", -4118)])
def test_a_close_while_a_take_rests_goes_by_the_switch(make_client: Callable, rule: str, code: int | None) -> None:
    client = make_client(reduce_only=rule)
    client.take("POST", "order", **BUY)
    client.take("POST", "order", **TAKE)
    larger = {**SELL, "quantity": "3"}
    if code is None:
        assert client.take("POST", "order", **larger)["executedQty"] == "2.000"
    else:
        assert client.refused("POST", "order", **larger) == code
        assert client.take("GET", "/fapi/v3/positionRisk")[0]["positionAmt"] == "2.000"


def test_a_second_close_position_stop_goes_by_the_switch(make_client: Callable) -> None:
    for allowed in (False, True):
        client = make_client(second_close_position=allowed)
        client.take("POST", "order", **BUY)
        client.take("POST", "algoOrder", **STOP)
        again = {**STOP, "triggerPrice": "810"}
        if allowed:
            client.take("POST", "algoOrder", **again)
        else:
            assert client.refused("POST", "algoOrder", **again) == -4130


def test_an_open_client_id_is_taken_once_and_again_when_its_order_is_over(client) -> None:
    resting = {**SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "800"}
    client.take("POST", "order", **resting, newClientOrderId="mine")
    assert client.refused("POST", "order", **resting, newClientOrderId="mine") == -4116
    client.take("DELETE", "order", **SYMBOL, origClientOrderId="mine")
    client.take("POST", "order", **resting, newClientOrderId="mine")
    assert len(client.ledger("order")) == 2


def test_a_new_order_is_not_found_before_its_lag_is_over(make_client: Callable) -> None:
    client = make_client("wall", lag_ms=500, pace=60.0)
    order = client.take("POST", "order", **TAKE | {"reduceOnly": "false"})
    assert client.refused("GET", "order", **SYMBOL, orderId=order["orderId"]) == -2013
    assert client.take("GET", "openOrders") == []
    client.now_ms += 500
    assert client.take("GET", "order", **SYMBOL, orderId=order["orderId"])["status"] == "NEW"
    assert len(client.take("GET", "openOrders")) == 1


def test_a_batch_takes_and_refuses_each_order_on_its_own(client) -> None:
    batch = [BUY, {**BUY, "quantity": "0"}, {**BUY, "type": "STOP_MARKET"}, TAKE]
    rows = client.take("POST", "batchOrders", batchOrders=json.dumps(batch))
    assert [row.get("code", row.get("status")) for row in rows] == ["FILLED", -4003, -4120, "NEW"]
    gone = client.take("DELETE", "batchOrders", **SYMBOL, orderIdList=f"[{rows[3]['orderId']},77]")
    assert [row.get("code", row.get("status")) for row in gone] == ["CANCELED", -2011]


def test_liquidation_and_adl_are_forced_orders_under_the_venue_s_ids(client) -> None:
    venue = client.exchange.venue
    client.take("POST", "order", **BUY)
    venue.force_adl("main", "SYN00USDT", 500, venue.now_ms)
    venue.force_liquidation("main", venue.now_ms)
    rows = client.take("GET", "forceOrders")
    assert [row["clientOrderId"].startswith(("adl_autoclose", "autoclose-")) for row in rows] == [True, True]
    assert [row["executedQty"] for row in rows] == ["0.500", "1.500"]
    assert len(client.take("GET", "forceOrders", autoCloseType="ADL")) == 1


def test_lists_of_the_past_are_cut_by_id_and_time(client) -> None:
    for _ in range(3):
        client.take("POST", "order", **BUY)
        client.take("POST", "order", **SELL)
        client.pass_time()
    every = client.take("GET", "userTrades", **SYMBOL)
    assert [row["id"] for row in every] == [1, 2, 3, 4, 5, 6]
    assert [row["id"] for row in client.take("GET", "userTrades", **SYMBOL, fromId=4, limit=2)] == [4, 5]
    second = every[2]["time"]
    assert [row["id"] for row in client.take("GET", "userTrades", **SYMBOL, startTime=second)] == [3, 4, 5, 6]
    assert [row["id"] for row in client.take("GET", "userTrades", **SYMBOL, endTime=second)] == [1, 2, 3, 4]
    assert [row["id"] for row in client.take("GET", "userTrades", **SYMBOL, limit=2)] == [5, 6]
    assert [row["id"] for row in client.take("GET", "userTrades", **SYMBOL, orderId=2)] == [2]
    assert client.refused("GET", "userTrades", **SYMBOL, fromId=1, startTime=second) == -1128
    assert client.refused("GET", "userTrades", **SYMBOL, startTime=0, endTime=MS_PER_WEEK + 1) == -4165
    assert client.refused("GET", "userTrades", **SYMBOL, startTime=2, endTime=1) == -1023
    assert client.refused("GET", "userTrades", **SYMBOL, limit=1_001) == -1130
    kinds = [row["incomeType"] for row in client.take("GET", "income", limit=3, page=2)]
    assert kinds == [row["incomeType"] for row in client.take("GET", "income")][3:6]


def test_without_times_a_list_goes_back_seven_days() -> None:
    page = read_page(Parameters({}), 10 * MS_PER_WEEK, ids="fromId", limit=500, largest=1_000)
    times = [9 * MS_PER_WEEK - 1, 9 * MS_PER_WEEK, 10 * MS_PER_WEEK]
    assert recent(times, page, lambda time: time) == times[1:]
    by_id = read_page(Parameters({"fromId": "1"}), 10 * MS_PER_WEEK, ids="fromId", limit=500, largest=1_000)
    assert recent(times, by_id, lambda time: time) == times
