"""From an exchange into a dataset.

1. Ask the exchange for its clock and its markets; choose the symbols. What the dataset holds already is
   kept fresh too.
2. Of every symbol, find the time that the dataset does not cover yet, up to the last *closed* bar.
3. Cut that time into windows of whole days, of about one page each, oldest first.
4. Of one window, fetch all symbols, some at a time; check every row; commit the window. A kill costs at
   most one window.
5. The same for funding rates, with longer windows: there are few of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantlab.core.clock import parse_utc
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.types import check_range, check_whole
from quantlab.data.alignment import Series
from quantlab.data.day_files import BARS, DAY_MS, FUNDING
from quantlab.data.exchange_client import ExchangeClient, ExchangeLost, connect
from quantlab.data.incoming import Outcome, Watcher, checked
from quantlab.data.instruments import rules_of
from quantlab.data.manifest import SymbolFacts
from quantlab.data.markets import MarketChoice, still_listed
from quantlab.data.retry import Retry
from quantlab.data.spans import Span, difference, windows
from quantlab.data.store import Batch, Store
from quantlab.data.timeframes import timeframe_ms

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class ExchangeSource:
    """Collects closed bars, funding rates and trading rules through ccxt.

    Parameters
    ----------
    exchange : str
        ccxt's name of it. Binance USD-M (``binanceusdm``) is the one that the tests speak.
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
    grace_seconds: float
    retry: Retry
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("days", "concurrency", "bars_per_request", "rates_per_request"):
            check_whole(name, getattr(self, name), low=1)
        check_range("grace_seconds", self.grace_seconds, low=0.0)
        timeframe_ms(self.timeframe)
        for name in ("start", "end"):
            _instant(name, getattr(self, name))

    @property
    def interval_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    def fill(self, store: Store, watch: Watcher) -> Outcome:
        """Bring the dataset up to the last closed bar.

        Raises
        ------
        ConfigError
            If the exchange, a symbol or the period is not there.
        ExchangeLost
            If the exchange stops answering; every finished window is stored.
        """
        return asyncio.run(self._fill(store, watch))

    async def _fill(self, store: Store, watch: Watcher) -> Outcome:
        client = connect(self.exchange, dict(self.settings), self.retry)
        try:
            period = self._period(await client.now_ms())
            markets = await client.markets()
            volumes = await client.volumes() if self.choice.ranks else {}
            listed, gone = still_listed(store.manifest.symbols, markets)
            names = {**listed, **self.choice.choose(markets, volumes)}
            facts = {symbol: SymbolFacts(name, rules_of(markets[name])) for symbol, name in sorted(names.items())}
            run = _Run(client, store, watch, self, facts, period)
            await run.collect()
            notes = tuple(f"{symbol} is no longer listed: its history is kept as it is" for symbol in gone)
            return Outcome(run.rows, run.repeated, run.refused, notes)
        finally:
            await client.close()

    def _period(self, now_ms: int) -> Span:
        closed = (now_ms - round(self.grace_seconds * 1000)) // self.interval_ms * self.interval_ms
        end = min(closed, _up_to(_instant("end", self.end), self.interval_ms, closed))
        asked = _instant("start", self.start)
        start = (
            (end // DAY_MS - self.days) * DAY_MS if asked is None else -(-asked // self.interval_ms) * self.interval_ms
        )
        if start >= end:
            raise ConfigError(
                "a period with at least one closed bar",
                found=f"{self.start} to {self.end}, the last close at {np.datetime64(closed, 's')}",
                mend="choose an earlier start or a later end",
            )
        return start, end


@dataclass
class _Run:
    """One collection under way."""

    client: ExchangeClient
    store: Store
    watch: Watcher
    source: ExchangeSource
    facts: Mapping[str, SymbolFacts]
    period: Span
    rows: int = 0
    repeated: int = 0
    refused: dict[str, DataError] = field(default_factory=dict)

    async def collect(self) -> None:
        plans = [(kind, self._plan(kind)) for kind in (BARS, FUNDING)]
        steps = dict.fromkeys(self.facts, 0)
        for _, plan in plans:
            for spans in plan.values():
                for symbol in spans:
                    steps[symbol] += 1
        self.watch.plan(steps)
        for kind, plan in plans:
            for window in sorted(plan):
                await self._window(kind, plan[window])

    def _plan(self, kind: str) -> dict[int, dict[str, list[Span]]]:
        """Window -> symbol -> the spans that are missing in it."""
        step, limit = self._page(kind)
        length = max(1, limit * step // DAY_MS) * DAY_MS
        plan: dict[int, dict[str, list[Span]]] = {}
        for symbol in self.facts:
            for span in windows(difference([self.period], self.store.covered(symbol, kind)), length):
                plan.setdefault(span[0] // length, {}).setdefault(symbol, []).append(span)
        return plan

    def _page(self, kind: str) -> tuple[int, int]:
        """The shortest step between two rows in ms, and the rows of an answer."""
        source = self.source
        return (source.interval_ms, source.bars_per_request) if kind == BARS else (_HOUR_MS, source.rates_per_request)

    async def _window(self, kind: str, wanted: Mapping[str, list[Span]]) -> None:
        """Fetch one window of all symbols and commit it, also what was had before the line was lost."""
        turns = asyncio.Semaphore(self.source.concurrency)
        lost: list[ExchangeLost] = []

        async def fetch(symbol: str, spans: list[Span]) -> tuple[str, Series, list[Span]] | None:
            async with turns:
                if lost:
                    return None
                try:
                    series = await self._series(kind, symbol, spans)
                except ExchangeLost as error:
                    lost.append(error)
                    return None
                except DataError as error:
                    self.refused[symbol] = error
                    return None
                self.watch.advance(symbol)
                return symbol, series, spans

        open_ones = {symbol: spans for symbol, spans in wanted.items() if symbol not in self.refused}
        done = [got for got in await asyncio.gather(*(fetch(*item) for item in open_ones.items())) if got]
        self._commit(kind, done)
        if lost:
            raise lost[0]

    def _commit(self, kind: str, done: Sequence[tuple[str, Series, list[Span]]]) -> None:
        if not done:
            return
        series = {symbol: rows for symbol, rows, _ in done}
        covered = {symbol: tuple(spans) for symbol, _, spans in done}
        facts = {symbol: self.facts[symbol] for symbol in series}
        self.repeated += self.store.add(Batch(kind, series, covered, facts))
        self.rows += sum(len(time_ms) for time_ms, _ in series.values())

    async def _series(self, kind: str, symbol: str, spans: list[Span]) -> Series:
        width = 5 if kind == BARS else 1
        times, rows = [np.empty(0, np.int64)], [np.empty((0, width))]
        for span in spans:
            async for time_ms, values in self._pages(kind, str(self.facts[symbol].market), span):
                times.append(time_ms)
                rows.append(values)
        origin = f"{symbol} at {self.source.exchange}"
        series, dropped = checked(kind, np.concatenate(times), np.concatenate(rows), self.source.interval_ms, origin)
        self.repeated += dropped
        return series

    async def _pages(self, kind: str, market: str, span: Span) -> AsyncIterator[Series]:
        """Everything in `span`, page by page.

        The next page starts after the last row of this one, however short it was. An answer without a row of
        the span moves on by a page's length: some exchanges answer a hole with nothing, others with what
        comes after it.
        """
        (cursor, end), (step, most) = span, self._page(kind)
        while cursor < end:
            limit = min(most, -(-(end - cursor) // step))
            time_ms, values = await self._ask(kind, market, cursor, limit)
            wanted = (time_ms >= cursor) & (time_ms < end)
            if wanted.any():
                yield time_ms[wanted], values[wanted]
            if (time_ms >= end).any():
                return
            cursor = int(time_ms[wanted].max()) + 1 if wanted.any() else cursor + limit * step
            cursor = -(-cursor // step) * step if kind == BARS else cursor

    async def _ask(self, kind: str, market: str, cursor: int, limit: int) -> Series:
        if kind == BARS:
            return await self.client.bars(market, self.source.timeframe, cursor, limit)
        return await self.client.funding(market, cursor, limit)


def _instant(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_utc(str(text))
    except ValueError as error:
        raise ConfigError(f"{name} as an ISO 8601 date or time", found=repr(text), mend="write 2025-03-16") from error


def _up_to(end_ms: int | None, interval_ms: int, otherwise: int) -> int:
    return otherwise if end_ms is None else end_ms // interval_ms * interval_ms
