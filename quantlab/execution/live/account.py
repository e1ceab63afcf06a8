"""The account at a venue as a session knows it: facts, orders, protection. One object outlives every broker and release.

Everything that it remembers is a fold of the journal, or asked from the venue again. All coroutines belong to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from quantlab.core.events import Decision, Event, Leg
from quantlab.core.ports import Journal, Venue
from quantlab.core.results import OrderReason
from quantlab.core.venue.answers import VenueBooks
from quantlab.core.venue.facts import ListedSymbol
from quantlab.core.venue.requests import OrderKind
from quantlab.execution.live.guard import Guard
from quantlab.execution.live.inbox import DueFacts, Inbox
from quantlab.execution.live.known_facts import KnownFacts
from quantlab.execution.live.polling import new_fills, new_payments
from quantlab.execution.live.settings import LiveSettings
from quantlab.execution.live.venue_facts import Fill, venue_fact
from quantlab.execution.live.wanted_levels import FLAT, SettledPosition, wanted_levels
from quantlab.execution.orders import facts as order_facts
from quantlab.execution.orders.answer_rules import AnswerRules
from quantlab.execution.orders.hooks import Hooks
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.states import OrderView
from quantlab.execution.protection.levels import Levels

#: Looks at the venue in a row while protection trades; a venue that shows its trades late is looked at again later.
_MOST_LOOKS = 4
_CANCEL_STEP_SECONDS = 0.05
_ORDER_KINDS = frozenset(order_facts.KINDS)
_OWN_REASONS = {
    OrderKind.ENTRY: OrderReason.SIGNAL,
    OrderKind.STOP: OrderReason.STOP,
    OrderKind.TAKE: OrderReason.TAKE_PROFIT,
    OrderKind.EMERGENCY: OrderReason.FLATTEN,
}


class LiveAccount:
    """An account at a venue.

    Parameters
    ----------
    venue : Venue
    journal : Journal
    maker : IntentMaker
    rules : AnswerRules
    settings : LiveSettings
    coarsest_tick : float
        Of the strategy's costs.
    began_ms : int
        Venue time at which the session began; nothing older is asked for.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        maker: IntentMaker,
        rules: AnswerRules,
        settings: LiveSettings,
        coarsest_tick: float,
        began_ms: int,
    ) -> None:
        self.venue, self.settings = venue, settings
        self.listed: Mapping[str, ListedSymbol] = maker.listed
        self._journal, self._maker, self._coarsest_tick = journal, maker, coarsest_tick
        self.known, self.inbox = KnownFacts(began_ms, settings.overlap_ms), Inbox()
        self.orders = OpenOrders()
        hooks = Hooks(refusal=self.refusal, changed=self._changed)
        self.sender = Sender(venue, journal, maker, rules, self.orders, hooks)
        self.guard = Guard(venue, journal, self.sender, self.listed, settings, self.lots, self.levels, self.is_foreign)
        self._settled: dict[str, SettledPosition] = {}
        self._legs: dict[str, Leg] = {}
        self._reducing: set[str] = set()
        self._stirred: set[str] = set()
        self._suspected: dict[str, tuple[int, int]] = {}
        self._differing: dict[str, tuple[int, int]] = {}

    # -- facts -------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Fold one entry of the journal; the same at run time and in recovery, and a second time without effect."""
        fact = venue_fact(event)
        if fact is None:
            if event.kind in _ORDER_KINDS:
                self.orders.take(event)
            return
        if self.known.take(event):
            self.inbox.take(fact)
            if isinstance(fact, Fill):
                self.orders.take(event)

    def settle(self, open_ms: int, close_ms: int) -> DueFacts:
        """Hand out the facts of a bar."""
        return self.inbox.due(open_ms, close_ms)

    def settled(self, positions: Mapping[str, SettledPosition]) -> None:
        """Learn the positions and levels that the account holds after a bar."""
        self._settled = dict(positions)

    def lots(self, symbol: str) -> int:
        """A position by the venue's trades, whole lots with their sign."""
        return self.known.lots.get(symbol, 0)

    def levels(self, symbol: str) -> Levels:
        """The levels of a position as they should be now."""
        fills = [fact for fact in self.inbox.waiting if isinstance(fact, Fill) and fact.symbol == symbol]
        settled = self._settled.get(symbol, FLAT)
        return wanted_levels(settled, fills, self._legs, self.listed[symbol].grid, self._coarsest_tick)

    def is_foreign(self, symbol: str) -> bool:
        """Tell whether somebody else opened a symbol's position: nothing of ours protects, closes or adds to it."""
        return self.known.openers.get(symbol) == OrderReason.EXTERNAL.name

    # -- the venue ---------------------------------------------------------------------------------------------------

    async def ask(self, symbols: Iterable[str] = ()) -> list[Event]:
        """Ask the venue for everything new; facts of orders are journalled, fills and payments are returned.

        Parameters
        ----------
        symbols : iterable of str
            Whose trades are asked for beside those with a position or an order.

        Raises
        ------
        DataError
            If there is no whole answer.
        InstallationError
            If the journal cannot be written.
        """
        if (due_ms := self.sender.due_ms()) is not None and due_ms <= self.venue.now_ms():
            await self.sender.attend()
        books = await self.venue.books()
        self.sender.observe(books.orders, books.answered_ms)
        await self._look_for_missing(books)
        wanted = {*symbols, *self.known.lots, *(p.symbol for p in books.positions), *self._stirred}
        wanted |= {order.intent.symbol for order in self.orders.live()}
        fills = await new_fills(self.venue, self.known, sorted(wanted & set(self.listed)), self._known_id, self._reason)
        payments = await new_payments(self.venue, self.known)
        self._stirred.clear()
        self._compare(books, fills)
        return [fact.event() for fact in (*fills, *payments)]

    async def poll(self, symbols: Iterable[str] = ()) -> None:
        """:meth:`ask`, journal, take, protect; again while protection itself trades."""
        for _ in range(_MOST_LOOKS):
            events = await self.ask(symbols)
            if events:
                self._journal.append(events)
            for event in events:
                self._learn(event)
            await self.guard.protect(self._concerned())
            if not self.guard.awaiting_trades:
                break

    async def protect(self) -> None:
        """Protect everything that is held, and clear what protects nothing."""
        await self.guard.protect(self._concerned())
        if self.guard.awaiting_trades:
            await self.poll()

    async def submit(self, decision: Decision, decided_ms: int, closes: Mapping[str, float]) -> None:
        """Send the legs of a decision, and protect what they open.

        Parameters
        ----------
        decision : Decision
        decided_ms : int
            Close of its bar.
        closes : mapping of symbol to float
            USD, of that bar.
        """
        now_ms = self.venue.now_ms()
        intents = self._maker.of_decision(decision, decided_ms, closes, now_ms)
        by_order = {leg.order_id: leg for leg in decision.legs}
        self._legs = {one.client_id: by_order[one.order_id.partition("-part")[0]] for one in intents}
        new = [intent for intent in intents if self.orders.view(intent.client_id) is None]
        self._reducing = {intent.symbol for intent in new if intent.kind is OrderKind.REDUCE}
        # What protected a position that is gone would close the one that opens now.
        await self.guard.protect(s for s in {leg.symbol for leg in decision.legs} if self.guard.has_leftovers(s))
        await self._free_of_takes(self._reducing)
        await self.sender.submit(decision, decided_ms, closes)
        if new:
            await self.poll({intent.symbol for intent in new})
        else:
            await self.protect()  # levels may have moved with the bar

    async def attend(self) -> None:
        """Do what is due: orders in doubt, then protection."""
        await self.sender.attend()
        await self.protect()

    def due_ms(self) -> int | None:
        """Venue time at which :meth:`attend` has something to do; None where nothing waits."""
        times = [due for due in (self.sender.due_ms(), self.guard.due_ms()) if due is not None]
        return min(times, default=None)

    def halt(self) -> str | None:
        """Return why nothing may increase anywhere; None where nothing speaks against it."""
        if (why := self.sender.halt()) is not None:
            return why
        for symbol, (ours, theirs) in self._differing.items():
            return f"{symbol}: the venue holds {theirs} lots, its trades make {ours}"
        return None

    def refusal(self, symbol: str) -> str | None:
        """Return why nothing may increase in a symbol now; None where it may."""
        if symbol in self._differing:
            return "difference"
        if self.is_foreign(symbol):
            return "external"
        if symbol not in self._reducing and self.guard.has_leftovers(symbol):
            return "leftovers"
        return None

    # -- memory ------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that is no fold of later entries, as strict JSON."""
        waiting = [event.facts | {"kind": event.kind} for event in (fact.event() for fact in self.inbox.waiting)]
        settled = {s: [p.lots, _text(p.stop_level), _text(p.take_level)] for s, p in self._settled.items()}
        return {"known": self.known.state(), "waiting": waiting, "orders": self.orders.state(), "settled": settled}

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where :meth:`state` was taken."""
        self.known.restore(state["known"])
        self.inbox = Inbox()
        for facts in state["waiting"]:
            fact = venue_fact(Event(facts["kind"], {key: value for key, value in facts.items() if key != "kind"}))
            if fact is not None:
                self.inbox.take(fact)
        self.orders.restore(state["orders"])
        self._settled = {
            symbol: SettledPosition(lots, float(stop), float(take))
            for symbol, (lots, stop, take) in state["settled"].items()
        }

    # -- inside ------------------------------------------------------------------------------------------------------

    def _learn(self, event: Event) -> None:
        """Take a fact that was just journalled, and see what it means for protection."""
        self.take(event)
        symbol = event.facts.get("symbol")
        if event.kind == Fill.KIND and symbol in self.known.lots and not self.is_foreign(symbol):
            self.guard.opened(symbol, event.facts["time_ms"])

    def _concerned(self) -> list[str]:
        """Symbols with a position, an order, or something left of either."""
        live = (order.intent.symbol for order in self.orders.live())
        return sorted({*self.known.lots, *live, *self.guard.watched})

    def _changed(self, order: OrderView) -> None:
        self._stirred.add(order.intent.symbol)
        self.guard.changed(order)

    def _known_id(self, symbol: str, venue_id: str) -> str | None:
        order = self.orders.of_trade(symbol, venue_id)
        return None if order is None else order.intent.client_id

    def _reason(self, client_id: str) -> OrderReason | None:
        order = self.orders.view(client_id)
        if order is None:
            return None
        leg = self._legs.get(client_id)
        if order.intent.kind is OrderKind.REDUCE:
            return OrderReason.STOP if leg is None else OrderReason[leg.reason]
        return _OWN_REASONS[order.intent.kind]

    async def _look_for_missing(self, books: VenueBooks) -> None:
        """Ask for orders that rested and are in neither book any more: they filled, fired or were cancelled."""
        shown = {order.client_id for order in books.orders}
        for order in self.orders.live():
            if order.state.is_shown and order.intent.client_id not in shown:
                await self.sender.look(order.intent.client_id)

    def _compare(self, books: VenueBooks, fills: Iterable[Fill]) -> None:
        """Compare the venue's positions with the trades; two looks in a row that differ refuse increases.

        One look may fall between a trade and the position that it makes.
        """
        lots = dict(self.known.lots)
        for fill in fills:
            lots[fill.symbol] = lots.get(fill.symbol, 0) + fill.side * fill.lots
        theirs = {position.symbol: position.lots for position in books.positions}
        symbols = {*lots, *theirs} & set(self.listed)
        differing = {s: (lots.get(s, 0), theirs.get(s, 0)) for s in symbols if lots.get(s, 0) != theirs.get(s, 0)}
        self._differing = {s: pair for s, pair in differing.items() if self._suspected.get(s) == pair}
        self._suspected = differing

    async def _free_of_takes(self, symbols: Iterable[str]) -> None:
        """Cancel the takes of some symbols, and wait a little until they are gone."""
        symbols = sorted(symbols)
        await self.guard.cancel_takes(symbols)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.settings.cancel_ms / 1000
        while loop.time() < until and any(
            order.intent.kind is OrderKind.TAKE for symbol in symbols for order in self.orders.live(symbol)
        ):
            await asyncio.sleep(_CANCEL_STEP_SECONDS)
            await self.sender.attend()


def _text(level: float) -> str:
    return repr(level)
