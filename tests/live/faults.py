"""Every fault of a request, for every kind of order, before, while and after it fills: one effect each, by the ledger.

``python tests/live/faults.py`` plays 2,475 cases and prints those that fail; ``--every 11`` a part, ``--only 1234`` one.
A case is its number: the same number is the same history.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from exchange_venue import CLOSES, ExchangeVenue, Wire, hold, open_market
from order_world import Cuts, World, intents_of, stop_request, take_request
from virtual_time import run_virtually

from quantlab.core.events import Decision, Leg
from quantlab.core.venue.requests import OrderKind
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.simulator.wire.faults import REST_KINDS

WHATS = ("entry", "reduce", "stop", "take", "cancel")
PHASES = ("before", "while", "after")
LAGS_MS = (0, 300, 1_000)
#: A fast wire, a slow one, one on which the client gives up and the order arrives later, a fault that strikes twice,
#: and questions of which every second one fails.
WIRES = ("fast", "slow", "late", "twice", "deaf")
PLACES = {
    "entry": "POST /fapi/v1/order",
    "reduce": "POST /fapi/v1/order",
    "stop": "POST /fapi/v1/algoOrder",
    "take": "POST /fapi/v1/order",
    "cancel": "DELETE /fapi/v1/order",
}
#: Lots held, lots ordered, and the lots that are there to take where a fill is stopped half way.
HELD, LOTS, HALF = 500, 200, 80
STOP, TAKE = "f-BTC-stop", "f-BTC-take"
STOP_TICKS, TAKE_TICKS = 570_000, 630_000


@dataclass(frozen=True)
class Fault:
    """One case.

    Parameters
    ----------
    kind : str
        Of :data:`~quantlab.simulator.wire.faults.REST_KINDS`.
    what : str
        The request that it strikes.
    phase : str
        When it fills: ``before`` = the fault comes before any fill, ``while`` the order is in doubt, or half of it at
        once, ``after`` = the fault comes when it is filled, or when the position is gone.
    lag_ms : int
        Time in which the venue hides a new order.
    wire : str
    """

    kind: str
    what: str
    phase: str
    lag_ms: int
    wire: str


def cases() -> Iterator[Fault]:
    """All 2,475 cases, in order."""
    for kind in REST_KINDS:
        for what in WHATS:
            for phase in PHASES:
                for lag_ms in LAGS_MS:
                    for wire in WIRES:
                        yield Fault(kind, what, phase, lag_ms, wire)


def play(case: Fault) -> tuple[World, Sender, list[str]]:
    """Play a case to its end; the list of what went wrong is empty."""

    async def history() -> tuple[World, Sender, list[str]]:
        venue = ExchangeVenue(open_market(lag_ms=case.lag_ms, faults=script(case)), wire_of(case))
        world = World(venue, venue.now_ms())
        sender = world.process(Cuts())
        await _PLAYS[case.what](world, sender, case)
        await asyncio.sleep(10.0)  # whatever is on the wire arrives
        await sender.resolve()
        found = judge(world, sender) + _JUDGES[case.what](world, sender, case)
        if not venue.exchange.faults.struck:
            found.append("the fault never struck")
        return world, sender, found

    return run_virtually(history())


def script(case: Fault) -> list[dict[str, Any]]:
    place = PLACES[case.what]
    times = (1, 2) if case.wire == "twice" else (1,)
    entries: list[dict[str, Any]] = [{"at": place, "nth": nth, "kind": case.kind, "ms": 3_500} for nth in times]
    return entries + ([{"at": "GET *", "every": 2, "kind": "502"}] if case.wire == "deaf" else [])


def wire_of(case: Fault) -> Wire:
    return Wire(orders_ms={"slow": 2_500, "late": 4_900}.get(case.wire, 10))


# -- plays -----------------------------------------------------------------------------------------------------------


async def decide(world: World, sender: Sender, *legs: Leg) -> None:
    await sender.submit(Decision(world.decided_ms - 300_000, legs), world.decided_ms, CLOSES)
    await sender.resolve()


def thin(world: World, case: Fault) -> None:
    """Leave nothing to take, half of the order, or all."""
    used = abs(world.venue.held().get("BTC", 0))
    share = {"before": 0.0, "while": (used + HALF) / 1e9, "after": 1.0}[case.phase]
    world.venue.exchange.venue.set_liquidity("BTCUSDT", share, world.venue.exchange.venue.now_ms)


async def play_entry(world: World, sender: Sender, case: Fault) -> None:
    thin(world, case)
    await decide(world, sender, Leg("f-BTC-increase", "BTC", 1, LOTS * 0.001, False, "SIGNAL"))


async def play_reduce(world: World, sender: Sender, case: Fault) -> None:
    hold(world.venue.exchange, "BTC", HELD)
    thin(world, case)
    await decide(world, sender, Leg("f-BTC-reduce", "BTC", -1, LOTS * 0.001, True, "SIGNAL"))


async def play_stop(world: World, sender: Sender, case: Fault) -> None:
    hold(world.venue.exchange, "BTC", HELD)
    await rest(world, sender, case, STOP)


async def play_take(world: World, sender: Sender, case: Fault) -> None:
    hold(world.venue.exchange, "BTC", HELD)
    await rest(world, sender, case, TAKE)


async def rest(world: World, sender: Sender, case: Fault, order_id: str) -> None:
    """Protect a position as protection does: look at what stands, do what is missing, again after each thing."""
    if case.phase == "after":
        hold(world.venue.exchange, "BTC", -HELD)
    request = stop_request("BTC", -1, STOP_TICKS) if order_id == STOP else take_request("BTC", -1, HELD, TAKE_TICKS)
    fill = asyncio.ensure_future(end_bar_after(world, 0.1)) if case.phase == "while" else None
    await sender.send([sender.order(request, order_id)])
    await sender.resolve()
    if fill is not None:
        await fill
    for _ in range(3):
        await tend(world, sender, order_id)
    if world.venue.held():
        world.venue.end_bar()
        for _ in range(3):
            await tend(world, sender, order_id)


async def tend(world: World, sender: Sender, order_id: str) -> None:
    await asyncio.sleep(30.0)
    await refresh(sender)
    live = [view for view in sender.orders.attempts(order_id) if not view.state.is_over]
    if not world.venue.held():
        for view in live:
            await sender.cancel(view.intent.client_id)
    elif not live:
        request = stop_request("BTC", -1, STOP_TICKS) if order_id == STOP else take_request("BTC", -1, HELD, TAKE_TICKS)
        await sender.send([sender.order(request, order_id)])
    await sender.resolve()


async def refresh(sender: Sender) -> None:
    for view in sender.orders.live():
        await sender.look(view.intent.client_id)


async def end_bar_after(world: World, seconds: float) -> None:
    await asyncio.sleep(seconds)
    world.venue.end_bar()


async def play_cancel(world: World, sender: Sender, case: Fault) -> None:
    hold(world.venue.exchange, "BTC", HELD)
    await sender.send([sender.order(take_request("BTC", -1, HELD, TAKE_TICKS), TAKE)])
    await sender.resolve()
    if case.phase == "after":
        world.venue.end_bar()
    fill = asyncio.ensure_future(end_bar_after(world, 0.005)) if case.phase == "while" else None
    await sender.cancel(sender.orders.attempts(TAKE)[-1].intent.client_id)
    await sender.resolve()
    if fill is not None:
        await fill
    await refresh(sender)
    await sender.resolve()


# -- judges ----------------------------------------------------------------------------------------------------------


def judge(world: World, sender: Sender) -> list[str]:
    """Compare every intent with the ledger."""
    found = []
    for view in views_of(world, sender):
        name = f"{view.intent.order_id} attempt {view.intent.attempt} {view.state}"
        if not view.state.is_over:
            found.append(f"{name}: no end")
        effects = world.venue.effects(view.intent.client_id)
        if effects != (view.venue_id is not None):
            found.append(f"{name}: {effects} orders at the venue")
        traded = sum(e["lots"] for e in world.venue.ledger("trade") if e["client_id"] == view.intent.client_id)
        if traded != view.filled_lots and view.intent.kind is not OrderKind.STOP:
            found.append(f"{name}: {traded} lots traded, {view.filled_lots} known")
    return found


def views_of(world: World, sender: Sender) -> list[OrderView]:
    """All orders that ever had an intent."""
    views = [sender.orders.view(client_id) for client_id in intents_of(world)]
    return [view for view in views if view is not None]


def judge_entry(world: World, sender: Sender, case: Fault) -> list[str]:
    views = sender.orders.attempts("f-BTC-increase")
    wanted = {"before": 0, "while": HALF, "after": LOTS}[case.phase] if views[0].venue_id is not None else 0
    found = [] if len(views) == 1 else ["an entry has more than one attempt"]
    if len([e for e in world.venue.ledger("order") if e["origin"] == "client"]) > 1:
        found.append("more than one entry at the venue")
    if world.venue.held().get("BTC", 0) != wanted:
        found.append(f"held {world.venue.held()}, wanted {wanted}")
    return found


def judge_reduce(world: World, sender: Sender, case: Fault) -> list[str]:
    wanted = HELD - {"before": 0, "while": HALF, "after": LOTS}[case.phase]
    taken = [view for view in sender.orders.attempts("f-BTC-reduce") if view.venue_id is not None]
    found = [] if len(taken) == 1 else [f"{len(taken)} attempts at the venue"]
    return (
        found if world.venue.held().get("BTC", 0) == wanted else [*found, f"held {world.venue.held()}, wanted {wanted}"]
    )


def judge_rest(world: World, sender: Sender, case: Fault) -> list[str]:
    fills = [e for e in world.venue.ledger("trade") if e["origin"] != "human"]
    wanted = 0 if case.phase == "after" else HELD
    found = [] if sum(e["lots"] for e in fills) == wanted else [f"filled {[e['lots'] for e in fills]}, wanted {wanted}"]
    if world.venue.held():
        found.append(f"held {world.venue.held()}")
    return found


def judge_cancel(world: World, sender: Sender, case: Fault) -> list[str]:
    states = {view.state for view in sender.orders.attempts(TAKE)}
    filled = sum(e["lots"] for e in world.venue.ledger("trade") if e["origin"] == "client")
    right = {IntentState.FILLED} if filled == HELD else {IntentState.CANCELLED}
    allowed = {"before": (0,), "while": (0, HELD), "after": (HELD,)}[case.phase]
    found = [] if states == right and filled in allowed else [f"{states}, {filled} lots filled"]
    return found if len(world.venue.ledger("order_end")) == 2 else [*found, "not one end each"]


_PLAYS = {"entry": play_entry, "reduce": play_reduce, "stop": play_stop, "take": play_take, "cancel": play_cancel}
_JUDGES = {"entry": judge_entry, "reduce": judge_reduce, "stop": judge_rest, "take": judge_rest, "cancel": judge_cancel}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> int:
    """Play the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="play one case in so many")
    parser.add_argument("--only", type=int, default=None, help="play one case by its number")
    asked = parser.parse_args()
    begun, failed, played, ends = time.process_time(), 0, 0, Counter[str]()
    for number, case in enumerate(cases()):
        if number % asked.every if asked.only is None else number != asked.only:
            continue
        played += 1
        try:
            world, sender, found = play(case)
            ends.update(f"{case.what} {view.state}" for view in views_of(world, sender))
        except TimeoutError:
            found = ["never ended"]
        if found:
            failed += 1
            say(f"case {number}: {case}: {'; '.join(found)}")
    for end, count in sorted(ends.items()):
        say(f"{count:6} {end}")
    say(f"{played} cases, {failed} failed, {time.process_time() - begun:.1f} s of processor time")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
