"""One request to an exchange for every symbol at once; what fails for one of them fails for it alone."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from quantlab.core.errors import DataError
from quantlab.data.exchange.pagination import fetch_span
from quantlab.data.series.alignment import Series
from quantlab.data.series.spans import Span

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SymbolRequest:
    """A request for the rows of each symbol.

    Parameters
    ----------
    subject : str
        For messages: ``bars``.
    fetch : callable
        Takes a unified name, start, end (exclusive, ms) and how many rows; gives the rows.
    check : callable
        Takes a symbol and its rows; gives the rows that may be used, or raises DataError.
    paging : tuple of int
        ``(step_ms, most, usual_ms)`` of :func:`~quantlab.data.exchange.pagination.fetch_span`.
    """

    subject: str
    fetch: Callable[[str, int, int, int], Awaitable[Series]]
    check: Callable[[str, Series], Series]
    paging: tuple[int, int, int]


async def request_all(
    request: SymbolRequest, names: Mapping[str, str], span: Span, concurrency: int
) -> dict[str, Series]:
    """The checked rows in `span` of every symbol that answers well, by symbol.

    Parameters
    ----------
    request : SymbolRequest
    names : dict of symbol to unified name
    span : Span
    concurrency : int
        Requests under way at once.

    Raises
    ------
    DataError
        If no symbol's answer can be used.
    """
    slots = asyncio.Semaphore(concurrency)

    async def request_one(symbol: str, name: str) -> tuple[str, Series | DataError]:
        async with slots:
            try:
                rows = await fetch_span(functools.partial(request.fetch, name), span, request.paging)
                return symbol, request.check(symbol, rows)
            except DataError as error:
                return symbol, error

    answers = await asyncio.gather(*(request_one(*item) for item in names.items()))
    failed = [(symbol, answer) for symbol, answer in answers if isinstance(answer, DataError)]
    if len(failed) == len(answers):
        found = str(failed[0][1]) if failed else "none of the symbols"
        raise DataError(f"{request.subject} of the exchange", found=found, fix="wait")
    if failed:
        _log.warning("%s: %d of %d failed, e.g. %s: %s", request.subject, len(failed), len(answers), *failed[0])
    return {symbol: answer for symbol, answer in answers if not isinstance(answer, DataError)}
