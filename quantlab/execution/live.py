"""Closed bars of an exchange through ccxt, without keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import ccxt
import ccxt.async_support
import numpy as np

from quantlab.core.errors import ConfigError, DataError
from quantlab.core.events import RawBar
from quantlab.core.ports import Clock
from quantlab.core.types import Bars, check_whole
from quantlab.execution.feed import BarSource, PolledFeed, Sleep

_MS_PER_MINUTE = 60_000


class CcxtBars:
    """Asks an exchange for the bars of every symbol at once.

    Parameters
    ----------
    symbols : sequence of str
        The exchange's own ids, e.g. ``BTCUSDT``, in the order of every row.
    interval_ms : int
        A whole number of minutes.
    exchange : str
        As ccxt names it.
    timeout_ms : int
        Of one request.
    concurrency : int
        Requests under way at once.
    settings : dict, optional
        Of ccxt's constructor: proxies, urls, options. No keys are needed, and none are taken.

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
        timeout_ms: int,
        concurrency: int,
        settings: dict[str, Any] | None = None,
    ) -> None:
        check_whole("execution.feed.source.timeout_ms", timeout_ms, low=1)
        check_whole("execution.feed.source.concurrency", concurrency, low=1)
        if exchange not in ccxt.exchanges:
            raise ConfigError("an exchange that ccxt knows", found=repr(exchange), mend="choose one of ccxt.exchanges")
        if interval_ms % _MS_PER_MINUTE:
            raise ConfigError("bars of whole minutes", found=f"{interval_ms} ms", mend="choose another interval")
        if {"apiKey", "secret", "password"} & set(settings or {}):
            raise ConfigError("a feed without keys", found="a key in its settings", mend="remove it: bars are public")
        self._symbols, self._interval = tuple(symbols), interval_ms
        self._make: Callable[[], Any] = lambda: getattr(ccxt.async_support, exchange)(
            {"timeout": timeout_ms, "enableRateLimit": True, **(settings or {})}
        )
        self._concurrency = concurrency

    def fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        """The bars with ``start_ms <= open < end_ms``; a symbol whose request failed is missing in them.

        Raises
        ------
        DataError
            If no symbol's request succeeded.
        """
        answers = asyncio.run(self._ask_all(start_ms, end_ms))
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(failed) == len(answers):
            raise DataError("bars of the exchange", found=f"{type(failed[0]).__name__}: {failed[0]}", mend="wait")
        rows: dict[int, Any] = {}
        for s, answer in enumerate(answers):
            for open_ms, *values in answer if not isinstance(answer, BaseException) else ():
                if start_ms <= open_ms < end_ms and None not in values[:5]:
                    row = rows.setdefault(int(open_ms), np.full((len(self._symbols), 5), np.nan))
                    row[s] = values[:5]
        return [RawBar(open_ms, row) for open_ms, row in sorted(rows.items())]

    async def _ask_all(self, start_ms: int, end_ms: int) -> list[Any]:
        gate = asyncio.Semaphore(self._concurrency)
        frame = _timeframe(self._interval)
        count = max((end_ms - start_ms) // self._interval, 1)
        async with self._make() as exchange:
            await exchange.load_markets()

            async def ask(symbol: str) -> list[list[float]]:
                async with gate:
                    unified = exchange.markets_by_id[symbol][0]["symbol"]
                    bars: list[list[float]] = await exchange.fetch_ohlcv(unified, frame, start_ms, count)
                    return bars

            return await asyncio.gather(*map(ask, self._symbols), return_exceptions=True)


def _timeframe(interval_ms: int) -> str:
    minutes = interval_ms // _MS_PER_MINUTE
    if minutes % 1_440 == 0:
        return f"{minutes // 1_440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


class LiveFeed(PolledFeed):
    """A :class:`~quantlab.execution.feed.PolledFeed` for the symbols and the interval of a history.

    Parameters
    ----------
    history : Bars
        What a session warms up on; its symbols are the exchange's ids.
    source : callable
        Takes symbols and interval; gives a :class:`~quantlab.execution.feed.BarSource`.
    """

    def __init__(
        self,
        history: Bars,
        *,
        source: Callable[[tuple[str, ...], int], BarSource],
        delay_ms: int,
        retry_ms: int,
        most_bars: int,
        clock: Clock | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        super().__init__(
            source(history.symbols, history.interval_ms),
            interval_ms=history.interval_ms,
            delay_ms=delay_ms,
            retry_ms=retry_ms,
            most_bars=most_bars,
            clock=clock,
            sleep=sleep,
        )
