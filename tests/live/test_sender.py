"""The sender's rules one by one, on a venue in memory and on virtual time."""

from __future__ import annotations

import ast
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from order_world import load, stop_request, take_request
from virtual_time import run_virtually

from quantlab.core.errors import InstallationError
from quantlab.core.events import Decision, Event, Leg
from quantlab.core.fakes import MemoryJournal
from quantlab.core.fakes.venue import MemoryVenue, Scripted, listed_symbol
from quantlab.core.venue.answers import Answer, OrderStatus
from quantlab.core.venue.requests import Book, OrderKind, OrderRef
from quantlab.execution.orders.hooks import Hooks
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.states import IntentState, OrderView

T = 1_742_083_500_000
CLOSES = {"BTC": 84_000.0, "ETH": 84_000.0}
TICKS = {"BTC": 840_000, "ETH": 840_000}
SETTINGS, RULES = load("orders/default"), load("answer_rules/binanceusdm")
LOST, DENIED = Scripted(), Scripted(400, -2013, "Order does not exist.")


class LoopClock:
    """The loop's time as the venue's."""

    def now_ms(self) -> int:
        return T + round(asyncio.get_running_loop().time() * 1000)


class Desk:
    """A sender with its venue and journal."""

    def __init__(self, journal: MemoryJournal | None = None, venue: MemoryVenue | None = None, **hooks: Any) -> None:
        listed = {name: listed_symbol(name) for name in CLOSES}
        self.venue = venue or MemoryVenue(listed, LoopClock(), ticks=dict(TICKS))  # type: ignore[arg-type]
        self.journal = journal or MemoryJournal()
        maker = IntentMaker("session", listed, SETTINGS)
        orders = OpenOrders.of(self.journal.replay())
        self.sender = Sender(self.venue, self.journal, maker, RULES, orders, Hooks(**hooks))

    async def decide(self, *legs: Leg, decided_ms: int = T) -> None:
        await self.sender.submit(Decision(decided_ms - 300_000, legs), decided_ms, CLOSES)

    def attempts(self, order_id: str) -> list[OrderView]:
        return list(self.sender.orders.attempts(order_id))

    def script(self, call: str, *answers: Scripted) -> None:
        self.venue.script[call] = deque(answers)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.journal.events]


def entry(symbol: str = "BTC", lots: int = 12, side: int = 1, bar: int = 0) -> Leg:
    return Leg(f"{bar}-{symbol}-increase", symbol, side, lots * 0.001, False, "SIGNAL")


def reducing(symbol: str = "BTC", lots: int = 12, side: int = -1, bar: int = 0) -> Leg:
    return Leg(f"{bar}-{symbol}-reduce", symbol, side, lots * 0.001, True, "SIGNAL")


def played(play: Callable[[], Awaitable[None]]) -> None:
    run_virtually(play())  # type: ignore[arg-type]


def hold(desk: Desk, lots: int, symbol: str = "BTC") -> None:
    """Give the account a position, by a hand."""
    request = replace(
        take_request(symbol, 1 if lots > 0 else -1, abs(lots), 1),
        client_id="web_1",
        reduce_only=False,
        kind=OrderKind.ENTRY,
    )
    state = desk.venue.take(request)
    desk.venue.fill(state.venue_id, abs(lots), TICKS[symbol])


# -- one place, one request -----------------------------------------------------------------------------------------------


def test_one_line_of_the_package_sends_orders_and_it_takes_what_is_handed_out_once() -> None:
    folder = Path(__file__).parents[2] / "quantlab" / "execution"
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [ast.unparse(call) for call in ast.walk(node) if isinstance(call, ast.Call)]
                found += [
                    (path.name, node.name) for call in calls if call.startswith(("self._venue.send(", "venue.send("))
                ]
                handed = [call for call in calls if "hand_out(" in call]
                assert not handed or node.name == "_post"
    assert found == [("sender.py", "_post")]


def test_the_intents_are_durable_before_the_first_request_and_a_full_disk_sends_nothing() -> None:
    class Full(MemoryJournal):
        def append(self, events: Sequence[Event]) -> None:
            raise InstallationError("room on the disk", found="none", fix="make room")

    async def play() -> None:
        desk = Desk()
        hold(desk, 30, "ETH")
        seen: list[list[str]] = []

        async def look() -> None:
            seen.append(desk.kinds())

        desk.venue.pause = look
        await desk.decide(reducing("ETH"), entry())
        assert seen == [["intent", "intent"], ["intent", "intent", "ack", "order_end"]]
        full = Desk(Full())
        with pytest.raises(InstallationError):
            await full.decide(reducing("ETH"), entry())
        assert full.venue.sent == []
        assert full.sender.due_ms() is None

    played(play)


def test_the_same_decision_again_sends_nothing_neither_in_the_process_nor_after_a_restart() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 30)
        for _ in range(3):
            await desk.decide(reducing(), entry("ETH"))
        again = Desk(desk.journal, desk.venue)
        await again.decide(reducing(), entry("ETH"))
        assert [order.kind for order in desk.venue.sent] == [OrderKind.REDUCE, OrderKind.ENTRY]

    played(play)


# -- flips, late legs, refusals ---------------------------------------------------------------------------------------------


def test_a_flip_opens_when_its_close_has_filled_and_never_when_it_has_not() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, -12)
        await desk.decide(reducing(side=1), entry())
        assert [order.kind for order in desk.venue.sent] == [OrderKind.REDUCE, OrderKind.ENTRY]
        assert desk.venue.lots("BTC") == 12
        other = Desk()
        hold(other, -12)
        hold(other, 5)  # a stop or a person has closed a part: the close fills 7 of 12
        await other.decide(reducing(side=1), entry())
        assert [order.kind for order in other.venue.sent] == [OrderKind.REDUCE]
        assert other.sender.orders.missed == {"flip": 1}

    played(play)


def test_a_flip_waits_for_a_close_in_doubt_and_opens_after_its_second_attempt() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, -12)
        desk.script("send", LOST)
        await desk.decide(reducing(side=1), entry())
        assert [view.state for view in desk.attempts("0-BTC-increase")] == [IntentState.INTENDED]
        await desk.sender.resolve()
        assert [view.state for view in desk.attempts("0-BTC-reduce")] == [IntentState.ABSENT, IntentState.FILLED]
        assert [order.kind for order in desk.venue.sent] == [OrderKind.REDUCE, OrderKind.REDUCE, OrderKind.ENTRY]
        assert desk.venue.lots("BTC") == 12

    played(play)


def test_a_flip_that_waits_too_long_never_opens() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, -12)
        desk.script("send", LOST)
        desk.script("find", *[LOST] * 12)  # nobody answers for longer than an entry lives
        await desk.decide(reducing(side=1), entry())
        await desk.sender.resolve()
        assert desk.sender.orders.missed == {"flip": 1}
        assert [view.state for view in desk.attempts("0-BTC-reduce")] == [IntentState.ABSENT, IntentState.FILLED]

    played(play)


def test_an_old_close_sends_exits_and_no_entries() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 30)
        await asyncio.sleep(20.001)
        await desk.decide(reducing(), entry("ETH"))
        assert [order.kind for order in desk.venue.sent] == [OrderKind.REDUCE]
        assert desk.sender.orders.missed == {"late": 1}

    played(play)


def test_a_doubt_refuses_entries_in_its_symbol_and_lets_exits_pass() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 30)
        desk.script("send", LOST)
        await desk.decide(entry(bar=0))
        await desk.decide(reducing(bar=1), entry(bar=1), entry("ETH", bar=1), decided_ms=T)
        sent = [(order.kind, order.symbol) for order in desk.venue.sent]
        assert sent == [(OrderKind.ENTRY, "BTC"), (OrderKind.REDUCE, "BTC"), (OrderKind.ENTRY, "ETH")]
        await desk.sender.resolve()
        assert desk.sender.orders.missed == {"lost": 1, "unknown": 1}

    played(play)


def test_the_broker_may_refuse_an_entry_and_a_refused_key_refuses_all() -> None:
    async def play() -> None:
        desk = Desk(refusal=lambda symbol: "owner" if symbol == "ETH" else None)
        hold(desk, 30)
        await desk.decide(entry("ETH"), entry())
        assert desk.sender.orders.missed == {"owner": 1}
        desk.script("send", Scripted(401, -2015, "Invalid API-key"))
        await desk.decide(entry(bar=1))
        assert "-2015" in (desk.sender.halt() or "")
        await desk.decide(entry(bar=2), reducing(bar=2))
        assert desk.sender.orders.missed == {"halted": 1, "owner": 1, "refused": 1}
        assert [order.kind for order in desk.venue.sent][-1] is OrderKind.REDUCE

    played(play)


# -- doubts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [LOST, Scripted(400, -1000, "?"), Scripted(200, None, ""), Scripted(502, None, "<html>")]
)
def test_no_answer_ever_proves_that_an_order_is_absent(answer: Scripted) -> None:
    async def play() -> None:
        desk = Desk()
        desk.script("send", replace(LOST, applied=True))
        desk.script("find", *[answer] * 40)
        await desk.decide(entry())
        while len(desk.venue.script["find"]) > 2:
            await asyncio.sleep(1.0)
            await desk.sender.attend()
        assert [view.state for view in desk.attempts("0-BTC-increase")] == [IntentState.UNKNOWN]
        assert "too long" in (desk.sender.halt() or "")
        await desk.sender.resolve()
        assert [view.state for view in desk.attempts("0-BTC-increase")] == [IntentState.FILLED]
        assert desk.sender.halt() is None

    played(play)


def test_one_book_alone_proves_nothing_and_a_book_that_has_spoken_is_not_asked_again() -> None:
    async def play() -> None:
        desk = Desk()
        desk.script("send", LOST)
        await desk.decide(entry())
        true, deaf = desk.venue.find, True

        async def find(ref: OrderRef) -> Answer:
            if deaf and ref.book is Book.CONDITIONAL:
                return Answer(None, None, "no answer", None, desk.venue.now_ms(), desk.venue.now_ms())
            return await true(ref)

        desk.venue.find = find  # type: ignore[method-assign]
        for _ in range(40):
            await asyncio.sleep(1.0)
            await desk.sender.attend()
        assert desk.attempts("0-BTC-increase")[0].state is IntentState.UNKNOWN
        questions = len(desk.venue.asked)
        deaf = False
        await desk.sender.resolve()
        assert [ref.book for ref in desk.venue.asked[questions:]] == [Book.CONDITIONAL]
        assert desk.sender.orders.missed == {"lost": 1}

    played(play)


def test_a_trade_that_may_be_the_entrys_delays_its_absence_until_the_books_show_it() -> None:
    async def play() -> None:
        desk = Desk()
        desk.script("send", replace(LOST, applied=True))
        await desk.decide(entry())
        hidden = desk.attempts("0-BTC-increase")[0].intent.client_id
        desk.venue.hidden.add(hidden)  # the venue hides it far longer than lag_ms says
        for _ in range(30):
            await asyncio.sleep(1.0)
            await desk.sender.attend()
        assert desk.attempts("0-BTC-increase")[0].state is IntentState.UNKNOWN
        desk.venue.hidden.clear()
        await desk.sender.resolve()
        assert desk.attempts("0-BTC-increase")[0].state is IntentState.FILLED

    played(play)


def test_a_persons_trade_delays_nothing() -> None:
    async def play() -> None:
        desk = Desk()
        desk.script("send", LOST)
        await desk.decide(entry())
        hold(desk, 7)
        await desk.sender.resolve()
        assert desk.sender.orders.missed == {"lost": 1}
        assert desk.venue.now_ms() - T < 7_000

    played(play)


def test_an_absent_entry_that_trades_all_the_same_comes_back_as_what_the_venue_shows() -> None:
    async def play() -> None:
        desk = Desk()
        desk.script("send", LOST)
        await desk.decide(entry())
        await desk.sender.resolve()
        request = desk.venue.sent[0]
        shown = desk.venue.take(request)
        assert desk.sender.observe([shown], desk.venue.now_ms()) == ()
        (view,) = desk.attempts("0-BTC-increase")
        assert (view.state, view.filled_lots) == (IntentState.FILLED, 12)
        assert desk.sender.orders.missed == {}
        resolved = [event.facts["how"] for event in desk.journal.events if event.kind == "resolved"]
        assert resolved == ["absent", "trade"]
        assert desk.venue.sent == [request]

    played(play)


def test_a_lost_stop_goes_again_at_once_and_a_second_one_that_rests_is_left_to_protection() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 12)
        desk.script("send", LOST)
        await desk.sender.send([desk.sender.order(stop_request("BTC", -1, 800_000), "stop")])
        await asyncio.sleep(0.25)
        await desk.sender.attend()
        assert [view.state for view in desk.attempts("stop")] == [IntentState.UNKNOWN, IntentState.OPEN]
        await desk.sender.resolve()
        assert [view.state for view in desk.attempts("stop")] == [IntentState.ABSENT, IntentState.OPEN]

    played(play)


def test_a_stop_that_is_no_longer_wanted_does_not_go_again() -> None:
    async def play() -> None:
        desk = Desk(is_wanted=lambda intent: False)
        desk.script("send", LOST)
        await desk.sender.send([desk.sender.order(stop_request("BTC", -1, 800_000), "stop")])
        await desk.sender.resolve()
        assert [view.state for view in desk.attempts("stop")] == [IntentState.ABSENT]

    played(play)


def test_a_reducing_leg_does_not_outlive_its_bar() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 30)
        desk.script("send", LOST)
        await desk.decide(reducing(bar=0))
        await desk.decide(reducing(bar=1), decided_ms=T + 1)
        await desk.sender.resolve()
        assert [view.state for view in desk.attempts("0-BTC-reduce")] == [IntentState.ABSENT]
        assert desk.venue.lots("BTC") == 18

    played(play)


def test_an_exit_that_was_refused_for_a_moment_goes_again_after_the_venues_own_wait() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 30)
        desk.script("send", Scripted(429, None, "", retry_after_ms=9_000), Scripted(503, -1008, "throttled"))
        await desk.decide(reducing())
        assert desk.sender.due_ms() == T + 9_000
        await desk.sender.resolve()
        states = [view.state for view in desk.attempts("0-BTC-reduce")]
        assert states == [IntentState.REFUSED, IntentState.REFUSED, IntentState.FILLED]
        assert desk.venue.lots("BTC") == 18

    played(play)


# -- cancels, strangers, old orders -------------------------------------------------------------------------------------------


def test_a_cancel_goes_on_until_the_order_is_known_to_be_over() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 12)
        await desk.sender.send([desk.sender.order(take_request("BTC", -1, 12, 850_000), "take")])
        (view,) = desk.attempts("take")
        desk.script("cancel", LOST, Scripted(502, None, ""), replace(LOST, applied=True))
        desk.script("find", LOST)
        await desk.sender.cancel(view.intent.client_id)
        assert desk.sender.is_cancelled(view.intent.client_id)
        await desk.sender.resolve()
        assert [v.state for v in desk.attempts("take")] == [IntentState.CANCELLED]
        assert not desk.sender.is_cancelled(view.intent.client_id)
        assert len(desk.venue.cancelled) == 3

    played(play)


def test_what_the_books_show_is_taken_and_strangers_are_given_back() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 12)
        await desk.sender.send([desk.sender.order(take_request("BTC", -1, 12, 850_000), "take")])
        (view,) = desk.attempts("take")
        foreign = desk.venue.take(replace(view.intent.request, client_id="web_7"))
        desk.venue.fill(view.venue_id or "", 5, 850_000)
        books = await desk.venue.books()
        assert desk.sender.observe(books.orders, books.answered_ms) == (foreign,)
        (view,) = desk.attempts("take")
        assert (view.state, view.left_lots) == (IntentState.PARTLY, 7)
        before = len(desk.journal.events)
        desk.sender.observe(books.orders, books.answered_ms)  # nothing new
        assert len(desk.journal.events) == before

    played(play)


def test_an_order_that_the_venue_has_deleted_ends_only_when_it_is_old() -> None:
    async def play() -> None:
        desk = Desk()
        hold(desk, 12)
        await desk.sender.send([desk.sender.order(take_request("BTC", -1, 12, 850_000), "take")])
        (view,) = desk.attempts("take")
        del desk.venue.orders[view.venue_id or ""]
        await desk.sender.look(view.intent.client_id)
        assert desk.attempts("take")[0].state is IntentState.OPEN
        later = Desk(desk.journal, desk.venue)
        desk.venue.clock = type("Late", (), {"now_ms": lambda self: T + 259_200_001})()  # type: ignore[assignment]
        await later.sender.look(view.intent.client_id)
        assert later.attempts("take")[0].state is IntentState.CANCELLED

    played(play)


def test_an_entry_whose_answer_calls_it_open_is_asked_for_until_it_has_ended() -> None:
    async def play() -> None:
        desk = Desk()
        desk.venue.ticks.clear()  # nothing fills at once
        await desk.decide(entry())
        (view,) = desk.attempts("0-BTC-increase")
        assert view.state is IntentState.OPEN
        desk.venue.fill(view.venue_id or "", 12, 840_000)
        await desk.sender.resolve()
        assert desk.attempts("0-BTC-increase")[0].state is IntentState.FILLED
        assert OrderStatus.FILLED.value in [event.facts.get("status") for event in desk.journal.events]

    played(play)


def test_every_change_is_told_once_it_is_durable() -> None:
    async def play() -> None:
        told: list[tuple[IntentState, int]] = []
        desk = Desk(changed=lambda view: told.append((view.state, len(desk.journal.events))))
        await desk.decide(entry())
        assert told == [(IntentState.INTENDED, 1), (IntentState.FILLED, 3)]

    played(play)
