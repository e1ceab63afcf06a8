"""Every field that the venue documents is there, in its JSON type: typed clients read nothing else.

``documented.json`` was read off the models of binance-sdk-derivatives-trading-usds-futures 18.1.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quantlab.simulator.engine.state import ALGO_IDS_AFTER
from quantlab.simulator.surface.market_frames import market_frames

DOCUMENTED = json.loads((Path(__file__).parent / "documented.json").read_text())
TYPES = {"text": str, "whole": int, "flag": bool, "number": (int, float)}
#: Documented, but of another contract or mode than the venue has.
ABSENT = {"ai"}


def differences(document: Any, model: Any, place: str = "") -> list[str]:
    """Fields that are missing or of another type."""
    if isinstance(model, str):
        right = isinstance(document, TYPES[model]) and (model == "flag" or not isinstance(document, bool))
        return [] if right else [f"{place}: {document!r} is no {model}"]
    if isinstance(model, list):
        if not isinstance(document, list):
            return [f"{place}: no list"]
        return [found for one in document[:3] for found in differences(one, model[0], f"{place}[]")]
    missing = [f"{place}.{name} is missing" for name in model if name not in document and name not in ABSENT]
    inside = [name for name in model if name in document]
    return missing + [found for name in inside for found in differences(document[name], model[name], f"{place}.{name}")]


@pytest.fixture
def traded(client):
    """A client whose account has an order, a trade, a stop and a position."""
    client.take("POST", "listenKey")
    symbol = {"symbol": "SYN00USDT"}
    client.take("POST", "order", **symbol, side="BUY", type="MARKET", quantity="2")
    client.take("POST", "order", **symbol, side="BUY", type="LIMIT", timeInForce="GTC", quantity="1", price="800")
    stop = {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": "700", "closePosition": "true"}
    client.take("POST", "algoOrder", **symbol, side="SELL", **stop)
    return client


ARGUMENTS: dict[str, dict[str, str]] = {
    "POST /fapi/v1/order": {"symbol": "SYN00USDT", "side": "BUY", "type": "MARKET", "quantity": "9"},
    "PUT /fapi/v1/order": {"symbol": "SYN00USDT", "orderId": "2", "side": "BUY", "quantity": "1", "price": "801"},
    "POST /fapi/v1/algoOrder": {
        "symbol": "SYN00USDT", "side": "SELL", "algoType": "CONDITIONAL", "type": "TAKE_PROFIT_MARKET", "triggerPrice": "2000", "quantity": "1"
    },
    "POST /fapi/v1/countdownCancelAll": {"symbol": "SYN00USDT", "countdownTime": "100"},
    "POST /fapi/v1/leverage": {"symbol": "SYN00USDT", "leverage": "3"},
    **{f"{method} /fapi/v1/{name}": {"symbol": "SYN00USDT", "orderId": "2"} for method in ("GET", "DELETE") for name in ("order", "openOrder")},
    **{f"{method} /fapi/v1/algoOrder": {"algoId": str(ALGO_IDS_AFTER + 1)} for method in ("GET", "DELETE")},
    **{f"GET /fapi/v1/{name}": {} for name in ("income", "openOrders", "openAlgoOrders", "multiAssetsMargin", "positionSide/dual", "feeBurn", "accountConfig", "rateLimit/order", "exchangeInfo", "time", "adlQuantile", "leverageBracket", "symbolConfig", "forceOrders")},
    **{f"GET /fapi/v{version}/{name}": {} for version in (2, 3) for name in ("account", "balance", "positionRisk")},
    "POST /fapi/v1/listenKey": {},
    "PUT /fapi/v1/listenKey": {},
}  # fmt: skip


@pytest.mark.parametrize("endpoint", DOCUMENTED["rest"])
def test_each_reply_has_every_documented_field(traded, endpoint: str) -> None:
    method, path = endpoint.split()
    document = traded.take(method, path, **ARGUMENTS.get(endpoint, {"symbol": "SYN00USDT"})) if path not in PUBLIC else (
        json.loads(traded.send(method, path, "" if path in WHOLE else "symbol=SYN00USDT").body)
    )  # fmt: skip
    model = DOCUMENTED["rest"][endpoint]
    assert not differences(document, model)
    if isinstance(model, list) and path not in ("/fapi/v1/forceOrders", "/fapi/v1/fundingRate"):
        assert document, "an empty list shows nothing"


WHOLE = {"/fapi/v1/exchangeInfo", "/fapi/v1/time"}
PUBLIC = WHOLE | {f"/fapi/v1/{name}" for name in ("depth", "premiumIndex", "fundingRate")}
PUBLIC |= {f"/fapi/v1/ticker/{name}" for name in ("bookTicker", "price", "24hr")}


def test_user_frames_have_every_documented_field(traded) -> None:
    venue = traded.exchange.venue
    venue.force_liquidation("main", venue.now_ms)
    traded.take("POST", "leverage", symbol="SYN00USDT", leverage="3")
    frames = {frame.event: frame.document for frame in traded.exchange.user_frames()}
    frames["listenKeyExpired"] = traded.exchange.expire_key(
        traded.exchange.listen_keys.key("main"), traded.now
    ).document
    assert {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "ACCOUNT_CONFIG_UPDATE", "listenKeyExpired"} <= set(
        frames
    )
    for event in set(frames) & set(DOCUMENTED["streams"]):
        assert not differences(frames[event], DOCUMENTED["streams"][event]), event


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("syn00usdt@kline_5m", "kline"),
        ("syn00usdt_perpetual@continuousKline_15m", "continuous_kline"),
        ("syn00usdt@markPrice@1s", "markPriceUpdate"),
        ("syn00usdt@bookTicker", "bookTicker"),
        ("syn00usdt@aggTrade", "aggTrade"),
        ("syn00usdt@ticker", "24hrTicker"),
        ("syn00usdt@miniTicker", "24hrMiniTicker"),
        ("syn00usdt@depth5@100ms", "depthUpdate"),
    ],
)
def test_market_frames_have_every_documented_field(client, stream: str, event: str) -> None:
    venue = client.exchange.venue
    since = venue.row
    for _ in range(4):
        venue.advance(venue.close_ms)
    frames = market_frames(venue.state, stream, since)
    assert frames
    for frame in frames:
        assert frame["e"] == event
        assert not differences(frame, DOCUMENTED["streams"][event])


def test_candles_are_the_data_s_bars_to_the_last_bit(client, small_market) -> None:
    rows = json.loads(client.send("GET", "/fapi/v1/klines", "symbol=SYN00USDT&interval=5m&limit=50").body)
    assert [row[0] for row in rows] == small_market.open_time_ms[51:101].tolist()
    assert [[float(x) for x in row[1:6]] for row in rows[:-1]] == small_market.ohlcv[51:100, 0].tolist()
    opened = small_market.ohlcv[100, 0, 0]  # the running bar has an open, and nothing else yet
    assert [float(x) for x in rows[-1][1:6]] == [opened, opened, opened, opened, 0.0]
    hours = json.loads(client.send("GET", "/fapi/v1/klines", "symbol=SYN00USDT&interval=1h&startTime=0&limit=3").body)
    for k, row in enumerate(hours):
        part = small_market.ohlcv[12 * k : 12 * k + 12, 0]
        want = [part[0, 0], part[:, 1].max(), part[:, 2].min(), part[-1, 3]]
        assert [float(x) for x in row[1:5]] == want
        assert row[0] == small_market.open_time_ms[12 * k]
    assert json.loads(client.send("GET", "/fapi/v1/klines", "symbol=SYN00USDT&interval=1m").body)["code"] == -1120


def test_a_closed_candle_is_sent_once_and_the_running_one_each_time(client) -> None:
    venue, since = client.exchange.venue, client.exchange.venue.row
    for _ in range(3):
        venue.advance(venue.close_ms)
    closed = [frame["k"]["x"] for frame in market_frames(venue.state, "syn00usdt@kline_5m", since)]
    assert closed == [True, True, True, False]
    assert [frame["k"]["x"] for frame in market_frames(venue.state, "syn00usdt@kline_5m", venue.row)] == [False]
