"""Key, signature, time stamp and permissions of a request.

The signature is an HMAC-SHA256 over the raw query text followed by the raw body text, without the signature itself.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from quantlab.simulator.wire.messages import RefusedError, Request
from quantlab.simulator.wire.parameters import parse_pairs, whole_number

#: A window that a request does not name, and the longest, ms.
DEFAULT_WINDOW_MS, LONGEST_WINDOW_MS = 5_000, 60_000
#: A time stamp this far ahead of the venue's clock is refused whatever its window, ms.
AHEAD_MS = 1_000

_WINDOW = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_SIGNED = "signature="
#: Parameters of signed requests, which some clients send where only a key is needed.
_OF_SIGNATURES = ("timestamp", "recvWindow", "signature")


class Security(IntEnum):
    """Right that an endpoint asks for."""

    NONE = 0
    KEY = 1  # the key alone: listen keys
    READ = 2  # signed
    TRADE = 3  # signed, with the permission to trade


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key of one account.

    Parameters
    ----------
    key, secret : str
        Invented by the owner of the simulated exchange; no real ones.
    account : str
        The account's name at the venue.
    can_trade, can_withdraw : bool
    """

    key: str
    secret: str
    account: str
    can_trade: bool = True
    can_withdraw: bool = False


def check_request(
    request: Request, security: Security, keys: Mapping[str, ApiKey], wire_ms: int
) -> tuple[ApiKey | None, dict[str, str]]:
    """Verify key, signature and time stamp, and return who asks and with which parameters.

    Parameters
    ----------
    request : Request
    security : Security
    keys : mapping
        Known keys.
    wire_ms : int
        The venue's clock.

    Returns
    -------
    ApiKey or None
        None for a request that needs no key.
    dict
        The parameters but ``timestamp``, ``recvWindow`` and ``signature``.

    Raises
    ------
    RefusedError
        -2014, -2015 (key), -1022 (signature), -1102 (missing), -1021 (time stamp).
    """
    if security == Security.NONE:
        return None, parse_pairs(request.query, request.body)
    key = _known_key(request, keys, needs_trade=security == Security.TRADE)
    if security == Security.KEY:
        pairs = parse_pairs(request.query, request.body)
        return key, {name: value for name, value in pairs.items() if name not in _OF_SIGNATURES}
    signature, payload, rest = split_signature(request.query, request.body)
    pairs = parse_pairs(*rest)
    if "timestamp" not in pairs:
        raise _missing("timestamp")
    if signature is None:
        raise _missing("signature")
    right = hmac.digest(key.secret.encode(), payload.encode(), "sha256").hex()
    if not hmac.compare_digest(right.encode(), signature.lower().encode()):
        raise RefusedError(-1022, "Signature for this request is not valid.")
    _check_window(pairs.pop("timestamp"), pairs.pop("recvWindow", None), wire_ms)
    return key, pairs


def split_signature(query: str, body: str) -> tuple[str | None, str, tuple[str, str]]:
    """Take the signature out of raw texts.

    Returns
    -------
    str or None
        The signature.
    str
        What it must be over: query and body joined without anything between them.
    tuple
        Query and body without it.

    Examples
    --------
    >>> split_signature("symbol=A&timestamp=1", "side=BUY&signature=ab")
    ('ab', 'symbol=A&timestamp=1side=BUY', ('symbol=A&timestamp=1', 'side=BUY'))
    """
    (query, first), (body, second) = _without_signature(query), _without_signature(body)
    return second if first is None else first, query + body, (query, body)


def _without_signature(text: str) -> tuple[str, str | None]:
    if _SIGNED not in text:
        return text, None
    rest, _, last = text.rpartition("&" + _SIGNED)
    if rest and "&" not in last and _SIGNED not in rest:  # one, at the end, as almost every client sends it
        return rest, last
    parts = text.split("&")
    found = [part for part in parts if part.startswith(_SIGNED)]
    rest = "&".join(part for part in parts if not part.startswith(_SIGNED))
    return rest, found[-1].removeprefix(_SIGNED) if found else None


def _known_key(request: Request, keys: Mapping[str, ApiKey], *, needs_trade: bool) -> ApiKey:
    sent = request.headers.get("x-mbx-apikey")
    if not sent:
        raise RefusedError(-2014, "API-key format invalid.", 401)
    key = keys.get(sent)
    if key is None or (needs_trade and not key.can_trade):
        raise RefusedError(-2015, f"Invalid API-key, IP, or permissions for action, request ip: {request.address}", 401)
    return key


def _check_window(timestamp: str, window: str | None, wire_ms: int) -> None:
    stamp = whole_number(timestamp)
    if stamp is None:
        raise RefusedError(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
    if window is not None and not _WINDOW.fullmatch(window):
        raise RefusedError(-1102, "Mandatory parameter 'recvWindow' was not sent, was empty/null, or malformed.")
    allowed = DEFAULT_WINDOW_MS if window is None else float(window)
    if allowed > LONGEST_WINDOW_MS:
        raise RefusedError(-1131, "recvWindow must be less than 60000.")
    if stamp >= wire_ms + AHEAD_MS:
        raise RefusedError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if wire_ms - stamp > allowed:
        raise RefusedError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _missing(name: str) -> RefusedError:
    return RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
