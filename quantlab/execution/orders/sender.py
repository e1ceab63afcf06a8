"""The sender: durable first, then one request; what stays in doubt is asked for until evidence ends it.

1. All intents of a decision are committed. If that fails nothing is sent.
2. Reducing legs leave in parallel; when they are answered, increasing ones, a flip's opening leg only when its closing
   leg has filled.
3. What an answer proves is committed. Without proof the order is UNKNOWN, and increases in its symbol are refused.
4. An unknown order is asked for by its client id, in both books, until it is found or proven absent.
5. An absent entry is over. What can only reduce goes again under the next attempt, a stop even before the proof.

No entry is ever sent twice: :meth:`Sender._post` alone calls :meth:`~quantlab.core.ports.Venue.send`, with requests that
:meth:`~quantlab.execution.orders.order_journal.OrderJournal.hand_out` gives once, for intents that this process made
durable; a client id has one intent, and an entry has attempt 0 alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from quantlab.core.events import Decision
from quantlab.core.ports import Journal, Venue
from quantlab.core.venue.answers import Answer, OrderState
from quantlab.core.venue.requests import OrderKind, OrderRequest
from quantlab.execution.orders.answer_rules import AnswerRules, facts_of_sent, is_passing
from quantlab.execution.orders.asking import Asker, facts_of_sighting
from quantlab.execution.orders.cancels import Cancels
from quantlab.execution.orders.departures import Departure, departure
from quantlab.execution.orders.facts import Fact, How, Resolved, Unknown
from quantlab.execution.orders.hooks import Hooks
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.order_journal import OrderJournal
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.execution.orders.unknown import repeat_wait_ms

#: Kinds that go again when they were refused for a moment. A refused stop is for protection to judge.
_REPEATED = (OrderKind.REDUCE, OrderKind.EMERGENCY)


class Sender:
    """Orders of one session at one venue.

    All methods belong to one event loop. Those that are coroutines may run beside each other.

    Parameters
    ----------
    venue : Venue
    journal : Journal
    maker : IntentMaker
    rules : AnswerRules
    orders : OpenOrders
        The fold of all that the journal holds.
    hooks : Hooks
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        maker: IntentMaker,
        rules: AnswerRules,
        orders: OpenOrders,
        hooks: Hooks | None = None,
    ) -> None:
        self._venue, self._maker, self._rules, self.orders = venue, maker, rules, orders
        self._hooks = hooks or Hooks()
        self._log = OrderJournal(journal, orders, self._hooks.changed)
        self._asker = Asker(venue, self._log, maker, rules, self._is_wanted)
        self._cancels = Cancels(venue, self._log, rules, self._asker, maker.settings.unknown)
        self._flying: dict[str, OrderKind] = {}
        self._repeats: dict[str, int] = {}
        self._decided_ms = 0

    # -- orders of decisions and of protection ----------------------------------------------------------------------

    async def submit(self, decision: Decision, decided_ms: int, closes: Mapping[str, float]) -> None:
        """Send the legs of a decision; those that have an intent already are not sent again.

        It returns when all that could leave is answered. A leg that waits for another one leaves in :meth:`attend`.

        Parameters
        ----------
        decision : Decision
        decided_ms : int
            Close of its bar, venue time.
        closes : mapping of symbol to float
            USD, of the same bar.

        Raises
        ------
        InstallationError
            If the journal cannot be written; nothing was sent for facts that are not in it.
        ContractError
            If a leg is not of whole lots.
        """
        self._decided_ms = max(self._decided_ms, decided_ms)
        intents = self._maker.of_decision(decision, decided_ms, closes, self._venue.now_ms())
        await self.send([intent for intent in intents if self.orders.view(intent.client_id) is None])

    async def send(self, intents: Iterable[Intent]) -> None:
        """Make intents durable, then send them: what can only reduce first.

        Parameters
        ----------
        intents : iterable of Intent
            E.g. from :meth:`order`.

        Raises
        ------
        InstallationError
            If the journal cannot be written; none of them was sent.
        """
        new = tuple(intents)
        self._log.commit(new)
        await self._post([intent for intent in new if intent.request.can_only_reduce])
        await self._release()

    def order(self, request: OrderRequest, order_id: str) -> Intent:
        """Return the intent of an order that can only reduce, under the next attempt that is free.

        Parameters
        ----------
        request : OrderRequest
            Its `client_id` and `valid_for_ms` are set here.
        order_id : str
            The same for the same purpose, e.g. ``1742083200000-BTCUSDT-stop``.
        """
        attempts = self.orders.attempts(order_id)
        attempt = attempts[-1].intent.attempt + 1 if attempts else 0
        return self._maker.make(request, order_id, attempt, self._venue.now_ms())

    async def cancel(self, client_id: str) -> None:
        """Cancel an order, and go on in :meth:`attend` until it is known to be over."""
        await self._cancels.begin(client_id)

    def is_cancelled(self, client_id: str) -> bool:
        """Tell whether an order's cancellation was sent, and its end is not known yet."""
        return client_id in self._cancels

    # -- evidence ----------------------------------------------------------------------------------------------------

    def observe(self, shown: Iterable[OrderState], at_ms: int) -> tuple[OrderState, ...]:
        """Take what the venue's books show.

        Parameters
        ----------
        shown : iterable of OrderState
        at_ms : int
            Venue time of the answer.

        Returns
        -------
        tuple of OrderState
            Those without an intent: a stranger's, or of another engine.
        """
        strangers = []
        facts: list[Fact] = []
        for order in shown:
            view = self.orders.view(order.client_id)
            if view is None or view.intent.symbol != order.symbol:
                strangers.append(order)
            else:
                facts.extend(facts_of_sighting(view, order, 0, at_ms))
        self._log.commit_news(facts)
        return tuple(strangers)

    async def look(self, client_id: str) -> None:
        """Ask the venue for an order now, e.g. one that its books do not list any more."""
        view = self.orders.view(client_id)
        if view is not None:
            await self._asker.ask(view)

    # -- work while a session waits ----------------------------------------------------------------------------------

    def due_ms(self) -> int | None:
        """Venue time at which :meth:`attend` has something to do; None where nothing waits."""
        now_ms = self._venue.now_ms()
        if self._interrupted() or any(self._may_leave(intent) for intent in self._log.unsent):
            return now_ms
        times = [intent.send_by_ms + 1 for intent in self._log.unsent if intent.send_by_ms is not None]
        times += self._repeats.values()
        return min(
            [*times, *(due for due in (self._asker.due_ms(), self._cancels.due_ms()) if due is not None)], default=None
        )

    async def attend(self) -> None:
        """Do what is due: ask for orders in doubt, cancel again, send what no longer waits.

        Raises
        ------
        InstallationError
            If the journal cannot be written.
        """
        now_ms = self._venue.now_ms()
        doubts = [Unknown(v.intent.client_id, "its process or task ended", now_ms, now_ms) for v in self._interrupted()]
        self._log.commit([*doubts, *self._due_repeats(now_ms)])
        await together([*(self._asker.ask(view) for view in self._asker.due()), *self._cancels.due()])
        await self._post([intent for intent in self._log.unsent if intent.request.can_only_reduce])
        await self._release()

    async def resolve(self) -> None:
        """Attend until no order is in doubt: what a start does before anything else.

        It ends no sooner than the venue answers; whoever waits for it decides for how long.
        """
        while (due_ms := self.due_ms()) is not None:
            await asyncio.sleep(max(0, due_ms - self._venue.now_ms()) / 1000)
            await self.attend()

    def halt(self) -> str | None:
        """Return why nothing may increase anywhere (``VENUE_HALT``); None where nothing speaks against it."""
        return self.orders.halt(self._venue.now_ms(), self._maker.settings.unknown.halt_after_ms)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _release(self) -> None:
        """Send the entries that may leave now, and end those that never may."""
        ready, over, now_ms = [], [], self._venue.now_ms()
        for intent in self._log.unsent:
            if intent.request.can_only_reduce:
                continue
            word, why = self._departure(intent)
            if word is Departure.NOW:
                ready.append(intent)
            elif word is Departure.NEVER:
                over.append(Resolved(intent.client_id, How.UNSENT, why, 0, now_ms - intent.at_ms, now_ms))
        self._log.commit(over)
        await self._post(ready)

    async def _post(self, intents: Iterable[Intent]) -> None:
        """Send requests beside each other and commit what their answers prove, as they come."""
        requests = [self._log.hand_out(intent) for intent in intents]
        tasks = {asyncio.ensure_future(self._venue.send(request)): request for request in requests}
        waiting = set(tasks)
        self._flying.update({request.client_id: request.kind for request in requests})
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._answered([(request, task.result()) for task, request in tasks.items() if task in done])
        finally:
            for task in waiting:
                task.cancel()
            for request in requests:
                self._flying.pop(request.client_id, None)

    def _answered(self, answers: Iterable[tuple[OrderRequest, Answer]]) -> None:
        """Commit what answers to requests prove, and note what was refused for a moment only."""
        facts: list[Fact] = []
        for request, answer in answers:
            facts.extend(facts_of_sent(request, answer, self._rules))
            self._flying.pop(request.client_id, None)
            view = self.orders.view(request.client_id)
            if view is not None and request.kind in _REPEATED and is_passing(answer, self._rules):
                wait_ms = max(
                    repeat_wait_ms(view.intent.attempt, self._maker.settings.unknown), answer.retry_after_ms or 0
                )
                self._repeats[request.client_id] = answer.received_ms + wait_ms
        self._log.commit_news(facts)

    def _due_repeats(self, now_ms: int) -> list[Intent]:
        """Next attempts at orders that can only reduce, and were refused for a moment."""
        again = []
        for client_id in [client_id for client_id, due_ms in self._repeats.items() if due_ms <= now_ms]:
            del self._repeats[client_id]
            view = self.orders.view(client_id)
            if view is not None and view.state is IntentState.REFUSED and self._is_wanted(view.intent):
                again.append(self._maker.again(view.intent, now_ms))
        return again

    def _interrupted(self) -> list[OrderView]:
        """Orders that were to be sent, by a process before this one or by a task that was cancelled."""
        mine = {intent.client_id for intent in self._log.unsent} | self._flying.keys()
        live = self.orders.live()
        return [v for v in live if v.state is IntentState.INTENDED and v.intent.client_id not in mine]

    def _departure(self, intent: Intent) -> tuple[Departure, str]:
        if intent.kind is OrderKind.ENTRY and OrderKind.REDUCE in self._flying.values():
            return Departure.LATER, ""
        refusal = "halted" if self.halt() is not None else self._hooks.refusal(intent.symbol)
        return departure(intent, self.orders, self._venue.now_ms(), refusal)

    def _may_leave(self, intent: Intent) -> bool:
        return self._departure(intent)[0] is not Departure.LATER

    def _is_wanted(self, intent: Intent) -> bool:
        """Tell whether an order may go again: a leg lives one bar, because the next decision knows better."""
        is_old = intent.kind is OrderKind.REDUCE and intent.decided_ms < self._decided_ms
        return not is_old and self._hooks.is_wanted(intent)


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines beside each other; the first error ends all of them."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
