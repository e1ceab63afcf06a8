"""Status, headers and body of each answer, kept before ccxt makes a value or an exception of them.

The class of an exception is never looked at: it depends on the address that was asked and on what was answered before. A
body that broke off comes out of ccxt as an order without an id, and no exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import ccxt.async_support as ccxt

from quantlab.data.exchange.answers import ROWS_BYTES, UnsoundAnswer, bounded_question, read_json
from quantlab.data.exchange.errors import UNREADABLE
from quantlab.data.exchange.line import line_fault

#: Whatever ccxt, its parsers and the line raise; a fault of the program elsewhere is none of these.
_FAULTS = (ccxt.BaseError, aiohttp.ClientError, OSError, EOFError, asyncio.TimeoutError, *UNREADABLE)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer, unread.

    Parameters
    ----------
    status : int or None
        Of HTTP; None where nothing came.
    headers : mapping
        Names in lower case.
    body : str
    fault : str
        What failed on the way, or in ccxt's reading; "" where nothing did.
    was_sent : bool
        False where ccxt refused the request before it left.
    """

    status: int | None
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    body: str = field(repr=False, default="")
    fault: str = ""
    was_sent: bool = True

    def document(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return read_json(self.body)
        except UnsoundAnswer:
            return None


@dataclass
class _Question:
    """One question on its way: whether it left, and answers so far."""

    was_sent: bool = False
    answers: list[RawAnswer] = field(default_factory=list)


#: A context variable, because ccxt's methods between a question and its answer pass nothing on.
_QUESTION: ContextVar[_Question | None] = ContextVar("question to a venue", default=None)


class KeptAnswers(ccxt.Exchange):  # type: ignore[misc]  # ccxt's classes are not typed
    """Mixin before one of ccxt's exchanges, which hands every answer to :func:`ask`."""

    async def fetch(self, *request: Any, **more: Any) -> Any:
        """Ask, and remember that it was done."""
        question = _QUESTION.get()
        if question is not None:
            question.was_sent = True
        return await super().fetch(*request, **more)

    def on_rest_response(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> str:
        """Keep the answer."""
        text: str = super().on_rest_response(code, reason, url, method, headers, body, *rest)
        question = _QUESTION.get()
        if question is not None:
            question.answers.append(RawAnswer(code, {str(name).lower(): str(headers[name]) for name in headers}, text))
        return text


async def ask(question: Callable[[], Awaitable[object]], most_bytes: int = ROWS_BYTES) -> RawAnswer:
    """Ask once, and return the answer as it came, whatever ccxt makes of it.

    Parameters
    ----------
    question : callable
        Calls one of ccxt's methods that asks once; of several answers the last one counts.
    most_bytes : int
        Length of the longest body that is read.
    """
    asked, fault = _Question(), ""
    token = _QUESTION.set(asked)
    try:
        with bounded_question(most_bytes):
            await question()
    except _FAULTS as error:
        # Never the text of the error: ccxt puts the signed address into it.
        fault = line_fault(error) or (str(error) if isinstance(error, UnsoundAnswer) else type(error).__name__)
    finally:
        _QUESTION.reset(token)
    if asked.answers:
        return replace(asked.answers[-1], fault=fault)
    return RawAnswer(None, fault=fault or "no answer", was_sent=asked.was_sent)
