"""Collection from an exchange into a dataset.

1. Ask the exchange for its clock and its markets; choose the symbols. What the dataset holds already is
   kept fresh too.
2. See what the dataset lacks, up to the last *closed* bar (:mod:`quantlab.data.collect.collection`).
3. Ask for the maintenance margins of the symbols that lack something.
4. Fetch and commit it, window by window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.checks import check_range, check_whole, parse_time
from quantlab.core.clock import MS_PER_DAY, ceil_to_open, floor_to_open
from quantlab.core.errors import ConfigError
from quantlab.core.ports import CollectProgress
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.collection import Collection, Paging, plan_windows
from quantlab.data.collect.market_choice import MarketChoice, split_listed
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.quirks import quirks_of, turnover_usd
from quantlab.data.exchange.retry import Retry
from quantlab.data.series.funding_rates import refused_rates_note
from quantlab.data.series.instruments import MARGIN, maintenance_margin_rate, margin_note, rules_of
from quantlab.data.series.spans import Span
from quantlab.data.series.timeframes import timeframe_ms
from quantlab.data.store.manifest import LINEAR, SymbolFacts
from quantlab.data.store.store import Store

Markets = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ExchangeSource:
    """Collects closed bars, funding rates and trading rules through ccxt.

    Parameters
    ----------
    exchange : str
        ccxt's name of it. The tests speak Binance USD-M (``binanceusdm``), ``bybit``, ``okx`` and ``hyperliquid``.
    timeframe : str
        E.g. ``5m``.
    choice : MarketChoice
    days : int
        How far back, in whole UTC days, where `start` is None.
    start, end : str or None
        ISO 8601, UTC. None: `days` back, and the last closed bar.
    concurrency : int
        Requests under way at once; ccxt spaces them by the exchange's limits in any case.
    bars_per_request, rates_per_request : int
        What the exchange gives at most in one answer.
    margin_notional_usd : float
        Size of the position whose maintenance margin is stored: larger positions of a market have higher ones.
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional; larger ones are left out and counted.
    grace_seconds : float
        A bar counts as closed so long after its close, by the exchange's clock.
    retry : Retry
    settings : dict
        For ccxt's constructor: proxies, urls, timeout, options. No keys are needed.

    Raises
    ------
    ConfigError
        If a value is none that can be worked with.
    """

    exchange: str
    timeframe: str
    choice: MarketChoice
    days: int
    start: str | None
    end: str | None
    concurrency: int
    bars_per_request: int
    rates_per_request: int
    margin_notional_usd: float
    largest_funding_rate: float
    grace_seconds: float
    retry: Retry
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("days", "concurrency", "bars_per_request", "rates_per_request"):
            check_whole(name, getattr(self, name), low=1)
        check_range("grace_seconds", self.grace_seconds, low=0.0)
        check_range("margin_notional_usd", self.margin_notional_usd, low=0.0)
        check_range("largest_funding_rate", self.largest_funding_rate, low=0.0)
        timeframe_ms(self.timeframe)
        for name in ("start", "end"):
            parse_time(f"job.source.{name}", getattr(self, name))

    @property
    def interval_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    @property
    def market(self) -> str:
        return LINEAR

    def fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        """Bring the dataset up to the last closed bar.

        Raises
        ------
        ConfigError
            If the exchange, a symbol or the period is not there.
        ExchangeLost
            If the exchange stops answering; every finished window is stored.
        """
        return asyncio.run(self._fill(store, progress))

    async def _fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        client = connect(self.exchange, dict(self.settings), self.retry)
        try:
            now_ms = await client.now_ms()
            period = self._period(now_ms)
            markets = await client.markets()
            volumes = await self._volumes(client, markets) if self.choice.needs_volumes else {}
            listed, gone = split_listed(store.manifest.symbols, markets)
            names = dict(sorted({**listed, **self.choice.choose(markets, volumes)}.items()))
            plans = plan_windows(tuple(names), store, period, self._paging)
            incomplete = {symbol for one in plans.values() for spans in one.values() for symbol in spans}
            margins = await self._margins(client, markets, [name for s, name in names.items() if s in incomplete])
            facts = {
                symbol: SymbolFacts(name, rules_of(markets[name]) | margins.get(name, {}))
                for symbol, name in names.items()
            }
            collection = Collection(client, store, progress, self._paging, facts, now_ms)
            await collection.collect(plans)
            refused = collection.refused_rates
            notes = (
                *_unreachable(self.choice.unlisted_members(markets), gone),
                *_notes(store, gone),
                *refused_rates_note(refused, self.largest_funding_rate),
            )
            return CollectOutcome(collection.rows, collection.repeated, collection.refused, notes, refused)
        finally:
            await client.close()

    @property
    def _paging(self) -> Paging:
        return Paging(
            self.exchange,
            self.timeframe,
            self.interval_ms,
            self.bars_per_request,
            self.rates_per_request,
            self.concurrency,
            self.largest_funding_rate,
        )

    async def _volumes(self, client: ExchangeClient, markets: Markets) -> dict[str, float]:
        tickers, quirks = await client.tickers(), quirks_of(self.exchange)
        known = {name: ticker for name, ticker in tickers.items() if name in markets}
        return {name: turnover_usd(ticker, markets[name], quirks) or 0.0 for name, ticker in known.items()}

    async def _margins(self, client: ExchangeClient, markets: Markets, names: list[str]) -> dict[str, dict[str, float]]:
        """The maintenance margin of every market that tells one, by unified name."""
        tiers = await client.tiers(names) if names else {}
        tickers = await client.tickers() if tiers and quirks_of(self.exchange).tiers_in_contracts else {}
        found = {}
        for name, one in tiers.items():
            unit = 1.0
            if quirks_of(self.exchange).tiers_in_contracts:
                unit = float(markets[name].get("contractSize") or 1.0) * float(tickers.get(name, {}).get("last") or 0.0)
            rate = maintenance_margin_rate(one, self.margin_notional_usd, unit)
            if rate is not None:
                found[name] = {MARGIN: rate}
        return found

    def _period(self, now_ms: int) -> Span:
        closed = floor_to_open(now_ms - round(self.grace_seconds * 1000), self.interval_ms)
        end = min(closed, _up_to(parse_time("job.source.end", self.end), self.interval_ms, closed))
        start_ms = parse_time("job.source.start", self.start)
        start = (
            (end // MS_PER_DAY - self.days) * MS_PER_DAY
            if start_ms is None
            else ceil_to_open(start_ms, self.interval_ms)
        )
        if start >= end:
            raise ConfigError(
                "a period with at least one closed bar",
                found=f"{self.start} to {self.end}, the last close at {np.datetime64(closed, 's')}",
                fix="choose an earlier start or a later end",
            )
        return start, end


def _unreachable(unlisted_members: tuple[str, ...], stored: tuple[str, ...]) -> tuple[str, ...]:
    """Former members that neither the exchange has nor the dataset."""
    unreachable = [symbol for symbol in unlisted_members if symbol not in stored]
    shown = ", ".join(unreachable[:5]) + (f" and {len(unreachable) - 5} more" if len(unreachable) > 5 else "")
    fix = "their bars can only come from files (job/source=archives)"
    return (f"{len(unreachable)} members of the universe are no longer listed: {shown}; {fix}",) if unreachable else ()


def _notes(store: Store, gone: tuple[str, ...]) -> tuple[str, ...]:
    notes = [f"{symbol} is no longer listed: its history is kept as it is" for symbol in gone]
    unstated = [symbol for symbol, facts in store.manifest.symbols.items() if MARGIN not in facts.rules]
    if unstated:
        notes.append(margin_note(unstated, len(store.manifest.symbols)))
    return tuple(notes)


def _up_to(end_ms: int | None, interval_ms: int, otherwise: int) -> int:
    return otherwise if end_ms is None else floor_to_open(end_ms, interval_ms)
