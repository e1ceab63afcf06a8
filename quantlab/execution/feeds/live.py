"""Closed bars and funding rates of an exchange through ccxt, without keys, over one connection a session."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ccxt
import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_whole
from quantlab.core.durations import duration_text
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.events import RawBar
from quantlab.core.market import Bars, Funding
from quantlab.core.ports import BarFetcher, Clock
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.quirks import perpetuals_of
from quantlab.data.exchange.retry import Retry
from quantlab.data.series.alignment import Series, align_funding
from quantlab.data.series.live_checks import check_live
from quantlab.data.series.spans import Span
from quantlab.data.series.timestamp_checks import EARLY_MS, drop_repeats, floor_to_hour
from quantlab.execution.feeds.live_requests import SymbolRequest, request_all
from quantlab.execution.feeds.live_universe import LiveUniverse
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import Sleep

_log = logging.getLogger(__name__)
_MS_PER_MINUTE, _HOUR_MS = 60_000, 3_600_000
_USUAL_FUNDING_MS = 8 * _HOUR_MS


class CcxtBars:
    """Asks an exchange for the bars and the funding of every symbol at once.

    Parameters
    ----------
    symbols : sequence of str
        As ``job=collect`` names them (``BTCUSDT``, ``BTC-USDT-SWAP``, ``kPEPE``), in the order of every row.
    interval_ms : int
        A whole number of minutes.
    exchange : str
        As ccxt names it.
    concurrency : int
        Requests under way at once.
    bars_per_request, rates_per_request : int
        What the exchange gives at most in one answer.
    retry : Retry
        Of one request; the feed asks again in any case.
    funding : bool
        Whether rates are asked for; False leaves them unknown (None), which reports say.
    settings : dict
        Of ccxt's constructor: timeout in ms, proxies, urls, options. No keys are needed, and none are taken.

    Raises
    ------
    ConfigError
        If ccxt has no such exchange, the interval is none of whole minutes, or a key is given.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        interval_ms: int,
        *,
        exchange: str,
        concurrency: int,
        bars_per_request: int,
        rates_per_request: int,
        retry: Retry,
        funding: bool,
        settings: Mapping[str, Any],
    ) -> None:
        check_whole("execution.feed.source.concurrency", concurrency, low=1)
        if exchange not in ccxt.exchanges:
            raise ConfigError("an exchange that ccxt knows", found=repr(exchange), fix="choose one of ccxt.exchanges")
        if interval_ms % _MS_PER_MINUTE:
            raise ConfigError("bars of whole minutes", found=f"{interval_ms} ms", fix="choose another interval")
        for name, value in {"bars_per_request": bars_per_request, "rates_per_request": rates_per_request}.items():
            check_whole(f"execution.feed.source.{name}", value, low=1)
        if {"apiKey", "secret", "password"} & set(settings):
            raise ConfigError("a feed without keys", found="a key in its settings", fix="remove it: bars are public")
        self._symbols, self._interval, self._funding = tuple(symbols), interval_ms, funding
        self._exchange, self._settings, self._retry = exchange, dict(settings), retry
        self._concurrency, self._most_bars, self._most_rates = concurrency, bars_per_request, rates_per_request
        self._runner: asyncio.Runner | None = None
        self._client: ExchangeClient | None = None
        self._names: dict[str, str] = {}

    def fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        """The closed bars with ``start_ms <= open < end_ms``; a symbol whose request failed is missing in them.

        What is closed the exchange's clock says, a minute late where it shows none.

        Each carries the rates whose hour lies after the bar before it and up to its open.
        A rate that could not be had is NaN, which the ledger counts and does not charge.

        Raises
        ------
        DataError
            If no symbol's request succeeded, or one failed while the others have no bars: then nothing is known.
        """
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(self._fetch(start_ms, end_ms))

    def venue_ms(self) -> int | None:
        """The exchange's time; None where it shows none.

        Raises
        ------
        DataError
            If it cannot be had.
        """
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(self._venue_ms())

    def close(self) -> None:
        """End the connection; a later :meth:`fetch` opens another one."""
        if self._runner is not None:
            if self._client is not None:
                self._runner.run(self._client.close())
            self._runner.close()
        self._runner = self._client = None

    async def _fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        client = await self._connected()
        # Read before the bars are asked for: what has closed by then is final in every answer.
        request = self._bars_request(client, await client.now_ms())
        rows: dict[int, Float64Array] = {}
        answers = await self._request(request, (start_ms, end_ms))
        for symbol, (stamps, values) in answers.items():
            for open_ms, row in zip(stamps.tolist(), values, strict=True):
                # Numbers that are partly missing go on: the gate counts them.
                if not np.isnan(row).all():
                    place = rows.setdefault(open_ms, np.full((len(self._symbols), 5), np.nan))
                    place[self._symbols.index(symbol)] = row
        if not rows and len(answers) < len(self._names):
            failed = len(self._names) - len(answers)
            found = f"none, and no answer for {failed} of {len(self._names)} symbols"
            raise DataError(f"bars of {self._exchange}", found=found, fix="wait")
        opens = sorted(rows)
        due = (
            await self._fetch_funding(client, [start_ms - self._interval, *opens]) if self._funding and opens else None
        )
        return [
            RawBar(after, rows[after], None if due is None else due.between(before, after))
            for before, after in itertools.pairwise([start_ms - self._interval, *opens])
        ]

    async def _venue_ms(self) -> int | None:
        client = await self._connected()
        return await client.now_ms() if client.api.has.get("fetchTime") else None

    def _bars_request(self, client: ExchangeClient, now_ms: int) -> SymbolRequest:
        frame = duration_text(self._interval)

        async def fetch(name: str, start: int, end: int, limit: int) -> Series:
            return await client.bars(name, frame, start, end, limit)

        def check(symbol: str, rows: Series) -> Series:
            return check_live(rows, self._interval, now_ms, f"{symbol} at {self._exchange}")

        return SymbolRequest("bars", fetch, check, (self._interval, self._most_bars, self._interval))

    async def _fetch_funding(self, client: ExchangeClient, opens: list[int]) -> Funding:
        """The rates that fall due after the first and up to the last open; where no hour begins nothing is asked."""
        low, high = (opens[k] // _HOUR_MS * _HOUR_MS for k in (0, -1))
        if low == high:
            return Funding(np.empty(0, np.int64), np.empty((0, len(self._symbols))))
        paging = (_HOUR_MS, self._most_rates, _USUAL_FUNDING_MS)
        request = SymbolRequest("funding rates", client.funding, _floor_rates, paging)
        span = (low + _HOUR_MS - EARLY_MS, high + _HOUR_MS)  # a stamp shortly before an hour belongs to it
        return align_funding(await self._request(request, span), self._symbols)

    async def _request(self, request: SymbolRequest, span: Span) -> dict[str, Series]:
        return await request_all(request, self._names, span, self._concurrency)

    async def _connected(self) -> ExchangeClient:
        """The session's one client, which knows the exchange's markets."""
        if self._client is None:
            client = connect(self._exchange, self._settings, self._retry)
            try:
                known = perpetuals_of(await client.markets())
            except DataError:
                await client.close()
                raise
            missing = [symbol for symbol in self._symbols if symbol not in known]
            if missing:
                _log.warning("%s has no perpetual %s: no bars will come", self._exchange, ", ".join(missing[:5]))
            self._client, self._names = client, {s: known[s] for s in self._symbols if s in known}
        return self._client


def _floor_rates(symbol: str, rows: Series) -> Series:
    time_ms, rates, _ = drop_repeats(*rows, f"{symbol}'s funding")
    return floor_to_hour(time_ms, f"{symbol}'s funding"), rates.ravel()


class LiveFeed(PolledFeed):
    """A :class:`~quantlab.execution.feeds.polled.PolledFeed` for the symbols and the interval of a history.

    Parameters
    ----------
    history : Bars
        What a session warms up on; its symbols are as the exchange's dataset names them.
    source : callable
        Takes symbols and interval; gives a :class:`~quantlab.core.ports.BarFetcher`.
    universe : str, Path or None
        Folder of dated snapshots (``job=universe``): who was no member at a bar's open is marked, by the last
        snapshot known then. None = everybody may be traded.
    """

    def __init__(
        self,
        history: Bars,
        *,
        source: Callable[[tuple[str, ...], int], BarFetcher],
        universe: str | Path | None,
        delay_ms: int,
        retry_ms: int,
        most_bars: int,
        skip_after_ms: int,
        clock: Clock | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        members = None if universe is None else LiveUniverse(Path(universe), history.symbols)
        super().__init__(
            source(history.symbols, history.interval_ms),
            interval_ms=history.interval_ms,
            delay_ms=delay_ms,
            retry_ms=retry_ms,
            most_bars=most_bars,
            skip_after_ms=skip_after_ms,
            mark=None if members is None else members.mark,
            clock=clock,
            sleep=sleep,
        )

    def bar_market(self) -> str:
        """Linear perpetuals: no others are asked for."""
        return "linear"
