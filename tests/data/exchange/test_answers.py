"""Answers that once crashed a client or held it up, over loopback HTTP: faults of the exchange, within bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from binance_server import DAY_MS, EPOCH_MS, STEP_MS, FakeBinance, Listing, serving
from coin_server import FakeMarkets
from distortions import DEEP, HTML, Reply, bomb
from fuzz import EXCHANGES, fuzz

from quantlab.core.errors import DataError
from quantlab.data.exchange import answers
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.retry import Retry
from quantlab.data.universe.coingecko import CoinGecko

Distort = Callable[[str, dict[str, Any], bytes], Reply | None]
NOW_MS = EPOCH_MS + DAY_MS + 700_000
TWICE = Retry(2, 0.0, 0.0, 0.0, 60.0)
CALLS: dict[str, Callable[[ExchangeClient, str], Awaitable[Any]]] = {
    "clock": lambda client, name: client.now_ms(),
    "markets": lambda client, name: client.markets(),
    "tickers": lambda client, name: client.tickers(),
    "bars": lambda client, name: client.bars(name, "5m", EPOCH_MS, EPOCH_MS + 40 * STEP_MS, 40),
    "funding": lambda client, name: client.funding(name, EPOCH_MS, EPOCH_MS + DAY_MS, 24),
}


@pytest.fixture
def serve() -> Iterator[Callable[[str], FakeBinance]]:
    with ExitStack() as stack:

        def start(exchange: str) -> FakeBinance:
            fake, names, _ = EXCHANGES[exchange]
            return stack.enter_context(
                serving(fake({n: Listing(k + 1) for k, n in enumerate(names)}, NOW_MS, bars=300))
            )

        yield start


def ask(server: FakeBinance, exchange: str, call: str, distort: Distort, timeout: int = 20_000) -> Any:
    """The answer of a client that knows the markets, while the server distorts what it sends."""

    async def run() -> Any:
        _, names, settings = EXCHANGES[exchange]
        urls = {"api": {name: server.url + path for name, path in settings["urls"]["api"].items()}}
        client = connect(exchange, {**settings, "urls": urls, "rateLimit": 1, "timeout": timeout}, TWICE)
        try:
            markets = await client.markets()
            server.distort = distort
            server.requests.clear()
            client.api.parse_ohlcvs = _only_lists(client.api.parse_ohlcvs)
            return await CALLS[call](
                client, next(n for n, market in markets.items() if names[0] in (market["id"], market["base"]))
            )
        finally:
            await client.close()

    return asyncio.run(run())


def _only_lists(parse: Callable[..., Any]) -> Callable[..., Any]:
    """ccxt's parser took a page of HTML for 100,000 bars."""

    def parse_list(rows: Any, *rest: Any, **more: Any) -> Any:
        assert isinstance(rows, list)
        return parse(rows, *rest, **more)

    return parse_list


def whole(reply: Reply) -> Distort:
    return lambda path, query, body: reply


def changed(change: Callable[[Any], Any]) -> Distort:
    def distort(path: str, query: dict[str, Any], body: bytes) -> Reply:
        sent = json.loads(body)
        return Reply(json.dumps(change(sent) or sent).encode())

    return distort


def put(key: Any, value: Any) -> Distort:
    """The same value at one place of every row of an answer that is a list, or of the object that it is."""

    def change(sent: Any) -> None:
        for row in sent if isinstance(sent, list) else [sent]:
            row[key] = value

    return changed(change)


WALLS: dict[str, tuple[str, Distort]] = {
    "a clock of 10**30": ("clock", put("serverTime", 10**30)),
    "a clock of the year 5138": ("clock", put("serverTime", 10**14)),
    "a clock that is a text": ("clock", put("serverTime", "soon")),
    "a bar of 10**30": ("bars", put(0, 10**30)),
    "a bar of a text of 10**30": ("bars", put(0, "1" + "0" * 30)),
    "a rate of 10**30": ("funding", put("fundingTime", 10**30)),
    "html": ("bars", whole(Reply(HTML))),
    "html of a ticker": ("tickers", whole(Reply(HTML))),
    "nested lists": ("bars", whole(Reply(b"[" * DEEP))),
    "nested lists that end": ("bars", whole(Reply(b"[" * DEEP + b"]" * DEEP))),
    "nested objects": ("tickers", whole(Reply(b'{"a":' * 900 + b"1" + b"}" * 900))),
    "a bomb": ("bars", whole(Reply(bomb(), headers={"Content-Encoding": "gzip"}))),
    "a bomb of markets": ("markets", whole(Reply(bomb(), headers={"Content-Encoding": "gzip"}))),
    "no compression": ("bars", whole(Reply(b"[]", headers={"Content-Encoding": "gzip"}))),
    "an endless body": ("bars", whole(Reply(b"[1," * 20_000, endless=True))),
    "too many rows": ("bars", changed(lambda rows: rows * 600)),
    "an exponent": ("tickers", put("lastPrice", "1e999999999")),
    "places": ("markets", changed(lambda info: info["symbols"][0].update(pricePrecision=10**18))),
    "nothing": ("bars", whole(Reply(b""))),
    "null": ("bars", whole(Reply(b"null"))),
}


@pytest.mark.parametrize("wall", WALLS)
def test_no_answer_crashes_or_holds_up(wall: str, serve: Callable[[str], FakeBinance]) -> None:
    """A fault of the exchange, asked again as often as configured; nothing else leaves the client."""
    call, distort = WALLS[wall]
    server = serve("binanceusdm")
    with pytest.raises(ExchangeLost, match="within 2 attempts"):
        ask(server, "binanceusdm", call, distort)
    assert len(server.requests) == 2


@pytest.mark.parametrize(("exchange", "call", "distort"), [
    ("binanceusdm", "bars", WALLS["a bar of 10**30"][1]),
    ("hyperliquid", "markets", changed(lambda sent: sent[0]["universe"][0].update(name=None))),
])  # fmt: skip
def test_a_fault_that_passes_is_asked_again(
    exchange: str, call: str, distort: Distort, serve: Callable[[str], FakeBinance]
) -> None:
    """Also a list of markets: ccxt merges what it reads into what it remembers, and never got rid of a broken one."""
    server, faults = serve(exchange), [distort]
    found = ask(server, exchange, call, lambda *sent: faults.pop()(*sent) if faults else None)
    assert not faults
    assert "BTC/USDC:USDC" in found if call == "markets" else len(found[0]) == 40


def test_a_slow_body_ends_with_the_timeout(serve: Callable[[str], FakeBinance]) -> None:
    """Each byte comes in time, the body never does."""
    with pytest.raises(ExchangeLost):
        ask(serve("binanceusdm"), "binanceusdm", "bars", whole(Reply(b"[", seconds=0.05)), timeout=300)


def test_a_list_of_markets_without_an_end_is_given_up(serve: Callable[[str], FakeBinance]) -> None:
    """Bybit's pages name the next one; one that names itself was followed for ever."""
    server = serve("bybit")
    with pytest.raises(ExchangeLost, match="has not ended after"):
        ask(server, "bybit", "markets", changed(lambda sent: sent["result"].update(nextPageCursor="again")))
    assert len(server.requests) == 2 * answers.MOST_ANSWERS + 2


def test_a_body_is_read_as_json_once(serve: Callable[[str], FakeBinance], monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[str] = []
    read = answers.BoundedAnswers.on_json_response

    def count(body: str) -> Any:
        bodies.append(body)
        return read(body)

    monkeypatch.setattr(answers.BoundedAnswers, "on_json_response", staticmethod(count))
    server = serve("binanceusdm")
    stamps, _ = ask(server, "binanceusdm", "bars", lambda path, query, body: None)
    assert len(stamps) == 40
    assert len(bodies) == 1 + len(server.requests)  # the markets came before


@pytest.mark.parametrize(("exchange", "call", "noticed"), [
    ("binanceusdm", "funding", True), ("binanceusdm", "bars", False),
    ("bybit", "funding", True), ("bybit", "bars", True),
    ("okx", "funding", True), ("okx", "bars", False),
    ("hyperliquid", "funding", True), ("hyperliquid", "bars", True),
])  # fmt: skip
def test_rows_of_another_symbol_are_noticed_where_the_answer_names_it(
    exchange: str, call: str, noticed: bool, serve: Callable[[str], FakeBinance]
) -> None:
    """As docs/data.md says of each exchange; ccxt drops swapped rates, which looked like "there are none"."""
    server = serve(exchange)
    first, second = EXCHANGES[exchange][1]

    def swapped(path: str, query: dict[str, Any], body: bytes) -> Reply:
        asked = json.loads(json.dumps(query).replace(first, second))
        return Reply(json.dumps(server.answer(path, asked)[1]).encode())

    if noticed:
        with pytest.raises(ExchangeLost, match=f"rows of {second} to a question about {first}"):
            ask(server, exchange, call, swapped)
    else:
        stamps, rows = ask(server, exchange, call, swapped)
        np.testing.assert_array_equal(rows, server.ohlcv(second)[1][: len(stamps)])


COINS: dict[str, Reply] = {
    "html": Reply(HTML),
    "nested": Reply(b"[" * DEEP),
    "a bomb": Reply(bomb(), headers={"Content-Encoding": "gzip"}),
    "endless": Reply(b"[1," * 20_000, endless=True),
    "NaN": Reply(b'[{"id": "a", "symbol": "a", "market_cap": NaN}]'),
    "numbers for names": Reply(b'[{"id": 1, "symbol": [[]]}]'),
    "a wild charset": Reply(b"\xff\xfe[", headers={"Content-Type": "application/json; charset=hex"}),
}


@pytest.mark.parametrize("wall", COINS)
def test_no_list_of_coins_crashes_or_holds_up(wall: str, serve: Callable[[str], FakeBinance]) -> None:
    server = serve("binanceusdm")
    server.distort = whole(COINS[wall])
    assert isinstance(server, FakeMarkets)
    with pytest.raises(DataError, match="within 2 attempts"):
        asyncio.run(CoinGecko(f"{server.url}/api/v3", 50, 50, 1, 0.0, 20.0, TWICE, {}).fetch_largest())
    assert len(server.requests) == 2


def test_a_coin_with_wild_numbers_has_unknown_ones(serve: Callable[[str], FakeBinance]) -> None:
    server = serve("binanceusdm")
    row = {"id": "a", "symbol": "a", "name": 7, "market_cap": 10**400, "current_price": 1e200, "high_24h": True}
    server.distort = whole(Reply(json.dumps([row]).encode()))
    (coin,) = asyncio.run(CoinGecko(f"{server.url}/api/v3", 50, 50, 1, 0.0, 20.0, TWICE, {}).fetch_largest())
    assert (coin.name, coin.market_cap, coin.price, coin.high, coin.low) == ("", None, None, None, None)


def test_two_hundred_distorted_answers_are_sound_or_refused() -> None:
    outcomes = fuzz(200, 1)
    print(f"seed 1, {outcomes.sentence}")  # noqa: T201
    assert outcomes.failures == []
    assert sum(outcomes.counts.values()) == 200


@pytest.mark.slow
def test_twenty_thousand_distorted_answers_are_sound_or_refused() -> None:
    outcomes = fuzz(20_000, 2)
    print(f"seed 2, {outcomes.sentence}")  # noqa: T201
    assert outcomes.failures == []
