"""One websocket: the route it came by, the streams that it wants, and answers to what it sends.

Routes are the venue's: ``/ws/NAME/NAME`` and ``/stream?streams=NAME/NAME``, alone or behind ``/public``, ``/market`` or
``/private``. A frame goes out bare on ``ws`` and wrapped in its stream's name on ``stream``. A listen key is a stream, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from quantlab.simulator.wire.messages import compact, read_json

CATEGORIES = ("public", "market", "private")
_MOST_STREAMS = 1_024


@dataclass(slots=True)
class Subscriptions:
    """Streams of one websocket.

    Parameters
    ----------
    wrapped : bool
        Frames carry their stream's name.
    names : dict
        Streams in the order of their subscription; the values say nothing.
    """

    wrapped: bool
    names: dict[str, None] = field(default_factory=dict)

    def receive(self, text: str) -> str:
        """Answer a message of the client: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY or GET_PROPERTY.

        Returns
        -------
        str
            A frame; an error in the venue's shape where the message is not understood.
        """
        try:
            message = read_json(text)
        except ValueError:
            return compact({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return compact({"error": {"code": 0, "msg": "Unknown property"}})
        number, wanted = message.get("id"), message.get("params", [])
        method = message["method"]
        if method == "LIST_SUBSCRIPTIONS":
            return compact({"result": list(self.names), "id": number})
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, wanted, number)
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            known = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"
            return _error(2, f"Invalid request: unknown variant {method}, expected one of {known}", number)
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            return _error(2, "Invalid request: params must be an array of strings", number)
        if method == "SUBSCRIBE" and len(self.names | dict.fromkeys(wanted)) > _MOST_STREAMS:
            return _error(4, f"Too many streams: at most {_MOST_STREAMS}", number)
        for name in wanted:
            if method == "SUBSCRIBE":
                self.names[name] = None
            else:
                self.names.pop(name, None)
        return compact({"result": None, "id": number})

    def frame(self, stream: str, text: str) -> str:
        """A document's text as it goes out for `stream`."""
        return f'{{"stream":{json.dumps(stream)},"data":{text}}}' if self.wrapped else text

    def _property(self, method: str, wanted: Any, number: Any) -> str:
        if method == "GET_PROPERTY":
            return compact({"result": self.wrapped, "id": number})
        if not (
            isinstance(wanted, list) and len(wanted) == 2 and wanted[0] == "combined" and isinstance(wanted[1], bool)
        ):
            return _error(2, "Invalid request: expected [combined, true or false]", number)
        self.wrapped = wanted[1]
        return compact({"result": None, "id": number})


def open_subscriptions(path: str, query: str) -> Subscriptions | None:
    """Streams that a websocket's address asks for; None for an address that is no stream's.

    Examples
    --------
    >>> list(open_subscriptions("/market/stream", "streams=btcusdt@kline_1m/ethusdt@markPrice").names)
    ['btcusdt@kline_1m', 'ethusdt@markPrice']
    >>> open_subscriptions("/private/ws", "listenKey=abc").names, open_subscriptions("/fapi/v1/ping", "")
    ({'abc': None}, None)
    """
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in CATEGORIES:
        parts = parts[1:]
    if not parts or parts[0] not in ("ws", "stream"):
        return None
    asked = parse_qs(query)
    names = [unquote(part) for part in parts[1:]]
    for name in ("streams", "listenKey"):
        names += [one for value in asked.get(name, []) for one in value.split("/") if one]
    return Subscriptions(wrapped=parts[0] == "stream", names=dict.fromkeys(names))


def _error(code: int, message: str, number: Any) -> str:
    return compact({"error": {"code": code, "msg": message}, "id": number})
