"""Questions to the venue for orders in doubt, and the facts that the answers prove."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from quantlab.core.errors import DataError
from quantlab.core.ports import Venue
from quantlab.core.venue.answers import OrderState, OrderStatus
from quantlab.core.venue.requests import Book, OrderKind, OrderRequest
from quantlab.execution.orders.answer_rules import AnswerRules, Found, facts_of_state, read_found
from quantlab.execution.orders.facts import Fact, How, OrderEnd, Resolved
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.order_journal import OrderJournal
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.execution.orders.unknown import Inquiry, asked_again, begin_inquiry, proves_absence

#: Orders that close the whole position: two of them cannot do more than one, so the next one need not wait.
_AT_ONCE = (OrderKind.STOP, OrderKind.EMERGENCY)
#: Kinds that go again by themselves. A lost take is placed anew by protection, at the level that holds then.
_GO_AGAIN = (*_AT_ONCE, OrderKind.REDUCE)
_BOTH = frozenset(Book)
_DID_ITS_WORK = (IntentState.FILLED, IntentState.TRIGGERED)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The word of the books on one order.

    Parameters
    ----------
    order : OrderState or None
        As one of them shows it.
    denied : frozenset of Book
        Those that say that it is not there; one that gave no answer is not among them.
    sent_ms, received_ms : int
        Venue time of the first question and of the last answer.
    """

    order: OrderState | None
    denied: frozenset[Book]
    sent_ms: int
    received_ms: int


async def look(venue: Venue, request: OrderRequest, rules: AnswerRules, denied: frozenset[Book]) -> Sighting:
    """Look for an order by its client id in its own book, and where it is not there in the other one.

    Parameters
    ----------
    venue : Venue
    request : OrderRequest
    rules : AnswerRules
    denied : frozenset of Book
        Books that have proven already that it is not there: they are not asked again.
    """
    own_first = sorted(Book, key=lambda book: book is not request.book)
    sent_ms, newly = None, set[Book]()
    for book in (book for book in own_first if book not in denied):
        answer = await venue.find(dataclasses.replace(request.ref, book=book))
        sent_ms = answer.sent_ms if sent_ms is None else sent_ms
        found = read_found(request, answer, rules)
        if found is Found.THERE:
            return Sighting(answer.order, frozenset(newly), sent_ms, answer.received_ms)
        if found is Found.NO_ANSWER:
            break
        newly.add(book)
    now_ms = venue.now_ms()
    return Sighting(None, frozenset(newly), now_ms if sent_ms is None else sent_ms, now_ms)


def facts_of_sighting(view: OrderView, order: OrderState, asked: int, at_ms: int) -> tuple[Fact, ...]:
    """Return the facts that an order proves which the venue shows, by whatever way it was seen.

    Parameters
    ----------
    view : OrderView
    order : OrderState
        Of the same client id.
    asked : int
        Questions that were put for it.
    at_ms : int
        Venue time of the answer.
    """
    shown = facts_of_state(order, at_ms)
    client_id = view.intent.client_id
    if view.state is IntentState.UNKNOWN:
        since = at_ms if view.unknown is None else view.unknown.at_ms
        return (Resolved(client_id, How.FOUND, "", asked, at_ms - since, at_ms), *shown)
    if view.state in (IntentState.ABSENT, IntentState.REFUSED) and view.venue_id is None:
        return (Resolved(client_id, How.TRADE, "", asked, 0, at_ms), *shown)
    return shown


class Asker:
    """Inquiries for every order in doubt, and for every order that should have ended at once and has not.

    Parameters
    ----------
    venue : Venue
    log : OrderJournal
    maker : IntentMaker
    rules : AnswerRules
    is_wanted : callable
        True if an order that can only reduce, and did not arrive, is to go again.
    """

    def __init__(
        self,
        venue: Venue,
        log: OrderJournal,
        maker: IntentMaker,
        rules: AnswerRules,
        is_wanted: Callable[[Intent], bool],
    ) -> None:
        self._venue, self._log, self._maker, self._rules, self._is_wanted = venue, log, maker, rules, is_wanted
        self._inquiries: dict[str, Inquiry] = {}
        self._under_way: set[str] = set()

    def due_ms(self) -> int | None:
        """Venue time at which the next question is due; None where nothing is in doubt."""
        self._refresh()
        return min((inquiry.next_ms for inquiry in self._inquiries.values()), default=None)

    def due(self) -> tuple[OrderView, ...]:
        """Orders that a question is due for."""
        self._refresh()
        now = self._venue.now_ms()
        views = (self._log.orders.view(client_id) for client_id, one in self._inquiries.items() if one.next_ms <= now)
        return tuple(view for view in views if view is not None and view.intent.client_id not in self._under_way)

    async def ask(self, view: OrderView) -> None:
        """Look for an order once, and commit what that proves.

        Raises
        ------
        InstallationError
            If the journal cannot be written.
        """
        client_id = view.intent.client_id
        if client_id in self._under_way:
            return
        self._under_way.add(client_id)
        try:
            sighting = await look(self._venue, view.intent.request, self._rules, self._denied(client_id))
            now = self._log.orders.view(client_id)  # others may have learned its fate meanwhile
            if now is not None and sighting.order is not None:
                asked = self._asked(client_id) + 1
                self._log.commit_news(facts_of_sighting(now, sighting.order, asked, sighting.received_ms))
            elif now is not None and not now.state.is_over:
                await self._not_shown(now, sighting)
        finally:
            self._under_way.discard(client_id)
        self._count(client_id)

    async def _not_shown(self, view: OrderView, sighting: Sighting) -> None:
        """Draw the consequence of answers that do not show the order."""
        if view.state.is_shown:
            self._log.commit_news(self._forgotten(view, sighting))
            return
        client_id = view.intent.client_id
        inquiry = self._inquiries.get(client_id)
        if view.state is not IntentState.UNKNOWN or inquiry is None:
            return
        if not proves_absence(inquiry, sighting.sent_ms):
            self._log.commit(self._early_sequel(view, inquiry, sighting))
            return
        inquiry = self._inquiries[client_id] = dataclasses.replace(inquiry, denied=inquiry.denied | sighting.denied)
        if inquiry.denied != _BOTH:
            return
        if view.intent.kind is OrderKind.ENTRY and await self._has_traded(view, inquiry):
            self._inquiries[client_id] = dataclasses.replace(inquiry, denied=frozenset())  # the books are asked again
            return
        now_ms = sighting.received_ms
        absent = Resolved(client_id, How.ABSENT, "lost", inquiry.asked + 1, now_ms - inquiry.begun_ms, now_ms)
        still = self._log.orders.view(client_id)
        if still is not None and still.state is IntentState.UNKNOWN:
            self._log.commit((absent, *self._sequel(view)))

    def _sequel(self, view: OrderView) -> tuple[Intent, ...]:
        """The next attempt at an order that did not arrive; none for an entry, whatever anybody says.

        None either while another attempt rests or is on its way, or where one did its work.
        """
        intent = view.intent
        attempts = self._log.orders.attempts(intent.order_id)
        is_newest = attempts[-1].intent.attempt == intent.attempt
        is_done = any(other.state.is_shown or other.state in _DID_ITS_WORK for other in attempts)
        if intent.kind not in _GO_AGAIN or not is_newest or is_done or not self._is_wanted(intent):
            return ()
        return (self._maker.again(intent, self._venue.now_ms()),)

    def _early_sequel(self, view: OrderView, inquiry: Inquiry, sighting: Sighting) -> tuple[Intent, ...]:
        """The next attempt at an order that may go again without proof; further ones come at twice the time each."""
        intent = view.intent
        is_due = intent.request.book in sighting.denied and inquiry.asked >= intent.attempt
        if intent.kind not in _AT_ONCE or not is_due:
            return ()
        return self._sequel(view)

    async def _has_traded(self, view: OrderView, inquiry: Inquiry) -> bool:
        """Tell whether a trade of its symbol and side may be of an entry that no book shows.

        The venue is asked whose each unknown trade is. One that it cannot say delays the end as long as a doubt may last.
        """
        intent, unknown = view.intent, self._maker.settings.unknown
        if self._venue.now_ms() - inquiry.begun_ms > unknown.halt_after_ms:
            return False
        try:
            for trade in await self._venue.trades(intent.symbol, None, intent.at_ms - unknown.clock_ms):
                if trade.side != intent.request.side or self._log.orders.of_trade(intent.symbol, trade.venue_id):
                    continue
                if await self._venue.client_id_of(intent.symbol, trade.venue_id) in (None, intent.client_id):
                    return True
        except DataError:
            return True
        return False

    def _forgotten(self, view: OrderView, sighting: Sighting) -> tuple[Fact, ...]:
        """The end of an order that the venue has shown and does not know any more: it deletes old ones."""
        is_old = sighting.sent_ms - view.intent.at_ms > self._maker.settings.unknown.forget_after_ms
        if not is_old or sighting.denied != _BOTH:
            return ()
        end = OrderEnd(
            view.intent.client_id, OrderStatus.CANCELLED, view.filled_lots, view.became, sighting.received_ms
        )
        return (end,)

    def _denied(self, client_id: str) -> frozenset[Book]:
        inquiry = self._inquiries.get(client_id)
        return frozenset() if inquiry is None else inquiry.denied

    def _asked(self, client_id: str) -> int:
        inquiry = self._inquiries.get(client_id)
        return 0 if inquiry is None else inquiry.asked

    def _count(self, client_id: str) -> None:
        inquiry = self._inquiries.get(client_id)
        if inquiry is not None:
            now_ms, settings = self._venue.now_ms(), self._maker.settings.unknown
            self._inquiries[client_id] = asked_again(inquiry, now_ms, settings)

    def _refresh(self) -> None:
        """Begin an inquiry for each doubt that has none, and end those whose doubt is over."""
        live = {view.intent.client_id: view for view in self._log.orders.live() if _is_doubtful(view)}
        self._inquiries = {client_id: one for client_id, one in self._inquiries.items() if client_id in live}
        for client_id, view in live.items():
            if client_id not in self._inquiries:
                now_ms, doubt = self._venue.now_ms(), view.unknown
                sent_ms, begun_ms = (now_ms, now_ms) if doubt is None else (doubt.sent_ms, doubt.at_ms)
                valid_for_ms, settings = view.intent.request.valid_for_ms, self._maker.settings.unknown
                self._inquiries[client_id] = begin_inquiry(sent_ms, valid_for_ms, begun_ms, settings)


def _is_doubtful(view: OrderView) -> bool:
    return view.state is IntentState.UNKNOWN or (view.state.is_shown and view.ends_at_once)
