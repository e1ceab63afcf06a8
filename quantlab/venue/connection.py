"""One account's connection: budget and clock before each request, the answer noted after it."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import SystemClock
from quantlab.core.errors import DataError
from quantlab.core.ports import Clock
from quantlab.core.redaction import redact
from quantlab.data.exchange.answers import LIST_BYTES
from quantlab.venue.answers import RawAnswer, ask
from quantlab.venue.budget import Budget, BudgetRules, Priority
from quantlab.venue.client import check_settings, new_client
from quantlab.venue.clock import ClockRules, VenueTime
from quantlab.venue.dialect import Dialect
from quantlab.venue.keys import KeyNames, read_keys
from quantlab.venue.listings import Listing, Listings, choose_markets

_OK = 200
_LIST_WEIGHT = 1


@dataclass(frozen=True)
class ReadRules:
    """Settings of questions that may be asked again.

    Parameters
    ----------
    attempts : int
    pause_ms : int
        Before the second attempt; it doubles.
    patience_ms : int
        Longest wait for the budget.
    """

    attempts: int
    pause_ms: int
    patience_ms: int

    def __post_init__(self) -> None:
        check_whole("execution.venue.adapter.reads.attempts", self.attempts, low=1, high=20)
        check_range("execution.venue.adapter.reads.pause_ms", self.pause_ms, low=0)
        check_range("execution.venue.adapter.reads.patience_ms", self.patience_ms, low=0)


@dataclass
class Connection:
    """An account at one venue, through ccxt.

    Parameters
    ----------
    dialect : Dialect
    symbols : tuple of str
        The session's.
    keys : KeyNames
    rest : str or None
        Address in place of the venue's own.
    settings : mapping
        Of ccxt's constructor.
    clock : ClockRules
    budget : BudgetRules
    reads : ReadRules
    environment : mapping
    machine : Clock
    monotonic : callable
        Seconds.
    sleep : callable
        Awaits seconds.
    """

    dialect: Dialect
    symbols: tuple[str, ...]
    keys: KeyNames
    rest: str | None
    settings: Mapping[str, Any]
    clock: ClockRules
    budget: BudgetRules
    reads: ReadRules
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    machine: Clock = field(default_factory=SystemClock)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __post_init__(self) -> None:
        check_settings(self.dialect.exchange, self.settings)
        self._values = read_keys(self.keys, self.environment)
        self.time = VenueTime(self.clock, self.machine, self.monotonic)
        self.counts = Budget(self.budget)
        self.host = ""
        self._client: Any = None
        self._listings: Listings | None = None
        self._measuring, self._loading = asyncio.Lock(), asyncio.Lock()

    def client(self) -> Any:
        """ccxt's client, made where there is none."""
        if self._client is None:
            options = {**(self.settings.get("options") or {}), **self.dialect.options}
            settings = {**self.settings, "options": options}
            self._client = new_client(self.dialect.exchange, self._values, settings, self.time.now_ms)
            self.host = self.dialect.point(self._client, self.rest)
        return self._client

    async def close(self) -> None:
        """End the connections; a later request opens others."""
        client, self._client, self._listings = self._client, None, None
        if client is not None:
            await client.close()

    async def listings(self, *, anew: bool = False) -> Listings:
        """Names, grids and filters of all symbols.

        Parameters
        ----------
        anew : bool
            Ask the venue, though they are known.

        Raises
        ------
        DataError
            If they cannot be had.
        """
        async with self._loading:
            if self._listings is None or anew:
                client = self.client()
                load = functools.partial(client.load_markets, True)
                await self._read("the venue's symbols", load, _LIST_WEIGHT)
                if not client.markets:
                    raise DataError("the venue's symbols", found="an answer without any", fix="wait, and ask again")
                self._listings = self._listed(client.markets)
            return self._listings

    def names(self) -> dict[str, str]:
        """The venue's names of our symbols -> the session's; empty before they are known."""
        ours = {} if self._listings is None else self._listings.ours
        return {listing.venue_symbol: symbol for symbol, listing in ours.items()}

    def _listed(self, markets: Mapping[str, Mapping[str, Any]]) -> Listings:
        chosen = choose_markets(self.symbols, markets, self.dialect.asset)
        ours = {symbol: self._listing(symbol, market) for symbol, market in chosen.items()}
        names = {listing.venue_symbol: listing for listing in ours.values()}
        others = [m for m in markets.values() if m.get("swap") and m.get("linear") and m["id"] not in names]
        return Listings(ours, _Others(names, {str(m["id"]): m for m in others}, self._listing))

    def _listing(self, symbol: str, market: Mapping[str, Any]) -> Listing:
        row = market["info"]
        return Listing(symbol, str(market["id"]), str(market["symbol"]), self.dialect.grid_of(row), row)

    async def read(
        self, endpoint: str, params: Mapping[str, Any], weight: int, codes: list[int | None] | None = None
    ) -> Any:
        """Ask a raw endpoint of ccxt, as often as it takes; gives its JSON.

        Parameters
        ----------
        endpoint : str
            E.g. ``fapiPrivateGetIncome``.
        params : mapping
        weight : int
        codes : list or None
            The venue's codes of refusals are put there.

        Raises
        ------
        DataError
            If no whole answer can be had.
        """
        asked = functools.partial(getattr(self.client(), endpoint), dict(params))
        return await self._read(endpoint, asked, weight, codes=codes)

    async def time_ready(self, *, if_due: bool) -> None:
        """Measure the venue's time where it may be wrong, or also where the measurement is old.

        Raises
        ------
        DataError
            If the venue does not tell its time.
        """
        if not (self.time.is_due if if_due else self.time.is_wrong):
            return
        async with self._measuring:
            if self.time.is_due:
                before, began = self.time.now_ms(), self.monotonic()
                await self.time.measure(self.read_time)
                self.counts.shift(round(self.time.now_ms() - before - (self.monotonic() - began) * 1_000))

    async def read_time(self) -> int:
        """The venue's time, ms."""
        raw = await ask(self.client().fetch_time)
        self.note(raw)
        document = raw.document()
        served = document.get("serverTime") if isinstance(document, dict) else None
        if raw.status != _OK or not isinstance(served, int):
            raise DataError("the venue's time", found=self.describe(raw), fix="wait, and ask again")
        return served

    async def admit(self, priority: Priority, weight: int, orders: int, patience_ms: float) -> int:
        """Wait until the budget allows a request, and count it; gives 0, or the wait, ms, that is longer than the patience."""
        while True:
            now = self.time.now_ms()
            wait = self.counts.allowed_at_ms(priority, now, is_order=orders > 0) - now
            if wait <= 0:
                self.counts.begin(weight, orders, now)
                return 0
            if wait > patience_ms:
                return wait
            await self.sleep(wait / 1_000)
            patience_ms -= wait

    def note(self, raw: RawAnswer) -> tuple[int | None, str, int | None]:
        """Learn from an answer; gives its code, words and the wait that it asks for, ms."""
        document = raw.document()
        code, words = self.dialect.read_refusal(document)
        now = self.time.now_ms()
        refused = raw.status is not None and raw.status >= 400
        wait = self.dialect.wait_ms(raw.headers, document, now) if refused else None
        self.counts.note(raw.status, self.dialect.usage_of(raw.headers), wait, now)
        if self.dialect.is_clock_refusal(code):
            self.time.note_refused()
        return code, words, wait

    def describe(self, raw: RawAnswer) -> str:
        """An answer in a few words, without keys and signatures."""
        if raw.status is None:
            return raw.fault if raw.was_sent else f"nothing was sent ({raw.fault})"
        code, words = self.dialect.read_refusal(raw.document())
        said = words or " ".join(raw.body.split())[:80] or "nothing"
        return f"status {raw.status}{'' if code is None else f', code {code}'}: {redact(said[:300])}"

    async def _read(
        self,
        what: str,
        question: Callable[[], Awaitable[object]],
        weight: int,
        *,
        codes: list[int | None] | None = None,
    ) -> Any:
        found = "nothing"
        for attempt in range(self.reads.attempts):
            if attempt:
                await self.sleep(self.reads.pause_ms * 2 ** (attempt - 1) / 1_000)
            wait = await self.admit(Priority.RECONCILE, weight, 0, self.reads.patience_ms)
            if wait:
                raise DataError(f"{what} from {self.host}", found=f"a limit for {wait / 1_000:.0f} s more", fix="wait")
            await self.time_ready(if_due=True)
            raw = await ask(question, LIST_BYTES)
            code, _, _ = self.note(raw)
            if codes is not None:
                codes.append(code)
            document = raw.document()
            if raw.status == _OK and isinstance(document, dict | list) and not raw.fault:
                return document
            found = (
                f"an answer that cannot be read ({raw.fault or 'no JSON'})" if raw.status == _OK else self.describe(raw)
            )
            if not self.dialect.can_ask_again(raw.status, code):
                break
        raise DataError(f"{what} from {self.host}", found=found, fix="wait; if it stays, look at the venue's notices")


class _Others(Mapping[str, Listing]):
    """Listings by the venue's names: ours, and those of others, read when they are asked for."""

    def __init__(
        self,
        ours: Mapping[str, Listing],
        others: Mapping[str, Mapping[str, Any]],
        read: Callable[[str, Mapping[str, Any]], Listing],
    ) -> None:
        self._ours, self._others, self._read = ours, others, read

    def __getitem__(self, name: str) -> Listing:
        return self._ours[name] if name in self._ours else self._read(name, self._others[name])

    def __iter__(self) -> Any:
        return iter((*self._ours, *self._others))

    def __len__(self) -> int:
        return len(self._ours) + len(self._others)
