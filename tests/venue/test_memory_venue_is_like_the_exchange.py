"""The venue in memory that other tests use, beside the adapter on the simulated exchange: the same answers to the same requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from quantlab.core.fakes import MemoryVenue, listed_symbol
from quantlab.core.ports import Venue
from quantlab.core.venue.answers import Answer
from quantlab.core.venue.requests import OrderKind, OrderRef, OrderRequest, OrderType

Step = tuple[str, str, OrderRequest | OrderRef]


def steps_of(market: Callable[..., OrderRequest], stop: Callable[..., OrderRequest], ref: Any) -> list[Step]:
    """Requests with a name each: what follows each other in the life of a position."""
    take = OrderRequest("t", OrderKind.TAKE, "SYN00", -1, OrderType.POST_ONLY, 40, 150_000, reduce_only=True)
    ioc = OrderRequest("i", OrderKind.ENTRY, "SYN00", 1, OrderType.IOC, 30, 150_000)
    low = OrderRequest("l", OrderKind.ENTRY, "SYN00", 1, OrderType.IOC, 130, 50_000)
    return [
        ("an entry", "send", market("a", 100)),
        ("it is found", "find", market("a", 100).ref),
        ("a stop", "send", stop("s", 50_000)),
        ("it is found", "find", stop("s", 1).ref),
        ("not in the other book", "find", ref("s")),
        ("a take", "send", take),
        ("it is cancelled", "cancel", take.ref),
        ("once", "cancel", take.ref),
        ("and found", "find", take.ref),
        ("an IOC that fills", "send", ioc),
        ("an IOC that does not", "send", low),
        ("a part is closed", "send", market("r1", -50, OrderKind.REDUCE)),
        ("too much is cut", "send", market("r2", -500, OrderKind.REDUCE)),
        ("nothing is left to reduce", "send", market("r3", -10, OrderKind.REDUCE)),
        ("the stop is cancelled", "cancel", stop("s", 1).ref),
        ("and found", "find", stop("s", 1).ref),
        ("nobody", "find", ref("nobody")),
    ]


def shown(name: str, answer: Answer) -> Any:
    """The part of an answer that both must have in common."""
    if answer.order is None:
        return name, answer.status, answer.code, None
    return name, answer.status, answer.code, replace(answer.order, venue_id="", updated_ms=0)


async def live(venue: Venue, steps: list[Step]) -> tuple[list[Any], Any]:
    answers = []
    for name, method, what in steps:
        ask: Callable[[Any], Awaitable[Answer]] = getattr(venue, method)
        answers.append(shown(name, await ask(what)))
    books = await venue.books()
    trades = await venue.trades("SYN00", "0", 0)
    return answers, (books.positions, books.orders, [(t.trade_id, t.side, t.lots) for t in trades])


def test_the_same_requests_have_the_same_answers(
    desk: Any, market_order: Callable[..., Any], stop_order: Callable[..., Any], plain_ref: Any
) -> None:
    steps = steps_of(market_order, stop_order, plain_ref)
    memory = MemoryVenue(
        {"SYN00": listed_symbol("SYN00", "0.01", "0.001")}, wallet=Decimal(10_000), ticks={"SYN00": 95_000}
    )
    ours, theirs = asyncio.run(live(memory, steps)), desk.run(live(desk.venue, steps))
    for mine, true in zip(ours[0], theirs[0], strict=True):
        assert mine == true
    assert ours[1] == theirs[1]
