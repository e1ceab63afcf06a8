"""The exchange on a socket: a locked ccxt trades, streams flow, faults cut connections, and the ledger agrees."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from quantlab.core.errors import InstallationError
from quantlab.core.market import Bars, Instrument
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import RunningExchange, Settings, running_exchange

SYMBOL, UNIFIED = "SYN00USDT", "SYN00/USDT:USDT"
KEY = {"X-MBX-APIKEY": "demo-key"}


@pytest.fixture
def run_exchange(small_market, exchange_costs):
    @contextmanager
    def run(mode: str = "lockstep", bars: Bars = small_market, **changes: Any) -> Iterator[RunningExchange]:
        settings = Settings(VenueRules(mode), history_bars=100, **changes)
        with running_exchange(bars, exchange_costs, settings) as running:
            yield running

    return run


def connect(url: str) -> ccxt.binanceusdm:
    """The locked client with nothing but its urls changed."""
    client = ccxt.binanceusdm({"apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False})
    client.options["fetchCurrencies"] = False
    for name, text in client.urls["api"].items():
        if isinstance(text, str):
            client.urls["api"][name] = text.replace("https://fapi.binance.com", url)
    return client


async def ask(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
    async with session.request(method, url, **more) as reply:
        return await reply.json()


def test_ccxt_opens_protects_lists_cancels_closes_and_reads_its_account(run_exchange) -> None:
    with run_exchange() as running:
        client, venue = connect(running.url), running.exchange.venue
        frames = asyncio.run(trade_and_listen(client, running.url))
        trades = client.fetch_my_trades(UNIFIED)
        incomes = client.fapiPrivateGetIncome()
        balance = client.fetch_balance()["USDT"]["total"]
        told = [entry.to_dict() for entry in venue.ledger]
    done = [entry for entry in told if entry["kind"] == "trade"]
    assert [(t["id"], t["side"].upper(), t["amount"], t["price"]) for t in trades] == [
        (str(e["trade_id"]), e["side"], e["lots"] / 1000, e["price_ticks"] / 100) for e in done
    ]
    assert len(done) == 2
    assert [Decimal(i["income"]) for i in incomes if i["incomeType"] == "COMMISSION"] == [
        -Decimal(e["fee"]) for e in done
    ]
    assert sum(Decimal(i["income"]) for i in incomes) == Decimal(str(balance))
    assert [e["status"] for e in told if e["kind"] == "order_end"] == ["FILLED", "CANCELED", "FILLED"]
    assert [e["kind"] for e in told if e["kind"].startswith("algo")] == ["algo", "algo_end"]
    heard = [(f["e"], f["o"]["X"]) for f in frames if f["e"] in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE")]
    assert heard == [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "FILLED"),
        ("ALGO_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "CANCELED"),
        ("ALGO_UPDATE", "CANCELED"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "FILLED"),
    ]
    assert [f["o"]["t"] for f in frames if f["e"] == "ORDER_TRADE_UPDATE" and f["o"]["x"] == "TRADE"] == [
        e["trade_id"] for e in done
    ]


async def trade_and_listen(client: ccxt.binanceusdm, url: str) -> list[dict[str, Any]]:
    """Trade once around with ccxt while the user stream is read, and return its frames."""
    async with aiohttp.ClientSession() as session:
        key = (await ask(session, "POST", f"{url}/fapi/v1/listenKey", headers=KEY))["listenKey"]
        async with session.ws_connect(f"{url}/private/ws?listenKey={key}") as stream:
            await asyncio.to_thread(trade_once_around, client)
            frames: list[dict[str, Any]] = []
            while sum(f["e"] == "ACCOUNT_UPDATE" for f in frames) < 2:
                frames.append(await stream.receive_json(timeout=10))
            return frames


def trade_once_around(client: ccxt.binanceusdm) -> None:
    client.load_markets()
    opened = client.create_order(UNIFIED, "market", "buy", 2)
    assert (opened["status"], opened["filled"]) == ("closed", 2.0)
    level = client.price_to_precision(UNIFIED, 0.9 * opened["average"])
    stop = client.create_order(UNIFIED, "market", "sell", None, None, {"stopLossPrice": level, "closePosition": True})
    price = float(client.price_to_precision(UNIFIED, 1.2 * opened["average"]))
    take = client.create_order(UNIFIED, "limit", "sell", 2, price, {"reduceOnly": True})
    assert [order["id"] for order in client.fetch_open_orders(UNIFIED)] == [take["id"]]
    assert [order["id"] for order in client.fetch_open_orders(UNIFIED, params={"trigger": True})] == [stop["id"]]
    assert client.fetch_positions([UNIFIED])[0]["contracts"] == 2.0
    client.cancel_all_orders(UNIFIED)
    assert len(client.fetch_open_orders(UNIFIED, params={"trigger": True})) == 1  # the other book is untouched
    client.cancel_order(stop["id"], UNIFIED, {"trigger": True})
    assert client.create_order(UNIFIED, "market", "sell", 2, None, {"reduceOnly": True})["status"] == "closed"


@pytest.mark.parametrize("known", [True, False])
def test_the_ten_lines_of_the_page_trade(known: bool, run_exchange, small_market, repository, capsys) -> None:
    lines = re.findall(r"```python\n(.*?)```", (repository / "docs" / "exchange.md").read_text(), re.DOTALL)[0]
    unknown = (Instrument(0.0, 0.0, 10.0, 0.01, 2.0, 4.0),) * 2
    bars = small_market if known else dataclasses.replace(small_market, instruments=unknown)
    with run_exchange(bars=bars) as running:
        exec(lines.replace("http://127.0.0.1:8900", running.url), {})  # noqa: S102
        entries = [entry.kind for entry in running.exchange.venue.ledger]
    assert (entries.count("trade"), entries.count("algo")) == (1, 1)
    assert "SYN0" in capsys.readouterr().out


def test_websockets_answer_in_the_venue_s_routes(run_exchange) -> None:
    async def listen(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            key = (await ask(session, "POST", f"{url}/fapi/v1/listenKey", headers=KEY))["listenKey"]
            async with (
                session.ws_connect(f"{url}/market/stream?streams=syn00usdt@kline_5m/syn00usdt@markPrice") as wrapped,
                session.ws_connect(f"{url}/ws/syn00usdt@aggTrade") as bare,
                session.ws_connect(f"{url}/private/stream") as private,
                session.ws_connect(f"{url}/public/ws") as public,
            ):
                await private.send_json({"method": "SUBSCRIBE", "params": [key], "id": 5})
                assert await private.receive_json() == {"result": None, "id": 5}
                await public.send_json({"method": "SUBSCRIBE", "params": ["syn00usdt@bookTicker"], "id": "a"})
                assert await public.receive_json() == {"result": None, "id": "a"}
                await public.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 6})
                assert await public.receive_json() == {"result": ["syn00usdt@bookTicker"], "id": 6}
                await public.send_str("nonsense")
                assert (await public.receive_json())["error"]["code"] == 3
                ended = await ask(session, "POST", f"{url}/_sim/advance", json={"bars": 2})
                assert (ended["ended_bars"], ended["row"]) == (2, 102)
                told = [await wrapped.receive_json(timeout=10) for _ in range(4)]
                kinds = [frame["stream"] for frame in told]
                assert kinds == ["syn00usdt@kline_5m"] * 3 + ["syn00usdt@markPrice"]
                assert [frame["data"]["k"]["x"] for frame in told[:3]] == [True, True, False]
                assert (await bare.receive_json(timeout=10))["e"] == "aggTrade"
                assert (await public.receive_json(timeout=10))["s"] == SYMBOL
                moved = {"kind": "transfer", "amount": "-100"}
                assert await ask(session, "POST", f"{url}/_sim/market", json=moved) == {"done": True}
                frame = await private.receive_json(timeout=10)
                assert (frame["stream"], frame["data"]["a"]["m"]) == (key, "WITHDRAW")
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(f"{url}/elsewhere")

    with run_exchange() as running:
        asyncio.run(listen(running.url))


def test_faults_end_connections_and_the_ledger_says_what_was_done(run_exchange) -> None:
    async def meet(url: str) -> None:
        client = connect(url)
        async with aiohttp.ClientSession() as session:
            key = (await ask(session, "POST", f"{url}/fapi/v1/listenKey", headers=KEY))["listenKey"]
            script = [
                {"at": "stream ORDER_TRADE_UPDATE", "nth": 1, "kind": "no_json"},
                {"at": "stream ORDER_TRADE_UPDATE", "nth": 2, "kind": "cut"},
            ]
            assert await ask(session, "POST", f"{url}/_sim/fault", json=script) == {"added": 2}
            async with session.ws_connect(f"{url}/private/ws?listenKey={key}") as stream:
                with pytest.raises(ccxt.NetworkError):
                    await asyncio.to_thread(client.create_order, UNIFIED, "market", "buy", 1)
                assert (await stream.receive(timeout=10)).data.endswith("<")
                assert (await stream.receive(timeout=10)).type == aiohttp.WSMsgType.CLOSE
            expiry = {"at": "stream", "kind": "key_expired"}
            await ask(session, "POST", f"{url}/_sim/fault", json=expiry)
            async with session.ws_connect(f"{url}/private/ws?listenKey={key}") as stream:
                await asyncio.to_thread(client.create_order, UNIFIED, "market", "sell", 1)
                assert (await stream.receive_json(timeout=10))["e"] == "listenKeyExpired"
            struck = await ask(session, "GET", f"{url}/_sim/faults")
            assert [fault["kind"] for fault in struck][:3] == ["ack_lost", "no_json", "cut"]
            refused = await ask(session, "POST", f"{url}/_sim/fault", json={"at": "stream", "kind": "melt"})
            assert refused["code"] == -1130
            entries = await ask(session, "GET", f"{url}/_sim/ledger?from=1&limit=2")
            assert [entry["seq"] for entry in entries] == [1, 2]
            headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
            async with session.post(f"{url}/fapi/v1/order", data=b"not gzip", headers=headers) as garbled:
                assert garbled.status == 400
            strange = await ask(session, "GET", f"{url}/_sim/ledger", headers={"Host": "evil.example:80"})
            assert strange["code"] == -2015

    with run_exchange(faults=[{"at": "POST /fapi/v1/order", "nth": 1, "kind": "ack_lost"}]) as running:
        asyncio.run(meet(running.url))
        done = [(e.fields["side"], e.fields["lots"]) for e in running.exchange.venue.ledger if e.kind == "trade"]
    assert done == [("BUY", 1_000), ("SELL", 1_000)]


def test_a_line_that_is_half_open_answers_no_ping_and_holds_no_end_up(run_exchange) -> None:
    async def meet(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            key = (await ask(session, "POST", f"{url}/fapi/v1/listenKey", headers=KEY))["listenKey"]
            stream = await session.ws_connect(f"{url}/private/ws?listenKey={key}", autoping=False)
            await stream.ping(b"one")
            assert (await stream.receive(timeout=10)).data == b"one"
            await ask(session, "POST", f"{url}/_sim/fault", json={"at": "stream", "kind": "half_open", "nth": 1})
            moved = {"kind": "transfer", "amount": "-100"}
            assert await ask(session, "POST", f"{url}/_sim/market", json=moved) == {"done": True}
            await stream.ping(b"two")
            await stream.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            with pytest.raises(TimeoutError):
                await stream.receive(timeout=0.3)

    asked = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    asked += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with socket.socket() as mute, run_exchange() as running:  # mute is open to the end, and says nothing
        asyncio.run(meet(running.url))
        mute.connect(("127.0.0.1", int(running.url.rpartition(":")[2])))
        mute.sendall(asked)
        assert mute.recv(99).startswith(b"HTTP/1.1 101")


def test_an_expired_key_ends_its_stream_at_once(run_exchange) -> None:
    async def meet(url: str) -> list[str]:
        async with aiohttp.ClientSession() as session:
            key = (await ask(session, "POST", f"{url}/fapi/v1/listenKey", headers=KEY))["listenKey"]
            await ask(session, "POST", f"{url}/_sim/fault", json={"at": "stream", "kind": "key_expired", "nth": 2})
            async with session.ws_connect(f"{url}/private/ws?listenKey={key}") as stream:
                human = {"kind": "human", "symbol": SYMBOL, "side": "BUY", "quantity": "1"}
                await ask(session, "POST", f"{url}/_sim/market", json=human)
                await stream.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
                frames = [await stream.receive_json(timeout=10) for _ in range(3)]
                return [str(frame.get("e", frame.get("id"))) for frame in frames]

    with run_exchange() as running:
        assert asyncio.run(meet(running.url)) == ["ORDER_TRADE_UPDATE", "listenKeyExpired", "1"]


def test_in_wall_mode_time_passes_by_itself(run_exchange) -> None:
    async def watch(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            refused = await ask(session, "POST", f"{url}/_sim/advance")
            assert "lockstep" in refused["msg"]
            async with session.ws_connect(f"{url}/market/ws/syn00usdt@kline_5m") as stream:
                while not (await stream.receive_json(timeout=20))["k"]["x"]:
                    pass
            state = await ask(session, "GET", f"{url}/_sim/state")
            assert state["row"] > 100
            assert abs(state["wire_ms"] - state["market_ms"]) < 5_000

    with run_exchange("wall", pace=3_000.0) as running:
        asyncio.run(watch(running.url))
        order = connect(running.url).create_order(UNIFIED, "market", "buy", 1)
        assert order["status"] == "closed"


def test_a_port_in_use_is_refused_in_a_sentence(run_exchange, small_market, exchange_costs) -> None:
    with run_exchange() as running:
        port = int(running.url.rpartition(":")[2])
        settings = Settings(VenueRules("lockstep"))
        with (
            pytest.raises(InstallationError, match=r"job\.port"),
            running_exchange(small_market, exchange_costs, settings, port),
        ):
            pass
