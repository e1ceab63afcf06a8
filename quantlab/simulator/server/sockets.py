"""Open websockets: each has a queue of its own, so a client that reads slowly holds nobody else up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web

from quantlab.simulator.wire.stream_faults import Delivery, Step
from quantlab.simulator.wire.subscriptions import Subscriptions

#: Frames that may wait for a client; who falls behind further is cut off, as at the venue.
LONGEST_QUEUE = 10_000


@dataclass(eq=False)
class Socket:
    """One websocket.

    Parameters
    ----------
    response : web.WebSocketResponse
    transport : asyncio.Transport or None
    subscriptions : Subscriptions
    since_row : int
        Bars before it are known to the client.
    """

    response: web.WebSocketResponse
    transport: asyncio.Transport | None
    subscriptions: Subscriptions
    since_row: int
    silent: bool = False
    queue: asyncio.Queue[Step] = field(default_factory=lambda: asyncio.Queue(LONGEST_QUEUE))
    deliveries: dict[str, Delivery] = field(default_factory=dict)

    def delivery(self, stream: str) -> Delivery:
        """Frames of one user stream on their way."""
        if stream not in self.deliveries:
            self.deliveries[stream] = Delivery(lambda text: self.subscriptions.frame(stream, text))
        return self.deliveries[stream]

    def put(self, step: Step) -> None:
        """Let the websocket do something, after what waits already."""
        if self.silent:
            return
        if step.ending == "silent":
            self.silent = True
            if self.transport is not None:
                self.transport.pause_reading()  # a line that is half open answers no ping, and no close either
        elif step.delay_ms:
            asyncio.get_running_loop().call_later(step.delay_ms / 1000, self.put, Step(step.text))
        elif self.queue.full():
            self.reset()
        else:
            self.queue.put_nowait(step)

    def reset(self) -> None:
        """End the connection without a word."""
        self.silent = True
        if self.transport is not None:
            self.transport.abort()

    async def write(self) -> None:
        """Send what is put, until the connection ends."""
        while not self.response.closed:
            step = await self.queue.get()
            try:
                if step.ending == "reset":
                    self.reset()
                elif step.ending == "close":
                    await self.response.close(code=WSCloseCode.GOING_AWAY)
                elif step.text is not None:
                    await self.response.send_str(step.text)
            except ConnectionError:
                return
