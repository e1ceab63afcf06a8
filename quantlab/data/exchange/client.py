"""One exchange through ccxt, every request paced, repeated when that can help, and its answer checked.

ccxt knows the endpoints, the weights of requests and the forms of answers; its throttler keeps us under
the exchange's limits. What it leaves to its users is here: waiting as long as the exchange asks for,
trying again, and refusing an answer that is not whole.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import ccxt.async_support as ccxt
import numpy as np

from quantlab.core.errors import ConfigError, DataError
from quantlab.data.exchange.answers import LIST_BYTES, ROWS_BYTES, UnsoundAnswer, bounded, bounded_question
from quantlab.data.exchange.errors import (
    UNREADABLE,
    ExchangeLost,
    NeedsKey,
    can_retry,
    choose_error_type,
    find_rows,
    has_uniform_rows,
)
from quantlab.data.exchange.line import CHECK_LINE, line_fault
from quantlab.data.exchange.quirks import named_symbols, quirks_of, symbol_of
from quantlab.data.exchange.retry import SHOWN, Retry, retry_after
from quantlab.data.series.alignment import Series
from quantlab.data.series.timestamp_checks import EARLIEST_MS, LATEST_MS

_log = logging.getLogger(__name__)
T = TypeVar("T")

_UNKNOWN_CLOCK_MS = 60_000
#: Refusals of everybody who asks from this address.
_LIMITS = (ccxt.RateLimitExceeded, ccxt.DDoSProtection)
_CORRECT = "correct the symbol or the settings"


@dataclass
class ExchangeClient:
    """A connection to one exchange; use :func:`connect`, and :meth:`close` it.

    Parameters
    ----------
    api : ccxt exchange
        With its rate limiter on.
    retry : Retry
    chance : random.Random
        For the jitter.
    """

    api: Any
    retry: Retry
    chance: random.Random = field(default_factory=random.Random)
    _reached: bool = field(default=False, init=False)  # the exchange has answered something
    _not_before: float = field(default=0.0, init=False)  # no request of anyone before this moment

    async def close(self) -> None:
        """End the connection."""
        await self.api.close()

    async def now_ms(self) -> int:
        """The exchange's clock; where it shows none the machine's, a minute back, lest the exchange's be behind."""
        if not self.api.has.get("fetchTime"):
            return int(self.api.milliseconds()) - _UNKNOWN_CLOCK_MS
        return await self._fetch("its clock", self.api.fetch_time, int, _read_clock, ROWS_BYTES)

    async def markets(self) -> dict[str, dict[str, Any]]:
        """ccxt's markets by unified name."""
        return await self._fetch("its markets", self._load_markets, dict)

    async def tickers(self) -> dict[str, dict[str, Any]]:
        """ccxt's tickers of perpetuals by unified name; some exchanges would show those of the spot market."""
        return await self._fetch(
            "its tickers", lambda: self.api.fetch_tickers(None, {"type": "swap"}), dict, self._known_tickers
        )

    async def books(self) -> dict[str, dict[str, Any]]:
        """The best bid and ask by unified name; empty where the exchange has no such list of its own."""
        if self.api.has.get("fetchBidsAsks") is not True:
            return {}
        return await self._fetch("its bids and asks", self.api.fetch_bids_asks, dict)

    async def bars(self, market: str, timeframe: str, start_ms: int, end_ms: int, limit: int) -> Series:
        """Bars with ``start_ms <= open < end_ms``: stamps int64 (N,) and ohlcv float64 (N, 5), NaN for what is left out.

        The exchange may also answer with other rows, or with some of these: see :mod:`quantlab.data.exchange.pagination`.
        """
        end = {"until": end_ms - 1}
        return await self._fetch(
            f"bars of {market}",
            lambda: self.api.fetch_ohlcv(market, timeframe, since=start_ms, limit=limit, params=end),
            list,
            lambda rows: self._of_market(market, _read_bars(rows)),
            ROWS_BYTES,
        )

    async def funding(self, market: str, start_ms: int, end_ms: int, limit: int) -> Series:
        """Rates with ``start_ms <= stamp < end_ms``: stamps int64 (N,) and rates float64 (N, 1); else as :meth:`bars`."""
        end_name = quirks_of(self.api.id).funding_end
        end = {"until": end_ms - 1} if end_name is None else {end_name: end_ms}
        return await self._fetch(
            f"funding rates of {market}",
            lambda: self.api.fetch_funding_rate_history(market, since=start_ms, limit=limit, params=end),
            list,
            lambda rows: self._of_market(market, _read_rates(rows)),
            ROWS_BYTES,
        )

    async def tiers(self, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """ccxt's leverage tiers by unified name, of the markets of which the exchange tells them without a key."""
        has = self.api.has
        if has.get("fetchMarketLeverageTiers") is True:
            found = [await self._fetch_public(f"tiers of {name}", self._tiers_of(name), list) for name in names]
            return {name: tiers for name, tiers in zip(names, found, strict=True) if tiers}
        if has.get("fetchLeverageTiers") is True:
            tiers = await self._fetch_public("its tiers", lambda: self.api.fetch_leverage_tiers(list(names)), dict)
            return dict(tiers or {})
        return {}

    async def _load_markets(self) -> dict[str, dict[str, Any]]:
        # ccxt merges what it reads into what it remembers: one broken answer would spoil every later one.
        self.api.clean_rest_data()
        return dict(await self.api.load_markets(True))

    def _known_tickers(self, tickers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not tickers.keys() & self.api.markets.keys():
            raise UnsoundAnswer("no ticker of any market")
        return tickers

    def _of_market(self, market: str, series: Series) -> Series:
        """Refuse a series if the exchange says in its answer that it is another symbol's."""
        wanted = symbol_of(self.api.market(market))
        others = named_symbols(self.api.last_json_response, quirks_of(self.api.id).symbol_keys) - {wanted}
        if others:
            raise UnsoundAnswer(f"rows of {', '.join(sorted(others)[:3])[:100]} to a question about {wanted}")
        return series

    def _tiers_of(self, name: str) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        return lambda: self.api.fetch_market_leverage_tiers(name)

    async def _fetch_public(self, what: str, request: Callable[[], Awaitable[T]], form: type) -> T | None:
        try:
            return await self._fetch(what, request, form)
        except NeedsKey:
            return None

    async def _fetch(
        self,
        what: str,
        request: Callable[[], Awaitable[Any]],
        form: type,
        read: Callable[[Any], T] | None = None,
        most_bytes: int = LIST_BYTES,
    ) -> T:
        """Repeat `request` until its answer is whole and can be read, or say why there is none."""
        failure = ""
        end: type[DataError] = ExchangeLost
        failures, fault = 0, None
        while failures < self.retry.most(reached=self._reached):
            failures, fault = failures + 1, None
            await self._wait_until_allowed()
            try:
                with bounded_question(most_bytes):
                    answer = await request()
                self._reached = True
                if self._is_complete(answer, form):
                    return answer if read is None else read(answer)
                failure, wait_seconds, end = "an answer that is no whole JSON", 0.0, ExchangeLost
            except ccxt.BaseError as error:
                fault = line_fault(error) if isinstance(error, ccxt.NetworkError) else None
                self._reached |= fault is None
                failure, end = fault or _shortened(str(error)), choose_error_type(error)
                if not can_retry(error):
                    raise end(f"{what} from {self.api.id}", found=failure, fix=_CORRECT) from error
                wait_seconds = self._requested_wait(error)
            except UNREADABLE as error:
                found = _shortened(f"{type(error).__name__}: {error}")
                failure, wait_seconds = f"an answer that cannot be read ({found})", 0.0
                end = ExchangeLost
            if failures < self.retry.most(reached=self._reached):
                await self._pause(what, failure, failures, wait_seconds)
        raise end(
            f"{what} from {self.api.id} within {failures} attempts",
            found=failure,
            fix=CHECK_LINE if fault else "run the job again when the exchange answers: it goes on where it stopped",
        )

    def _is_complete(self, answer: object, form: type) -> bool:
        # ccxt hands whatever it got to its parsers and filters, which may make an empty list of it:
        # "there are no bars", where the truth is "this was no answer".
        sent = self.api.last_json_response
        if not isinstance(answer, form) or sent is None or sent == {}:
            return False
        return form is not list or has_uniform_rows(find_rows(sent))

    def _requested_wait(self, error: ccxt.BaseError) -> float:
        """The exchange's own wish; the headers are this answer's, because nothing was awaited in between."""
        if not (isinstance(error, ccxt.NetworkError) or type(error) is ccxt.ExchangeError):
            return 0.0
        if isinstance(error.__cause__, OSError | aiohttp.ClientError):
            return 0.0  # there was no answer
        seconds = retry_after(self.api.last_response_headers or {}, time.time())
        if seconds > self.retry.longest_ban_seconds:
            raise ExchangeLost(
                f"{self.api.id} to let us wait at most {self.retry.longest_ban_seconds:g} s",
                found=f"Retry-After: {seconds:.0f} s ({_shortened(str(error))})",
                fix="run the job again after that time: it goes on where it stopped",
            ) from error
        # A limit without a time is everybody's, too: the others must not go on knocking.
        return max(seconds, self.retry.first_seconds) if isinstance(error, _LIMITS) else seconds

    async def _pause(self, what: str, failure: str, failures: int, wait_seconds: float) -> None:
        seconds = max(wait_seconds, self.retry.backoff(failures, self.chance))
        _log.info("%s: %s; again in %.1f s", what, failure, seconds, extra=SHOWN)
        if wait_seconds:
            # A limit is the address's, not the request's: everybody waits, or the ban grows.
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        else:
            await asyncio.sleep(seconds)

    async def _wait_until_allowed(self) -> None:
        while (wait := self._not_before - time.monotonic()) > 0.0:
            await asyncio.sleep(wait)


def connect(exchange: str, settings: dict[str, Any], retry: Retry) -> ExchangeClient:
    """A client of the exchange that ccxt calls `exchange`; call it inside a running event loop.

    Parameters
    ----------
    exchange : str
    settings : dict
        Handed to ccxt's constructor: proxies, urls, timeout, options.
    retry : Retry

    Raises
    ------
    ConfigError
        If ccxt knows no such exchange.
    """
    if exchange not in ccxt.exchanges:
        raise ConfigError("an exchange that ccxt knows", found=repr(exchange), fix="see ccxt's list, e.g. binanceusdm")
    ours = {"enableRateLimit": True, "enableLastJsonResponse": True, "enableLastResponseHeaders": True}
    return ExchangeClient(bounded(exchange)({**settings, **ours}), retry)


def _shortened(text: str) -> str:
    return " ".join(text[:2_000].split())[:300]


def _read_clock(answer: int) -> int:
    if not EARLIEST_MS <= answer < LATEST_MS:
        raise UnsoundAnswer("a clock that shows no time between 2009 and 2100")
    return answer


def _read_bars(rows: list[Any]) -> Series:
    values = np.array([[np.nan if x is None else x for x in row[1:6]] for row in rows], dtype=np.float64)
    return np.array([row[0] for row in rows], dtype=np.int64), values.reshape(-1, 5)


def _read_rates(rows: list[Any]) -> Series:
    rates = [[np.nan if row["fundingRate"] is None else row["fundingRate"]] for row in rows]
    stamps = np.array([row["timestamp"] for row in rows], dtype=np.int64)
    return stamps, np.array(rates, dtype=np.float64).reshape(-1, 1)
