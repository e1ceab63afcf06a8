"""The exchange on a socket of this machine: HTTP and websockets by aiohttp, one thread, one loop.

All rules are in :class:`~quantlab.simulator.surface.exchange.Exchange`; here bytes become requests, and replies bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from quantlab.core.errors import ConfigError, InstallationError
from quantlab.simulator.server.sockets import Socket
from quantlab.simulator.surface.control import PREFIX, answer_control
from quantlab.simulator.surface.exchange import Exchange, UserFrame
from quantlab.simulator.surface.market_frames import source_of
from quantlab.simulator.wire.messages import Now, Reply, Request
from quantlab.simulator.wire.stream_faults import Step
from quantlab.simulator.wire.subscriptions import Subscriptions, open_subscriptions

#: The only address that is listened on.
LOOPBACK = "127.0.0.1"
_TICK_SECONDS = 0.1
_READ_HEADERS = ("x-mbx-apikey", "host", "origin")
#: Patience with connections that are still open when the exchange ends.
_CLOSING_SECONDS = 1.0
_JSON = {"Content-Type": "application/json;charset=UTF-8"}


@dataclass(eq=False)
class ExchangeServer:
    """A running exchange.

    Parameters
    ----------
    exchange : Exchange
    now_ms : callable
        The machine's clock, epoch ms.
    """

    exchange: Exchange
    now_ms: Callable[[], int]
    sockets: set[Socket] = field(default_factory=set)
    _runner: web.ServerRunner | None = None
    _ticking: asyncio.Task[None] | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port of this machine, 0 for a free one, in the clear or through TLS; returns the port.

        Raises
        ------
        InstallationError
            If the port is taken.
        """
        server = web.Server(self.handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_CLOSING_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise InstallationError(f"port {port} of {LOOPBACK} free", found=str(error), fix="set job.port") from error
        self._ticking = self._keep(self._tick())
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection, and listen no longer."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*(_close(socket) for socket in tuple(self.sockets)))
        if self._runner is not None:
            await self._runner.cleanup()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until somebody asks to stop; what ends the market's time ends the exchange, too."""
        waiting = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({waiting, *([self._ticking] if self._ticking else [])}, return_when="FIRST_COMPLETED")
        finally:
            waiting.cancel()
        if self._ticking is not None and self._ticking.done():
            self._ticking.result()

    def now(self) -> Now:
        """Both clocks: in lockstep the market's stands until a bar is ended."""
        wire_ms = self.now_ms()
        wall = self.exchange.venue.rules.mode == "wall"
        return Now(wire_ms, wire_ms if wall else self.exchange.venue.now_ms)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request, or open a websocket."""
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            subscriptions = open_subscriptions(path, query)
            if subscriptions is None:
                return web.Response(status=404)
            return await self._serve_socket(request, subscriptions)
        try:
            body = (await request.read()).decode("utf-8", "replace")
        except web.RequestPayloadError:  # e.g. not compressed as its headers say
            return web.Response(status=400)
        headers = {name: sent for name in _READ_HEADERS if (sent := request.headers.get(name)) is not None}
        asked = Request(request.method, path, query, body, headers, request.remote or LOOPBACK)
        reply = self.answer(asked)
        if reply.delay_ms:
            await asyncio.sleep(reply.delay_ms / 1000)
        if reply.lost and request.transport is not None:
            request.transport.abort()
        return web.Response(body=reply.body.encode(), status=reply.status, headers={**_JSON, **reply.headers})

    def answer(self, request: Request) -> Reply:
        """Answer one request, and send what it set off."""
        now = self.now()
        if request.path.startswith(PREFIX):
            reply = answer_control(self.exchange, request, now)
        else:
            reply = self.exchange.answer(request, now)
        self.publish()
        return reply

    def publish(self) -> None:
        """Send frames of all that happened to those who listen."""
        for frame in self.exchange.user_frames():
            if self.exchange.listen_keys.account(frame.listen_key) is not None:  # not ended by a fault just now
                self._send_user_frame(frame, with_faults=True)
        row = self.exchange.venue.row
        if any(socket.since_row < row for socket in self.sockets):
            self._send_market_frames(self.sockets)  # all of them: a frame of a book counts on from the last one

    def _send_user_frame(self, frame: UserFrame, *, with_faults: bool) -> None:
        listening = [socket for socket in self.sockets if frame.listen_key in socket.subscriptions.names]
        fault = self.exchange.faults.frame(frame.event) if with_faults and listening else None
        if fault is not None and fault.kind == "key_expired":
            frame, fault = self.exchange.expire_key(frame.listen_key, self.now()), None
        for socket in listening:
            for step in socket.delivery(frame.listen_key).deliver(frame.document, fault):
                socket.put(step)

    def _send_market_frames(self, sockets: Iterable[Socket]) -> None:
        """Send each its streams; a stream that several want is made once."""
        row, made = self.exchange.venue.row, dict[tuple[str, int], list[str]]()
        for socket in sockets:
            for stream in socket.subscriptions.names:
                wanted = source_of(stream), 0 if "@depth" in stream else socket.since_row  # a book has no past
                if wanted not in made:
                    made[wanted] = self.exchange.market_frames(*wanted)
                for text in made[wanted]:
                    socket.put(Step(socket.subscriptions.frame(stream, text)))
            socket.since_row = row

    async def _tick(self) -> None:
        """Let time pass: bars end in wall mode, listen keys run out, market streams flow."""
        wall = self.exchange.venue.rules.mode == "wall"
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self.now()
            if wall:
                self.exchange.venue.advance(now.market_ms)
            self.publish()
            for frame in self.exchange.expired_keys(now):
                self._send_user_frame(frame, with_faults=False)
            self._send_market_frames(self.sockets if wall else ())

    async def _serve_socket(self, request: web.BaseRequest, subscriptions: Subscriptions) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        transport = request.transport if isinstance(request.transport, asyncio.Transport) else None
        socket = Socket(response, transport, subscriptions, self.exchange.venue.row)
        self.sockets.add(socket)
        writer = self._keep(socket.write())
        try:
            async for message in response:
                if message.type == WSMsgType.TEXT:
                    socket.put(Step(subscriptions.receive(message.data)))
        finally:
            self.sockets.discard(socket)
            writer.cancel()
        return response

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _close(socket: Socket) -> None:
    """Close one websocket; one whose client does not answer is cut off."""
    with suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(socket.response.close(), timeout=_CLOSING_SECONDS)
    socket.reset()


async def serve_until(
    server: ExchangeServer,
    port: int,
    ready: Callable[[int], None],
    stop: asyncio.Event,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until somebody asks to stop.

    Parameters
    ----------
    server : ExchangeServer
    port : int
        0 for a free one.
    ready : callable
        Called with the port when it listens.
    stop : asyncio.Event
    tls : ssl.SSLContext or None
        A certificate of one's own, for a client that is led here under the venue's real names.
    """
    ready(await server.start(port, tls))
    try:
        await server.run_until(stop)
    finally:
        await server.stop()


def require_loopback(host: str) -> None:
    """Refuse to listen to other machines.

    Raises
    ------
    ConfigError
        For any other address.
    """
    if host != LOOPBACK:
        raise ConfigError(
            f"job.host={LOOPBACK}", found=repr(host), fix="reach it from elsewhere through an ssh tunnel of your own"
        )
