"""What the locked ccxt sends for each call, and what it raises for each fault: measured in process, under the venue's own host names.

``python tests/simulator/surface/ccxt_table.py`` writes ``ccxt_contract.json`` anew; a bump of ccxt needs it in the same commit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ccxt
import requests
from requests.adapters import BaseAdapter

from quantlab.core.clock import SystemClock
from quantlab.core.market import Instrument
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.state import ALGO_IDS_AFTER
from quantlab.simulator.server.opening import Settings, open_exchange
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.wire.faults import REST_KINDS
from quantlab.simulator.wire.messages import Now, RefusedError, Reply, Request
from quantlab.trading.strategy.strategy import Costs

TABLE = Path(__file__).parent / "ccxt_contract.json"
UNIFIED, FIRST_ALGO = "SYN00/USDT:USDT", str(ALGO_IDS_AFTER + 1)
#: Parameters whose values belong to the table; of the others only the names do.
SHOWN = ("type", "algoType", "closePosition", "newOrderRespType", "recvWindow", "reduceOnly", "timeInForce", "limit")
CODES = (-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1021, -1022, -1100, -1102, -1111, -1116, -1121, -2010, -2011, -2013, -2014, -2015, -2018, -2019, -2021, -2022, -4003, -4014, -4023, -4061, -4116, -4118, -4120, -4130, -4131, -4164, -5022)  # fmt: skip
LOOPBACK, REAL = "http://127.0.0.1:1", "https://fapi.binance.com"


class Wire(BaseAdapter):
    """Hands ccxt's requests to an exchange in this process, whatever host they are for."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange, self.sent, self.scripted = exchange, [], None

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        parts = urlsplit(request.url)
        body = request.body or ""
        body = body.decode() if isinstance(body, bytes) else body
        self.sent.append(shown(request.method, parts.path, parts.query, body))
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(request.method, parts.path, parts.query, body, headers)
        now = Now(SystemClock().now_ms(), self.exchange.venue.now_ms)
        reply = self.scripted or self.exchange.answer(asked, now)
        if reply.lost:
            raise requests.exceptions.ConnectionError("the connection was lost")
        if reply.delay_ms > 1000 * (settings.get("timeout") or 10):
            raise requests.exceptions.ReadTimeout("no answer in time")
        answer = requests.Response()
        answer.status_code, answer._content, answer.request = reply.status, reply.body.encode(), request
        answer.reason, answer.encoding, answer.url = "", "utf-8", request.url
        answer.headers.update({"Content-Type": "application/json", **reply.headers})
        return answer

    def close(self) -> None:
        """Nothing is open."""


def shown(method: str, path: str, query: str, body: str) -> str:
    """A request as a row of the table."""
    pairs = parse_qsl(f"{query}&{body}", keep_blank_values=True)
    names = [
        f"{name}={value}" if name in SHOWN else name for name, value in pairs if name not in ("timestamp", "signature")
    ]
    return f"{method} {path} {' '.join(sorted(names))}".strip()


def connect(faults: list[dict[str, Any]] | None = None, host: str = REAL) -> tuple[ccxt.binanceusdm, Wire]:
    """A fresh exchange, and a ccxt that knows its markets."""
    instrument = Instrument(0.01, 0.001, 5.0, 0.01, 2.0, 4.0)
    source = SyntheticSource(7, 1, 2, 300_000, "2025-01-01", 1.0, 0, instrument)
    costs = Costs(slippage_bps=2.0, participation=0.05, liquidation_fee_bps=125.0)
    settings = Settings(VenueRules("lockstep"), history_bars=100, faults=faults)
    wire = Wire(open_exchange(source.history(), costs, settings, 0))
    client = ccxt.binanceusdm({"apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False})
    client.options["fetchCurrencies"] = False
    for name, url in client.urls["api"].items():
        if isinstance(url, str):
            client.urls["api"][name] = url.replace(REAL, host)
    for scheme in ("https://", "http://"):
        client.session.mount(scheme, wire)
    client.load_markets()
    wire.sent.clear()
    return client, wire


def calls() -> dict[str, Callable[[ccxt.binanceusdm], Any]]:
    """Calls of the table, in the order in which they are made on one account."""
    trigger, stop = {"trigger": True}, {"stopLossPrice": "800", "closePosition": True}
    return {
        "fetch_time": lambda c: c.fetch_time(),
        "load_markets": lambda c: c.load_markets(True),
        "fetch_ohlcv": lambda c: c.fetch_ohlcv(UNIFIED, "5m", limit=5),
        "fetch_ticker": lambda c: c.fetch_ticker(UNIFIED),
        "fetch_order_book": lambda c: c.fetch_order_book(UNIFIED, 5),
        "fetch_funding_rate": lambda c: c.fetch_funding_rate(UNIFIED),
        "fetch_funding_rate_history": lambda c: c.fetch_funding_rate_history(UNIFIED),
        "set_leverage": lambda c: c.set_leverage(5, UNIFIED),
        "set_margin_mode": lambda c: c.set_margin_mode("cross", UNIFIED),
        "set_position_mode": lambda c: c.set_position_mode(False),
        "create_order market": lambda c: c.create_order(UNIFIED, "market", "buy", 3),
        "create_order limit": lambda c: c.create_order(UNIFIED, "limit", "buy", 1, 900.0),
        "create_order limit reduceOnly": lambda c: c.create_order(UNIFIED, "limit", "sell", 1, 1200.0, {"reduceOnly": True}),
        "create_order stopLossPrice": lambda c: c.create_order(UNIFIED, "market", "sell", 1, None, {"stopLossPrice": "790"}),
        "create_order takeProfitPrice": lambda c: c.create_order(UNIFIED, "market", "sell", 1, None, {"takeProfitPrice": "1500"}),
        "create_order closePosition": lambda c: c.create_order(UNIFIED, "market", "sell", 1, None, stop),
        "create_order below the step": lambda c: c.create_order(UNIFIED, "market", "buy", 0.0001),
        "create_order too little": lambda c: c.create_order(UNIFIED, "market", "buy", 0.001),
        "create_orders with a stop": lambda c: c.create_orders([{"symbol": UNIFIED, "type": "market", "side": "sell", "amount": 1, "params": stop}]),
        "edit_order": lambda c: c.edit_order("2", UNIFIED, "limit", "buy", 1, 901.0),
        "fetch_order": lambda c: c.fetch_order("2", UNIFIED),
        "fetch_order trigger": lambda c: c.fetch_order(FIRST_ALGO, UNIFIED, trigger),
        "fetch_open_orders": lambda c: c.fetch_open_orders(UNIFIED),
        "fetch_open_orders trigger": lambda c: c.fetch_open_orders(UNIFIED, params=trigger),
        "fetch_open_orders of all": lambda c: c.fetch_open_orders(),
        "cancel_order": lambda c: c.cancel_order("2", UNIFIED),
        "cancel_order of a stop": lambda c: c.cancel_order("77", UNIFIED),
        "cancel_order trigger": lambda c: c.cancel_order(FIRST_ALGO, UNIFIED, trigger),
        "cancel_all_orders": lambda c: c.cancel_all_orders(UNIFIED),
        "cancel_all_orders trigger": lambda c: c.cancel_all_orders(UNIFIED, trigger),
        "cancel_all_orders_after": lambda c: c.cancel_all_orders_after(1000),
        "fetch_my_trades": lambda c: c.fetch_my_trades(UNIFIED),
        "fetch_my_trades since": lambda c: c.fetch_my_trades(UNIFIED, since=1_735_689_600_000),
        "fetch_my_trades fromId": lambda c: c.fetch_my_trades(UNIFIED, params={"fromId": 1}),
        "fetch_my_trades of all": lambda c: c.fetch_my_trades(),
        "fetch_positions": lambda c: c.fetch_positions(),
        "fetch_balance": lambda c: c.fetch_balance(),
        "income": lambda c: c.fapiPrivateGetIncome(),
    }  # fmt: skip


def raised(call: Callable[[], Any]) -> str:
    """The name of what a call raises, ``""`` for nothing."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return ""


def measure() -> dict[str, Any]:
    """The whole table."""
    client, wire = connect()
    requests_of: dict[str, Any] = {}
    for name, call in calls().items():
        wire.sent.clear()
        error = raised(lambda call=call: call(client))
        requests_of[name] = [*wire.sent, *([f"raises {error}"] if error else [])]
    faults: dict[str, Any] = {}
    script = [
        {"at": "POST /fapi/v1/order", "kind": kind, "nth": k + 1, "ms": 60_000} for k, kind in enumerate(REST_KINDS)
    ]
    client, wire = connect(script)
    for kind in REST_KINDS:
        wire.sent.clear()
        before = len(wire.exchange.venue.ledger)
        error = raised(lambda: client.create_order(UNIFIED, "market", "buy", 1))
        faults[kind] = {"raises": error, "posts": len(wire.sent), "done": len(wire.exchange.venue.ledger) > before}
    codes: dict[str, Any] = {}
    hosts = [connect(host=host) for host in (REAL, LOOPBACK)]
    for code in CODES:
        classes = []
        for client, wire in hosts:
            wire.scripted = RefusedError(code, "said so").reply()
            classes.append(raised(lambda client=client: client.create_order(UNIFIED, "market", "buy", 1)))
        codes[str(code)] = classes[0] if classes[0] == classes[1] else {"real host": classes[0], "loopback": classes[1]}
    hosts[0][1].scripted = Reply(200, "{}")
    return {"ccxt": ccxt.__version__, "requests": requests_of, "faults of POST order": faults, "codes": codes}


def text_of(table: dict[str, Any]) -> str:
    """The table as it is kept: one row a line."""
    parts = []
    for name, rows in table.items():
        if isinstance(rows, dict):
            inside = ",\n".join(f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
            parts.append(f" {json.dumps(name)}: {{\n{inside}\n }}")
        else:
            parts.append(f" {json.dumps(name)}: {json.dumps(rows)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text_of(measure()))
