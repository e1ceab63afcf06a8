"""Facts about orders on their way into the journal, and the fold of them: durable first, known after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from quantlab.core.errors import ContractError
from quantlab.core.ports import Journal
from quantlab.core.venue.requests import OrderRequest
from quantlab.execution.orders.facts import Fact, event_of
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.states import IntentState, OrderView, is_news


class OrderJournal:
    """The only way in which facts about orders become known at run time.

    Parameters
    ----------
    journal : Journal
    orders : OpenOrders
        The fold of all that the journal holds.
    changed : callable
        Called with every order that a commit has changed; it must not raise.
    """

    def __init__(self, journal: Journal, orders: OpenOrders, changed: Callable[[OrderView], None]) -> None:
        self._journal, self.orders, self._changed = journal, orders, changed
        self._unsent: dict[str, Intent] = {}

    def commit(self, facts: Sequence[Fact]) -> None:
        """Keep facts in one transaction, all or none, and fold them.

        Raises
        ------
        InstallationError
            If they cannot be written: nothing was, and nothing is known.
        ArtifactError, ContractError
            If they contradict what is known; nothing was written.
        """
        staged: dict[str, OrderView] = {}
        events = []
        for fact in facts:
            staged[fact.client_id] = self.orders.after(fact, staged)
            events.append(event_of(fact))
        if not events:
            return
        self._journal.append(events)
        for event in events:
            self.orders.take(event)
        self._unsent.update({fact.client_id: fact for fact in facts if isinstance(fact, Intent)})
        for client_id in staged:
            view = self.orders.view(client_id)
            if view is not None:
                if view.state is not IntentState.INTENDED:
                    self._unsent.pop(client_id, None)
                self._changed(view)

    @property
    def unsent(self) -> tuple[Intent, ...]:
        """Intents that this process made durable and has not handed out, oldest first."""
        return tuple(self._unsent.values())

    def hand_out(self, intent: Intent) -> OrderRequest:
        """Give the request of an intent to be sent, once: who has it may send it, and nobody gets it again.

        An intent of a process before this one is never handed out: it may have been sent.

        Raises
        ------
        ContractError
            If it is not durable, was handed out before, or is over.
        """
        if self._unsent.pop(intent.client_id, None) is None:
            raise ContractError(
                "an intent that this process wrote and has not sent",
                found=f"{intent.client_id}, which may have been sent",
                fix="ask the venue for it",
            )
        return intent.request

    def commit_news(self, facts: Iterable[Fact]) -> None:
        """Keep what is still news of facts from answers; see :meth:`commit`."""
        staged: dict[str, OrderView] = {}
        news = []
        for fact in facts:
            known = staged.get(fact.client_id) or self.orders.view(fact.client_id)
            if known is None or is_news(known, fact):
                staged[fact.client_id] = self.orders.after(fact, staged)
                news.append(fact)
        self.commit(news)
