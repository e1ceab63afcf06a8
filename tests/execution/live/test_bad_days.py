"""What others do to the account while a session trades: a human, deleveraging, a transfer, somebody who cancels a stop."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quantlab.core.errors import DataError
from quantlab.core.venue.requests import OrderKind
from quantlab.simulator.engine.requests import HUMAN, OrderRequest
from quantlab.simulator.engine.values import AlgoStatus, OrderType, Side

ACCOUNT = "main"


@pytest.fixture
def running(live_parts):
    """``running(seed, n)``: parts, live account and session after n bars."""

    def start(seed: int, n_bars: int):
        parts = live_parts(seed, 200)
        live = parts.live()
        session = parts.session(live)
        session.start()
        session.run(most_bars=n_bars)
        return parts, live, session

    return start


def events(parts, kind: str) -> list[dict]:
    return [event.facts for event in parts.journal.replay() if event.kind == kind]


def human(parts, symbol: str, side: Side, lots: int) -> None:
    engine = parts.venue.engine
    request = OrderRequest(parts.venue.names[symbol], side, OrderType.MARKET, lots)
    engine.place(ACCOUNT, request, engine.now_ms, HUMAN)


def flat_symbol(parts, live) -> str:
    return next(s for s in parts.bars.symbols[:3] if s not in live.known.lots and not live.orders.live(s))


def held_symbol(live) -> str:
    return next(iter(live.known.lots))


def test_a_position_of_a_human_is_left_alone_and_nothing_is_added_to_it(running) -> None:
    parts, live, session = running(11, 40)
    while all(symbol in live.known.lots or live.orders.live(symbol) for symbol in parts.bars.symbols[:3]):
        session.run(most_bars=1)
    symbol, intents = flat_symbol(parts, live), len(events(parts, "intent"))
    human(parts, symbol, Side.BUY, 50)
    session.run(most_bars=20)
    assert live.known.lots[symbol] == 50
    assert [fill["reason"] for fill in events(parts, "fill") if fill["symbol"] == symbol][-1] == "EXTERNAL"
    sent = {order.client_id for what, order in parts.venue.requests if what == "send"}
    ours = [one for one in events(parts, "intent")[intents:] if one["symbol"] == symbol]
    # what was decided before the trade was known may have left; nothing after it does
    assert [one["kind"] for one in ours if one["cid"] in sent and one["kind"] != "r"] == []
    human(parts, symbol, Side.SELL, live.known.lots[symbol])
    session.run(most_bars=80)
    later = [one for one in events(parts, "intent") if one["symbol"] == symbol and one["cid"] not in sent]
    assert any(one["kind"] == "e" for one in later), "flat again: the strategy goes on"


def test_deleveraging_is_booked_by_its_name_and_what_protected_goes(running) -> None:
    parts, live, session = running(12, 60)
    symbol, engine = held_symbol(live), parts.venue.engine
    engine.force_adl(ACCOUNT, parts.venue.names[symbol], abs(live.known.lots[symbol]), engine.now_ms)
    session.run(most_bars=1)
    fill = [fill for fill in events(parts, "fill") if fill["symbol"] == symbol and fill["reason"] == "ADL"]
    assert len(fill) == 1
    bar = [event.facts["bar"] for event in parts.journal.replay() if event.kind == "bar"][-1]
    assert symbol in {one["symbol"] for one in bar["fills"] if one["reason"] == "ADL"}
    left = [o for o in live.orders.live(symbol) if o.intent.kind in (OrderKind.STOP, OrderKind.TAKE)]
    assert left == [] or symbol in live.known.lots


def test_a_withdrawal_is_no_loss(running) -> None:
    parts, _, session = running(13, 30)
    engine = parts.venue.engine
    assert engine.transfer(ACCOUNT, Decimal(-1_000), engine.now_ms) is None
    session.run(most_bars=1)
    bars = [event.facts["bar"] for event in parts.journal.replay() if event.kind == "bar"]
    change = bars[-1]["account"]["equity"] - bars[-2]["account"]["equity"]
    assert -1_200 < change < -800
    ratio = bars[-1]["account"]["high_water_mark"] / bars[-2]["account"]["high_water_mark"]
    assert ratio == pytest.approx(1 - 1_000 / bars[-2]["account"]["equity"], rel=1e-9)
    assert bars[-1]["halts"] == []
    assert [moved["amount"] for moved in events(parts, "cash_moved")] == ["-1000.00000000"]


def test_a_stop_that_somebody_cancels_is_placed_again(running) -> None:
    parts, live, _ = running(11, 45)
    symbol, engine = held_symbol(live), parts.venue.engine
    engine.cancel_all_conditional(ACCOUNT, parts.venue.names[symbol], engine.now_ms)
    assert engine.open_conditional(ACCOUNT, parts.venue.names[symbol], engine.now_ms) == ()
    parts.loop.run(live.poll())
    stops = engine.open_conditional(ACCOUNT, parts.venue.names[symbol], engine.now_ms)
    assert [(stop.close_position, stop.status) for stop in stops] == [(True, AlgoStatus.NEW)]
    assert stops[0].trigger_ticks == live.levels(symbol).stop_ticks


def test_a_venue_that_has_no_answer_after_the_orders_left_ends_no_session(running, monkeypatch) -> None:
    parts, live, session = running(11, 20)
    asked, books = [], parts.venue.books

    async def now_and_then() -> object:
        asked.append(None)
        if len(asked) % 3 == 0:
            raise DataError("positions and orders", found="no answer", fix="ask again")
        return await books()

    monkeypatch.setattr(parts.venue, "books", now_and_then)
    monkeypatch.setattr("quantlab.execution.live.broker._FAILED_MS", 1)
    session.run()
    assert len(asked) > 200
    theirs = {trade.trade_id for trade in parts.venue.engine.state.accounts[ACCOUNT].trades}
    assert {int(fill["trade_id"]) for fill in events(parts, "fill")} >= theirs - {max(theirs)}
    for symbol, lots in live.known.lots.items():
        stops = [o for o in live.orders.live(symbol) if o.intent.kind is OrderKind.STOP]
        assert (len(stops), lots != 0) == (1, True)
