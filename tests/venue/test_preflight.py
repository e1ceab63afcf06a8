"""Preflight: every reason against a session is refused by its name, alone, and an account in order by nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hydra.utils import instantiate

from quantlab.core.fakes import MemoryVenue, listed_symbol
from quantlab.core.market import Instrument
from quantlab.core.venue.answers import OrderState, OrderStatus, PositionState, VenueBooks
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book
from quantlab.venue.preflight import PreflightRules, Wanted, judge

RULES = PreflightRules(adopt=False, clock_ms=250, transfers=False)
BTC = listed_symbol("BTC")
FACTS = replace(MemoryVenue({"BTC": BTC}).told, wallet=Decimal(1_000))
INSTRUMENT = Instrument(0.1, 0.001, 5.0, 0.01, 2.0, 5.0)
WANTED = Wanted({"BTC": INSTRUMENT}, 2.0, Decimal(1_000), {"BTC": 7}, lambda one: one.startswith("ql"))
HELD = PositionState("BTC", 7, Decimal(100), 0)
OURS = OrderState("BTC", "qls1", "1", Book.CONDITIONAL, -1, OrderStatus.OPEN, None, 0, None, 900, False, True, 0)
BOOKS = VenueBooks((HELD,), (OURS,), Decimal(1_000), 0, 0)


def names_of(facts: Any = FACTS, books: VenueBooks = BOOKS, wanted: Wanted = WANTED, rules: Any = RULES) -> list[str]:
    return [one.name for one in judge(facts, books, wanted, rules).refusals]


def test_an_account_in_order_is_refused_nothing() -> None:
    assert judge(FACTS, BOOKS, WANTED, RULES) == judge(FACTS, BOOKS, WANTED, RULES)
    found = judge(FACTS, BOOKS, WANTED, RULES)
    assert (found.refusals, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("hedge_mode", {"one_way": False}),
        ("multi_asset", {"single_asset": False}),
        ("fee_asset", {"fees_in_margin_asset": False}),
        ("cannot_trade", {"can_trade": False}),
        ("withdrawals", {"can_withdraw": True}),
        ("transfers", {"can_transfer": True}),
        ("clock", {"clock_offset_ms": -250.5}),
        ("clock", {"clock_offset_ms": float("nan")}),
        ("capital", {"wallet": Decimal("999.99")}),
        ("conditional_orders", {"free_conditional_orders": 0}),
        ("not_listed", {"symbols": {}}),
    ],
)
def test_facts_of_the_account_are_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    assert names_of(replace(FACTS, **changes)) == [name]


@pytest.mark.parametrize(
    "field",
    [
        "one_way",
        "single_asset",
        "fees_in_margin_asset",
        "can_trade",
        "can_withdraw",
        "can_transfer",
        "free_conditional_orders",
    ],
)
def test_what_the_venue_does_not_say_is_refused(field: str) -> None:
    found = judge(replace(FACTS, **{field: None}), BOOKS, WANTED, RULES).refusals
    assert [one.found for one in found] == ["no answer of the venue"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("not_trading", {"is_trading": False}),
        ("isolated_margin", {"is_cross": False}),
        ("isolated_margin", {"is_cross": None}),
        ("leverage", {"leverage": 1}),
        ("leverage", {"leverage": None}),
        ("tick", {"grid": Grid(Decimal("0.01"), Decimal("0.001"))}),
        ("lot", {"grid": Grid(Decimal("0.1"), Decimal("0.01"))}),
        ("min_notional", {"min_notional": Decimal(20)}),
        ("maker_fee", {"maker_fee": Decimal("0.00018")}),
        ("taker_fee", {"taker_fee": None}),
        ("maintenance", {"maintenance": Decimal("0.02")}),
    ],
)
def test_rules_of_a_symbol_that_differ_from_the_bundles_are_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    assert names_of(replace(FACTS, symbols={"BTC": replace(BTC, **changes)})) == [name]


def test_orders_and_positions_of_others_are_refused_or_adopted() -> None:
    human = replace(OURS, client_id="web_1")
    cases: list[tuple[VenueBooks, str]] = [
        (replace(BOOKS, orders=(OURS, human)), "foreign_orders"),
        (replace(BOOKS, positions=()), "foreign_positions"),
        (replace(BOOKS, positions=(replace(HELD, lots=-7),)), "foreign_positions"),
        (replace(BOOKS, positions=(HELD, replace(HELD, symbol="ETHUSDT"))), "foreign_positions"),
    ]
    for books, name in cases:
        assert names_of(books=books) == [name]
        adopting = judge(FACTS, books, WANTED, replace(RULES, adopt=True))
        assert (adopting.refusals, [one.name for one in adopting.warnings]) == ((), [name])


def test_warnings_refuse_nothing() -> None:
    for restricted in (False, None):
        found = judge(replace(FACTS, is_ip_restricted=restricted), BOOKS, WANTED, RULES)
        assert (found.refusals, [one.name for one in found.warnings]) == ((), ["ip_restriction"])
    continuous = replace(WANTED, instruments={"BTC": replace(INSTRUMENT, tick=0.0, lot=0.0, min_notional=0.0)})
    found = judge(FACTS, BOOKS, continuous, RULES)
    assert (found.refusals, [one.name for one in found.warnings]) == ((), ["unknown_grid"])
    assert names_of(replace(FACTS, can_transfer=True), rules=replace(RULES, transfers=True)) == []


def test_an_account_of_the_exchange_is_judged_by_the_configured_rules(
    open_desk: Callable[..., Any], venue_node: Any, venue_bars: Any, market_order: Callable[..., Any]
) -> None:
    desk, rules = open_desk(), instantiate(venue_node.preflight)
    facts, books = desk.run(desk.venue.facts()), desk.run(desk.venue.books())
    instruments = {"SYN00": venue_bars.instruments[0]}
    wanted = Wanted(instruments, 3.0, Decimal(10_000), {}, lambda one: False)
    assert rules == RULES
    assert judge(facts, books, wanted, rules).refusals == ()
    other = open_desk(settings={"can_withdraw": True, "can_trade": False}, leverage=2)
    facts = other.run(other.venue.facts())
    found = [one.name for one in judge(facts, books, wanted, rules).refusals]
    assert found == ["cannot_trade", "withdrawals", "transfers", "leverage"]
