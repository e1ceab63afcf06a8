"""The line to a server: faults in which nobody answered, told by host and cause."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

import aiohttp

#: Advice for every one of these faults.
CHECK_LINE = "check this machine's network, its name server, a proxy or a firewall; what was fetched is kept"
_ADDRESS = re.compile(r"https?://([^/\s'\"]+)")


def line_fault(error: BaseException, address: str = "") -> str | None:
    """The host that did not answer, and the cause; None if there was an answer, or the fault is another one.

    Parameters
    ----------
    error : exception
        With what caused it.
    address : str
        That was asked, for errors that do not name it.

    Examples
    --------
    >>> line_fault(TimeoutError(), "https://example.org/time")
    'example.org does not answer in time (timeout)'
    >>> line_fault(ValueError("no JSON"))
    """
    causes = list(_causes(error))
    host = _host(causes, address)
    for cause in causes:
        match cause:
            case socket.gaierror():
                return f"no address is known for {host} (DNS: {cause.strerror or cause})"
            case ssl.SSLError() | aiohttp.ClientSSLError():
                return f"no safe connection to {host} (TLS: {' '.join(str(cause).split())[:200]})"
            case ConnectionRefusedError():
                return f"{host} refuses the connection (connection refused)"
            case TimeoutError():
                return f"{host} does not answer in time (timeout)"
            case aiohttp.ServerDisconnectedError() | ConnectionResetError():
                return f"{host} closed the connection without an answer"
    if any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes):
        return f"{host} cannot be reached ({' '.join(str(causes[-1]).split())[:200]})"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the deepest last."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        yield found
        found = found.__cause__ or found.__context__


def _host(causes: list[BaseException], address: str) -> str:
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorError):
            return f"{cause.host}:{cause.port}"
    named = _ADDRESS.search(" ".join([*map(str, causes), address]))
    return named.group(1) if named else "the server"
