"""Exchanges of other shapes than Binance, as their public documentation gives them, over the same invented market.

=============  ==========================  =======================  ==============================
what           Bybit                       OKX                      Hyperliquid
=============  ==========================  =======================  ==============================
rows           newest first, text          newest first, text       oldest first, objects, by POST
a page         1,000 bars, 200 rates,      300 bars, 100 rates,     500 rates, the newest 5,000
               the *newest* of the period  the *newest*             bars and none before them
both ends      inclusive                   exclusive                inclusive
volume         coins                       contracts, and coins     coins
names          BTCUSDT                     BTC-USDT-SWAP            places in a list, ``kPEPE``
=============  ==========================  =======================  ==============================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from binance_server import EPOCH_MS, HOUR_MS, STEP_MS, FakeBinance


@dataclass
class Other(FakeBinance):
    """The part that the three exchanges share.

    `rate_ms` is the time between two funding stamps.
    """

    rate_ms: int = 8 * HOUR_MS
    maintenance: float = 0.005

    def rates(self, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        first, last = (EPOCH_MS + k * STEP_MS for k in (self.listings[symbol].first, self.listings[symbol].last))
        count = max(0, (min(self.now_ms, last) - EPOCH_MS) // self.rate_ms + 1)
        stamps = EPOCH_MS + self.rate_ms * np.arange(count, dtype=np.int64)
        rate = np.round(1e-4 * np.sin(np.arange(count) + self.listings[symbol].seed), 8)
        keep = stamps >= first
        return (stamps + np.arange(count) % 7)[keep], rate[keep]

    def printed(self, symbol: str, low: int, high: int) -> list[tuple[int, list[str], bool]]:
        """Open, the five numbers as text, and whether it has closed, of ``low <= open <= high``, oldest first."""
        rows = []
        for k in range(max(0, -(-(low - EPOCH_MS) // STEP_MS)), self.bars):
            open_ms = EPOCH_MS + k * STEP_MS
            if open_ms > min(high, self.now_ms):
                break
            if self._prints(symbol, k):
                closed = open_ms + STEP_MS <= self.now_ms
                numbers = self._paths[symbol][k] if closed else self._paths[symbol][k][[0, 0, 0, 0, 4]]
                rows.append((open_ms, [repr(float(x)) for x in numbers], closed))
        return rows

    def asked(self, path: str, query: dict[str, Any]) -> None:
        with self._lock:
            self.requests.append((path, query))


@dataclass
class FakeBybit(Other):
    """``/v5/market``: https://bybit-exchange.github.io/docs/v5/market/kline and its neighbours."""

    def answer(self, path: str, query: dict[str, Any]) -> tuple[int, Any]:
        self.asked(path, query)
        match path:
            case "/v5/market/time":
                return 200, self._sent({"timeSecond": str(self.now_ms // 1000), "timeNano": f"{self.now_ms}000000"})
            case "/v5/market/instruments-info":
                there = [] if query.get("status") == "PreLaunch" else [self._info(symbol) for symbol in self.listings]
                return 200, self._sent({"category": query["category"], "list": there, "nextPageCursor": ""})
            case "/v5/market/tickers":
                return 200, self._sent({"category": "linear", "list": [self._of_24h(one) for one in self.listings]})
            case "/v5/market/kline":
                return 200, self._kline(query)
            case "/v5/market/funding/history":
                return 200, self._history(query)
            case "/v5/market/risk-limit":
                return 200, self._sent({"category": "linear", "list": self._tiers(query["symbol"])})
        return 404, {}

    def _sent(self, result: Any, code: int = 0, words: str = "OK") -> dict[str, Any]:
        return {"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": self.now_ms}

    def _kline(self, query: dict[str, Any]) -> dict[str, Any]:
        limit = int(query.get("limit", 200))
        if query["category"] != "linear" or query["interval"] != "5" or query["symbol"] not in self.listings:
            return self._sent({}, 10001, "params error: symbol invalid")
        rows = self.printed(query["symbol"], int(query.get("start", 0)), int(query.get("end", 2**62)))
        some = rows[-limit:] if "end" in query else rows[:limit]  # `limit` rows up to `end`, or from `start` on
        table = [[str(ms), *numbers, "1"] for ms, numbers, _ in some[:1000]]
        return self._sent({"symbol": query["symbol"], "category": "linear", "list": table[::-1]})

    def _history(self, query: dict[str, Any]) -> dict[str, Any]:
        if ("startTime" in query) and "endTime" not in query:
            return self._sent({}, 10001, "endTime is required")
        stamps, rates = self.rates(query["symbol"])
        keep = np.flatnonzero((stamps >= int(query["startTime"])) & (stamps <= int(query["endTime"])))
        rows = [
            {
                "symbol": query["symbol"],
                "fundingRate": f"{rates[i]:.8f}",
                "fundingRateTimestamp": str(stamps[i]),
            }
            for i in keep[::-1][: min(int(query.get("limit", 200)), 200)]
        ]
        return self._sent({"category": "linear", "list": rows})

    def _tiers(self, symbol: str) -> list[dict[str, Any]]:
        return [
            {
                "id": n,
                "symbol": symbol,
                "riskLimitValue": str(limit),
                "maintenanceMargin": str(self.maintenance * n),
                "initialMargin": str(0.01 * n),
                "isLowestRisk": int(n == 1),
                "maxLeverage": f"{100 / n:.2f}",
            }
            for n, limit in ((1, 200_000), (2, 400_000))
        ]

    def _of_24h(self, symbol: str) -> dict[str, Any]:
        volume = self.listings[symbol].volume
        return {
            "symbol": symbol,
            "lastPrice": "100.0",
            "bid1Price": "99.99",
            "ask1Price": "100.01",
            "openInterestValue": "1",
            "turnover24h": f"{volume:.4f}",
            "volume24h": f"{volume / 100:.4f}",
        }

    def _info(self, symbol: str) -> dict[str, Any]:
        life = self.listings[symbol]
        return {
            "symbol": symbol,
            "contractType": "LinearPerpetual",
            "status": "Trading" if life.status == "TRADING" else "Closed",
            "baseCoin": symbol.removesuffix(life.quote),
            "quoteCoin": life.quote,
            "settleCoin": life.quote,
            "launchTime": str(EPOCH_MS + life.first * STEP_MS),
            "deliveryTime": "0",
            "deliveryFeeRate": "",
            "priceScale": "2",
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
            "priceFilter": {"minPrice": "0.01", "maxPrice": "199999.98", "tickSize": "0.01"},
            "lotSizeFilter": {
                "maxOrderQty": "1190",
                "minOrderQty": "0.001",
                "qtyStep": "0.001",
                "minNotionalValue": "5",
            },
            "unifiedMarginTrade": True,
            "fundingInterval": 480,
        }


@dataclass
class FakeOkx(Other):
    """``/api/v5``: https://www.okx.com/docs-v5/en/. A contract is `contract` coins."""

    contract: float = 0.1

    def answer(self, path: str, query: dict[str, Any]) -> tuple[int, Any]:
        self.asked(path, query)
        match path:
            case "/api/v5/public/time":
                data: list[Any] = [{"ts": str(self.now_ms)}]
            case "/api/v5/public/instruments":
                data = [self._info(symbol) for symbol in self.listings]
            case "/api/v5/market/tickers" if query["instType"] == "SWAP":
                data = [self._of_24h(symbol) for symbol in self.listings]
            case "/api/v5/market/history-candles" | "/api/v5/market/candles":
                data = self._candles(query)
            case "/api/v5/public/funding-rate-history":
                data = self._history(query)
            case "/api/v5/public/position-tiers":
                data = self._tiers(query["instFamily"])
            case _:
                return 404, {"code": "50011", "msg": "Invalid request", "data": []}
        return 200, {"code": "0", "msg": "", "data": data}

    def _candles(self, query: dict[str, Any]) -> list[Any]:
        low, high = int(query.get("before", -1)) + 1, int(query.get("after", 2**62)) - 1
        rows = self.printed(query["instId"], low, high)[::-1][: min(int(query.get("limit", 100)), 300)]
        table = []
        for ms, numbers, closed in rows:
            coins = float(numbers[4])
            quote = coins * float(numbers[3])
            table.append(
                [str(ms), *numbers[:4], repr(coins / self.contract), numbers[4], repr(quote), str(int(closed))]
            )
        return table

    def _history(self, query: dict[str, Any]) -> list[Any]:
        stamps, rates = self.rates(query["instId"])
        inside = (stamps > int(query.get("before", -1))) & (stamps < int(query.get("after", 2**62)))
        keep = np.flatnonzero(inside)[::-1][: min(int(query.get("limit", 100)), 100)]
        every = {"instType": "SWAP", "instId": query["instId"], "method": "current_period", "formulaType": "noRate"}
        return [
            {
                **every,
                "fundingRate": "0.5",  # what was expected; what was paid is the realised one
                "realizedRate": f"{rates[i]:.8f}",
                "fundingTime": str(stamps[i]),
            }
            for i in keep
        ]

    def _tiers(self, family: str) -> list[dict[str, Any]]:
        """Bounds in contracts: one is worth ten dollars where a coin is worth a hundred."""
        return [
            {
                "instFamily": family,
                "uly": family,
                "tier": str(n),
                "minSz": str(low),
                "maxSz": str(high),
                "mmr": str(self.maintenance * n),
                "imr": str(0.01 * n),
                "maxLever": str(100 // n),
            }
            for n, low, high in ((1, 0, 5_000), (2, 5_000, 9_000))
        ]

    def _of_24h(self, symbol: str) -> dict[str, Any]:
        coins = self.listings[symbol].volume / 100.0
        return {
            "instType": "SWAP",
            "instId": symbol,
            "last": "100",
            "bidPx": "99.99",
            "askPx": "100.01",
            "vol24h": repr(coins / self.contract),
            "volCcy24h": repr(coins),
            "ts": str(self.now_ms),
        }

    def _info(self, symbol: str) -> dict[str, Any]:
        base, quote, _ = symbol.split("-")
        life = self.listings[symbol]
        return {
            "instType": "SWAP",
            "instId": symbol,
            "instFamily": f"{base}-{quote}",
            "uly": f"{base}-{quote}",
            "settleCcy": quote,
            "ctVal": repr(self.contract),
            "ctMult": "1",
            "ctValCcy": base,
            "ctType": "linear",
            "listTime": str(EPOCH_MS + life.first * STEP_MS),
            "lever": "100",
            "tickSz": "0.1",
            "lotSz": "0.1",
            "minSz": "0.1",
            "maxMktSz": "10000",
            "state": "live" if life.status == "TRADING" else "suspend",
        }


@dataclass
class FakeHyperliquid(Other):
    """``POST /info``: https://hyperliquid.gitbook.io/hyperliquid-docs. `kept` is how many bars it remembers."""

    rate_ms: int = HOUR_MS
    kept: int = 5_000
    delisted: set[str] = field(default_factory=set)

    def answer(self, path: str, query: dict[str, Any]) -> tuple[int, Any]:
        self.asked(path, query)
        match query.get("type"):
            case "exchangeStatus":
                return 200, {"specialStatuses": None, "time": self.now_ms}
            case "spotMeta":
                return 200, {"tokens": [], "universe": []}
            case "metaAndAssetCtxs":
                universe = [self._meta(symbol) for symbol in self.listings]
                return 200, [{"universe": universe}, [self._context(symbol) for symbol in self.listings]]
            case "candleSnapshot":
                return self._candles(query["req"])
            case "fundingHistory":
                return 200, self._history(query)
        return 422, "Failed to deserialize the JSON body into the target type"

    def _candles(self, asked: dict[str, Any]) -> tuple[int, Any]:
        if asked["coin"] not in self.listings or asked["interval"] != "5m":
            return 500, None
        newest = self.now_ms - self.kept * STEP_MS
        rows = self.printed(asked["coin"], max(asked["startTime"], newest), asked["endTime"])
        name = {"s": asked["coin"], "i": "5m", "n": 7}
        return 200, [
            {"t": ms, "T": ms + STEP_MS - 1, **name, **dict(zip("ohlcv", numbers, strict=True))}
            for ms, numbers, _ in rows
        ]

    def _history(self, query: dict[str, Any]) -> list[Any]:
        stamps, rates = self.rates(query["coin"])
        keep = np.flatnonzero((stamps >= query["startTime"]) & (stamps <= query.get("endTime", 2**62)))[:500]
        return [
            {"coin": query["coin"], "fundingRate": f"{rates[i]:.8f}", "premium": "0.0", "time": int(stamps[i])}
            for i in keep
        ]

    def _meta(self, symbol: str) -> dict[str, Any]:
        gone = {"isDelisted": True} if symbol in self.delisted else {}
        return {"szDecimals": 3, "name": symbol, "maxLeverage": 20, "marginTableId": 51, **gone}

    def _context(self, symbol: str) -> dict[str, Any]:
        return {
            "funding": "0.0000125",
            "openInterest": "688.11",
            "prevDayPx": "99.0",
            "dayNtlVlm": repr(self.listings[symbol].volume),
            "premium": "0.0003",
            "oraclePx": "100.0",
            "markPx": "100.0",
            "midPx": "100.0",
            "impactPxs": ["99.99", "100.01"],
            "dayBaseVlm": repr(self.listings[symbol].volume / 100),
        }
