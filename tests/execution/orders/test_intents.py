"""Legs of a decision as orders in whole lots and ticks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.events import Decision, Leg
from quantlab.core.fakes.venue import listed_symbol
from quantlab.core.venue.requests import OrderKind, OrderType
from quantlab.execution.orders.facts import event_of, fact_of
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.intents import bound_ticks, parts_of, whole_lots
from quantlab.execution.orders.settings import EntrySettings

T, CLOSE = 1_742_083_200_000, 1_742_083_500_000
CLOSES = {"BTC": 84_171.3, "ETH": 2_500.0, "XRP": 0.8}


def leg(symbol: str, side: int, units: float, *, reduce: bool) -> Leg:
    return Leg(f"{T}-{symbol}-{'reduce' if reduce else 'increase'}", symbol, side, units, reduce, "SIGNAL", 412.0, None)


def decision(*legs: Leg) -> Decision:
    return Decision(T, legs)


def test_an_entry_is_a_bounded_limit_and_a_reducing_leg_a_reduce_only_market(make_maker: Callable) -> None:
    legs = (leg("BTC", 1, 0.012, reduce=False), leg("ETH", -1, 1.5, reduce=True))
    reducing, entry = make_maker().of_decision(decision(*legs), CLOSE, CLOSES, CLOSE + 40)
    sold = reducing.request
    assert (sold.kind, sold.type, sold.lots, sold.side, sold.reduce_only) == (
        OrderKind.REDUCE,
        OrderType.MARKET,
        150,
        -1,
        True,
    )
    bought = entry.request
    assert (bought.kind, bought.type, bought.lots, bought.price_ticks) == (OrderKind.ENTRY, OrderType.IOC, 12, 850_131)
    assert (bought.side, bought.reduce_only, bought.valid_for_ms) == (1, False, 5_000)
    assert (entry.send_by_ms, entry.at_ms, entry.after, reducing.send_by_ms) == (CLOSE + 20_000, CLOSE + 40, (), None)


def test_the_same_decision_has_the_same_ids_in_every_process_and_another_session_others(make_maker: Callable) -> None:
    made = decision(leg("BTC", 1, 0.012, reduce=False))
    first, second, other = (
        [i.client_id for i in make_maker(session).of_decision(made, CLOSE, CLOSES, CLOSE + lag)]
        for session, lag in (("a", 1), ("a", 99_999), ("b", 1))
    )
    assert first == second != other


def test_a_flip_opens_only_after_every_part_of_its_close(make_maker: Callable) -> None:
    maker = make_maker()
    small = dataclasses.replace(maker.listed["BTC"], max_market_lots=10, max_limit_lots=8)
    maker = make_maker(listed={**maker.listed, "BTC": small})
    legs = (leg("BTC", 1, 0.025, reduce=True), leg("BTC", 1, 0.012, reduce=False), leg("ETH", 1, 1.0, reduce=False))
    intents = maker.of_decision(decision(*legs), CLOSE, CLOSES, CLOSE)
    reducing = [i for i in intents if i.kind is OrderKind.REDUCE]
    opening = [i for i in intents if i.kind is OrderKind.ENTRY and i.symbol == "BTC"]
    assert [i.request.lots for i in reducing] == [9, 8, 8]
    assert [i.request.lots for i in opening] == [6, 6]
    assert {i.after for i in opening} == {tuple(i.order_id for i in reducing)}
    assert intents[-1].after == ()
    assert len({i.client_id for i in intents}) == len(intents)


def test_a_market_entry_has_no_price(make_maker: Callable, settings) -> None:
    market = dataclasses.replace(settings, entry=EntrySettings("market", 100.0, 20_000))
    (entry,) = make_maker(settings=market).of_decision(
        decision(leg("BTC", 1, 0.012, reduce=False)), CLOSE, CLOSES, CLOSE
    )
    assert (entry.request.type, entry.request.price_ticks) == (OrderType.MARKET, None)


@pytest.mark.parametrize("units", [0.0124, 0.0005, 0.0004, -0.012, 0.012 + 1e-5])
def test_a_size_off_the_lot_is_refused(make_maker: Callable, units: float) -> None:
    with pytest.raises(ContractError, match=r"whole lots of 0\.001"):
        make_maker().of_decision(decision(leg("BTC", 1, units, reduce=False)), CLOSE, CLOSES, CLOSE)


@given(st.integers(1, 10**9))
@hypothesis_settings(max_examples=100, deadline=None)
def test_a_size_that_floats_made_of_whole_lots_is_those_lots(lots: int) -> None:
    assert whole_lots(leg("BTC", 1, lots * 0.001 * (1 + 1e-15), reduce=False), listed_symbol("BTC")) == lots


@given(
    st.sampled_from([1, -1]), st.floats(1e-6, 1e6), st.floats(0, 5_000), st.sampled_from(["0.1", "0.0001", "0.3", "5"])
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_the_bound_is_the_nearest_tick_that_is_no_better_for_us(side: int, close: float, bps: float, tick: str) -> None:
    ticks = bound_ticks(side, close, bps, Decimal(tick))
    exact = Fraction(repr(close)) * (1 + side * Fraction(repr(bps)) / 10_000) / Fraction(tick)
    # Decimals have 28 digits, so that only a price within 1e-20 of a tick may be taken for it.
    wanted = ceil(exact - Fraction(1, 10**15)) if side > 0 else floor(exact + Fraction(1, 10**15))
    assert ticks in {max(1, wanted), max(1, ceil(exact) if side > 0 else floor(exact))}


@given(st.integers(1, 10**6), st.one_of(st.none(), st.integers(1, 1_000)))
@hypothesis_settings(max_examples=200, deadline=None)
def test_parts_are_few_even_and_add_up(lots: int, largest: int | None) -> None:
    parts = parts_of(lots, largest)
    assert sum(parts) == lots
    assert max(parts) - min(parts) <= 1
    if largest is not None:
        assert max(parts) <= largest
        assert len(parts) == -(-lots // largest)


def test_an_entry_has_no_second_attempt(make_maker: Callable) -> None:
    maker = make_maker()
    reducing, entry = maker.of_decision(
        decision(leg("ETH", -1, 1.5, reduce=True), leg("BTC", 1, 0.012, reduce=False)), CLOSE, CLOSES, CLOSE
    )
    again = maker.again(reducing, CLOSE + 7_000)
    assert (again.attempt, again.order_id, again.request.lots) == (1, reducing.order_id, reducing.request.lots)
    assert again.client_id != reducing.client_id
    with pytest.raises(ContractError, match="Never send an entry again"):
        maker.again(entry, CLOSE + 7_000)
    with pytest.raises(ContractError, match="Never send an entry again"):
        dataclasses.replace(entry, attempt=1)
    with pytest.raises(ContractError, match="a time by which it is sent"):
        dataclasses.replace(entry, send_by_ms=None)


def test_an_intent_survives_the_journal(make_maker: Callable) -> None:
    legs = (leg("BTC", 1, 0.025, reduce=True), leg("BTC", 1, 0.012, reduce=False))
    for intent in make_maker().of_decision(decision(*legs), CLOSE, CLOSES, CLOSE):
        assert isinstance(intent, Intent)
        assert fact_of(event_of(intent)) == intent


@pytest.mark.parametrize(("style", "bps", "valid"), [("hope", 1.0, 1), ("market", -1.0, 1), ("market", 1.0, 0)])
def test_settings_out_of_range_are_refused(style: str, bps: float, valid: int) -> None:
    with pytest.raises(ConfigError, match=r"execution\.orders\.entry"):
        EntrySettings(style, bps, valid)
