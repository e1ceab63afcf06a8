"""Coins by market capitalisation, from an API that speaks CoinGecko's ``/coins/markets``.

Reference: https://docs.coingecko.com/reference/coins-markets. Pages hold at most 250 coins; without a key
some ten to thirty requests a minute are allowed, and more are answered with 429.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError, DataError
from quantlab.data.exchange.answers import ROWS_BYTES, BoundedResponse, UnsoundAnswer, bounded_question, read_json
from quantlab.data.exchange.line import CHECK_LINE, line_fault
from quantlab.data.exchange.quirks import positive_number
from quantlab.data.exchange.retry import SHOWN, Retry, retry_after

_log = logging.getLogger(__name__)
_LARGEST_PAGE = 250


@dataclass(frozen=True)
class Coin:
    """One coin as CoinGecko lists it.

    Parameters
    ----------
    id : str
        CoinGecko's own, unique.
    symbol : str
        Its ticker in capitals; several coins can share one.
    name : str
        In full, e.g. ``Wrapped Bitcoin``.
    market_cap : float or None
        USD; None = not known.
    price, high, low : float or None
        USD, now and in the last 24 hours.
    """

    id: str
    symbol: str
    name: str
    market_cap: float | None
    price: float | None
    high: float | None = None
    low: float | None = None


@dataclass(frozen=True)
class CoinGecko:
    """A client of the coins' list.

    Parameters
    ----------
    url : str
        Of the API, e.g. ``https://api.coingecko.com/api/v3``.
    largest : int
        So many coins are listed, by market capitalisation.
    page : int
        Coins of one answer, at most 250.
    category_pages : int
        Pages of a category that are read at most.
    seconds_between : float
        From one request to the next.
    timeout_seconds : float
        For one answer.
    retry : Retry
    headers : dict of str
        E.g. a key, which belongs into the environment: ``x-cg-demo-api-key: ${oc.env:COINGECKO_KEY}``.

    Raises
    ------
    ConfigError
        If a number is outside its range, or `url` is none.
    """

    url: str
    largest: int
    page: int
    category_pages: int
    seconds_between: float
    timeout_seconds: float
    retry: Retry
    headers: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("largest", "category_pages"):
            check_whole(f"coins.{name}", getattr(self, name), low=1)
        check_whole("coins.page", self.page, low=1, high=_LARGEST_PAGE)
        check_range("coins.seconds_between", self.seconds_between, low=0.0)
        check_range("coins.timeout_seconds", self.timeout_seconds, low=1e-3)
        if not str(self.url).startswith(("http://", "https://")):
            fix = "write it like https://api.coingecko.com/api/v3"
            raise ConfigError("coins.url as an address", found=repr(self.url), fix=fix)

    async def fetch_largest(self) -> tuple[Coin, ...]:
        """The largest coins, each once, the largest first.

        Raises
        ------
        DataError
            If there is no whole answer within the attempts, or a ban is longer than we wait.
        """
        coins = await self._pages({}, -(-self.largest // self.page))
        return tuple(coins.values())[: self.largest]

    async def fetch_categories(self, categories: Sequence[str]) -> dict[str, frozenset[str]]:
        """Category -> ids of its coins, of the largest ones at least.

        Raises
        ------
        DataError
            Also if there is no such category, or it has no coin: a name with a slip in it would let through
            what it was to keep out.
        """
        found: dict[str, frozenset[str]] = {}
        if categories:
            self._require_known(categories, await self._known_categories())
        for category in categories:
            found[category] = frozenset(await self._pages({"category": category}, self.category_pages))
            if not found[category]:
                raise DataError(
                    f"coins of the category {category!r} at {self.url}",
                    found="none",
                    fix="correct the category's id (see /coins/categories/list), or leave it out",
                )
        return found

    async def _known_categories(self) -> list[str]:
        async with self._session() as session:
            rows = await self._fetch(session, "/coins/categories/list", {}, {"category_id"})
        await asyncio.sleep(self.seconds_between)
        return [str(row["category_id"]) for row in rows]

    def _require_known(self, categories: Sequence[str], known: list[str]) -> None:
        for category in categories:
            if category not in known:
                near = difflib.get_close_matches(category, known, n=3, cutoff=0.4)
                raise DataError(
                    f"a category that {self.url} has",
                    found=f"{category!r}; the nearest are {', '.join(near)}" if near else repr(category),
                    fix="correct it in job.rules.excluded.NAME.categories, or write [] there: "
                    "tickers, names and prices go on being judged",
                )

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
        return aiohttp.ClientSession(timeout=timeout, headers=dict(self.headers), response_class=BoundedResponse)

    async def _pages(self, query: Mapping[str, str], most: int) -> dict[str, Coin]:
        """By id; a coin that moved down while the pages were read comes twice and counts once."""
        coins: dict[str, Coin] = {}
        common = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": str(self.page), "sparkline": "false"}
        async with self._session() as session:
            for number in range(1, most + 1):
                params = {**common, **query, "page": str(number)}
                rows = await self._fetch(session, "/coins/markets", params, {"id", "symbol"})
                for row in rows:
                    coins.setdefault(str(row["id"]), _coin(row))
                await asyncio.sleep(self.seconds_between)
                if len(rows) < self.page:
                    break
        return coins

    async def _fetch(
        self, session: aiohttp.ClientSession, path: str, query: Mapping[str, str], keys: set[str]
    ) -> list[dict[str, Any]]:
        """Rows that have `keys`, asked for until they come whole."""
        chance, failure, failures = random.Random(), "", 0  # noqa: S311 - jitter, no secret
        fault, reached = None, query.get("page", "1") != "1"
        while failures < self.retry.most(reached=reached):
            failures, fault, wait_seconds = failures + 1, None, 0.0
            try:
                with bounded_question(ROWS_BYTES):
                    async with session.get(f"{self.url}{path}", params=dict(query)) as answer:
                        reached, text = True, await answer.text(errors="replace")
                if answer.status == 200:
                    return _rows(text, keys)
                failure = f"HTTP status {answer.status}: {' '.join(text[:2_000].split())[:200]}"
                if answer.status != 429 and answer.status < 500:
                    raise DataError(
                        f"coins from {self.url}", found=failure, fix="correct the address, the key or the category"
                    )
                wait_seconds = retry_after(dict(answer.headers), time.time())
            except (aiohttp.ClientError, TimeoutError, UnsoundAnswer) as error:
                fault = line_fault(error, self.url)
                failure = fault or f"{type(error).__name__}: {error}"
            if wait_seconds > self.retry.longest_ban_seconds:
                break
            if failures < self.retry.most(reached=reached):
                seconds = max(wait_seconds, self.retry.backoff(failures, chance))
                page = query.get("page", "1")
                _log.info("%s, page %s: %s; again in %.1f s", path, page, failure, seconds, extra=SHOWN)
                await asyncio.sleep(seconds)
        raise DataError(
            f"coins from {self.url} within {failures} attempts",
            found=failure,
            fix=CHECK_LINE if fault else "run the job again later, or raise coins.seconds_between",
        )


def _rows(text: str, keys: set[str]) -> list[dict[str, Any]]:
    rows = read_json(text)
    whole = isinstance(rows, list) and all(
        isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys) for row in rows
    )
    if not whole:
        raise UnsoundAnswer(f"no list of coins: {text[:100]!r}")
    found: list[dict[str, Any]] = rows
    return found


def _coin(row: Mapping[str, Any]) -> Coin:
    return Coin(
        str(row["id"]),
        str(row["symbol"]).upper(),
        name if isinstance(name := row.get("name"), str) else "",
        positive_number(row.get("market_cap")),
        *(positive_number(row.get(key)) for key in ("current_price", "high_24h", "low_24h")),
    )
