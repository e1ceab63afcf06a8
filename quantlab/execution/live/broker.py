"""The live broker: the same strategy object on a venue; settling folds what the venue said, and nothing else differs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import numpy as np

from quantlab.core.errors import ArtifactError, DataError
from quantlab.core.events import AccountView, BarInputs, Decision, Event
from quantlab.core.market import CLOSE, Bars, Instrument
from quantlab.core.results import OrderReason
from quantlab.execution.live.account import LiveAccount
from quantlab.execution.live.inbox import DueFacts
from quantlab.execution.live.wanted_levels import SettledPosition
from quantlab.trading.account.venue_facts import VenueFill, facts_in_lots
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import CASH, EQUITY, STOP_LEVEL, TAKE_LEVEL, UNITS, Facts

_log = logging.getLogger(__name__)
T = TypeVar("T")

#: Longest wait before the session's wish to stop is looked at again.
_SLICE_SECONDS = 0.25
#: After an answer that could not be had.
_FAILED_MS = 1_000


class LiveLoop:
    """The one event loop of a session, and the stream that says when a look at the venue is due.

    Parameters
    ----------
    account : LiveAccount
    stopped : callable
        True when the session is to stop.
    runner : asyncio.Runner, optional
        The loop in which the venue was asked before; whoever made it closes it.
    """

    def __init__(self, account: LiveAccount, stopped: Callable[[], bool], runner: asyncio.Runner | None = None) -> None:
        self.account, self._stopped = account, stopped
        self._own_runner = asyncio.Runner() if runner is None else None
        self._runner = runner or self._own_runner or asyncio.Runner()
        self._hinted: asyncio.Event | None = None
        self._listener: asyncio.Task[None] | None = None
        self._hints: set[str] = set()
        self._next_poll_ms = 0

    @property
    def is_stopped(self) -> bool:
        """True when the session is to stop."""
        return self._stopped()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one piece of work to its end, with the stream beside it."""
        return self._runner.run(self._with_stream(work))

    def close(self) -> None:
        """End stream, connections and loop."""
        self._runner.run(self._end())
        if self._own_runner is not None:
            self._own_runner.close()

    async def attend(self, seconds: float) -> None:
        """Serve hints, polls, orders in doubt and protection for so long, or until the session is to stop."""
        loop, venue = asyncio.get_running_loop(), self.account.venue
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0.0 and not self._stopped():
            due_ms = min(self._next_poll_ms, self.account.due_ms() or self._next_poll_ms)
            wait = min(left, _SLICE_SECONDS, max(0.0, (due_ms - venue.now_ms()) / 1000))
            if await self._wait_for_hint(wait) or venue.now_ms() >= self._next_poll_ms:
                await self._poll()
            if (due := self.account.due_ms()) is not None and due <= venue.now_ms():
                await self.ask_again_if_lost(self.account.attend())

    async def ask_again_if_lost(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do work that asks the venue; where it has no answer, a look at it is due soon, and the session goes on.

        Orders have left by then, and what they opened must be protected: this is no moment to stop.
        """
        try:
            await work
        except DataError as error:
            self._next_poll_ms = self.account.venue.now_ms() + _FAILED_MS
            _log.warning("the venue is asked again: %s", error)
            return False
        return True

    async def _poll(self) -> None:
        symbols, self._hints = self._hints, set()
        if await self.ask_again_if_lost(self.account.poll(symbols & set(self.account.listed))):
            self._next_poll_ms = self.account.venue.now_ms() + self.account.settings.poll_ms
        else:
            self._hints |= symbols

    async def _wait_for_hint(self, seconds: float) -> bool:
        event = self._hinted
        if event is None:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), max(seconds, 0.001))
        was_set = event.is_set()
        event.clear()
        return was_set

    async def _with_stream(self, work: Coroutine[Any, Any, T]) -> T:
        if self._hinted is None:
            self._hinted = asyncio.Event()
        if self._listener is None or self._listener.done():
            self._listener = asyncio.ensure_future(self._listen())
        return await work

    async def _listen(self) -> None:
        async for hint in self.account.venue.hints():
            self._hints |= set(self.account.listed) if hint.symbol is None else {hint.symbol}
            if self._hinted is not None:
                self._hinted.set()

    async def _end(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self.account.venue.close()


class LiveBroker:
    """A :class:`~quantlab.core.ports.Broker` on a venue; a thin one: what must outlive it is in the :class:`LiveAccount`.

    Parameters
    ----------
    account : Stepper
    loop : LiveLoop
    """

    def __init__(self, account: Stepper, loop: LiveLoop) -> None:
        self._account, self._loop, self._live = account, loop, loop.account
        self._columns = {symbol: column for column, symbol in enumerate(account.symbols)}
        self._closes: dict[str, float] = {}

    def gather(self, until_ms: int) -> Sequence[Event]:
        """Ask for everything until a close, so long after it that the venue shows all of it."""
        return self._loop.run(self._gather(until_ms))

    def take(self, event: Event) -> None:
        """Fold a journalled fact."""
        self._live.take(event)

    def sync(self, bar: Bars) -> None:
        """Fold the bar's facts into the account."""
        open_ms = int(bar.open_time_ms[0])
        due = self._live.settle(open_ms, open_ms + bar.interval_ms)
        self._account.settle_facts(bar, self._facts(due, bar))
        self._live.settled(self._positions())
        self._closes = dict(zip(bar.symbols, bar.ohlcv[0, :, CLOSE].tolist(), strict=True))

    def submit(self, decision: Decision) -> None:
        """Send a decision; what the venue knows already is not sent again."""
        decided_ms = decision.open_time_ms + self._account.interval_ms
        work = self._live.submit(decision, decided_ms, self._closes)
        self._loop.run(self._loop.ask_again_if_lost(work))

    def attend(self, seconds: float) -> None:
        """Serve the venue while the session waits."""
        self._loop.run(self._loop.attend(seconds))

    def account(self) -> AccountView:
        """Cash, equity and open positions."""
        state = self._account.state
        held = np.flatnonzero(state.positions[UNITS])
        units = {self._account.symbols[s]: float(state.positions[UNITS, s]) for s in held}
        return AccountView(float(state.account[CASH]), float(state.account[EQUITY]), units)

    def inputs(self) -> BarInputs:
        """Return the halts that the venue gives reason for, for the next bar."""
        return BarInputs(venue_halt=self._live.halt() is not None)

    def state(self) -> bytes:
        """The live account's memory."""
        return json.dumps({"live": self._live.state(), "closes": self._closes}, allow_nan=True).encode()

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`."""
        try:
            found = json.loads(state)
            self._live.restore(found["live"])
            self._closes = found["closes"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                "the memory of a live broker", found=str(error)[:200], fix="go on with the version that wrote it"
            ) from error

    async def _gather(self, until_ms: int) -> list[Event]:
        venue = self._live.venue
        wait_ms = until_ms + self._live.settings.show_ms - venue.now_ms()
        if wait_ms > 0:
            await asyncio.sleep(wait_ms / 1000)
        while True:
            try:
                return await self._live.ask()
            except DataError as error:
                if self._loop.is_stopped:
                    raise  # the bar is left to the next start
                _log.warning("the venue is asked again: %s", error)
                await asyncio.sleep(_FAILED_MS / 1000)

    def _facts(self, due: DueFacts, bar: Bars) -> Facts:
        orders = {(fill.symbol, fill.venue_id): i for i, fill in enumerate(due.fills)}
        fills = [
            VenueFill(
                self._columns[fill.symbol],
                fill.side * fill.lots,
                fill.price_ticks,
                float(fill.fee),
                OrderReason[fill.reason],
                orders[fill.symbol, fill.venue_id],
            )
            for fill in due.fills
        ]
        return facts_in_lots(
            fills,
            self._on_grid(bar),
            funding=[float(payment.amount) for payment in due.funding],
            moved=[float(payment.amount) for payment in due.moved],
        )

    def _on_grid(self, bar: Bars) -> tuple[Instrument, ...]:
        """The bar's rules with the grid that lots and ticks of the session are counted by, which no change of rules moves."""
        grids = [self._live.listed[symbol].grid for symbol in bar.symbols]
        return tuple(
            dataclasses.replace(rules, tick=float(grid.tick), lot=float(grid.lot))
            for rules, grid in zip(bar.instruments, grids, strict=True)
        )

    def _positions(self) -> dict[str, SettledPosition]:
        positions = self._account.state.positions
        found = {}
        for s in np.flatnonzero(positions[UNITS]):
            symbol = self._account.symbols[s]
            lots = self._live.listed[symbol].grid.nearest_lots(float(positions[UNITS, s]))
            found[symbol] = SettledPosition(lots, float(positions[STOP_LEVEL, s]), float(positions[TAKE_LEVEL, s]))
        return found
