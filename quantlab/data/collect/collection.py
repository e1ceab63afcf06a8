"""One collection under way: everything that is missing, fetched window by window and committed.

1. Of every symbol, find the time that the dataset does not cover yet.
2. Cut that time into windows of whole days, of about one page each, oldest first.
3. Of one window, fetch all symbols, some at a time; check every row; commit the window. A kill costs at
   most one window.
4. The same for funding rates, with longer windows: there are few of them.
5. What is missing at the very end may only be late: it does not count as asked for, and the next run asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import MS_PER_DAY, ceil_to_open, floor_to_open
from quantlab.core.errors import DataError
from quantlab.core.ports import CollectProgress
from quantlab.data.exchange.client import ExchangeClient
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.pagination import fetch_span
from quantlab.data.series.alignment import Series
from quantlab.data.series.funding_rates import drop_unsound_rates
from quantlab.data.series.spans import Span, Spans, difference, windows
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import SymbolFacts
from quantlab.data.store.row_checks import check_series
from quantlab.data.store.store import Batch, Store

_HOUR_MS = 3_600_000
#: Most perpetuals pay every eight hours.
_USUAL_FUNDING_MS = 8 * _HOUR_MS
#: So long after its time a row that an exchange does not show may still come.
_LATE_MS = 15 * 60_000
#: Window -> symbol -> the spans that are missing in it.
Plan = dict[int, dict[str, list[Span]]]


@dataclass(frozen=True)
class Paging:
    """Page lengths and concurrency of requests to an exchange.

    Parameters
    ----------
    exchange, timeframe : str
    interval_ms : int
    bars_per_request, rates_per_request : int
    concurrency : int
        Requests under way at once.
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional.
    """

    exchange: str
    timeframe: str
    interval_ms: int
    bars_per_request: int
    rates_per_request: int
    concurrency: int
    largest_funding_rate: float

    def page(self, kind: str) -> tuple[int, int]:
        """The shortest step between two rows in ms, and the rows of an answer."""
        if kind == BARS:
            return self.interval_ms, self.bars_per_request
        return _HOUR_MS, self.rates_per_request


def plan_windows(symbols: Sequence[str], store: Store, period: Span, paging: Paging) -> dict[str, Plan]:
    """Kind -> what is missing of it."""
    return {kind: _plan_kind(kind, symbols, store, period, paging) for kind in (BARS, FUNDING)}


def _plan_kind(kind: str, symbols: Sequence[str], store: Store, period: Span, paging: Paging) -> Plan:
    step, limit = paging.page(kind)
    length = max(1, limit * step // MS_PER_DAY) * MS_PER_DAY
    found: Plan = {}
    for symbol in symbols:
        for span in windows(difference([period], store.covered(symbol, kind)), length):
            found.setdefault(span[0] // length, {}).setdefault(symbol, []).append(span)
    return found


def answered_spans(
    spans: Sequence[Span], time_ms: Int64Array, step_ms: int, now_ms: int, *, known_after_ms: int = 0
) -> Spans:
    """The part of `spans` that is known for good, now that these rows came: all but what may still come at the end.

    Parameters
    ----------
    spans : sequence of Span
    time_ms : int64 (N,)
    step_ms : int
    now_ms : int
    known_after_ms : int
        Time from a row's stamp to when it is known: the interval of bars, 0 of funding rates.

    Examples
    --------
    >>> answered_spans([(0, 3_600_000)], np.array([3_000_000]), 300_000, 3_605_000)
    ((0, 3300000),)
    >>> answered_spans([(0, 3_600_000)], np.array([3_300_000]), 300_000, 3_605_000)
    ((0, 3600000),)
    """
    after_last = floor_to_open(int(time_ms[-1]), step_ms) + step_ms if len(time_ms) else 0
    still_open = ceil_to_open(now_ms - _LATE_MS - known_after_ms, step_ms)
    return difference(spans, [(max(after_last, still_open), now_ms)])


@dataclass
class Collection:
    """A collection under way: what it works with, and its result so far.

    Parameters
    ----------
    client : ExchangeClient
    store : Store
    progress : CollectProgress
    paging : Paging
    facts : dict of symbol to SymbolFacts
    now_ms : int
        By the exchange's clock.
    rows, repeated : int
        New rows, and such as were there or came twice.
    refused : dict of symbol to DataError
    refused_rates : dict of symbol to int
    """

    client: ExchangeClient
    store: Store
    progress: CollectProgress
    paging: Paging
    facts: Mapping[str, SymbolFacts]
    now_ms: int
    rows: int = 0
    repeated: int = 0
    refused: dict[str, DataError] = field(default_factory=dict)
    refused_rates: dict[str, int] = field(default_factory=dict)

    async def collect(self, plans: Mapping[str, Plan]) -> None:
        """Fetch what is missing, the oldest window first.

        Raises
        ------
        ExchangeLost
            If the exchange stops answering; what was had is committed.
        """
        steps = dict.fromkeys(self.facts, 0)
        for windows_of_kind in plans.values():
            for spans in windows_of_kind.values():
                for symbol in spans:
                    steps[symbol] += 1
        self.progress.plan(steps)
        for kind, windows_of_kind in plans.items():
            for window in sorted(windows_of_kind):
                await self._collect_window(kind, windows_of_kind[window])

    async def _collect_window(self, kind: str, wanted: Mapping[str, list[Span]]) -> None:
        """Fetch one window of all symbols and commit it, also what was had before the line was lost."""
        semaphore = asyncio.Semaphore(self.paging.concurrency)
        lost: list[ExchangeLost] = []

        async def fetch(symbol: str, spans: list[Span]) -> tuple[str, Series, list[Span]] | None:
            async with semaphore:
                if lost:
                    return None
                try:
                    series = await self._fetch_series(kind, symbol, spans)
                except ExchangeLost as error:
                    lost.append(error)
                    return None
                except DataError as error:
                    self.refused[symbol] = error
                    return None
                self.progress.advance(symbol)
                return symbol, series, spans

        accepted = {symbol: spans for symbol, spans in wanted.items() if symbol not in self.refused}
        done = [got for got in await asyncio.gather(*(fetch(*item) for item in accepted.items())) if got]
        self._commit(kind, done)
        if lost:
            raise lost[0]

    def _commit(self, kind: str, done: Sequence[tuple[str, Series, list[Span]]]) -> None:
        if not done:
            return
        series = {symbol: rows for symbol, rows, _ in done}
        step, _ = self.paging.page(kind)
        after = step if kind == BARS else 0
        covered = {
            symbol: answered_spans(spans, rows[0], step, self.now_ms, known_after_ms=after)
            for symbol, rows, spans in done
        }
        facts = {symbol: self.facts[symbol] for symbol in series}
        self.repeated += self.store.add(Batch(kind, series, covered, facts))
        self.rows += sum(len(time_ms) for time_ms, _ in series.values())

    async def _fetch_series(self, kind: str, symbol: str, spans: list[Span]) -> Series:
        step, most = self.paging.page(kind)
        paging = (step, most, step if kind == BARS else _USUAL_FUNDING_MS)

        async def fetch_page(start: int, end: int, limit: int) -> Series:
            return await self._fetch_rows(kind, str(self.facts[symbol].market), (start, end), limit)

        parts = [(np.empty(0, np.int64), np.empty((0, 5 if kind == BARS else 1)))]
        parts += [got for got in [await fetch_span(fetch_page, span, paging) for span in spans] if len(got[0])]
        time_ms, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        origin = f"{symbol} at {self.paging.exchange}"
        if kind == FUNDING:
            (time_ms, values), refused = drop_unsound_rates((time_ms, values), self.paging.largest_funding_rate)
            self.refused_rates[symbol] = self.refused_rates.get(symbol, 0) + refused
        series, dropped = check_series(kind, time_ms, values, self.paging.interval_ms, origin)
        self.repeated += dropped
        return series

    async def _fetch_rows(self, kind: str, market: str, span: Span, limit: int) -> Series:
        if kind == BARS:
            return await self.client.bars(market, self.paging.timeframe, *span, limit)
        return await self.client.funding(market, *span, limit)
