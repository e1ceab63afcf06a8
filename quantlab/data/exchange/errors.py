"""Classification of ccxt's errors and of incomplete answers: retry, give up, or a key is needed."""

from __future__ import annotations

from typing import Any

import aiohttp
import ccxt.async_support as ccxt

from quantlab.core.errors import DataError

#: What ccxt's parsers and ours raise over an answer of a wrong form: also over integers that fit into no column, and over
#: nesting that no parser follows.
UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
#: Levels of objects in which a list of rows lies at most.
_LEVELS = 4


class ExchangeLost(DataError):  # noqa: N818 - a state of the line, not of the data
    """The exchange cannot be reached, refuses to answer, or answers nonsense: nothing more can be fetched."""


class NeedsKey(DataError):  # noqa: N818 - a property of the request
    """The exchange answers this request to account holders only."""


def find_rows(sent: object, levels: int = _LEVELS) -> list[Any] | None:
    """The list in an answer, bare or in an envelope of so many levels; None if there is none."""
    if isinstance(sent, list):
        return sent
    inner = sent.values() if isinstance(sent, dict) and levels else ()
    return next((rows for rows in (find_rows(one, levels - 1) for one in inner) if rows is not None), None)


def has_uniform_rows(rows: list[Any] | None) -> bool:
    """True if the rows of a list are all objects, or all lists of one length."""
    if not rows:
        return rows is not None
    lists = [len(row) for row in rows if isinstance(row, list)]
    objects = sum(isinstance(row, dict) for row in rows)
    return objects == len(rows) or (len(lists) == len(rows) and len(set(lists)) == 1)


def can_retry(error: ccxt.BaseError) -> bool:
    """True if the same request can succeed later.

    A plain ExchangeError is what ccxt makes of a body that broke off, and of words that it does not know:
    a limit or a maintenance may be among them.
    """
    return isinstance(error, ccxt.NetworkError) or type(error) is ccxt.ExchangeError


def choose_error_type(error: ccxt.BaseError) -> type[DataError]:
    """Error to raise if every attempt ends with `error`: the exchange is lost, needs a key, or refuses this request."""
    if isinstance(error, ccxt.AuthenticationError):
        return NeedsKey
    no_line = isinstance(error, ccxt.NetworkError) or isinstance(error.__cause__, aiohttp.ClientError)
    return ExchangeLost if no_line else DataError
