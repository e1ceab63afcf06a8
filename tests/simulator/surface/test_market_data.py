"""The market as it is shown: prices inside a bar on the tick, the day's sums, one reading of a stream for all who listen."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from quantlab.core.market import BarState
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.app import ExchangeServer
from quantlab.simulator.server.opening import Settings, open_exchange

SYMBOL = {"symbol": "SYN00USDT"}


def show(client: Any, path: str, **parameters: Any) -> Any:
    return json.loads(client.send("GET", f"/fapi/v1/{path}", urlencode(parameters)).body)


def test_prices_inside_a_bar_are_on_the_tick_and_sizes_in_whole_lots(make_client: Callable) -> None:
    client = make_client("wall", pace=60.0)
    for _ in range(20):
        client.now_ms += 713
        client.exchange.venue.advance(client.now_ms)
        _, opened, high, low, close, volume, *_ = show(client, "klines", **SYMBOL, interval="5m", limit=1)[0]
        day = show(client, "ticker/24hr", **SYMBOL)
        price = show(client, "ticker/price", **SYMBOL)["price"]
        assert Decimal(close) == Decimal(price) == Decimal(day["lastPrice"])
        assert Decimal(price) % Decimal("0.01") == 0
        assert Decimal(volume) % Decimal("0.001") == 0
        assert Decimal(low) <= min(Decimal(opened), Decimal(close)) <= Decimal(high)


@pytest.mark.parametrize("mode", ["lockstep", "wall"])
def test_the_day_s_ticker_is_the_sum_of_its_candles(client, small_market, exchange_costs, mode: str) -> None:
    state, ohlcv = small_market.state.copy(), small_market.ohlcv.copy()
    state[50:60, 0], ohlcv[50:60, 0] = BarState.ABSENT, np.nan
    holed = dataclasses.replace(small_market, state=state, ohlcv=ohlcv)
    settings = Settings(VenueRules(mode), history_bars=100)
    client.exchange = open_exchange(holed, exchange_costs, settings, client.now_ms)
    for _ in range(3):
        client.pass_time()
        candles = show(client, "klines", **SYMBOL, interval="5m", limit=288)
        assert len(candles) == client.exchange.venue.row + 1 - 10
        day = show(client, "ticker/24hr", **SYMBOL)
        high, low = max(Decimal(row[2]) for row in candles), min(Decimal(row[3]) for row in candles)
        assert (Decimal(day["highPrice"]), Decimal(day["lowPrice"])) == (high, low)
        assert Decimal(day["openPrice"]) == Decimal(candles[0][1])
        assert abs(Decimal(day["volume"]) - sum(Decimal(row[5]) for row in candles)) < Decimal("1e-6")
        assert abs(Decimal(day["quoteVolume"]) - sum(Decimal(row[7]) for row in candles)) < Decimal("1e-6")
        change = 100 * (Decimal(day["lastPrice"]) / Decimal(candles[0][1]) - 1)
        assert day["priceChangePercent"] == f"{change:.3f}"


@pytest.mark.parametrize("mode", ["lockstep", "wall"])
def test_a_book_s_changes_added_to_a_snapshot_give_the_next_snapshot(make_client: Callable, mode: str) -> None:
    """As the venue documents it: a frame with U <= lastUpdateId <= u first, then each with pu = the last u."""
    client, rng = make_client(mode), np.random.default_rng(3)
    followed: list[dict[str, Any]] = []
    for _ in range(150):
        if rng.random() < 0.5:
            client.now_ms += 40
            client.pass_time()
        if rng.random() < 0.4:
            snapshot = show(client, "depth", **SYMBOL)
            sides = {side: dict(snapshot[f"{side}s"]) for side in ("bid", "ask")}
            followed.append({"u": snapshot["lastUpdateId"], "first": True, **sides})
        for frame in map(json.loads, client.exchange.market_frames("syn00usdt@depth", 0)):
            for book in followed:
                if frame["u"] < book["u"]:
                    continue
                assert frame["U"] <= book["u"] or frame["pu"] == book["u"]
                assert book["first"] or frame["pu"] == book["u"]
                for side in ("bid", "ask"):
                    book[side] |= dict(frame[side[0]])
                    book[side] = {price: size for price, size in book[side].items() if Decimal(size)}
                book.update(u=frame["u"], first=False)
        now = show(client, "depth", **SYMBOL)
        for book in followed:
            if not book["first"] or book["u"] == now["lastUpdateId"]:
                assert [[*one] for one in (*book["bid"].items(), *book["ask"].items())] == now["bids"] + now["asks"]
    assert len(followed) > 30


def test_funding_rates_are_those_that_were_paid(client, grid_bars, exchange_costs) -> None:
    bars = grid_bars(3, 600)
    settings = Settings(VenueRules("lockstep"), history_bars=500)
    client.exchange = open_exchange(bars, exchange_costs, settings, client.now_ms)
    now_ms = client.exchange.venue.now_ms
    paid = [
        (int(stamp), f"{name}USDT", rate)
        for stamp, rates in zip(bars.funding.time_ms, bars.funding.rate.tolist(), strict=True)
        for name, rate in zip(bars.symbols, rates, strict=True)
        if stamp <= now_ms and rate == rate
    ]
    paid.sort()
    shown = show(client, "fundingRate", limit=1_000)
    assert [(row["fundingTime"], row["symbol"], float(row["fundingRate"])) for row in shown] == paid
    middle = paid[80][0]
    for asked, wanted in (
        ({}, paid[-100:]),
        ({"limit": 7}, paid[-7:]),
        ({"startTime": middle, "limit": 9}, [row for row in paid if row[0] >= middle][:9]),
        ({"endTime": middle, "limit": 9}, [row for row in paid if row[0] <= middle][-9:]),
        ({"startTime": "9" * 19}, []),
        ({"symbol": "ETHUSDT", "limit": 3}, [row for row in paid if row[1] == "ETHUSDT"][-3:]),
    ):
        assert [(row["fundingTime"], row["symbol"]) for row in show(client, "fundingRate", **asked)] == [
            row[:2] for row in wanted
        ], asked
    last = [row for row in paid if row[1] == "ETHUSDT"][-1]
    assert float(show(client, "premiumIndex", symbol="ETHUSDT")["lastFundingRate"]) == last[2]


def test_a_stream_is_made_once_for_all_who_listen(make_client: Callable) -> None:
    """Each socket gets the frames since its own last bar."""

    class Listener:
        def __init__(self, since_row: int) -> None:
            self.since_row, self.texts = since_row, []
            self.subscriptions = self
            self.names = {"syn00usdt@kline_5m": None}

        def frame(self, stream: str, text: str) -> str:
            return text

        def put(self, step: Any) -> None:
            self.texts.append(step.text)

    async def listen() -> list[Listener]:
        server = ExchangeServer(client.exchange, lambda: client.now_ms)
        listeners = [Listener(100), Listener(100), Listener(101)]
        server._send_market_frames(listeners)
        return listeners

    client, asked = make_client(), []
    client.pass_time()
    original = client.exchange.market_frames
    client.exchange.market_frames = lambda *wanted: asked.append(wanted) or original(*wanted)
    first, second, third = asyncio.run(listen())
    assert asked == [("syn00usdt@kline_5m", 100), ("syn00usdt@kline_5m", 101)]
    assert first.texts == second.texts
    assert (len(first.texts), third.texts) == (2, first.texts[1:])
    assert first.since_row == third.since_row == 101
