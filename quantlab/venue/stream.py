"""The account's stream, read for one thing only: which symbols to look at. It may lie, repeat itself or fall silent.

Every connection begins with a hint for all symbols, so that whatever was missed in between is looked for. A frame that
cannot be read is counted and is a hint, too. A connection ends with the venue's last frame, with a close, after a time of
silence and before the day is over; another one is opened, with a key asked for anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import aiohttp

from quantlab.core.checks import check_range
from quantlab.core.errors import DataError
from quantlab.core.venue.answers import Hint
from quantlab.data.exchange.answers import UnsoundAnswer
from quantlab.data.exchange.line import line_fault
from quantlab.venue.client import no_redirects
from quantlab.venue.dialect import Frame

_log = logging.getLogger(__name__)
#: Bytes of a frame; the longest real one, an account with hundreds of positions, has some 100 kB.
_LONGEST_FRAME = 4 << 20


@dataclass(frozen=True)
class StreamRules:
    """Settings of the stream.

    Parameters
    ----------
    silence_ms : int
        Time without a frame after which a connection is given up while a position or an order is open.
    idle_silence_ms : int
        The same while nothing is open.
    keep_ms : int
        Time between two requests that keep the key alive.
    longest_ms : int
        Age at which a connection is replaced, before the venue ends it.
    retry_ms, longest_retry_ms : int
        The wait before a connection is opened again doubles from the first to the longest.
    connect_ms : int
        Longest time to open one.
    """

    silence_ms: int
    idle_silence_ms: int
    keep_ms: int
    longest_ms: int
    retry_ms: int
    longest_retry_ms: int
    connect_ms: int

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            check_range(f"execution.venue.adapter.stream.{name}", getattr(self, name), low=1)


@dataclass
class UserStream:
    """The stream of one account.

    Parameters
    ----------
    rules : StreamRules
    open_key : callable
        Asks the venue for a key.
    keep_key : callable
        Keeps a key alive.
    url_of : callable
        Address of a key's stream.
    read_frame : callable
        Hints of a frame's text; raises DataError for one that cannot be read.
    is_busy : callable
        True while a position or an order is open.
    proxy : str or None
    monotonic : callable
        Seconds.
    sleep : callable
        Awaits seconds.
    """

    rules: StreamRules
    open_key: Callable[[], Awaitable[str]]
    keep_key: Callable[[str], Awaitable[None]]
    url_of: Callable[[str], str]
    read_frame: Callable[[str], Frame]
    is_busy: Callable[[], bool]
    proxy: str | None = None
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: Counts for monitoring: connections by the reason that ended the one before, and frames that could not be read.
    restarts: dict[str, int] = field(default_factory=dict, init=False)
    bad_frames: int = field(default=0, init=False)

    async def hints(self) -> AsyncIterator[Hint]:
        """Words of the stream, without an end."""
        failures = 0
        while True:
            why = "lost"
            try:
                async with aclosing(self._connection()) as words:
                    async for word in words:
                        if isinstance(word, str):
                            why = word
                        else:
                            failures = 0
                            yield word
            except (aiohttp.ClientError, OSError, DataError, UnsoundAnswer) as error:
                why = "no connection"
                # Not the error's text: the address in it holds the key.
                _log.warning("the account's stream: %s; it is opened again", line_fault(error) or type(error).__name__)
                failures += 1
            self.restarts[why] = self.restarts.get(why, 0) + 1
            if failures:
                wait = min(self.rules.retry_ms * 2 ** min(failures - 1, 30), self.rules.longest_retry_ms)
                await self.sleep(wait / 1_000)

    async def _connection(self) -> AsyncGenerator[Hint | str, None]:
        """Hints of one connection, and at last the reason of its end."""
        key = await self.open_key()
        timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
        limit = aiohttp.ClientTimeout(total=None, sock_connect=self.rules.connect_ms / 1_000)
        async with (
            aiohttp.ClientSession(timeout=limit, trace_configs=[no_redirects()]) as session,
            session.ws_connect(
                self.url_of(key), timeout=timeout, proxy=self.proxy, max_msg_size=_LONGEST_FRAME, autoping=True
            ) as socket,
        ):
            yield Hint(None, "stream opened")
            began = kept = heard = self.monotonic()
            while True:
                now = self.monotonic()
                if (now - began) * 1_000 >= self.rules.longest_ms:
                    yield "old"
                    return
                if (now - heard) * 1_000 >= self._patience_ms():
                    yield "silent"
                    return
                if (now - kept) * 1_000 >= self.rules.keep_ms:
                    await self.keep_key(key)
                    kept = self.monotonic()
                ends = (
                    began + self.rules.longest_ms / 1_000,
                    heard + self._patience_ms() / 1_000,
                    kept + self.rules.keep_ms / 1_000,
                )
                try:
                    message = await socket.receive(timeout=max(min(ends) - self.monotonic(), 0.001))
                except TimeoutError:
                    continue
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    yield "closed"
                    return
                heard = self.monotonic()
                frame = self._read(message)
                for hint in frame.hints:
                    yield hint
                if frame.is_last:
                    yield "key expired"
                    return

    def _patience_ms(self) -> int:
        return self.rules.silence_ms if self.is_busy() else self.rules.idle_silence_ms

    def _read(self, message: aiohttp.WSMessage) -> Frame:
        try:
            text = message.data if isinstance(message.data, str) else message.data.decode()
            return self.read_frame(text)
        except (DataError, UnicodeDecodeError):
            self.bad_frames += 1
            return Frame((Hint(None, "bad frame"),))
