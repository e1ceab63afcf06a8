"""The fold of the journal: what each order can become, and that a restart knows the same orders."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quantlab.core.errors import ArtifactError, ContractError, InstallationError
from quantlab.core.events import Event
from quantlab.core.fakes import MemoryJournal
from quantlab.core.venue.answers import OrderStatus
from quantlab.core.venue.requests import Book, OrderKind, OrderRequest, OrderType
from quantlab.execution.orders.client_ids import make_client_id
from quantlab.execution.orders.facts import (
    Acknowledged,
    Fact,
    How,
    OrderEnd,
    Refused,
    Resolved,
    Unknown,
    event_of,
    fact_of,
)
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.order_journal import OrderJournal
from quantlab.execution.orders.states import IntentState, OrderView, is_news, next_view

LOTS = 12
STATUSES = tuple(OrderStatus)
FINAL = tuple(status for status in STATUSES if status.is_final)


def intent_of(
    kind: OrderKind = OrderKind.ENTRY, number: int = 0, symbol: str = "BTC", attempt: int = 0, at_ms: int = 1_000
) -> Intent:
    order_id = f"{number}-{symbol}-{kind.value}"
    client_id = make_client_id("s", kind, order_id, attempt)
    reduce_only = kind is not OrderKind.ENTRY
    request = OrderRequest(client_id, kind, symbol, 1, OrderType.MARKET, LOTS, reduce_only=reduce_only)
    return Intent(request, order_id, attempt, at_ms, at_ms, send_by_ms=None if reduce_only else at_ms + 20_000)


def facts_about(client_id: str) -> list[Fact]:
    """One fact of each kind and variety."""
    facts: list[Fact] = [Acknowledged(client_id, "7", Book.PLAIN, OrderStatus.OPEN, filled, 2_000) for filled in (0, 5)]
    facts += [OrderEnd(client_id, status, 5, None, 2_100) for status in FINAL]
    facts += [Resolved(client_id, how, "lost", 3, 700, 2_200) for how in How]
    return [*facts, Refused(client_id, 400, -2019, "no", False, 2_300), Unknown(client_id, "no answer", 1_100, 1_200)]


#: Facts that may follow each state, by name; what is not here is refused.
FOLLOWS = {
    "intended": {"ack", "refused", "unknown", "resolved unsent"},
    "unknown": {"ack", "resolved found", "resolved absent"},
    "open": {"ack", "order_end"},
    "partly filled": {"ack", "order_end"},
    "absent": {"resolved trade"},
    "refused": {"resolved trade"},
    "filled": set(), "cancelled": set(), "expired": set(), "triggered": set(),
}  # fmt: skip


def named(fact: Fact) -> str:
    return f"resolved {fact.how}" if isinstance(fact, Resolved) else fact.KIND


def views() -> dict[IntentState, OrderView]:
    """An order in each state, by a way through the facts."""
    start = OrderView(intent_of())
    found = {start.state: start}
    queue = [start]
    while queue:
        view = queue.pop()
        for fact in facts_about(view.intent.client_id):
            if named(fact) in FOLLOWS[view.state.value]:
                after = next_view(view, fact)
                if after.state not in found:
                    found[after.state] = after
                    queue.append(after)
    return found


def test_every_state_is_reached_and_every_pair_of_state_and_fact_is_allowed_or_refused() -> None:
    reached = views()
    assert set(reached) == set(IntentState)
    for view, fact in itertools.product(reached.values(), facts_about(intent_of().client_id)):
        if named(fact) in FOLLOWS[view.state.value]:
            after = next_view(view, fact)
            assert after.filled_lots >= view.filled_lots
            assert is_news(view, fact) or isinstance(fact, Acknowledged)
        else:
            with pytest.raises(ArtifactError, match="a fact that can follow"):
                next_view(view, fact)
            # An end is news before anything was shown: it comes behind the acknowledgement of the same answer.
            assert not is_news(view, fact) or isinstance(fact, OrderEnd)


def test_no_fact_but_a_trade_brings_back_what_is_over() -> None:
    for view in views().values():
        if view.state.is_over:
            alive = {named(f) for f in facts_about(view.intent.client_id) if is_news(view, f)}
            assert alive <= {"resolved trade"}


@pytest.mark.parametrize("fact", facts_about("c" * 27), ids=named)
def test_every_fact_survives_the_journal(fact: Fact) -> None:
    journal = MemoryJournal()
    journal.append([event_of(fact)])
    assert fact_of(journal.events[0]) == fact


def test_an_entry_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(ArtifactError, match=r"entry 'ack'.*KeyError"):
        fact_of(Event("ack", {"cid": "a"}))
    assert fact_of(Event("bar", {})) is None


def test_a_second_intent_and_a_fact_without_one_are_refused() -> None:
    orders, intent = OpenOrders(), intent_of()
    with pytest.raises(ContractError, match="an intent before"):
        orders.take(event_of(Unknown(intent.client_id, "x", 1, 1)))
    orders.take(event_of(intent))
    with pytest.raises(ContractError, match="Never send an order again"):
        orders.take(event_of(intent))


def test_a_commit_that_fails_leaves_nothing_known_and_nothing_to_send() -> None:
    class Full(MemoryJournal):
        def append(self, events) -> None:
            raise InstallationError("room on the disk", found="none", fix="make room")

    changed: list[OrderView] = []
    log, intent = OrderJournal(Full(), OpenOrders(), changed.append), intent_of()
    with pytest.raises(InstallationError):
        log.commit([intent])
    assert (log.unsent, log.orders.live(), changed) == ((), (), [])
    with pytest.raises(ContractError, match="may have been sent"):
        log.hand_out(intent)


def test_an_intent_is_handed_out_once_and_never_after_a_restart() -> None:
    journal, intent = MemoryJournal(), intent_of()
    log = OrderJournal(journal, OpenOrders(), lambda view: None)
    log.commit([intent])
    assert log.hand_out(intent) == intent.request
    restarted = OrderJournal(journal, OpenOrders.of(journal.replay()), lambda view: None)
    for one in (log, restarted):
        with pytest.raises(ContractError, match="may have been sent"):
            one.hand_out(intent)
    with pytest.raises(ContractError):
        restarted.commit([intent])


def test_a_key_that_is_refused_halts_until_a_person_releases_it() -> None:
    orders, intent = OpenOrders(), intent_of()
    orders.take(event_of(intent))
    orders.take(event_of(Refused(intent.client_id, 401, -2015, "Invalid API-key", True, 2_000)))
    assert "-2015" in (orders.halt(2_000, 60_000) or "")
    orders.take(Event("released", {"name": "owner"}))
    assert orders.halt(2_000, 60_000) is not None
    orders.take(Event("released", {"name": "venue"}))
    assert orders.halt(2_000, 60_000) is None
    assert orders.missed == {"refused": 1}


def test_a_doubt_refuses_increases_in_its_symbol_and_in_time_everywhere() -> None:
    orders, intent = OpenOrders(), intent_of()
    orders.take(event_of(intent))
    assert not orders.refuses_increase("BTC")
    orders.take(event_of(Unknown(intent.client_id, "no answer", 1_000, 1_200)))
    assert (orders.refuses_increase("BTC"), orders.refuses_increase("ETH")) == (True, False)
    assert orders.halt(61_200, 60_000) is None
    assert "unknown for too long" in (orders.halt(61_201, 60_000) or "")
    orders.take(event_of(Resolved(intent.client_id, How.ABSENT, "lost", 6, 6_251, 7_451)))
    assert not orders.refuses_increase("BTC")
    assert orders.halt(99_999, 60_000) is None
    assert orders.missed == {"lost": 1}


def test_trades_are_counted_beside_what_the_venue_shows_never_twice() -> None:
    orders, intent = OpenOrders(), intent_of(OrderKind.TAKE)
    orders.take(event_of(intent))
    orders.take(event_of(Acknowledged(intent.client_id, "7", Book.PLAIN, OrderStatus.PARTLY_FILLED, 5, 2_000)))
    orders.take(Event("fill", {"cid": intent.client_id, "lots": 5}))
    orders.take(Event("fill", {"cid": None, "lots": 3}))
    (view,) = orders.live("BTC")
    assert (view.filled_lots, view.left_lots, view.state) == (5, 7, IntentState.PARTLY)
    orders.take(Event("fill", {"cid": intent.client_id, "lots": 7}))
    assert orders.live("BTC")[0].left_lots == 0
    assert orders.of_trade("BTC", "7") == orders.view(intent.client_id)
    assert orders.of_trade("ETH", "7") is None


def test_a_stop_that_fired_is_known_by_the_order_that_it_became_not_by_its_own_number() -> None:
    orders, intent = OpenOrders(), intent_of(OrderKind.STOP)
    orders.take(event_of(intent))
    orders.take(event_of(Acknowledged(intent.client_id, "7", Book.CONDITIONAL, OrderStatus.OPEN, 0, 2_000)))
    orders.take(event_of(OrderEnd(intent.client_id, OrderStatus.TRIGGERED, 0, "31", 2_500)))
    assert orders.of_trade("BTC", "7") is None
    assert orders.of_trade("BTC", "31") == orders.view(intent.client_id)


def test_what_ended_days_ago_is_forgotten_and_what_is_open_never() -> None:
    orders, day = OpenOrders(), 86_400_000
    ended, resting = intent_of(number=1), intent_of(OrderKind.STOP, 2)
    for intent in (ended, resting):
        orders.take(event_of(intent))
        orders.take(
            event_of(Acknowledged(intent.client_id, str(intent.order_id), Book.PLAIN, OrderStatus.OPEN, 0, 2_000))
        )
    orders.take(event_of(OrderEnd(ended.client_id, OrderStatus.FILLED, LOTS, None, 2_100)))
    orders.take(event_of(intent_of(number=3, at_ms=2 * day)))
    assert orders.view(ended.client_id) is not None
    orders.take(event_of(intent_of(number=4, at_ms=3 * day)))
    assert (orders.view(ended.client_id), orders.attempts(ended.order_id), orders.of_trade("BTC", ended.order_id)) == (
        None,
        (),
        None,
    )
    assert orders.view(resting.client_id) is not None


class Orders(RuleBasedStateMachine):
    """Any facts that may come, in any order, about orders of three symbols."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = MemoryJournal()
        self.log = OrderJournal(self.journal, OpenOrders(), lambda view: None)
        self.intents: list[Intent] = []
        self.filled: dict[str, int] = {}

    @rule(kind=st.sampled_from(OrderKind), symbol=st.sampled_from(["BTC", "ETH", "XRP"]))
    def decide(self, kind: OrderKind, symbol: str) -> None:
        self.intents.append(intent_of(kind, len(self.intents), symbol))
        self.log.commit([self.intents[-1]])

    @precondition(lambda self: self.intents)
    @rule(data=st.data())
    def learn(self, data) -> None:
        """Whatever answers say: what is no news is left out, and nothing contradicts itself."""
        intent = data.draw(st.sampled_from(self.intents))
        facts = data.draw(st.permutations(facts_about(intent.client_id)))
        self.log.commit_news([f for f in facts[: data.draw(st.integers(1, 3))] if not isinstance(f, OrderEnd)])

    @precondition(lambda self: any(view.state.is_shown for view in self.log.orders.live()))
    @rule(data=st.data(), status=st.sampled_from(FINAL))
    def end(self, data, status: OrderStatus) -> None:
        shown = [view for view in self.log.orders.live() if view.state.is_shown]
        client_id = data.draw(st.sampled_from(shown)).intent.client_id
        self.log.commit_news(
            [OrderEnd(client_id, status, 5, None, 2_100), OrderEnd(client_id, FINAL[0], 5, None, 2_100)]
        )

    @invariant()
    def a_restart_knows_the_same_orders(self) -> None:
        again, orders = OpenOrders.of(self.journal.replay()), self.log.orders
        for intent in self.intents:
            assert again.view(intent.client_id) == orders.view(intent.client_id)
        assert again.live() == orders.live()
        assert again.missed == orders.missed

    @invariant()
    def a_snapshot_holds_all_that_is_known(self) -> None:
        state = self.log.orders.state()
        again = OpenOrders()
        again.restore(json.loads(json.dumps(state, allow_nan=False)))
        assert again.state() == state
        assert set(again.live()) == set(self.log.orders.live())

    @invariant()
    def every_intent_is_live_or_over_and_counted_once(self) -> None:
        orders = self.log.orders
        live = {view.intent.client_id for view in orders.live()}
        missed = 0
        for intent in self.intents:
            view = orders.view(intent.client_id)
            assert (intent.client_id in live) != view.state.is_over
            assert view.filled_lots >= self.filled.get(intent.client_id, 0)
            self.filled[intent.client_id] = view.filled_lots
            missed += view.missed is not None
        assert sum(orders.missed.values()) == missed

    @invariant()
    def only_what_was_never_answered_may_be_sent(self) -> None:
        for intent in self.log.unsent:
            assert self.log.orders.view(intent.client_id).state is IntentState.INTENDED


Orders.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)
TestOrders = Orders.TestCase
