"""One decision, its protection, a process that may die anywhere, and the exchange's ledger as judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange_venue import CLOSES, ExchangeVenue, Wire, hold, open_market
from omegaconf import OmegaConf
from virtual_time import run_virtually

from quantlab.core.events import Decision, Event, Leg
from quantlab.core.fakes import MemoryJournal
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.states import IntentState
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.folder import config_folder

#: Closes XRP in parts, flips ETH, opens BTC and SOL.
HELD = {"XRP": 500, "ETH": -300}
LEGS = (
    Leg("d-XRP-reduce", "XRP", -1, 500.0, True, "SIGNAL"),
    Leg("d-ETH-reduce", "ETH", 1, 0.3, True, "SIGNAL"),
    Leg("d-ETH-increase", "ETH", 1, 0.2, False, "SIGNAL"),
    Leg("d-BTC-increase", "BTC", 1, 0.05, False, "SIGNAL"),
    Leg("d-SOL-increase", "SOL", -1, 20.0, False, "SIGNAL"),
)
#: In lots, where everything arrived.
WANTED = {"ETH": 200, "BTC": 50, "SOL": -200}
LARGEST_LOTS = 300
STOP, TAKE = "d-SOL-stop", "d-ETH-take"


class Killed(BaseException):
    """The end of a process, at a place that a test chose."""


@dataclass
class Cuts:
    """Places at which a process may die: counted, and one of them deadly.

    Parameters
    ----------
    deadly : int or None
        The count at which the process dies, from 1.
    """

    deadly: int | None = None
    count: int = 0
    dead: bool = False

    def __call__(self, word: str) -> None:
        self.count += 1
        self.dead = self.dead or self.count == self.deadly
        if self.dead:
            raise Killed(f"{self.count}: {word}")


class CutJournal(MemoryJournal):
    """A journal in memory; the process may die before and after each commit."""

    cut: Callable[[str], None] = staticmethod(lambda word: None)

    def append(self, events: Sequence[Event]) -> None:
        self.cut(f"before commit of {[event.kind for event in events]}")
        super().append(events)
        self.cut("after commit")


def load(option: str) -> Any:
    """An object as it is configured."""
    return build(OmegaConf.load(config_folder() / "execution" / f"{option}.yaml"))


_SETTINGS, _RULES = load("orders/default"), load("answer_rules/binanceusdm")


@dataclass
class World:
    """An exchange, a journal, and the processes that come and go.

    Parameters
    ----------
    venue : ExchangeVenue
    decided_ms : int
    """

    venue: ExchangeVenue
    decided_ms: int
    journal: CutJournal = field(default_factory=CutJournal)
    kills: list[str] = field(default_factory=list)

    def process(self, cuts: Cuts) -> Sender:
        """A new process: all that it knows is in the journal."""
        self.venue.cut = self.journal.cut = cuts
        maker = IntentMaker("session", self.venue.listed(LARGEST_LOTS), _SETTINGS)
        return Sender(self.venue, self.journal, maker, _RULES, OpenOrders.of(self.journal.replay()))

    async def live(self, cuts: Cuts, work: Callable[[World, Sender], Any]) -> Sender | None:
        """Let a process do its work; None if it died."""
        sender = self.process(cuts)
        try:
            await work(self, sender)
        except Killed as end:
            self.kills.append(str(end))
            return None
        return sender


async def decide_and_protect(world: World, sender: Sender) -> None:
    """What a session does at a start and after a close, in the order of a start."""
    await sender.resolve()
    await sender.submit(Decision(world.decided_ms - 300_000, LEGS), world.decided_ms, CLOSES)
    await sender.resolve()
    if world.venue.held().get("SOL") and not is_there(sender, STOP):
        await sender.send([sender.order(stop_request("SOL", 1, 3_300), STOP)])
    if world.venue.held().get("ETH") and not is_there(sender, TAKE):
        await sender.send([sender.order(take_request("ETH", -1, 200, 260_000), TAKE)])
    await sender.resolve()
    for view in sender.orders.live("ETH"):
        await sender.cancel(view.intent.client_id)
    await sender.resolve()


def is_there(sender: Sender, order_id: str) -> bool:
    """Tell whether an order rests, is under way, or was cancelled on purpose."""
    return any(not v.state.is_over or v.state is IntentState.CANCELLED for v in sender.orders.attempts(order_id))


def stop_request(symbol: str, side: int, ticks: int) -> OrderRequest:
    return OrderRequest(
        "", OrderKind.STOP, symbol, side, OrderType.STOP_MARKET, None, trigger_ticks=ticks, close_position=True
    )


def take_request(symbol: str, side: int, lots: int, ticks: int) -> OrderRequest:
    return OrderRequest(
        "", OrderKind.TAKE, symbol, side, OrderType.POST_ONLY, lots, price_ticks=ticks, reduce_only=True
    )


def judge(world: World, sender: Sender) -> list[str]:
    """Compare what the journal says with what the exchange did; the list of faults is empty."""
    venue, found = world.venue, []
    views = [view for intent in intents_of(world) if (view := sender.orders.view(intent)) is not None]
    if len(views) != len(intents_of(world)):
        found.append("an intent was forgotten")
    for view in views:
        request, effects = view.intent.request, venue.effects(view.intent.client_id)
        name = f"{view.intent.order_id} attempt {view.intent.attempt} {view.state}"
        if not view.state.is_over and not (view.state.is_shown and venue.shown(request.ref)):
            found.append(f"{name}: unresolved")
        if effects != (view.venue_id is not None):
            found.append(f"{name}: {effects} orders at the venue")
        traded = sum(e["lots"] for e in venue.ledger("trade") if e["client_id"] == view.intent.client_id)
        if traded != view.filled_lots:
            found.append(f"{name}: {traded} lots traded, {view.filled_lots} known")
    known = {view.intent.client_id for view in views}
    found += [
        f"{e['client_id']}: at the venue without an intent"
        for kind in ("order", "algo")
        for e in venue.ledger(kind)
        if e["origin"] == "client" and e["client_id"] not in known
    ]
    entries = [view for view in views if view.intent.kind is OrderKind.ENTRY]
    if sorted(view.intent.order_id for view in entries) != sorted(leg.order_id for leg in LEGS if not leg.reduce_only):
        found.append("an entry has no intent, or two")
    missed = {view.intent.symbol for view in entries if view.missed is not None}
    if sum(sender.orders.missed.values()) != len(missed):
        found.append(f"missed {sender.orders.missed}, but {missed} opened nothing")
    wanted = {symbol: lots for symbol, lots in WANTED.items() if symbol not in missed}
    if venue.held() != wanted:
        found.append(f"held {venue.held()}, wanted {wanted}")
    if sum(e["symbol"] == "SOLUSDT" for e in venue.ledger("algo")) - len(venue.ledger("algo_end")) != ("SOL" in wanted):
        found.append("not exactly one stop")
    return found


def intents_of(world: World) -> list[str]:
    """Client ids of all intents, in order."""
    return [event.facts["cid"] for event in world.journal.events if event.kind == "intent"]


@dataclass(frozen=True)
class Case:
    """One history: where processes die, how long the venue hides orders, how slow the wire is.

    Parameters
    ----------
    deadly : tuple of int
        The count at which each process dies, one after another; the one after them lives.
    lag_ms : int
        Time in which the venue hides a new order.
    orders_ms : int
        Time until a request that places an order arrives; the client waits for 3 s.
    down_ms : int
        Time from a death to the next start.
    """

    deadly: tuple[int, ...] = ()
    lag_ms: int = 0
    orders_ms: int = 10
    down_ms: int = 100


def play(case: Case, work: Callable[[World, Sender], Any] = decide_and_protect) -> tuple[World, Sender, int]:
    """Play a case to its end; returns the world, the process that lived, and the places that its life passed."""

    async def history() -> tuple[World, Sender, int]:
        exchange = open_market(lag_ms=case.lag_ms)
        venue = ExchangeVenue(exchange, Wire(case.orders_ms))
        for symbol, lots in HELD.items():
            hold(exchange, symbol, lots)
        world = World(venue, venue.now_ms())
        for deadly in case.deadly:
            if await world.live(Cuts(deadly), work) is None:
                await asyncio.sleep(case.down_ms / 1000)
        cuts = Cuts()
        sender = await world.live(cuts, work)
        assert sender is not None
        await asyncio.sleep(10.0)  # whatever is on the wire arrives
        return world, sender, cuts.count

    return run_virtually(history())
