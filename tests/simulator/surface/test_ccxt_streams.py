"""The locked ccxt's websocket client with nothing but its urls changed: each stream delivers what the ledger and the data say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from typing import Any

import ccxt.pro
import pytest

from quantlab.core.market import Bars
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.state import ALGO_IDS_AFTER
from quantlab.simulator.server.opening import RunningExchange, Settings, running_exchange

UNIFIED = "SYN00/USDT:USDT"
FIRST_ROW = 100
PATIENCE_SECONDS = 10.0


def connect(url: str) -> ccxt.pro.binanceusdm:
    client = ccxt.pro.binanceusdm({"apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False})
    client.options["fetchCurrencies"] = False
    for name, text in client.urls["api"].items():
        if isinstance(text, str):
            client.urls["api"][name] = text.replace("https://fapi.binance.com", url)
    client.urls["api"]["ws"]["linear"] = url.replace("http", "ws") + "/ws"
    return client


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so; a client that never hears it fails the test."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.01)


async def collect(into: list[Any], watch: Callable[[], Awaitable[Any]]) -> None:
    while True:
        heard = await watch()
        # Copies: ccxt changes what it has given out.
        into.extend(copy(one) for one in ([heard] if isinstance(heard, dict) else list(heard)))


async def watch_a_trade(running: RunningExchange) -> dict[str, list[Any]]:
    """Buy, protect, take in parts and close while every stream is read; what each delivered."""
    client, heard = connect(running.url), {}
    watched: dict[str, Callable[[], Awaitable[Any]]] = {
        "orders": client.watch_orders,
        "trades": client.watch_my_trades,
        "positions": client.watch_positions,
        "balance": client.watch_balance,
        "candles": lambda: client.watch_ohlcv(UNIFIED, "5m"),
        "ticker": lambda: client.watch_ticker(UNIFIED),
        "prints": lambda: client.watch_trades(UNIFIED),
    }
    tasks = []
    try:
        await client.load_markets()
        for name, watch in watched.items():
            heard[name] = []
            tasks.append(asyncio.create_task(collect(heard[name], watch)))
        await until(lambda: sum(len(one.subscriptions) for one in client.clients.values()) >= 4)
        await asyncio.sleep(0.2)  # the exchange has read them
        bought = await client.create_order(UNIFIED, "market", "buy", 2)
        await until(lambda: len(heard["trades"]) == 1)
        stop = {"stopLossPrice": client.price_to_precision(UNIFIED, bought["average"] * 0.9), "closePosition": True}
        stopped = await client.create_order(UNIFIED, "market", "sell", None, None, stop)
        await client.fetch(f"{running.url}/_sim/advance", "POST")
        await until(lambda: heard["candles"] and heard["ticker"] and heard["prints"])
        await client.cancel_order(stopped["id"], UNIFIED, {"trigger": True})
        for size in (0.5, 1.5):
            await client.create_order(UNIFIED, "market", "sell", size, None, {"reduceOnly": True})
            await asyncio.sleep(0.05)
        await until(lambda: heard["positions"] and heard["positions"][-1]["contracts"] == 0)
        await until(lambda: len(heard["trades"]) == 3)
        return heard
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await client.close()


@pytest.fixture(scope="module")
def watched(small_market: Bars, exchange_costs) -> tuple[dict[str, list[Any]], RunningExchange]:
    with running_exchange(
        small_market, exchange_costs, Settings(VenueRules("lockstep"), history_bars=FIRST_ROW)
    ) as running:
        return asyncio.run(watch_a_trade(running)), running


def test_orders_of_both_books_are_told_to_their_ends(watched) -> None:
    """ccxt joins updates that arrive together, so what is heard of each order ends with its last state."""
    heard, _ = watched
    ends = {order["id"]: tuple(order[n] for n in ("type", "side", "status", "filled")) for order in heard["orders"]}
    assert ends == {
        "1": ("market", "buy", "closed", 2.0),
        "2": ("market", "sell", "closed", 0.5),
        "3": ("market", "sell", "closed", 1.5),
        str(ALGO_IDS_AFTER + 1): ("market", "sell", "canceled", None),
    }


def test_trades_positions_and_balance_are_the_ledger_s(watched) -> None:
    heard, running = watched
    done = [entry.fields for entry in running.exchange.venue.ledger if entry.kind == "trade"]
    assert [(t["id"], t["side"].upper(), t["amount"], t["price"], t["fee"]["cost"]) for t in heard["trades"]] == [
        (str(e["trade_id"]), e["side"], e["lots"] / 1000, e["price_ticks"] / 100, float(e["fee"])) for e in done
    ]
    held = {(p["side"], p["contracts"], p["entryPrice"]) for p in heard["positions"] if p["contracts"]}
    entry = done[0]["price_ticks"] / 100
    assert held == {("long", 2.0, entry), ("long", 1.5, entry)}
    assert heard["positions"][-1]["contracts"] == 0
    wallet = running.exchange.venue.wallet("main", running.exchange.venue.now_ms).wallet
    assert heard["balance"][-1]["USDT"]["total"] == float(wallet)


def test_candles_ticker_and_prints_are_the_data_s(watched, small_market: Bars) -> None:
    heard, _ = watched
    opened = [int(ms) for ms in small_market.open_time_ms[FIRST_ROW : FIRST_ROW + 2]]
    ended, following = small_market.ohlcv[FIRST_ROW : FIRST_ROW + 2, 0].tolist()
    seen = {candle[0]: candle for candle in heard["candles"]}
    assert seen[opened[0]] == [opened[0], *ended]
    assert seen.get(opened[1], [opened[1], *[following[0]] * 4, 0.0]) == [opened[1], *[following[0]] * 4, 0.0]
    assert heard["ticker"][-1]["last"] == following[0]
    (printed,) = heard["prints"]
    assert (printed["price"], printed["amount"]) == (ended[3], ended[4])
    assert printed["timestamp"] == opened[1] - 1


def test_the_order_book_follows_the_quote_with_one_level_a_side(small_market: Bars, exchange_costs) -> None:
    async def follow(url: str) -> list[tuple[int, int, int]]:
        client, seen = connect(url), []
        try:
            await client.load_markets()
            for _ in range(4):
                book = await asyncio.wait_for(client.watch_order_book(UNIFIED), PATIENCE_SECONDS)
                assert book["bids"][0][0] < book["asks"][0][0]
                seen.append((len(book["bids"]), len(book["asks"]), book["nonce"]))
            return seen
        finally:
            await client.close()

    settings = Settings(VenueRules("wall"), history_bars=FIRST_ROW, pace=600.0)
    with running_exchange(small_market, exchange_costs, settings) as running:
        seen = asyncio.run(follow(running.url))
    assert {book[:2] for book in seen} == {(1, 1)}
    assert len({number for *_, number in seen}) == 4
