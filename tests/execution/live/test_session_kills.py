"""A session on the exchange that dies at any commit and starts again: nothing doubled, nothing lost, nothing in doubt."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from quantlab.core.events import Event
from quantlab.core.fakes import MemoryJournal
from quantlab.core.venue.requests import OrderKind, OrderRequest
from quantlab.execution.orders.client_ids import parse_client_id


class Killed(BaseException):
    """The end of a process; no code of ours may stop it."""


@dataclass
class DyingJournal(MemoryJournal):
    """A journal whose process dies before or after a commit, now and then."""

    chance: random.Random = field(default_factory=random.Random)
    every: int = 25
    alive: bool = True
    kills: int = 0

    def append(self, events: Sequence[Event]) -> None:
        dies = self.alive and self.chance.randrange(self.every) == 0
        if dies and self.chance.random() < 0.5:
            self.kills += 1
            raise Killed
        super().append(events)
        if dies:
            self.kills += 1
            raise Killed


def live_through(parts, most_starts: int = 2_000) -> int:
    """Start sessions until one comes to the end of the market; returns how many died."""
    for start in range(most_starts):
        session = None
        try:
            session = parts.session(parts.live(), snapshot_every=40)
            session.start()
            session.run()
        except Killed:
            continue
        return start
    raise AssertionError("no session came to the end")


def check_books(parts) -> Counter:
    """The journal's fills are the ledger's, each intent has an end, and no order was sent twice."""
    entries = list(parts.journal.replay())
    engine = parts.venue.engine
    theirs = Counter(
        (t.trade_id, t.lots, t.price_ticks, int(t.side), t.fee) for t in engine.state.accounts["main"].trades
    )
    ours = Counter(
        (int(e.facts["trade_id"]), e.facts["lots"], e.facts["price_ticks"], e.facts["side"], Decimal(e.facts["fee"]))
        for e in entries
        if e.kind == "fill"
    )
    assert ours == theirs
    sent = Counter(order.client_id for what, order in parts.venue.requests if what == "send")
    assert max(sent.values()) == 1
    intents = {e.facts["cid"]: e.facts for e in entries if e.kind == "intent"}
    assert set(sent) <= set(intents), "an order without an intent on disk"
    entered = Counter(
        order.client_id
        for what, order in parts.venue.requests
        if what == "send" and isinstance(order, OrderRequest) and order.kind is OrderKind.ENTRY
    )
    by_leg = Counter(intents[client_id]["order_id"] for client_id in entered)
    assert max(by_leg.values()) == 1, "an entry was sent twice"
    ended = {e.facts["cid"] for e in entries if e.kind in ("order_end", "refused")}
    ended |= {e.facts["cid"] for e in entries if e.kind == "resolved" and e.facts["how"] in ("absent", "unsent")}
    resting = {order.client_id for order in engine.open_orders("main", None, engine.now_ms)}
    resting |= {order.client_id for order in engine.open_conditional("main", None, engine.now_ms)}
    assert set(intents) - ended == {cid for cid in resting if parse_client_id(cid)}, "an order whose fate nobody knows"
    return Counter(e.kind for e in entries)


def kill_through(parts, seed: int, every: int) -> int:
    """Trade a whole market with a journal that dies; returns how often it did."""
    parts.journal = DyingJournal(chance=random.Random(seed), every=every)  # noqa: S311
    live_through(parts)
    counts = check_books(parts)
    assert counts["bar"] == parts.bars.n_bars
    assert counts["fill"] > 30
    return parts.journal.kills


def test_whatever_dies_nothing_is_doubled_or_lost(live_parts) -> None:
    assert kill_through(live_parts(11, 150), 11, 30) > 10


@pytest.mark.slow
def test_500_kills_in_markets_with_moving_stops_and_the_volume_cap(live_parts) -> None:
    kills, seed = 0, 20
    while kills < 500:
        kills += kill_through(
            live_parts(seed, 300, trailing=seed % 2 == 0, participation=0.05 if seed % 3 else None), seed, 15
        )
        seed += 1
