"""Whatever is done to a venue, in either mode: money adds up exactly, ids rise, and nothing that only reduces ever increases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.simulator.engine.fills import money, moved
from quantlab.simulator.engine.queries import OrderRef
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import HUMAN, ConditionalRequest, OrderRequest
from quantlab.simulator.engine.values import IncomeType, OrderType, Position, Side, TimeInForce
from quantlab.simulator.engine.venue import Venue

ACCOUNT = "main"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "SOLUSDT")
CONDITIONAL = [kind for kind in OrderType if kind not in (OrderType.LIMIT, OrderType.MARKET)]

DO = ["order"] * 4 + ["algo"] * 3 + ["cancel", "amend", "more"] + ["advance"] * 4
N_STEPS = 120


def random_step(rng: np.random.Generator) -> dict[str, Any]:
    """One thing to do; half of them in one symbol, so that orders meet positions."""
    return {
        "do": str(rng.choice(DO)),
        "symbol": SYMBOLS[max(int(rng.integers(-3, 4)), 0)],
        "side": Side(int(rng.choice([-1, 1]))),
        "type": [OrderType.LIMIT, OrderType.MARKET][int(rng.integers(2))],
        "algo_type": CONDITIONAL[int(rng.integers(len(CONDITIONAL)))],
        "tif": list(TimeInForce)[int(rng.integers(5))],
        "usd": int(rng.integers(1, 30_000) ** rng.uniform(0.5, 1.0)) + 1,
        "away": int(rng.integers(-15, 16)),  # tenths of a per cent
        "flag": bool(rng.random() < 0.5),
        "pick": int(rng.integers(10)),
    }


def act(venue: Venue, step: dict[str, Any]) -> object:
    """Do one step at the venue."""
    symbol, now, side = step["symbol"], venue.now_ms, step["side"]
    if step["do"] == "advance":
        return venue.advance(venue.close_ms if step["flag"] else now + 30_000 * step["pick"])
    if step["do"] == "more":
        return do_more(venue, step)
    price = venue.price(symbol)
    if price is None:
        return None
    grid = venue.listings[symbol].grid
    lots = max(int(step["usd"] / price / float(grid.lot)), 1)
    ticks = max(int(price * (1.0 + step["away"] / 1000.0) / float(grid.tick)), 1)
    if step["do"] == "order":
        price_ticks = ticks if step["type"] is OrderType.LIMIT else 0
        till = now + 600_001 if step["tif"] is TimeInForce.GTD else 0
        client_id = "same" if step["pick"] == 0 else ""
        request = OrderRequest(
            symbol, side, step["type"], lots, price_ticks, step["tif"], step["flag"], client_id, good_till_ms=till
        )
        return venue.place(ACCOUNT, request, now, *([HUMAN] if step["pick"] == 1 else []))
    if step["do"] == "algo":
        trailing = step["algo_type"] is OrderType.TRAILING_STOP_MARKET
        request = ConditionalRequest(
            symbol,
            side,
            step["algo_type"],
            0 if trailing else ticks,
            0 if step["flag"] else lots,
            ticks + 5,
            close_position=step["flag"],
            reduce_only=not step["flag"] and step["pick"] > 5,
            callback=Decimal("0.01") if trailing else Decimal(0),
        )
        return venue.place_conditional(ACCOUNT, request, now)
    resting = venue.open_orders(ACCOUNT, symbol, now)
    if not resting:
        return None
    ref = OrderRef(resting[step["pick"] % len(resting)].order_id)
    if step["do"] == "cancel":
        return venue.cancel(ACCOUNT, symbol, ref, now)
    return venue.amend(ACCOUNT, symbol, ref, lots, ticks, now)


def do_more(venue: Venue, step: dict[str, Any]) -> object:
    """Do what happens to an account now and then."""
    symbol, now = step["symbol"], venue.now_ms
    actions = (
        lambda: venue.transfer(ACCOUNT, Decimal(step["usd"]) / 7 * (1 if step["flag"] else -1), now),
        lambda: venue.force_adl(ACCOUNT, symbol, step["usd"], now),
        lambda: venue.force_liquidation(ACCOUNT, now) if step["flag"] else None,
        lambda: venue.set_liquidity(symbol, step["usd"] / 30_000, now),
        lambda: venue.countdown(ACCOUNT, symbol, 400_000, now),
        lambda: venue.set_leverage(ACCOUNT, symbol, step["usd"] % 20, now),
        lambda: venue.delist(symbol, now) if step["usd"] > 29_000 else None,
        lambda: venue.cancel_all(ACCOUNT, symbol, now),
        lambda: venue.cancel_all_conditional(ACCOUNT, symbol, now),
        lambda: None,
    )
    return actions[step["pick"]]()


def check_books(venue: Venue) -> None:
    """Hold the account against its trades, its incomes and the ledger."""
    account = venue.state.accounts[ACCOUNT]
    assert account.wallet == sum(item.amount for item in account.incomes)
    sums = {kind: sum((i.amount for i in account.incomes if i.type is kind), Decimal(0)) for kind in IncomeType}
    noted = list(venue.ledger)
    moved = sum(e.fields["amount"] for e in noted if e.kind in ("deposit", "transfer"))
    assert account.wallet == (
        moved
        + sum(t.realised - t.fee for t in account.trades)
        + sum(e.fields["amount"] for e in noted if e.kind == "funding")
        - sum(e.fields["amount"] for e in noted if e.kind == "liquidation_fee")
    )
    assert sums[IncomeType.TRANSFER] == moved
    for symbol in SYMBOLS:
        assert account.lots(symbol) == sum(int(t.side) * t.lots for t in account.trades if t.symbol == symbol)
    for order in account.orders.values():
        of_order = [t for t in account.trades if t.order_id == order.order_id]
        assert order.filled_lots == sum(t.lots for t in of_order) <= order.lots
        assert order.filled_value == sum(t.lots * t.price_ticks for t in of_order)
        assert order.status.is_open == (order.order_id in account.open_orders)
        assert (order.left == 0) == (order.status.value == "FILLED")


def check_order_of_things(venue: Venue) -> None:
    """Ids and times rise, and reduce-only orders reduced."""
    account, held = venue.state.accounts[ACCOUNT], dict.fromkeys(SYMBOLS, 0)
    ids = [t.trade_id for t in account.trades], [i.tran_id for i in account.incomes], list(account.orders)
    for numbers in (*ids, list(account.algos)):
        assert numbers == sorted(set(numbers))
    times = [e.time_ms for e in venue.ledger]
    assert times == sorted(times)
    for trade in account.trades:
        before = held[trade.symbol]
        held[trade.symbol] += int(trade.side) * trade.lots
        if account.orders[trade.order_id].reduce_only:
            assert before * int(trade.side) < 0
            assert abs(held[trade.symbol]) < abs(before)
            assert held[trade.symbol] * before >= 0


def run_random_venue(make: Callable[[int], Venue], seed: int) -> Venue:
    """A venue after many random steps, in lockstep for even seeds."""
    rng, venue = np.random.default_rng(seed), make(seed)
    for _ in range(N_STEPS):
        before = (len(venue.ledger), venue.state.accounts[ACCOUNT].wallet)
        answer = act(venue, random_step(rng))
        if isinstance(answer, Refused) and venue.rules.mode == "lockstep":
            assert (len(venue.ledger), venue.state.accounts[ACCOUNT].wallet) == before, "a refusal changes nothing"
    return venue


@pytest.fixture(scope="module")
def make_random(grid_bars, grid_strategy, open_venue):
    """``make_random(seed)`` -> a venue in the middle of a market, its switches by the seed."""

    def make(seed: int) -> Venue:
        return open_venue(
            grid_bars(seed, 310),
            grid_strategy().costs,
            mode=("lockstep", "wall")[seed % 2],
            reduce_only=("shrink", "reject", "count_open")[seed % 3],
            second_close_position=seed % 5 == 0,
            slices=1 + seed % 4,
            first_row=200,
            seed=seed,
        )

    return make


def check_many(make: Callable[[int], Venue], seeds: range) -> Counter[str]:
    """Check the venue of every seed; how often what was done."""
    done: Counter[str] = Counter()
    for seed in seeds:
        venue = run_random_venue(make, seed)
        check_books(venue)
        check_order_of_things(venue)
        account = venue.state.accounts[ACCOUNT]
        done.update(entry.kind for entry in venue.ledger)
        done.update("maker" for trade in account.trades if trade.maker)
        done.update("reduced" for order in account.orders.values() if order.reduce_only and order.filled_lots)
    return done


def test_books_add_up_whatever_is_done(make_random) -> None:
    done = check_many(make_random, range(60))
    kinds = ["trade", "algo_trigger", "funding", "transfer", "adl", "liquidation", "delisted", "countdown", "amend"]
    assert min(done[kind] for kind in (*kinds, "maker", "reduced")) >= 10, done


@pytest.mark.slow
def test_books_add_up_in_many_markets(make_random) -> None:
    check_many(make_random, range(60, 1_000))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 10**7)), max_size=40))
def test_a_position_keeps_every_cent(fills: list[tuple[int, int]]) -> None:
    """Realised profit + what the rest would bring at any mark = all that was paid and received, to the last decimal."""
    unit, position, realised = Decimal("0.00037"), Position("X", 0, Decimal(0), 0), Decimal(0)
    paid = Decimal(0)
    for lots, ticks in fills:
        value = lots * ticks * unit
        position, gained = moved(position, lots, value, 0)
        realised, paid = realised + gained, paid + value
        assert gained == money(gained)
        assert realised - position.cost == -paid
        assert position.lots != 0 or position.cost == 0
        assert position.lots * position.cost >= 0, "the entry price is positive"
