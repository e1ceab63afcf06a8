"""The sender through the adapter, ccxt and HTTP: faults of requests on real time, judged by the exchange's ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from omegaconf import OmegaConf

from quantlab.core.events import Decision, Leg
from quantlab.core.fakes import MemoryJournal
from quantlab.core.venue.facts import ListedSymbol
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.settings import EntrySettings, OrderSettings, UnknownSettings
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.folder import config_folder
from quantlab.simulator.engine.requests import HUMAN
from quantlab.simulator.engine.requests import OrderRequest as EngineRequest
from quantlab.simulator.engine.values import OrderType as EngineType
from quantlab.simulator.engine.values import Side
from quantlab.simulator.server.opening import ACCOUNT
from quantlab.simulator.wire.faults import REST_KINDS

#: A second instead of the usual six until an order is proven absent.
SETTINGS = OrderSettings(
    EntrySettings("bounded_ioc", 500.0, 60_000), UnknownSettings(200, 100, 50, 300, 60_000, 259_200_000), 700
)
PLACES = {"entry": "order", "reduce": "order", "stop": "algoOrder"}
HELD, LOTS = 30, 12
#: After these the adapter itself holds back requests, in real time until the minute or the ban is over.
HELD_BACK = ("429", "418", "-1003")


def hold(desk: Any, lots: int) -> None:
    """Give the account a position in the first symbol, whatever it has."""
    venue = desk.running.exchange.venue
    symbol = next(iter(venue.listings))
    lots -= venue.state.accounts[ACCOUNT].lots(symbol)
    if lots:
        side = Side.BUY if lots > 0 else Side.SELL
        venue.place(ACCOUNT, EngineRequest(symbol, side, EngineType.MARKET, abs(lots)), venue.now_ms, HUMAN)


def make_sender(desk: Any, listed: Mapping[str, ListedSymbol], session: str) -> Sender:
    """A new session at the desk's venue."""
    rules = build(OmegaConf.load(config_folder() / "execution" / "answer_rules" / "binanceusdm.yaml"))
    return Sender(desk.venue, MemoryJournal(), IntentMaker(session, listed, SETTINGS), rules, OpenOrders())


async def send(sender: Sender, what: str, symbol: str, price: float, now_ms: int) -> tuple[OrderView, ...]:
    """Send one order and resolve what is left in doubt."""
    if what == "stop":
        request = OrderRequest(
            "",
            OrderKind.STOP,
            symbol,
            -1,
            OrderType.STOP_MARKET,
            None,
            trigger_ticks=round(price * 50),
            close_position=True,
        )
        await sender.send([sender.order(request, "stop")])
    else:
        leg = Leg(what, symbol, 1 if what == "entry" else -1, LOTS * 0.001, what == "reduce", "SIGNAL")
        await sender.submit(Decision(now_ms - 1, (leg,)), now_ms, {symbol: price})
    await sender.resolve()
    return sender.orders.attempts(what)


def judge(desk: Any, what: str, views: tuple[OrderView, ...]) -> list[str]:
    """Compare the orders of one case with the ledger."""
    known = {view.intent.client_id: view for view in views}
    taken = [e for kind in ("order", "algo") for e in desk.ledger(kind) if e["client_id"] in known]
    found = [
        f"{view.intent.client_id} {view.state}" for view in views if not view.state.is_over and not view.state.is_shown
    ]
    found += [
        f"{len(seen)} orders of {client_id}: {view.state}"
        for client_id, view in known.items()
        if len(seen := [e for e in taken if e["client_id"] == client_id]) != (view.venue_id is not None)
    ]
    if what == "entry" and len(views) != 1:
        found.append("an entry was sent again")
    refused = what == "stop" and {view.state for view in views} == {IntentState.REFUSED}  # for protection to judge
    if what != "entry" and len(taken) != (not refused):
        found.append(f"{len(taken)} orders at the venue")
    lots = sum(e["lots"] for e in desk.ledger("trade") if e["client_id"] in known)
    if lots != (0 if what == "stop" or not taken else LOTS):
        found.append(f"{lots} lots traded")
    return found


def play(desk: Any, listed: Mapping[str, ListedSymbol], what: str, kind: str) -> list[str]:
    """Play one case; the list of what went wrong is empty."""
    venue, symbol = desk.running.exchange.venue, next(iter(listed))
    venue.cancel_all_conditional(ACCOUNT, listed[symbol].venue_symbol, venue.now_ms)
    hold(desk, 0 if what == "entry" else HELD)
    sender, price = make_sender(desk, listed, f"{what} {kind}"), float(venue.price(listed[symbol].venue_symbol))
    struck = len(desk.running.exchange.faults.struck)
    desk.fault(at=f"POST /fapi/v1/{PLACES[what]}", nth=1, kind=kind, ms=1_200)
    views = desk.run(send(sender, what, symbol, price, desk.venue.now_ms()))
    found = judge(desk, what, views)
    if len(desk.running.exchange.faults.struck) != struck + 1:
        found.append("the fault never struck")
    return [f"{what} {kind}: {one}" for one in found]


def play_all(desk: Any, whats: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Play cases one after another at one venue."""
    desk.renew(settings__timeout=500)
    listed = desk.run(desk.venue.facts()).symbols
    return [found for what, kind in product(whats, kinds) for found in play(desk, listed, what, kind)]


def test_a_lost_acknowledgement_and_a_lost_request_on_a_real_wire(open_desk: Callable[..., Any]) -> None:
    assert play_all(open_desk("wall", lag_ms=100), ["entry"], ["ack_lost", "dropped"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("lag_ms", [0, 150])
def test_every_fault_on_a_real_wire(open_desk: Callable[..., Any], lag_ms: int) -> None:
    kinds = [kind for kind in REST_KINDS if kind not in HELD_BACK]
    assert len(kinds) == 8
    assert play_all(open_desk("wall", lag_ms=lag_ms), list(PLACES), kinds) == []
