"""Bounds of an exchange's answers, kept before ccxt's parsers see them.

ccxt reads a body to its end however long it is, expands whatever was compressed, and hands a page of HTML to its
parsers character by character (100 kB held the event loop for a second). So

1. a body is read up to a number of bytes, counted after decompression, and one question has a number of answers;
2. what is no JSON object or list is refused, unless ccxt makes an error of its own of it;
3. lists of more rows than any market has are refused, and exponents and decimal places that would keep ccxt's exact
   arithmetic busy for hours.

The time of an answer is ccxt's ``timeout`` (``job.source.settings.timeout``), which holds for the whole body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
import ccxt.async_support as ccxt

#: The longest real page, 5,000 bars as objects, has 0.8 MB.
ROWS_BYTES = 4 << 20
#: Lists of all markets: the longest real one, of all spot markets of Binance, has 20 MB.
LIST_BYTES = 64 << 20
#: Answers to one question: ccxt follows a list of markets page by page, for as long as there is a next one.
MOST_ANSWERS = 100
#: Rows of one list: four times a page, and ten times the markets of the largest exchange.
MOST_ROWS = 20_000
#: An error's body is for reading; ccxt copies it into messages and searches it for known words.
_ERROR_CHARACTERS = 4_096
#: Levels of objects and lists in which rows lie at most: Bybit's ``result.list`` is the deepest.
_LEVELS = 3
#: Decimal places of a price or a size; the most that any market has are 18.
_MOST_PLACES = 100
_HUGE_EXPONENT = re.compile(r'"\s*[-+]?[\d.]+[eE][-+]?\d{4,}\s*"')


class UnsoundAnswer(ValueError):  # noqa: N818 - never leaves the client
    """An answer that is too long, or no JSON, or says what cannot be."""


@dataclass
class _Budget:
    """Bytes and answers that are left to one question."""

    bytes_left: int
    answers_left: int = MOST_ANSWERS

    def begin(self) -> None:
        self.answers_left -= 1
        if self.answers_left < 0:
            raise UnsoundAnswer(f"a list that has not ended after {MOST_ANSWERS} pages")

    def take(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise UnsoundAnswer("a body that is longer than any real answer")


#: A context variable, because ccxt's methods between a question and its answers pass nothing on. Every question runs in
#: one task, so that no other question sees its budget.
_BUDGET: ContextVar[_Budget | None] = ContextVar("budget of a question", default=None)


@contextmanager
def bounded_question(most_bytes: int) -> Iterator[None]:
    """Bound the bodies that are read within; without it, each single answer has :data:`LIST_BYTES`."""
    before = _BUDGET.set(_Budget(most_bytes))
    try:
        yield
    finally:
        _BUDGET.reset(before)


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose text is read up to the budget of its question."""

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """The body as UTF-8, as JSON is (RFC 8259, 8.1), whatever its header says.

        Raises
        ------
        UnsoundAnswer
            If it is too long; the rest is not read.
        """
        budget = _BUDGET.get() or _Budget(LIST_BYTES)
        parts = []
        try:
            budget.begin()
            async for chunk in self.content.iter_any():  # decompressed, at most some 100 kB at a time
                budget.take(len(chunk))
                parts.append(chunk)
        except UnsoundAnswer:
            self.close()
            raise
        return b"".join(parts).decode("utf-8", errors)


class BoundedAnswers(ccxt.Exchange):  # type: ignore[misc]  # ccxt's classes are not typed
    """Mixin before one of ccxt's exchanges; see :func:`bounded`."""

    session: aiohttp.ClientSession | None
    socks_proxy_sessions: dict[str, aiohttp.ClientSession] | None

    def open(self, lazy: bool = False) -> None:
        """Open the session, with bounded responses."""
        opened = self.session
        super().open(lazy)
        if self.session is not None and self.session is not opened:
            self.session = _bounded_session(self.session)

    def get_socks_proxy_session(self, socksProxy: str) -> aiohttp.ClientSession:
        """The session of a proxy, with bounded responses."""
        known = dict(self.socks_proxy_sessions or {})
        session: aiohttp.ClientSession = super().get_socks_proxy_session(socksProxy)
        if socksProxy in known:
            return session
        session = _bounded_session(session)
        self.socks_proxy_sessions = {**known, socksProxy: session}
        return session

    def on_rest_response(self, code: int, *rest: Any) -> str:
        """The body of an answer; of an error its beginning."""
        text: str = super().on_rest_response(code, *rest)
        return text if code < 400 else text[:_ERROR_CHARACTERS]

    def parse_json(self, http_response: str) -> Any:
        """The body's only reading as JSON; None if it is none."""
        if _HUGE_EXPONENT.search(http_response):
            raise UnsoundAnswer("a number with an exponent of more than three digits")
        return super().parse_json(http_response)

    def parse_precision(self, precision: str | None) -> str | None:
        """A number of decimal places as a step: ccxt appends a character for each of them."""
        _require_few_places(precision)
        step: str | None = super().parse_precision(precision)
        return step

    def integer_precision_to_amount(self, precision: str | None) -> str | None:
        """As :meth:`parse_precision`, for a number of places before the point too."""
        _require_few_places(precision)
        step: str | None = super().integer_precision_to_amount(precision)
        return step

    async def fetch(self, *request: Any, **more: Any) -> Any:
        """One answer, as an object or a list."""
        answer = await super().fetch(*request, **more)
        if not isinstance(answer, dict | list):
            raise UnsoundAnswer("no JSON object or list")
        if longest_list(answer) > MOST_ROWS:
            raise UnsoundAnswer(f"a list of more than {MOST_ROWS:,} rows")
        return answer


def read_json(text: str) -> Any:
    """A JSON value of an answer that ccxt does not read.

    Raises
    ------
    UnsoundAnswer
        If it is none, is nested too deeply, or holds NaN or Infinity, which JSON does not know.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise UnsoundAnswer("JSON that is nested too deeply") from error
    except ValueError as error:
        raise UnsoundAnswer(f"no JSON ({error})") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def bounded(exchange: str) -> Any:
    """ccxt's class of an exchange, with bounded answers."""
    return type(exchange, (BoundedAnswers, getattr(ccxt, exchange)), {})


def longest_list(answer: object, levels: int = _LEVELS) -> int:
    """Length of the longest list that rows could be in."""
    own = len(answer) if isinstance(answer, list) else 0
    inner = answer.values() if isinstance(answer, dict) else answer[:10] if isinstance(answer, list) else ()
    return max([own, *(longest_list(one, levels - 1) for one in inner if levels)])


def _require_few_places(precision: str | None) -> None:
    if precision is not None and abs(int(precision)) > _MOST_PLACES:
        raise UnsoundAnswer(f"a price or size of more than {_MOST_PLACES} decimal places")


def _bounded_session(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """A session over the same connections, which `session` gives up."""
    connector, trust_env = session.connector, session.trust_env
    session.detach()
    return aiohttp.ClientSession(connector=connector, trust_env=trust_env, response_class=BoundedResponse)
