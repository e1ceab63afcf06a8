"""The simulated exchange over HTTP: market orders, lockstep bars, and its memory over a day, beside a bare aiohttp route."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from exchange_client import UserStream
from measure import REPEATS, Row

HERE = Path(__file__).parent
ORDERS, CONNECTIONS, SYMBOLS = 4_000, 8, 10
BARS, BAR_REPEATS = 10_000, 3
DAY, WARM_UP, DAY_SYMBOLS = 1_440, 250, 100
MB = 1e6


class Server:
    """A server in a process of its own.

    Parameters
    ----------
    process : subprocess.Popen
        Of ``exchange_server.py``.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def used(self) -> tuple[float, int]:
        """Processor time so far, seconds, and resident memory, bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, resident = self._line().split()
        return float(seconds), int(resident)

    def drive(self, kind: str, count: int, connections: int, symbols: int = SYMBOLS) -> tuple[float, float]:
        """Let a client in another process send so many ``orders``, ``bars`` or ``traded-bars``.

        Returns
        -------
        (float, float)
            Seconds: the server's processor time, and the client's wait.
        """
        before, _ = self.used()
        asked = map(str, (HERE / "exchange_client.py", self.port, kind, count, connections, symbols))
        said = subprocess.run([sys.executable, *asked], check=True, stdout=subprocess.PIPE, text=True).stdout
        return self.used()[0] - before, float(said)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def serving(*arguments: object) -> Iterator[Server]:
    """``exchange_server.py`` with these arguments, until the block ends."""
    command = [sys.executable, str(HERE / "exchange_server.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()


def order_row(symbols: int) -> Row:
    """Market orders over several connections: the server's processor time. Each order is checked against all positions."""
    with serving("exchange", SYMBOLS, 1) as exchange, serving("bare") as bare:
        times: dict[Server, list[float]] = {exchange: [], bare: []}
        for server in times:
            server.drive("orders", ORDERS, CONNECTIONS, symbols)
        for _ in range(REPEATS):
            for server, seconds in times.items():
                seconds.append(server.drive("orders", ORDERS, CONNECTIONS, symbols)[0])
        ours, theirs = median(times[exchange]), median(times[bare])
    return Row(
        f"exchange: signed market orders over HTTP, symbols: {symbols}",
        f"{ORDERS / ours:,.0f} a second, {theirs / ours:.2f} of the route's",
        f"bare aiohttp route {ORDERS / theirs:,.0f} a second",
        ours / theirs,
    )


def bar_row() -> Row:
    """Lockstep bars with an order in each, over one connection: the server's processor time, and how long the client waited."""
    with serving("exchange", SYMBOLS, BARS * BAR_REPEATS + WARM_UP + 1) as exchange, serving("bare") as bare:
        times: dict[Server, list[tuple[float, float]]] = {exchange: [], bare: []}
        for server in times:
            server.drive("traded-bars", WARM_UP, 1)
        for _ in range(BAR_REPEATS):
            for server, seconds in times.items():
                seconds.append(server.drive("traded-bars", BARS, 1))
        (ours, waited), (theirs, _) = (map(median, zip(*seconds, strict=True)) for seconds in times.values())
    return Row(
        f"exchange: {BARS:,} lockstep bars of {SYMBOLS} symbols, an order in each",
        f"{ours:.1f} s, {waited:.1f} s by the client's clock",
        f"as many requests to the bare route {theirs:.1f} s",
        ours / theirs,
    )


def memory_row() -> Row:
    """Resident memory over two lockstep days with a user stream and open positions: a quiet one, and one with an order a bar."""
    with serving("exchange", DAY_SYMBOLS, WARM_UP + 2 * DAY + 1) as exchange:
        stream = UserStream(exchange.port)
        exchange.drive("traded-bars", WARM_UP, 1)
        resident = [exchange.used()[1] / MB]
        for kind in ("bars", "traded-bars"):
            exchange.drive(kind, DAY, 1)
            resident.append(exchange.used()[1] / MB)
        assert stream.received, "the user stream said nothing"
    before, quiet, traded = resident
    return Row(
        f"exchange: memory over a day of {DAY:,} bars, {DAY_SYMBOLS} symbols",
        f"{quiet - before:+.1f} MB; a day with an order a bar {traded - quiet:+.1f} MB",
        f"{before:.1f} MB after {WARM_UP} bars",
        quiet / before,
    )


def exchange_rows() -> list[Row]:
    """All of them."""
    return [order_row(1), order_row(SYMBOLS), bar_row(), memory_row()]
