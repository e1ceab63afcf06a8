"""A server that does not answer is told by host and cause, after few attempts, and every wait is shown."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from quantlab.core.errors import ConfigError
from quantlab.data.exchange.client import connect
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.line import line_fault
from quantlab.data.exchange.retry import Retry
from quantlab.jobs.output.waits import shown_waits


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[int]:
    """A port that takes connections and says `answer`, or nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)
                    connection.sendall(answer or b"")

        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def clock_of(url: str, retry: Retry) -> ExchangeLost:
    """The refusal of an exchange that is asked for its clock."""

    async def ask() -> None:
        settings = {"urls": {"api": {"fapiPublic": f"{url}/fapi/v1"}}, "rateLimit": 1, "timeout": 300}
        client = connect("binanceusdm", settings, retry)
        try:
            await client.now_ms()
        finally:
            await client.close()

    with pytest.raises(ExchangeLost) as caught:
        asyncio.run(ask())
    return caught.value


PATIENT = Retry(8, 0.0, 0.0, 0.0, 60.0, unreached_attempts=2)


def test_nobody_at_the_address_is_said_after_few_attempts_and_shown() -> None:
    shown = io.StringIO()
    port = closed_port()
    with shown_waits(Console(file=shown, width=400)):
        error = clock_of(f"http://127.0.0.1:{port}", PATIENT)
    assert "within 2 attempts" in str(error)
    assert error.found == f"127.0.0.1:{port} refuses the connection (connection refused)"
    assert "check this machine's network" in error.fix
    (line,) = shown.getvalue().splitlines()
    assert re.match(rf"waiting: its clock: 127\.0\.0\.1:{port} refuses .*; again in 0\.0 s", line)


def test_a_name_that_nobody_knows_a_silent_server_and_a_broken_handshake_are_told_apart() -> None:
    once = Retry(8, 0.0, 0.0, 0.0, 60.0, unreached_attempts=1)
    assert (
        "no address is known for no-such-host.invalid:443 (DNS: "
        in clock_of("https://no-such-host.invalid", once).found
    )
    with listening() as port:
        assert clock_of(f"http://127.0.0.1:{port}", once).found == f"127.0.0.1:{port} does not answer in time (timeout)"
    with listening(b"HTTP/1.1 400 no\r\n\r\n") as port:
        assert f"no safe connection to 127.0.0.1:{port} (TLS: " in clock_of(f"https://127.0.0.1:{port}", once).found


def test_a_server_that_answers_is_asked_as_often_as_configured() -> None:
    """A bad answer is one: the line is there, and the server may come to itself."""
    body = b"HTTP/1.1 503 gone\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with listening(body) as port:
        error = clock_of(f"http://127.0.0.1:{port}", Retry(5, 0.0, 0.0, 0.0, 60.0, unreached_attempts=1))
    assert "within 5 attempts" in str(error)
    assert "goes on where it stopped" in error.fix


def test_attempts_are_whole_numbers_and_other_faults_are_none_of_the_line() -> None:
    with pytest.raises(ConfigError, match="unreached_attempts"):
        Retry(5, 0.0, 0.0, 0.0, 60.0, unreached_attempts=0)
    assert Retry(2, 0.0, 0.0, 0.0, 60.0, unreached_attempts=3).most(reached=False) == 2
    assert line_fault(KeyError("timestamp")) is None
