"""A request and its reply as plain values, and refusals in the venue's words.

Nothing here knows a socket: the server turns HTTP into :class:`Request` and :class:`Reply` into HTTP, and tests do
without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """One HTTP request, unread.

    Parameters
    ----------
    method, path : str
        ``"POST"``, ``"/fapi/v1/order"``.
    query, body : str
        Raw text, as it was signed: nothing is decoded before the signature is checked.
    headers : mapping
        Names in lower case.
    address : str
        The client's, which bans are about.
    """

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = _NO_HEADERS
    address: str = "127.0.0.1"


class Reply(NamedTuple):
    """One HTTP reply.

    Parameters
    ----------
    status : int
    body : str
        JSON in all replies of a venue that is well.
    headers : mapping
    delay_ms : int
        A fault holds the reply back for so long.
    lost : bool
        A fault: the connection ends without a reply.
    """

    status: int
    body: str
    headers: Mapping[str, str] = _NO_HEADERS
    delay_ms: int = 0
    lost: bool = False


class Now(NamedTuple):
    """Two clocks of one instant.

    Parameters
    ----------
    wire_ms : int
        The clock that time stamps of requests, rate limits and ``/fapi/v1/time`` go by.
    market_ms : int
        The clock of the replayed market: stamps of orders, trades, bars, funding.
    """

    wire_ms: int
    market_ms: int


class RefusedError(Exception):
    """A request that is refused with the venue's code and message.

    Parameters
    ----------
    code : int
        The venue's, e.g. -1102.
    message : str
    status : int
        Of HTTP.
    headers : mapping
    """

    def __init__(self, code: int, message: str, status: int = 400, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message, self.status, self.headers = code, message, status, headers

    def reply(self) -> Reply:
        """The refusal as it goes over the wire."""
        return Reply(self.status, compact({"code": self.code, "msg": self.message}), dict(self.headers))


def read_json(text: str) -> Any:
    """Read JSON of a client.

    Raises
    ------
    ValueError
        If it is none, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def compact(document: Any) -> str:
    """JSON without blanks, as the venue writes it."""
    return _ENCODER.encode(document)
