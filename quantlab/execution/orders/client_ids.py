"""Client ids: the same for the same order in every process, and another one for each attempt.

``ql``, a letter for the kind, 4 characters of the session, 20 of the order: 27 lower-case letters and digits, which
every venue of the port takes. The order's own id will not do: it is too long for some symbols.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass

from quantlab.core.venue.requests import OrderKind

PREFIX = "ql"
_MARK, _DIGEST = 4, 20
_KINDS = "".join(kind.value for kind in OrderKind)
_PATTERN = re.compile(rf"{PREFIX}([{_KINDS}])([a-z2-7]{{{_MARK}}})([a-z2-7]{{{_DIGEST}}})")


@dataclass(frozen=True, slots=True)
class ClientId:
    """Parts of a client id of ours.

    Parameters
    ----------
    kind : OrderKind
    session_mark : str
        Of the session that sent it.
    digest : str
        Of session, order id and attempt.
    """

    kind: OrderKind
    session_mark: str
    digest: str


def make_client_id(session: str, kind: OrderKind, order_id: str, attempt: int) -> str:
    """Make the client id of one attempt at an order.

    Parameters
    ----------
    session : str
        The session's own id.
    kind : OrderKind
    order_id : str
        The same for the same decision in every process.
    attempt : int
        0, 1, 2, ...

    Examples
    --------
    >>> make_client_id("my-session", OrderKind.ENTRY, "1742083200000-BTCUSDT-increase", 0)
    'qleaelf6elqdfnxheuv5tlti5mg'
    """
    return f"{PREFIX}{kind.value}{session_mark(session)}{_base32(json.dumps([session, order_id, attempt]))[:_DIGEST]}"


def session_mark(session: str) -> str:
    """Return the 4 characters by which the ids of a session are told from another one's."""
    return _base32(session)[:_MARK]


def parse_client_id(text: str) -> ClientId | None:
    """Return the parts of a client id; None for one that is not of ours.

    >>> parse_client_id("web_1234") is None
    True
    """
    match = _PATTERN.fullmatch(text)
    return None if match is None else ClientId(OrderKind(match[1]), match[2], match[3])


def _base32(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()
