"""Replies that a faulty wire gives: instead of the request's effect, or after it."""

from __future__ import annotations

from quantlab.simulator.wire.faults import Fault
from quantlab.simulator.wire.messages import RefusedError, Reply

_GATEWAY_PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
_JSON_FAULTS = {
    "-1003": (429, "Too many requests; current limit is 2400 requests per minute."),
    "-1000": (400, "An unknown error occurred while processing the request."),
    "-1007": (408, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    "-1008": (
        503,
        "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again.",
    ),
}


def faulty_reply(fault: Fault, reply: Reply | None) -> Reply:
    """The reply that a client gets instead of `reply`.

    Parameters
    ----------
    fault : Fault
        Of a REST kind.
    reply : Reply or None
        The true one, None for a request that took no effect.
    """
    if fault.kind in _JSON_FAULTS:
        status, message = _JSON_FAULTS[fault.kind]
        return RefusedError(int(fault.kind), message, status).reply()
    if fault.kind in ("429", "418"):  # from the edge: no JSON
        return Reply(int(fault.kind), "", {"Retry-After": "1" if fault.kind == "429" else "120"})
    if fault.kind == "502":
        return Reply(502, _GATEWAY_PAGE, {"Content-Type": "text/html"})
    whole = reply or Reply(504, "")
    if fault.kind == "slow":
        return whole._replace(delay_ms=fault.ms)
    if fault.kind == "truncated":
        return whole._replace(body=whole.body[: len(whole.body) // 2])
    return whole._replace(lost=True)  # ack_lost after the effect, dropped before it
