"""Facts of a venue: asked for after the last one known, journalled once, read back as they were, handed to their bar."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from quantlab.core.events import Event
from quantlab.core.fakes import MemoryJournal
from quantlab.core.results import OrderReason
from quantlab.core.venue.answers import Payment, PaymentKind, VenueTrade
from quantlab.core.venue.grid import Grid
from quantlab.execution.live.inbox import Inbox, mean_price
from quantlab.execution.live.known_facts import KnownFacts
from quantlab.execution.live.polling import new_fills, new_payments
from quantlab.execution.live.venue_facts import CashMoved, Fill, FundingPaid, venue_fact

BEGAN = 1_000


@dataclass
class Lists:
    """A venue that only lists; like real ones it shows trades from a number on, that one included."""

    listed: list[VenueTrade] = field(default_factory=list)
    paid: list[Payment] = field(default_factory=list)
    client_ids: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    async def trades(self, symbol: str, after_id: str | None, since_ms: int) -> list[VenueTrade]:
        self.asked.append((symbol, after_id))
        first = 0 if after_id is None else int(after_id)
        return [t for t in self.listed if t.symbol == symbol and int(t.trade_id) >= first and t.time_ms >= since_ms]

    async def payments(self, since_ms: int) -> list[Payment]:
        return [payment for payment in self.paid if payment.time_ms >= since_ms]

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        return self.client_ids.get(venue_id)


def trade(
    number: int, *, symbol: str = "BTC", order: str = "o1", side: int = 1, lots: int = 2, time_ms: int = 2_000
) -> VenueTrade:
    return VenueTrade(symbol, str(number), order, side, lots, 100, Decimal("0.01"), "USDT", False, time_ms)


def payment(number: int, kind: PaymentKind, type_: str, *, amount: str = "-0.5", time_ms: int = 2_000) -> Payment:
    return Payment(kind, type_, str(number), "BTC", Decimal(amount), "USDT", time_ms)


def own_reason(client_id: str) -> OrderReason | None:
    return {"qle": OrderReason.SIGNAL, "qls": OrderReason.STOP}.get(client_id[:3])


def fills(venue: Lists, known: KnownFacts, ids: dict[str, str] | None = None) -> list[Fill]:
    answers = ids or {}
    return asyncio.run(new_fills(venue, known, ["BTC", "ETH"], lambda _, number: answers.get(number), own_reason))


def test_a_trade_is_found_once_however_often_the_venue_shows_it() -> None:
    venue, known = Lists(), KnownFacts(BEGAN, 600)
    chance, booked = random.Random(3), []  # noqa: S311
    for number in range(90, 130):  # numbers of two and three digits: as text 100 comes before 99
        symbol = chance.choice(["BTC", "ETH"])
        venue.listed.append(trade(number, symbol=symbol, side=chance.choice([1, -1]), time_ms=2_000 + number // 3))
        if chance.random() < 0.3:
            for fill in fills(venue, known):
                assert known.take(fill.event())
                assert not known.take(fill.event())  # a restart reads it again
                booked.append((fill.symbol, fill.trade_id))
    for fill in fills(venue, known):
        known.take(fill.event())
        booked.append((fill.symbol, fill.trade_id))
    assert sorted(booked) == sorted((t.symbol, t.trade_id) for t in venue.listed)
    for symbol in ("BTC", "ETH"):
        held = sum(t.side * t.lots for t in venue.listed if t.symbol == symbol)
        assert known.lots.get(symbol, 0) == held
    assert fills(venue, known) == []
    restored = KnownFacts(0, 600)
    restored.restore(json.loads(json.dumps(known.state())))
    assert restored.lots == known.lots
    assert fills(venue, restored) == []


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("qle7f3a", "SIGNAL"),
        ("qls7f3a", "STOP"),
        ("autoclose-1742", "LIQUIDATION"),
        ("adl_autoclose", "ADL"),
        ("settlement_autoclose-1742", "DELISTED"),
        ("x-ccxt", "EXTERNAL"),
        (None, "EXTERNAL"),
    ],
)
def test_the_reason_of_a_fill_is_the_one_of_its_order(client_id: str | None, reason: str) -> None:
    venue = Lists([trade(1)], client_ids={} if client_id is None else {"o1": client_id})
    (fill,) = fills(venue, KnownFacts(BEGAN, 600))
    assert (fill.client_id, fill.reason) == (client_id, reason)


def test_an_order_whose_answer_was_seen_is_not_asked_for() -> None:
    (fill,) = fills(Lists([trade(1)], client_ids={"o1": "somebody else"}), KnownFacts(BEGAN, 600), {"o1": "qle7f3a"})
    assert fill.client_id == "qle7f3a"


def test_payments_that_come_late_are_found_and_those_of_trades_are_left_out() -> None:
    venue, known = Lists(), KnownFacts(BEGAN, 600)
    venue.paid = [
        payment(1, PaymentKind.FUNDING, "FUNDING_FEE", time_ms=5_000),
        payment(1, PaymentKind.TRANSFER, "TRANSFER", amount="-100", time_ms=5_100),  # the same number in another type
        payment(2, PaymentKind.OF_TRADES, "COMMISSION"),
        payment(3, PaymentKind.OTHER, "INSURANCE_CLEAR", amount="3", time_ms=900),  # before the session began
    ]
    first = asyncio.run(new_payments(venue, known))
    assert [(type(fact), fact.payment_id, fact.amount) for fact in first] == [
        (FundingPaid, "1", Decimal("-0.5")),
        (CashMoved, "1", Decimal(-100)),
    ]
    for fact in first:
        known.take(fact.event())
    venue.paid.insert(0, payment(9, PaymentKind.FUNDING, "FUNDING_FEE", time_ms=4_600))  # shown 500 ms late
    assert [fact.payment_id for fact in asyncio.run(new_payments(venue, known))] == ["9"]
    restored = KnownFacts(0, 600)
    restored.restore(json.loads(json.dumps(known.state())))
    assert [fact.payment_id for fact in asyncio.run(new_payments(venue, restored))] == ["9"]
    venue.paid.insert(0, payment(8, PaymentKind.FUNDING, "FUNDING_FEE", time_ms=4_400))  # later than the overlap allows
    assert [fact.payment_id for fact in asyncio.run(new_payments(venue, known))] == ["9"]


def test_facts_come_back_from_a_journal_as_they_were() -> None:
    venue = Lists([trade(1)], client_ids={"o1": "qle7f3a"})
    facts = [
        *fills(venue, KnownFacts(BEGAN, 600)),
        FundingPaid("BTC", "7", "FUNDING_FEE", Decimal("-0.10000000"), 5),
        CashMoved("8", "TRANSFER", Decimal("1E+3"), 6),
    ]
    journal = MemoryJournal()
    journal.append([*(fact.event() for fact in facts), Event("bar", {})])
    assert [venue_fact(event) for event in journal.replay()] == [*facts, None]


def test_a_fact_belongs_to_the_bar_of_its_time_and_a_late_one_to_the_next() -> None:
    inbox = Inbox()
    (fill,) = fills(Lists([trade(1, time_ms=1_999)]), KnownFacts(BEGAN, 600))
    for time_ms in (2_500, 1_999, 2_000, 3_000):
        inbox.take(replace(fill, time_ms=time_ms))
    inbox.take(FundingPaid("BTC", "7", "FUNDING_FEE", Decimal(1), 2_000))
    due = inbox.due(2_000, 3_000)
    assert [fill.time_ms for fill in due.fills] == [1_999, 2_000, 2_500]
    assert (len(due.funding), due.moved, due.late) == (1, (), 1)
    assert [fill.time_ms for fill in inbox.due(3_000, 4_000).fills] == [3_000]
    assert inbox.waiting == []


def test_the_mean_price_is_exact() -> None:
    (fill,) = fills(Lists([trade(1)]), KnownFacts(BEGAN, 600))
    parts = [replace(fill, lots=1, price_ticks=3), replace(fill, lots=2, price_ticks=4)]
    assert mean_price(parts, Grid(Decimal("0.1"), Decimal(1))) == float(Decimal("1.1") / 3)


def test_a_position_belongs_to_whoever_opened_it() -> None:
    venue, known = Lists(client_ids={"ours": "qle7f3a", "human": "web_1"}), KnownFacts(BEGAN, 600)
    steps = [
        ("ours", 1, 2, "SIGNAL"),
        ("human", 1, 1, "SIGNAL"),  # added to ours
        ("human", -1, 3, None),
        ("human", -1, 2, "EXTERNAL"),
        ("ours", 1, 5, "SIGNAL"),  # through zero
    ]
    for number, (order, side, lots, opener) in enumerate(steps, 1):
        venue.listed.append(trade(number, order=order, side=side, lots=lots))
        for fill in fills(venue, known):
            known.take(fill.event())
        assert known.openers.get("BTC") == opener
