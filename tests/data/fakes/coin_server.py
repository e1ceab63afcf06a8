"""The exchange with prices, ages and order books, and a list of coins beside it, as CoinGecko's API gives one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from binance_server import FakeBinance, Listing

_LISTED = """
BTC ETH USDT XRP BNB SOL USDC DOGE TRX STETH ADA WBTC HYPE SUI WSTETH LINK AVAX XLM LEO BCH WETH TON USDS HBAR SHIB
LTC WBETH DOT WEETH XMR USDE BGB CBBTC PEPE DAI UNI PI AAVE SUSDE TAO APT OKB BUIDL CRO NEAR ICP ETC ONDO KAS USD1
POL GT MNT TRUMP ENA VET WBNB RENDER SKY FTN FET ALGO ATOM ARB FIL TIA WLD BONK JUP KCS QNT MKR SEI JITOSOL FDUSD
STX S SPX FLR OP IP XDC INJ NEXO IMX WIF GRT CRV PAXG FLOKI DEXE JASMY LDO CAKE BSV ENS GALA RETH SAND MANA
"""
#: The 100 largest coins as a plain ranking by market capitalisation gives them; 25 of them are no perpetual that a
#: strategy could trade.
TOP_100 = tuple(_LISTED.split())
STABLE = {"USDT", "USDC", "USDS", "USDE", "DAI", "SUSDE", "BUIDL", "USD1", "FDUSD"}
WRAPPED = {"STETH", "WBTC", "WSTETH", "WETH", "WBETH", "WEETH", "CBBTC", "WBNB", "JITOSOL", "RETH"}
UNLISTED = {"LEO", "BGB", "OKB", "GT", "KCS", "FTN"}
UNTRADEABLE = STABLE | WRAPPED | UNLISTED
THOUSANDS = {"SHIB": "1000SHIB", "PEPE": "1000PEPE", "BONK": "1000BONK", "FLOKI": "1000FLOKI"}
LONG_AGO = -400 * 288


def price_of(rank: int) -> float:
    """A coin's price; cheap ones are quoted by the thousand."""
    return round(1e5 / (rank + 1) ** 2, 6)


def coin(symbol: str, rank: int, **facts: Any) -> dict[str, Any]:
    """One row of ``/coins/markets``."""
    row = {"id": f"{symbol.lower()}-coin", "symbol": symbol.lower(), "name": symbol, "market_cap_rank": rank + 1}
    return {**row, "current_price": price_of(rank), "market_cap": round(1e12 / (rank + 1)), **facts}


def usual_coins() -> list[dict[str, Any]]:
    """The ranking of 100, the largest first."""
    return [coin(symbol, rank) for rank, symbol in enumerate(TOP_100)]


def usual_categories() -> dict[str, set[str]]:
    """A category knows most of its coins; the rest is left to the lists of tickers."""
    known = {"stablecoins": STABLE - {"USD1"}, "wrapped-tokens": WRAPPED - {"RETH"}, "liquid-staking-tokens": {"STETH"}}
    return {name: {f"{symbol.lower()}-coin" for symbol in symbols} for name, symbols in known.items()}


def usual_listings() -> dict[str, Listing]:
    """A perpetual of every coin that has one, in two currencies for the first, and of one stablecoin."""
    bases = [THOUSANDS.get(symbol, symbol) for symbol in TOP_100 if symbol not in UNTRADEABLE]
    made = {f"{base}USDT": Listing(k, LONG_AGO, volume=1e9 / (k + 1)) for k, base in enumerate(bases)}
    return {
        **made,
        "BTCUSDC": Listing(1, LONG_AGO, quote="USDC", volume=9e8),
        "USDCUSDT": Listing(2, LONG_AGO, volume=9e8),
    }


@dataclass
class FakeMarkets(FakeBinance):
    """The exchange with what a universe asks about.

    `coins` are rows of ``/coins/markets``, `categories` say which ids belong to one; `prices`, `spreads_bps` and
    `volumes` are by symbol, a book without spread is none.
    """

    coins: list[dict[str, Any]] = field(default_factory=usual_coins)
    categories: dict[str, set[str]] = field(default_factory=usual_categories)
    prices: dict[str, float] = field(default_factory=dict)
    spreads_bps: dict[str, float | None] = field(default_factory=dict)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        answers = {
            "/fapi/v1/ticker/bookTicker": self._books,
            "/api/v3/coins/markets": self._coins,
            "/api/v3/coins/categories/list": self._categories,
        }
        if path not in answers:
            return super().answer(path, query)
        with self._lock:
            self.requests.append((path, query))
        return answers[path](query)

    def price(self, symbol: str) -> float:
        return self.prices.get(symbol, self._quoted().get(symbol, 100.0))

    def _quoted(self) -> dict[str, float]:
        prices = {row["symbol"].upper(): row["current_price"] for row in reversed(self.coins)}
        many = {f"{many}USDT": 1000 * prices[one] for one, many in THOUSANDS.items() if one in prices}
        return {f"{name}{quote}": price for name, price in prices.items() for quote in ("USDT", "USDC")} | many

    def _ticker(self, symbol: str) -> dict[str, Any]:
        volume, price = self.listings[symbol].volume, self.price(symbol)
        ticker = super()._ticker(symbol)
        return {**ticker, "lastPrice": repr(price), "volume": repr(volume / price), "quoteVolume": repr(volume)}

    def _books(self, query: dict[str, str]) -> tuple[int, Any]:
        rows = []
        for symbol in self.listings:
            spread, price = self.spreads_bps.get(symbol, 1.0), self.price(symbol)
            if spread is not None:
                bid, ask = price * (1.0 - spread / 2e4), price * (1.0 + spread / 2e4)
                book = {"bidPrice": repr(bid), "bidQty": "1", "askPrice": repr(ask), "askQty": "1", "time": self.now_ms}
                rows.append({"symbol": symbol, **book})
        return 200, rows

    def _categories(self, query: dict[str, str]) -> tuple[int, Any]:
        return 200, [{"category_id": one, "name": one.title()} for one in (*self.categories, "meme-token")]

    def _coins(self, query: dict[str, str]) -> tuple[int, Any]:
        page, number = int(query["per_page"]), int(query["page"])
        if not 1 <= page <= 250 or query["vs_currency"] != "usd":
            return 400, {"status": {"error_code": 400}}
        wanted = self.categories.get(query["category"], set()) if "category" in query else None
        rows = [row for row in self.coins if wanted is None or row["id"] in wanted]
        return 200, rows[(number - 1) * page : number * page]
