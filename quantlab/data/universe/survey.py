"""Survey of an exchange and a list of coins: the universe of this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantlab.data.exchange.client import connect
from quantlab.data.exchange.quirks import quirks_of
from quantlab.data.exchange.retry import Retry
from quantlab.data.universe.coingecko import CoinGecko
from quantlab.data.universe.exclusions import CoinList
from quantlab.data.universe.markets import Contract, contracts_of
from quantlab.data.universe.rules import UniverseRules
from quantlab.data.universe.snapshot import Snapshot


@dataclass(frozen=True)
class Survey:
    """An exchange and a list of coins that the facts of a universe come from.

    Parameters
    ----------
    exchange : str
        ccxt's name of it.
    coins : CoinGecko
    retry : Retry
        Of requests to the exchange.
    settings : dict
        For ccxt's constructor: proxies, urls, timeout. No keys are needed.
    """

    exchange: str
    coins: CoinGecko
    retry: Retry
    settings: Mapping[str, Any]

    def take_snapshot(self, rules: UniverseRules) -> Snapshot:
        """The universe of this moment, by the exchange's clock.

        Raises
        ------
        ConfigError
            If ccxt knows no such exchange.
        DataError
            If the exchange or the list of coins gives no whole answer.
        """
        return asyncio.run(self._take(rules))

    async def _take(self, rules: UniverseRules) -> Snapshot:
        entries = await self.coins.fetch_largest()
        coins = CoinList(entries, await self.coins.fetch_categories(rules.categories))
        contracts, now_ms = await self._contracts(rules)
        taken_ms = now_ms // 1000 * 1000
        return Snapshot(taken_ms, self.exchange, rules.fingerprint, rules.judge(contracts, coins, taken_ms))

    async def _contracts(self, rules: UniverseRules) -> tuple[tuple[Contract, ...], int]:
        client = connect(self.exchange, dict(self.settings), self.retry)
        try:
            markets, tickers = await client.markets(), await client.tickers()
            books = await client.books()
            # The clock is read last: a snapshot holds from a moment at which all of it was known.
            tells = client.api.has.get("fetchTime")
            now_ms = await client.now_ms() if tells else int(client.api.milliseconds())
            return contracts_of(markets, tickers, books, rules.quotes, quirks_of(self.exchange)), now_ms
        finally:
            await client.close()
