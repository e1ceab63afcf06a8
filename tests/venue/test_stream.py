"""The account's stream: whatever happens to it, hints go on, and a new connection begins with one for all symbols."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from quantlab.core.errors import DataError
from quantlab.core.venue.answers import Hint
from quantlab.simulator.wire.faults import STREAM_KINDS
from quantlab.venue.binance_frames import read_frame
from quantlab.venue.stream import StreamRules, UserStream

#: Reason of the end of a connection that each kind leads to; "" where it goes on.
ENDS = {
    "no_json": "",
    "array": "",
    "missing_key": "",
    "duplicate": "",
    "late": "",
    "reordered": "",
    "gap": "",
    "burst": "",
    "half_open": "silent",
    "reset": "closed",
    "cut": "closed",
    "key_expired": "key expired",
}
OPENED, ORDER = Hint(None, "stream opened"), Hint("SYN00", "order")
QUICK = {"stream__silence_ms": 250, "stream__idle_silence_ms": 60_000, "stream__retry_ms": 5}
PATIENCE = 10.0


async def hear(hints: Any, wanted: Hint) -> list[Hint]:
    """Hints up to one that is waited for."""
    heard = []
    while not heard or heard[-1] != wanted:
        heard.append(await asyncio.wait_for(anext(hints), PATIENCE))
    return heard


def test_every_kind_of_fault_has_its_end() -> None:
    assert set(ENDS) == set(STREAM_KINDS)


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_hints_go_on_after_a_faulty_frame(kind: str, desk: Any, market_order: Callable[..., Any]) -> None:
    venue = desk.renew(**QUICK)

    async def work() -> None:
        hints = venue.hints()
        assert await hear(hints, OPENED) == [OPENED]
        await venue.send(market_order("qle0", 100))
        await hear(hints, ORDER)
        await venue.books()  # a position is open: silence is short
        asked = desk.count("POST", "listenKey")
        desk.fault(at="stream ORDER_TRADE_UPDATE", nth=1, kind=kind, ms=30)
        await venue.send(market_order("qle1", 100))
        if ENDS[kind]:
            await hear(hints, OPENED)
            assert venue.stream.restarts.get(ENDS[kind], 0) >= 1
            assert desk.count("POST", "listenKey") > asked, "a key is asked for anew"
        for number in range(2, 5):
            await venue.send(market_order(f"qle{number}", 100))
            await hear(hints, ORDER)
        await hints.aclose()

    desk.run(work())
    assert [one["kind"] for one in desk.running.exchange.faults.struck] == [kind]
    assert venue.stream.bad_frames == (kind in ("no_json", "array", "missing_key"))


def test_a_line_without_a_stream_is_tried_again_with_longer_waits(desk: Any) -> None:
    venue = desk.renew(reads__attempts=1)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    venue.stream.sleep = sleep
    for _ in range(8):
        desk.fault(at="POST /fapi/v1/listenKey", nth=1, kind="502")
    desk.fault(at="POST /fapi/v1/listenKey", nth=2, kind="dropped")

    async def work() -> None:
        hints = venue.hints()
        assert await hear(hints, OPENED) == [OPENED]
        await hints.aclose()

    desk.run(work())
    assert waits == [0.25, 0.5]
    assert venue.stream.restarts == {"no connection": 2}


class Server:
    """Keys and sockets in memory, on a clock that a test moves."""

    def __init__(self, **rules: Any) -> None:
        usual = {"silence_ms": 30_000, "idle_silence_ms": 600_000, "keep_ms": 1_800_000, "longest_ms": 82_800_000}
        usual |= {"retry_ms": 250, "longest_retry_ms": 10_000, "connect_ms": 1_000, **rules}
        self.kept: list[str] = []
        self.refuses = False
        self.rules = StreamRules(**usual)

    async def open_key(self) -> str:
        if self.refuses:
            raise DataError("a key", found="none", fix="wait")
        return "key"

    async def keep_key(self, key: str) -> None:
        self.kept.append(key)

    def stream(self, url: str, **changes: Any) -> UserStream:
        parts: dict[str, Any] = {
            "url_of": lambda key: f"{url}/private/ws?listenKey={key}",
            "read_frame": lambda text: read_frame(text, {}),
        }
        parts |= {"is_busy": lambda: True, **changes}
        return UserStream(self.rules, self.open_key, self.keep_key, **parts)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [({"longest_ms": 60}, "old"), ({"silence_ms": 60}, "silent"), ({"silence_ms": 90, "keep_ms": 20}, "silent")],
)
def test_a_connection_is_kept_alive_and_replaced_when_it_is_old_or_silent(
    desk: Any, rules: dict[str, int], reason: str
) -> None:
    server = Server(**rules)
    stream = server.stream(desk.running.url.replace("http", "ws"))

    async def work() -> None:
        hints = stream.hints()
        for _ in range(3):
            assert await hear(hints, OPENED) == [OPENED]
        await hints.aclose()

    desk.run(work())
    assert stream.restarts == {reason: 2}
    assert ("key" in server.kept) == ("keep_ms" in rules)


def test_nothing_open_is_allowed_a_longer_silence(desk: Any) -> None:
    server = Server(silence_ms=20, idle_silence_ms=60_000)
    stream = server.stream(desk.running.url.replace("http", "ws"), is_busy=lambda: False)

    async def work() -> None:
        hints = stream.hints()
        await hear(hints, OPENED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(hints), 0.2)

    desk.run(work())
    assert stream.restarts == {}


@pytest.mark.parametrize(
    ("frame", "hints"),
    [
        ('{"e":"ORDER_TRADE_UPDATE","o":{"s":"BTCUSDT"}}', [("BTC", "order")]),
        ('{"stream":"k","data":{"e":"ALGO_UPDATE","o":{"s":"BTCUSDT"}}}', [("BTC", "order")]),
        ('{"e":"CONDITIONAL_ORDER_TRIGGER_REJECT","or":{"s":"XUSDT"}}', [("XUSDT", "trigger refused")]),
        ('{"e":"TRADE_LITE","s":"BTCUSDT"}', [("BTC", "order")]),
        ('{"e":"ACCOUNT_UPDATE","a":{"P":[{"s":"BTCUSDT"},{"s":"X"}]}}', [("BTC", "account"), ("X", "account")]),
        ('{"e":"ACCOUNT_UPDATE","a":{"P":[]}}', [(None, "account")]),
        ('{"e":"MARGIN_CALL","p":[{"s":"BTCUSDT"}]}', [("BTC", "margin call")]),
        ('{"e":"ACCOUNT_CONFIG_UPDATE","ac":{}}', [(None, "ACCOUNT_CONFIG_UPDATE")]),
        ('{"e":"listenKeyExpired"}', [(None, "stream expired")]),
    ],
)
def test_a_frame_says_where_to_look(frame: str, hints: list[tuple[str | None, str]]) -> None:
    found = read_frame(frame, {"BTCUSDT": "BTC"})
    assert [(hint.symbol, hint.what) for hint in found.hints] == hints
    assert found.is_last == ("Expired" in frame)


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "7", "null", "{}", '{"e":"ORDER_TRADE_UPDATE"}', '{"e":"ORDER_TRADE_UPDATE","o":{"s":3.5}}',
     '{"e":"ACCOUNT_UPDATE","a":{"P":7}}', '{"e":"MARGIN_CALL"}', "[" * 100_000],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_told(frame: str) -> None:
    with pytest.raises(DataError):
        read_frame(frame, {})


def test_a_stream_is_led_nowhere_else_and_logs_no_key(
    desk: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A job that ran in this process before may have left levels, or switched loggers off.
    logger = logging.getLogger("quantlab.venue.stream")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    caplog.set_level(logging.DEBUG, logger.name)

    async def lead(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(location=f"{desk.running.url}/private/ws?listenKey=secret-listen-key")

    server, waits = Server(), asyncio.Event()

    async def sleep(_: float) -> None:
        waits.set()
        await asyncio.sleep(PATIENCE)

    async def work() -> None:
        runner = web.AppRunner(web.Application())
        runner.app.router.add_get("/private/ws", lead)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stream = server.stream(f"ws://127.0.0.1:{runner.addresses[0][1]}", sleep=sleep)
        listening = asyncio.ensure_future(anext(stream.hints()))
        await asyncio.wait_for(waits.wait(), PATIENCE)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await runner.cleanup()
        assert stream.restarts == {"no connection": 1}

    desk.run(work())
    assert "the account's stream: " in caplog.text
    assert "listenKey" not in caplog.text
