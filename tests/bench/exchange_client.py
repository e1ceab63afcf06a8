"""A client of the exchange and of its yardstick: raw sockets that are kept alive, in a process of its own.

``python tests/bench/exchange_client.py PORT orders|bars|traded-bars COUNT CONNECTIONS SYMBOLS``

All requests are written and signed before the clock starts, so that hardly more than the server's work is measured. Each
connection sends its next request after it has read the answer to the last one; nothing is pipelined. Prints the seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator

KEY, SECRET = "demo-key", b"demo-secret"


def order_request(number: int, symbols: int) -> bytes:
    """A signed market order: so many symbols are bought one after the other, then sold."""
    side = "BUY" if number // symbols % 2 == 0 else "SELL"
    text = (
        f"symbol=S{number % symbols:03d}USDT&side={side}&type=MARKET&quantity=1.000&newOrderRespType=RESULT"
        f"&newClientOrderId=bench-{number}&recvWindow=60000&timestamp={int(time.time() * 1000)}"
    )
    signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    return _request("POST /fapi/v1/order", f"{text}&signature={signature}")


def bar_request() -> bytes:
    """End the running bar."""
    return _request("POST /_sim/advance", '{"bars":1}')


def _request(place: str, body: str) -> bytes:
    return (
        f"{place} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-MBX-APIKEY: {KEY}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _read_answer(connection: socket.socket) -> bytes:
    """One whole answer.

    Raises
    ------
    RuntimeError
        If it is no 200.
    """
    received = connection.recv(65_536)
    while True:
        head, ended, body = received.partition(b"\r\n\r\n")
        if ended and len(body) == int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0]):
            break
        more = connection.recv(65_536)
        if not more:
            raise RuntimeError(f"the connection ended: {received!r}")
        received += more
    if not received.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(received.decode())
    return body


def send(port: int, requests: list[bytes], connections: int) -> float:
    """Send requests over so many connections at once; returns the seconds until the last answer is read."""
    left: Iterator[bytes] = iter(requests)
    selector = selectors.DefaultSelector()
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for one in sockets:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ)
    before = time.perf_counter()
    for one in sockets:
        one.sendall(next(left))
    answered = 0
    while answered < len(requests):
        for ready, _ in selector.select():
            _read_answer(ready.fileobj)  # type: ignore[arg-type]  # a socket was registered
            answered += 1
            following = next(left, None)
            if following is not None:
                ready.fileobj.sendall(following)  # type: ignore[union-attr]
    seconds = time.perf_counter() - before
    for one in sockets:
        one.close()
    return seconds


class UserStream:
    """A user stream of the exchange that is read and thrown away.

    Parameters
    ----------
    port : int
    """

    def __init__(self, port: int) -> None:
        self.received = 0
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.sendall(_request("POST /fapi/v1/listenKey", ""))
            key = _read_answer(asking).decode().split('"')[3]
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(
            f"GET /private/ws?listenKey={key} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        if not self._socket.recv(65_536).startswith(b"HTTP/1.1 101"):
            raise RuntimeError("the exchange opened no user stream")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while received := self._socket.recv(65_536):
            self.received += len(received)


def main(port: int, kind: str, count: int, connections: int, symbols: int) -> None:
    """Write `count` orders, as many ends of bars, or as many of both by turns, and send them."""
    orders = [] if kind == "bars" else [order_request(k, symbols) for k in range(count)]
    bars = [] if kind == "orders" else [bar_request()] * count
    by_turns = [one for pair in zip(bars, orders, strict=False) for one in pair]
    print(send(port, by_turns or orders or bars, connections))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6]))
