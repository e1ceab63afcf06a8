"""A loopback exchange that speaks Binance's public protocol, and the real client connected to it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np

from quantlab.core.market import BarState
from quantlab.data.exchange.retry import Retry
from quantlab.execution.feeds.live import CcxtBars


class Exchange(BaseHTTPRequestHandler):
    """The three public end points of Binance's futures that a feed needs, over a history."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = {k: v[0] for k, v in parse_qs(urlparse(self.path).query).items()}
        path = urlparse(self.path).path
        self.server.connections.add(self.client_address)
        self.server.paths.append(path.rsplit("/", 1)[1])
        answers = {
            "time": lambda _: {
                "serverTime": self.server.now_ms() if callable(self.server.now_ms) else self.server.now_ms
            },
            "exchangeInfo": lambda _: self.server.info,
            "klines": self.klines,
            "fundingRate": self.rates,
        }
        body = answers[path.rsplit("/", 1)[1]](query)
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def rates(self, query):
        funding, s = self.server.bars.funding, self.server.bars.symbols.index(query["symbol"])
        if query["symbol"] in self.server.mute_funding:
            return {"code": -1121, "msg": "Invalid symbol."}
        low, high = int(query["startTime"]), int(query["endTime"])
        return [
            {
                "symbol": query["symbol"],
                "fundingTime": int(ms) + self.server.stamp_ms,
                "fundingRate": repr(float(rate)),
                "markPrice": "1",
            }
            for ms, rate in zip(funding.time_ms, funding.rate[:, s], strict=True)
            if low <= ms + self.server.stamp_ms <= high and np.isfinite(rate)
        ]

    def klines(self, query):
        bars, s = self.server.bars, self.server.bars.symbols.index(query["symbol"])
        if query["symbol"] in self.server.mute:
            return {"code": -1121, "msg": "Invalid symbol."}
        inside = (bars.open_time_ms >= int(query["startTime"])) & (bars.open_time_ms <= int(query["endTime"]))
        inside &= bars.open_time_ms >= self.server.first_ms
        rows = np.flatnonzero(inside)[: int(query["limit"])]
        there = [t for t in rows if bars.state[t, s] < BarState.FILLED]
        step = bars.interval_ms
        return [
            [
                int(bars.open_time_ms[t]),
                *map(repr, bars.ohlcv[t, s].tolist()),
                int(bars.open_time_ms[t]) + step - 1,
                *"00000",
            ]
            for t in there
        ]

    def log_message(self, *_):
        """Quiet."""


def listing(symbol):
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol, "pair": symbol, "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": base,
        "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2, "quantityPrecision": 3,
        "baseAssetPrecision": 8, "quotePrecision": 8, "filters": [], "orderTypes": [], "timeInForce": [],
        "onboardDate": 0, "deliveryDate": 4133404800000,
    }  # fmt: skip


@contextmanager
def loopback_exchange(bars):
    """A server with a history; ``now_ms`` is its time, which may be a function, and ``first_ms`` its oldest bar."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    server.daemon_threads = True
    server.bars, server.mute, server.mute_funding, server.stamp_ms, server.first_ms = bars, set(), set(), 7, 0
    server.now_ms = int(bars.open_time_ms[-1]) + bars.interval_ms
    server.connections, server.paths = set(), []
    server.info = {"symbols": [listing(symbol) for symbol in bars.symbols]}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SOURCE = {
    "exchange": "binanceusdm",
    "concurrency": 3,
    "bars_per_request": 200,
    "rates_per_request": 100,
    "retry": Retry(1, 0.0, 0.0, 0.0, 1.0),
    "funding": True,
    "settings": {},
}


def loopback(server, **given):
    url = f"http://127.0.0.1:{server.server_port}"
    settings = {
        "urls": {
            "api": {"fapiPublic": f"{url}/fapi/v1", "fapiPublicV2": f"{url}/fapi/v2", "fapiPublicV3": f"{url}/fapi/v3"}
        },
        "options": {"fetchCurrencies": False, "defaultType": "future", "fetchMarkets": {"types": ["linear"]}},
        "rateLimit": 1,
        "timeout": 5_000,
    }
    return CcxtBars(server.bars.symbols, server.bars.interval_ms, **{**SOURCE, "settings": settings, **given})
