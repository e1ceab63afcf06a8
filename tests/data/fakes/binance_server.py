"""A local HTTP server that speaks Binance USD-M's public endpoints, as its documentation gives them.

It has a market, a clock that stands where it is put, the real limits of a page, and faults that are
played when a request comes: refusals, bans, broken and slow answers.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
from distortions import Reply

STEP_MS, HOUR_MS, DAY_MS = 300_000, 3_600_000, 86_400_000
EPOCH_MS = 1_746_057_600_000  # 2025-05-01
FUNDING_MS = 8 * HOUR_MS


class Fault(NamedTuple):
    """A fault of one request whose path contains `path`."""

    kind: str  # status, truncated, cut, dropped, html, object, slow, shape
    path: str = "klines"
    status: int = 429
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


class CountingProgress:
    """A collection's progress that shows nothing and counts steps."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def plan(self, steps: Mapping[str, int]) -> None:
        self.steps = dict(steps)

    def advance(self, symbol: str) -> None:
        self.done[symbol] = self.done.get(symbol, 0) + 1


@dataclass(frozen=True)
class Listing:
    """One symbol's life.

    `first` and `last` count bars from the epoch; `holes` are half-open ranges of bars without a print.
    """

    seed: int
    first: int = 0
    last: int = 10**9
    holes: tuple[tuple[int, int], ...] = ()
    status: str = "TRADING"
    contract: str = "PERPETUAL"
    quote: str = "USDT"
    volume: float = 1e6


@dataclass
class FakeBinance:
    """The exchange's state; change it between requests as a test needs."""

    listings: dict[str, Listing]
    now_ms: int
    bars: int = 4 * 288
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    weight: int = 0
    delay: float = 0.0  # of every answer, so that a kill finds requests under way
    url: str = ""
    serves: bool = False
    #: Path, question and true answer -> what is sent instead; None = the true answer.
    distort: Callable[[str, dict[str, Any], bytes], Reply | None] = lambda path, query, body: None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._paths = {symbol: make_bars(listing.seed, self.bars) for symbol, listing in self.listings.items()}

    def ohlcv(self, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        """Stamps and rows of every *closed* bar that the exchange has."""
        rows = np.array([k for k in range(self.bars) if self._prints(symbol, k)], dtype=np.int64)
        rows = rows[EPOCH_MS + (rows + 1) * STEP_MS <= self.now_ms]
        return EPOCH_MS + rows * STEP_MS, self._paths[symbol][rows]

    def rates(self, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        """Stamps (some milliseconds late) and rates of the funding paid so far."""
        first, last = (EPOCH_MS + k * STEP_MS for k in (self.listings[symbol].first, self.listings[symbol].last))
        count = max(0, (min(self.now_ms, last) - EPOCH_MS) // FUNDING_MS + 1)
        stamps = EPOCH_MS + FUNDING_MS * np.arange(count, dtype=np.int64)
        keep = stamps >= first
        rate = np.round(1e-4 * np.sin(np.arange(count) + self.listings[symbol].seed), 8)
        return (stamps + np.arange(count) % 7)[keep], rate[keep]

    def _prints(self, symbol: str, k: int) -> bool:
        life = self.listings[symbol]
        return life.first <= k < life.last and not any(a <= k < b for a, b in life.holes)

    def next_fault(self, path: str) -> Fault | None:
        with self._lock:
            if self.faults and self.faults[0].path in path:
                return self.faults.popleft()
        return None

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        with self._lock:
            self.requests.append((path, query))
        match path:
            case "/fapi/v1/time":
                return 200, {"serverTime": self.now_ms}
            case "/fapi/v1/exchangeInfo":
                return 200, self._exchange_info()
            case "/fapi/v1/ticker/24hr":
                return 200, [self._ticker(symbol) for symbol in self.listings]
            case "/fapi/v1/klines":
                return self._klines(query)
            case "/fapi/v1/fundingRate":
                return self._funding(query)
        return 404, {"code": -5000, "msg": f"Path {path}, Method GET is invalid"}

    def _klines(self, query: dict[str, str]) -> tuple[int, Any]:
        symbol, limit = query.get("symbol", ""), int(query.get("limit", "500"))
        if symbol not in self.listings:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if limit > 1500 or query.get("interval") != "5m":
            return 400, {"code": -1130, "msg": "Parameter 'limit' is invalid."}
        self.weight += 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        start, end = int(query.get("startTime", 0)), int(query.get("endTime", 2**62))
        found = []
        for k in range(max(0, -(-(start - EPOCH_MS) // STEP_MS)), self.bars):
            open_ms = EPOCH_MS + k * STEP_MS
            if open_ms > min(end, self.now_ms) or len(found) == limit:
                break
            if self._prints(symbol, k):
                found.append(kline(open_ms, self._paths[symbol][k], closed=open_ms + STEP_MS <= self.now_ms))
        return 200, found

    def _funding(self, query: dict[str, str]) -> tuple[int, Any]:
        symbol = query["symbol"]
        start, limit = int(query.get("startTime", 0)), int(query.get("limit", "100"))
        end = int(query.get("endTime", 2**62))
        if limit > 1000:
            return 400, {"code": -1130, "msg": "Parameter 'limit' is invalid."}
        stamps, rates = self.rates(symbol)
        keep = np.flatnonzero((stamps >= start) & (stamps <= end))[:limit]
        return 200, [
            {"symbol": symbol, "fundingTime": int(stamps[i]), "fundingRate": f"{rates[i]:.8f}", "markPrice": "1.0"}
            for i in keep
        ]

    def _ticker(self, symbol: str) -> dict[str, Any]:
        volume = self.listings[symbol].volume
        return {
            "symbol": symbol,
            "lastPrice": "100.0",
            "volume": f"{volume / 100:.3f}",
            "quoteVolume": f"{volume:.2f}",
            "openTime": self.now_ms - DAY_MS,
            "closeTime": self.now_ms,
            "count": 10,
        }

    def _exchange_info(self) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [self._symbol(symbol, listing) for symbol, listing in self.listings.items()],
        }

    def _symbol(self, symbol: str, listing: Listing) -> dict[str, Any]:
        base = symbol.split("_", maxsplit=1)[0].removesuffix(listing.quote)
        delivery = 4_133_404_800_000 if listing.contract == "PERPETUAL" else EPOCH_MS + 200 * DAY_MS
        return {
            "symbol": symbol,
            "pair": symbol.split("_", maxsplit=1)[0],
            "contractType": listing.contract,
            "deliveryDate": delivery,
            "onboardDate": EPOCH_MS + listing.first * STEP_MS,
            "status": listing.status,
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": base,
            "quoteAsset": listing.quote,
            "marginAsset": listing.quote,
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MIN_NOTIONAL", "notional": "5"},
                {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95"},
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }


def make_bars(seed: int, n_bars: int) -> np.ndarray:
    """float64 (N, 5): a random walk in cents, at least 10 USD."""
    rng = np.random.default_rng(seed)
    close = np.round(np.maximum(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.002, n_bars))), 10.0), 2)
    open_ = np.concatenate([[100.0], close[:-1]])
    high = np.round(np.maximum(open_, close) + rng.integers(0, 20, n_bars) / 100, 2)
    low = np.round(np.minimum(open_, close) - rng.integers(0, 20, n_bars) / 100, 2)
    volume = np.round(rng.lognormal(3.0, 1.0, n_bars), 3)
    return np.column_stack([open_, high, low, close, volume])


def kline(open_ms: int, bar: np.ndarray, *, closed: bool) -> list[Any]:
    """One row as Binance writes it; a bar that still runs shows what has happened so far."""
    o, h, lo, c, v = (float(x) for x in bar)
    if not closed:
        h, lo, c, v = o, o, o, round(v / 3, 3)
    texts = [f"{x:.2f}" for x in (o, h, lo, c)]
    quote = f"{v * c:.5f}"
    return [open_ms, *texts, f"{v:.3f}", open_ms + STEP_MS - 1, quote, 42, f"{v / 2:.3f}", quote, "0"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: two would wait for each other's acknowledgement
    exchange: FakeBinance

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        fault = self.exchange.next_fault(parts.path)
        time.sleep(self.exchange.delay)
        if fault is None:
            self._answer(parts.path, query)
        else:
            self._play(fault, parts.path, query)

    def do_POST(self) -> None:
        """For exchanges that take their questions as JSON."""
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = f"{urlsplit(self.path).path}/{question['type']}"
        fault = self.exchange.next_fault(path)
        if fault is None:
            self._answer(path, question)
        else:
            self._play(fault, path, question)

    def _answer(self, path: str, query: dict[str, Any]) -> None:
        status, answer = self.exchange.answer(path, query)
        body = json.dumps(answer).encode()
        reply = self.exchange.distort(path, query, body)
        if reply is None:
            self._send(status, body)
        elif reply.endless or reply.seconds:
            self._dribble(reply)
        else:
            self._send(reply.status, reply.body, reply.headers, reply.claimed)

    def _dribble(self, reply: Reply) -> None:
        """A body without an end, or with so much time between its bytes; until the client hangs up."""
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(2**40))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while not reply.seconds or self.exchange.serves:
                self.wfile.write(reply.body[:1] if reply.seconds else reply.body)
                self.wfile.flush()
                time.sleep(reply.seconds)

    def _play(self, fault: Fault, path: str, query: dict[str, str]) -> None:
        body = json.dumps(self.exchange.answer(path, query)[1]).encode()
        match fault.kind:
            case "status":
                self._send(fault.status, b'{"code":-1003,"msg":"Too many requests."}', dict(fault.headers))
            case "truncated":
                self._send(200, body[: len(body) * 2 // 3])
            case "cut":
                self._send(200, body[: len(body) // 2], claimed=len(body))
            case "dropped":
                self._hang_up()
            case "html":
                self._send(200, b"<html>maintenance</html>", {"Content-Type": "text/html"})
            case "object":
                self._send(200, b"{}")
            case "shape":
                self._send(200, b'[[1,"a"],{"b":2},7]')
            case "slow":
                time.sleep(fault.seconds)
                self._send(200, body)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, claimed: int | None = None
    ) -> None:
        self.send_response(status)
        every = {"Content-Type": "application/json", "X-MBX-USED-WEIGHT-1M": str(self.exchange.weight)}
        for name, value in {**every, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        self.end_headers()
        self.wfile.write(body)
        if claimed is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up in the middle of an answer."""


@contextmanager
def serving(exchange: FakeBinance) -> Iterator[FakeBinance]:
    """Serve `exchange` on a free port of the loopback interface; its `url` says where."""
    handler = type("Handler", (_Handler,), {"exchange": exchange})
    server = _Server(("127.0.0.1", 0), handler)
    exchange.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        exchange.serves = True
        yield exchange
    finally:
        exchange.serves = False
        server.shutdown()
        server.server_close()
        thread.join()
