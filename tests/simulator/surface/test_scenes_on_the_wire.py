"""Scenes as a client sees them, computed by hand: what the user stream says of a partly filled order, of margin, funding and triggers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import numpy as np
import pytest

from quantlab.core.market import Bars, Funding, Instrument, RuleChange
from quantlab.trading.strategy.strategy import Costs

D = Decimal
BTC = {"symbol": "BTCUSDT"}
START_MS, INTERVAL_MS = 1_742_083_200_000, 300_000
FLAT = (1000.0, 1000.0, 1000.0, 1000.0)
#: No slippage; a tenth of a bar's volume.
PLAIN = Costs(slippage_bps=0.0, participation=0.1, liquidation_fee_bps=125.0)


@pytest.fixture
def make_scene(make_client: Callable, still_bars: Callable) -> Callable[..., Any]:
    """``make_scene(rows, ...)``: a client of one symbol, with a user stream."""

    def make(rows: list[tuple[float, ...]], *, volume: float = 10_000.0, bars: Bars | None = None, **more: Any) -> Any:
        client = make_client(bars=still_bars(rows, volume=volume) if bars is None else bars, costs=PLAIN, **more)
        client.take("POST", "listenKey")
        return client

    return make


def heard(client: Any, event: str, *names: str) -> list[tuple[Any, ...]]:
    """Fields of the frames of one event since the last call, of the order where it has one."""
    frames = [frame.document for frame in client.exchange.user_frames() if frame.event == event]
    return [tuple(frame.get("o", frame)[name] for name in names) for frame in frames]


def market(side: str, quantity: str) -> dict[str, str]:
    return {**BTC, "side": side, "type": "MARKET", "quantity": quantity}


def test_a_partly_filled_maker_is_told_with_its_sums_and_its_mean_price(make_scene) -> None:
    """One unit a bar of 2.5: at 1040, at the open of 1045, at 1040; means 1040, 1042.5, 2605 / 2.5 = 1042."""
    rows = [(1000.0, 1050.0, 1000.0, 1045.0), (1045.0, 1050.0, 1030.0, 1030.0), (1030.0, 1041.0, 1030.0, 1035.0), FLAT]
    client = make_scene(rows, volume=10.0)
    sell = {**BTC, "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "2.5", "price": "1040"}
    client.take("POST", "order", **sell)
    for _ in range(3):
        client.pass_time()
    assert heard(client, "ORDER_TRADE_UPDATE", "x", "X", "l", "L", "z", "ap", "m", "n", "t") == [
        ("NEW", "NEW", "0", "0", "0.000", "0.0", False, "0", 0),
        ("TRADE", "PARTIALLY_FILLED", "1.000", "1040.0", "1.000", "1040.0", True, "0.15600000", 1),
        ("TRADE", "PARTIALLY_FILLED", "1.000", "1045.0", "2.000", "1042.5", True, "0.15675000", 2),
        ("TRADE", "FILLED", "0.500", "1040.0", "2.500", "1042.0", True, "0.07800000", 3),
    ]
    row = client.take("GET", "order", **BTC, orderId=1)
    assert (row["status"], row["executedQty"], row["avgPrice"], row["cumQuote"]) == (
        "FILLED",
        "2.500",
        "1042.0",
        "2605.0000",
    )


def test_a_position_s_profits_are_told_together_before_fees(make_scene) -> None:
    client = make_scene([FLAT, (1020.0,) * 4, (1010.0,) * 4, FLAT])
    for side, quantity in (("BUY", "2"), ("SELL", "1"), ("SELL", "1")):
        client.take("POST", "order", **market(side, quantity))
        client.pass_time()
    frames = [f.document["a"] for f in client.exchange.user_frames() if f.event == "ACCOUNT_UPDATE"]
    told = [(f["m"], f["P"][0]["pa"], f["P"][0]["cr"]) for f in frames]
    assert told == [("ORDER", "2.000", "0.00000000"), ("ORDER", "1.000", "20.00000000"), ("ORDER", "0.000", "30.00000000")]  # fmt: skip


def test_funding_is_told_without_the_position(make_scene, still_bars) -> None:
    """2 x 1000 x 0.0001 = 0.2, paid by the long at the next bar's open."""
    bars = still_bars([FLAT] * 3)
    stamps = np.array([START_MS + INTERVAL_MS], np.int64)
    client = make_scene([], bars=dataclasses.replace(bars, funding=Funding(stamps, np.array([[0.0001]]))))
    client.take("POST", "order", **market("BUY", "2"))
    client.exchange.user_frames()
    client.pass_time()
    (frame,) = [f.document for f in client.exchange.user_frames()]
    assert (frame["e"], frame["a"]["m"], frame["a"]["P"]) == ("ACCOUNT_UPDATE", "FUNDING_FEE", [])
    assert frame["a"]["B"] == [{"a": "USDT", "wb": "9998.90000000", "cw": "9998.90000000", "bc": "-0.20000000"}]
    (income,) = client.take("GET", "income", incomeType="FUNDING_FEE")
    assert (income["income"], income["time"], income["symbol"]) == ("-0.20000000", START_MS + INTERVAL_MS, "BTCUSDT")


def test_margin_is_told_by_ratio_price_and_call(make_scene) -> None:
    """100 long from 1000, wallet 9955: at 935 worth 3455, maintenance 2805; liquidated at (100000 - 9955) / 97 = 928.30..."""
    client = make_scene([FLAT, (1000.0, 1000.0, 935.0, 935.0), (935.0,) * 4, (935.0, 935.0, 928.3, 930.0), (930.0, 930.0, 928.2, 930.0), FLAT])  # fmt: skip
    client.take("POST", "order", **market("BUY", "100"))
    client.pass_time()
    client.pass_time()
    account = client.take("GET", "/fapi/v3/account")
    assert (account["totalMaintMargin"], account["totalMarginBalance"]) == ("2805.00000000", "3455.00000000")
    (risk,) = client.take("GET", "/fapi/v3/positionRisk")
    shown = (D(100_000) - D(9_955)) / 97
    assert D(risk["liquidationPrice"]) == pytest.approx(shown, abs=D("1e-20"))
    (call,) = [f.document for f in client.exchange.user_frames() if f.event == "MARGIN_CALL"]
    assert call["cw"] == "9955.00000000"
    assert call["p"] == [
        {"s": "BTCUSDT", "ps": "BOTH", "pa": "100.000", "iw": "0", "up": "-6500.00000000", "mt": "CROSSED", "mp": "935.0", "mm": "2805.00000000"}
    ]  # fmt: skip
    client.pass_time()
    client.pass_time()
    assert client.take("GET", "forceOrders") == []
    client.pass_time()
    (forced,) = client.take("GET", "forceOrders")
    assert (forced["avgPrice"], forced["executedQty"], forced["clientOrderId"]) == ("928.2", "100.000", "autoclose-2")


def test_a_trailing_stop_is_told_by_its_states_and_what_it_became(make_scene) -> None:
    """Active at 1050, 2 % below it is 1029.0; the next bar falls through it."""
    client = make_scene([(1000.0, 1050.0, 1000.0, 1045.0), (1045.0, 1046.0, 1020.0, 1025.0), FLAT])
    client.take("POST", "order", **market("BUY", "1"))
    trailing = {**BTC, "side": "SELL", "algoType": "CONDITIONAL", "type": "TRAILING_STOP_MARKET", "quantity": "1"}
    trailing |= {"activatePrice": "1050", "callbackRate": "2", "reduceOnly": "true"}
    assert client.refused("POST", "algoOrder", **{**trailing, "activatePrice": "1000"}) == -2021
    placed = client.take("POST", "algoOrder", **trailing)
    assert (placed["activatePrice"], D(placed["callbackRate"]), placed["triggerPrice"]) == ("1050.0", 2, "0.0")
    client.pass_time()
    assert client.take("GET", "algoOrder", algoId=placed["algoId"])["triggerPrice"] == "1029.0"
    client.pass_time()
    assert heard(client, "ALGO_UPDATE", "X", "ai", "act", "aq", "ap") == [
        ("NEW", "", "", "0", "0"),
        ("TRIGGERED", "2", "MARKET", "0.000", "0.0"),
        ("FINISHED", "2", "MARKET", "1.000", "1029.0"),
    ]
    row = client.take("GET", "algoOrder", algoId=placed["algoId"])
    assert (row["algoStatus"], row["actualPrice"], row["actualQty"]) == ("FINISHED", "1029.0", "1.000")


def test_the_end_of_an_order_counts_in_whole_seconds_and_ends_it_as_expired(make_scene) -> None:
    client = make_scene([FLAT] * 4)
    limit = {**BTC, "side": "SELL", "type": "LIMIT", "timeInForce": "GTD", "quantity": "1", "price": "1040"}
    end = START_MS + 2 * INTERVAL_MS + 1_000
    assert client.refused("POST", "order", **limit, goodTillDate=START_MS + 600_999) == -5040
    assert client.refused("POST", "order", **limit) == -1102
    assert client.take("POST", "order", **limit, goodTillDate=end + 999)["goodTillDate"] == end
    client.pass_time()
    client.pass_time()
    assert [row["orderId"] for row in client.take("GET", "openOrders")] == [1]
    client.pass_time()
    assert heard(client, "ORDER_TRADE_UPDATE", "x", "X", "gtd") == [("NEW", "NEW", end), ("EXPIRED", "EXPIRED", end)]


def test_a_settlement_is_an_order_of_the_venue_s_own(make_scene) -> None:
    client = make_scene([(1000.0, 1000.0, 990.0, 990.0), (995.0,) * 4, FLAT])
    client.take("POST", "order", **market("BUY", "2"))
    client.pass_time()
    client.exchange.venue.delist("BTCUSDT", client.exchange.venue.now_ms)
    trade = client.take("GET", "userTrades", **BTC)[-1]
    assert (trade["price"], trade["qty"], trade["realizedPnl"], trade["commission"]) == (
        "990.0",
        "2.000",
        "-20.00000000",
        "0.89100000",
    )
    row = client.take("GET", "order", **BTC, orderId=trade["orderId"])
    assert (row["clientOrderId"], row["type"], row["status"]) == ("settlement_autoclose-2", "MARKET", "FILLED")
    assert client.refused("POST", "order", **market("BUY", "1")) == -4108
    info = json.loads(client.send("GET", "/fapi/v1/exchangeInfo").body)["symbols"]
    assert [symbol["status"] for symbol in info] == ["SETTLING"]


# -- steps, as exchangeInfo says them and ccxt reads them --------------------------------------------------------------


def read_markets(client: Any) -> ccxt.binanceusdm:
    """ccxt with the markets that ``exchangeInfo`` gives now."""
    reader = ccxt.binanceusdm()
    reader.set_markets(reader.parse_markets(json.loads(client.send("GET", "/fapi/v1/exchangeInfo").body)["symbols"]))
    return reader


def test_new_steps_are_said_from_their_date_on_and_ccxt_rounds_to_them(make_scene, still_bars) -> None:
    change = RuleChange(START_MS + INTERVAL_MS, "BTC", Instrument(0.5, 0.01, 20.0, 0.03, 1.5, 4.5))
    client = make_scene([], bars=dataclasses.replace(still_bars([FLAT] * 3), rule_changes=(change,)))
    said = []
    for _ in range(2):
        (symbol,) = json.loads(client.send("GET", "/fapi/v1/exchangeInfo").body)["symbols"]
        rules = {row["filterType"]: row for row in symbol["filters"]}
        said.append(
            (
                D(rules["PRICE_FILTER"]["tickSize"]),
                D(rules["LOT_SIZE"]["stepSize"]),
                D(rules["MARKET_LOT_SIZE"]["minQty"]),
                D(rules["MIN_NOTIONAL"]["notional"]),
                symbol["pricePrecision"],
                symbol["quantityPrecision"],
            )
        )
        reader = read_markets(client)
        said.append(
            (reader.price_to_precision("BTC/USDT:USDT", 990.37), reader.amount_to_precision("BTC/USDT:USDT", 0.0379))
        )
        client.pass_time()
    assert said == [
        (D("0.1"), D("0.001"), D("0.001"), 5, 1, 3),
        ("990.4", "0.037"),
        (D("0.5"), D("0.01"), D("0.01"), 20, 1, 2),
        ("990.5", "0.03"),
    ]


@pytest.mark.parametrize("price", [0.000012345, 0.17385, 27.1234, 61_234.5])
def test_on_a_fine_grid_any_price_of_the_data_can_be_ordered_as_ccxt_writes_it(make_scene, still_bars, price) -> None:
    bars = still_bars([(price,) * 4] * 3, volume=1e9)
    client = make_scene([], bars=dataclasses.replace(bars, instruments=(Instrument(0.0, 0.0, 5.0, 0.03, 1.5, 4.5),)))
    reader = read_markets(client)
    market = reader.market("BTC/USDT:USDT")
    assert market["limits"]["price"]["min"] <= price <= market["limits"]["price"]["max"]
    text = reader.price_to_precision("BTC/USDT:USDT", price)
    assert D(text) == D(repr(price))
    size = reader.amount_to_precision("BTC/USDT:USDT", 50 / price)
    assert 50 - float(size) * price <= 2e-5
    order = client.take("POST", "order", **BTC, side="SELL", type="LIMIT", timeInForce="GTC", quantity=size, price=text)
    assert (D(order["price"]), D(order["origQty"])) == (D(text), D(size))
