"""Distorted answers over loopback HTTP, through the real clients: a sound result or a QuantlabError, nothing else.

    python tests/data/exchange/fuzz.py --batches 200 --seed 1

One batch is one question (clock, markets, tickers, books, bars, funding, tiers or the list of coins) to one exchange
whose answer is distorted once, or every time it is asked. What comes out goes through the functions that collecting,
surveys and feeds put it through.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "fakes"))
from binance_server import DAY_MS, EPOCH_MS, HOUR_MS, STEP_MS, FakeBinance, Listing, serving
from coin_server import FakeMarkets
from distortions import DISTORTIONS, Reply
from other_exchanges import FakeBybit, FakeHyperliquid, FakeOkx

from quantlab.core.errors import QuantlabError
from quantlab.core.market import Instrument
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.quirks import perpetuals_of, quirks_of, turnover_usd
from quantlab.data.exchange.retry import Retry
from quantlab.data.series.funding_rates import drop_unsound_rates
from quantlab.data.series.instruments import instrument_of, maintenance_margin_rate, rules_of
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.row_checks import check_series
from quantlab.data.universe.coingecko import CoinGecko
from quantlab.data.universe.markets import contracts_of

NOW_MS = EPOCH_MS + DAY_MS + 700_000
RULES = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
#: Two attempts: what is distorted once must come whole the second time, unless the line refuses for good.
RETRY = Retry(2, 0.0, 0.0, 0.0, 0.0)
QUICK_MS, PATIENT_MS = 300, 20_000
EXCHANGES: dict[str, tuple[type[FakeBinance], tuple[str, str], dict[str, Any]]] = {
    "binanceusdm": (FakeMarkets, ("BTCUSDT", "ETHUSDT"), {"urls": {"api": {"fapiPublic": "/fapi/v1"}}}),
    "bybit": (FakeBybit, ("BTCUSDT", "ETHUSDT"), {"urls": {"api": {"public": ""}}, "options": {"fetchMarkets": {"types": ["linear"]}}}),
    "okx": (FakeOkx, ("BTC-USDT-SWAP", "ETH-USDT-SWAP"), {"urls": {"api": {"rest": ""}}, "options": {"fetchMarkets": {"types": ["swap"]}}}),
    "hyperliquid": (FakeHyperliquid, ("BTC", "ETH"), {"urls": {"api": {"public": ""}}, "options": {"fetchMarkets": {"types": ["swap"]}}}),
}  # fmt: skip


@dataclass
class Line:
    """One exchange under way: its server, a client that knows its true markets, and the distortion of the moment."""

    exchange: str
    server: FakeBinance
    client: ExchangeClient
    coins: CoinGecko | None
    kind: str = "none"
    times: int = 0
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    markets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def distort(self, path: str, query: dict[str, Any], body: bytes) -> Reply | None:
        if not self.times:
            return None
        self.times -= 1
        if self.kind == "other symbol":
            first, second = EXCHANGES[self.exchange][1]
            asked = json.dumps(query).replace(first, "?").replace(second, first).replace("?", second)
            return Reply(json.dumps(self.server.answer(path, json.loads(asked))[1]).encode())
        return DISTORTIONS[self.kind][1](body, self.rng)

    async def ask(self, question: str) -> None:
        """Put a question, and its answer through whatever uses it."""
        name = next(iter(perpetuals_of(self.markets).values()))
        match question:
            case "clock":
                now_ms = await self.client.now_ms()
                _require(isinstance(now_ms, int) and 0 < now_ms < 2**53)
            case "markets":
                markets = await self.client.markets()
                for market in perpetuals_of(markets).values():
                    instrument_of(rules_of(markets[market]), RULES)
                contracts_of(markets, {}, {}, ["USDT"], quirks_of(self.exchange))
            case "tickers":
                tickers = await self.client.tickers()
                for known in set(tickers) & set(self.markets):
                    turnover_usd(tickers[known], self.markets[known], quirks_of(self.exchange))
                contracts_of(self.markets, tickers, {}, ["USDT"], quirks_of(self.exchange))
            case "books":
                contracts_of(self.markets, {}, await self.client.books(), ["USDT"], quirks_of(self.exchange))
            case "bars":
                span = (EPOCH_MS, EPOCH_MS + 40 * STEP_MS)
                time_ms, values = await self.client.bars(name, "5m", *span, 40)
                _require(time_ms.dtype == np.int64 and values.dtype == np.float64 and values.shape == (len(time_ms), 5))
                check_series(BARS, time_ms, values, STEP_MS, name)
            case "funding":
                time_ms, rates = await self.client.funding(name, EPOCH_MS, EPOCH_MS + 24 * HOUR_MS, 24)
                _require(time_ms.dtype == np.int64 and rates.dtype == np.float64 and rates.shape == (len(time_ms), 1))
                (time_ms, rates), _ = drop_unsound_rates((time_ms, rates), 0.05)
                check_series(FUNDING, time_ms, rates, STEP_MS, name)
                _require(bool(np.all(np.abs(rates) <= 0.05)))
            case "tiers":
                for tiers in (await self.client.tiers([name])).values():
                    maintenance_margin_rate(tiers, 10_000.0, 1.0)
            case "coins":
                coins = await self.coins.fetch_largest() if self.coins else ()
                _require(all(coin.price is None or 0.0 < coin.price < 1e101 for coin in coins))
            case "categories":
                await (self.coins.fetch_categories(["stablecoins"]) if self.coins else _nothing())


QUESTIONS = {"clock": 1.0, "markets": 2.0, "tickers": 2.0, "books": 1.0, "bars": 4.0, "funding": 4.0, "tiers": 1.0}
COIN_QUESTIONS = {"coins": 1.0, "categories": 1.0}


async def _nothing() -> None:
    return None


def _require(condition: bool) -> None:
    if not condition:
        raise AssertionError("a result that is neither sound nor refused")


@dataclass
class Outcomes:
    """Batches by distortion and outcome, and those that came out as anything else."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        sound, refused = (sum(n for (_, how), n in self.counts.items() if how == kind) for kind in ("sound", "refused"))
        total = sound + refused + len(self.failures)
        return f"{total} batches: {sound} sound, {refused} refused, {len(self.failures)} neither"


async def _batches(lines: list[Line], count: int, seed: int, outcomes: Outcomes) -> None:
    kinds = list(DISTORTIONS)
    weights = np.array([weight for weight, _ in DISTORTIONS.values()])
    for batch in range(count):
        rng = np.random.default_rng([seed, batch])
        line = lines[int(rng.integers(len(lines)))]
        questions = {**QUESTIONS, **(COIN_QUESTIONS if line.coins else {})}
        question = str(rng.choice(list(questions), p=np.array(list(questions.values())) / sum(questions.values())))
        line.kind, line.rng = str(rng.choice(kinds, p=weights / weights.sum())), rng
        line.times = 1 if rng.random() < 0.3 else 10**6
        line.client.api.timeout = QUICK_MS if line.kind == "slow" else PATIENT_MS
        line.coins = line.coins and replace(line.coins, timeout_seconds=line.client.api.timeout / 1000)
        await _one(line, question, f"seed {seed}, batch {batch}: {line.exchange}, {question}, {line.kind}", outcomes)
        if question == "markets":  # what ccxt remembers of the distorted ones must not reach the next batch
            line.markets = await line.client.markets()


async def _one(line: Line, question: str, title: str, outcomes: Outcomes) -> None:
    kind, ask = line.kind, line.ask(question)
    try:
        await ask
    except QuantlabError as error:
        outcomes.counts[kind, "refused"] += 1
        if kind == "none":
            outcomes.failures.append(f"{title}: a true answer is refused: {error}")
    except Exception as error:  # noqa: BLE001 - the very thing that is looked for
        outcomes.failures.append(f"{title}: {type(error).__name__}: {str(error)[:200]}")
    else:
        outcomes.counts[kind, "sound"] += 1
        if kind == "other symbol" and question == "funding" and line.times:
            outcomes.failures.append(f"{title}: rates of another symbol were accepted")
    line.times = 0


async def _lines(servers: dict[str, FakeBinance], stack: AsyncExitStack) -> list[Line]:
    lines = []
    for exchange, server in servers.items():
        _, _, settings = EXCHANGES[exchange]
        urls = {"api": {name: server.url + path for name, path in settings["urls"]["api"].items()}}
        client = connect(exchange, {**settings, "urls": urls, "rateLimit": 1}, RETRY)
        stack.push_async_callback(client.close)
        coins = None
        if isinstance(server, FakeMarkets):
            coins = CoinGecko(f"{server.url}/api/v3", 50, 50, 1, 0.0, PATIENT_MS / 1000, RETRY, {})
        line = Line(exchange, server, client, coins)
        line.markets = await client.markets()
        server.distort = line.distort
        lines.append(line)
    return lines


def fuzz(batches: int, seed: int) -> Outcomes:
    """Run so many batches; the outcome depends on the seed, but for what a slow machine makes of a slow body."""
    outcomes = Outcomes()

    async def run(servers: dict[str, FakeBinance]) -> None:
        async with AsyncExitStack() as stack:
            await _batches(await _lines(servers, stack), batches, seed, outcomes)

    with ExitStack() as stack:
        servers = {}
        for exchange, (fake, names, _) in EXCHANGES.items():
            lives = {name: Listing(k + 1, last=200) for k, name in enumerate(names)}
            servers[exchange] = stack.enter_context(serving(fake(lives, NOW_MS, bars=288)))
        asyncio.run(run(servers))
    return outcomes


def main() -> int:
    """Print the count, and every failure with the seed that brings it back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    outcomes = fuzz(given.batches, given.seed)
    for kind in DISTORTIONS:
        sound, refused = (outcomes.counts[kind, how] for how in ("sound", "refused"))
        print(f"{kind:>15}: {sound:6,} sound {refused:6,} refused")  # noqa: T201
    print(f"seed {given.seed}, {outcomes.sentence}", *outcomes.failures, sep="\n")  # noqa: T201
    return 1 if outcomes.failures else 0


if __name__ == "__main__":
    sys.exit(main())
