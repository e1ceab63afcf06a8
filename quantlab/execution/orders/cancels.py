"""Cancellations: sent as often as it takes, because they can only make less."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from quantlab.core.ports import Venue
from quantlab.execution.orders.answer_rules import AnswerRules, Found, read_found
from quantlab.execution.orders.asking import Asker, facts_of_sighting
from quantlab.execution.orders.order_journal import OrderJournal
from quantlab.execution.orders.settings import UnknownSettings
from quantlab.execution.orders.unknown import Inquiry, asked_again, begin_inquiry


class Cancels:
    """Orders that are to go, until each is known to be over.

    They are not journalled: after a restart protection asks again for what should not stand.

    Parameters
    ----------
    venue : Venue
    log : OrderJournal
    rules : AnswerRules
    asker : Asker
    settings : UnknownSettings
        Of the times between two tries.
    """

    def __init__(
        self, venue: Venue, log: OrderJournal, rules: AnswerRules, asker: Asker, settings: UnknownSettings
    ) -> None:
        self._venue, self._log, self._rules, self._asker, self._settings = venue, log, rules, asker, settings
        self._tries: dict[str, Inquiry] = {}

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._open()

    async def begin(self, client_id: str) -> None:
        """Cancel an order for the first time; once more for one that is being cancelled already."""
        now_ms = self._venue.now_ms()
        self._tries.setdefault(client_id, begin_inquiry(now_ms, 0, now_ms, self._settings))
        await self._try(client_id)

    def due_ms(self) -> int | None:
        """Venue time of the next try; None where nothing is to go."""
        return min((one.next_ms for one in self._open().values()), default=None)

    def due(self) -> list[Coroutine[Any, Any, None]]:
        """Tries that are due, to be awaited."""
        now_ms = self._venue.now_ms()
        return [self._try(client_id) for client_id, one in self._open().items() if one.next_ms <= now_ms]

    def _open(self) -> dict[str, Inquiry]:
        """Forget orders that are over, and return the others."""
        views = {client_id: self._log.orders.view(client_id) for client_id in self._tries}
        for client_id, view in views.items():
            if view is None or view.state.is_over:
                del self._tries[client_id]
        return dict(self._tries)

    async def _try(self, client_id: str) -> None:
        view = self._log.orders.view(client_id)
        if view is None or view.state.is_over:
            return
        self._tries[client_id] = asked_again(self._tries[client_id], self._venue.now_ms(), self._settings)
        request = view.intent.request
        answer = await self._venue.cancel(request.ref)
        now = self._log.orders.view(client_id)
        if now is None:
            return
        if read_found(request, answer, self._rules) is Found.THERE and answer.order is not None:
            self._log.commit_news(facts_of_sighting(now, answer.order, 1, answer.received_ms))
        now = self._log.orders.view(client_id)
        if now is not None and not now.state.is_over:
            await self._asker.ask(now)  # the answer did not say that it is over: see what the book says
