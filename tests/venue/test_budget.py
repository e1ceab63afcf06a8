"""Budget: what protects goes on when entries wait; in a ban there is silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from quantlab.core.errors import DataError
from quantlab.core.venue.requests import OrderKind
from quantlab.simulator.wire.limits import LimitRules
from quantlab.venue.budget import PRIORITY_OF, Budget, BudgetRules, Priority, Usage

MINUTE = 1_800_000_000_000 // 60_000 * 60_000
RULES = BudgetRules(2_400, 300, 1_200, entries_at=0.6, bars_at=0.8, reconcile_at=0.95, unnamed_wait_ms=10_000, unnamed_ban_ms=120_000)  # fmt: skip


@pytest.mark.parametrize(
    ("weight", "waiting"),
    [
        (1_439, set()),
        (1_440, {Priority.ENTRY}),
        (1_919, {Priority.ENTRY}),
        (1_920, {Priority.ENTRY, Priority.BARS}),
        (2_279, {Priority.ENTRY, Priority.BARS}),
        (2_280, {Priority.ENTRY, Priority.BARS, Priority.RECONCILE}),
        (2_400, {Priority.ENTRY, Priority.BARS, Priority.RECONCILE}),
    ],
)
def test_purposes_wait_for_the_next_minute_from_their_shares_on(weight: int, waiting: set[Priority]) -> None:
    budget, now = Budget(RULES), MINUTE + 20_000
    budget.note(200, Usage(weight, None, None), None, now)
    for priority in Priority:
        assert budget.allowed_at_ms(priority, now) == (MINUTE + 60_000 if priority in waiting else now), priority
        assert budget.allowed_at_ms(priority, MINUTE + 60_000) == MINUTE + 60_000


def test_order_counts_hold_entries_alone() -> None:
    budget, now = Budget(RULES), MINUTE + 12_000
    for _ in range(180):
        budget.begin(0, 1, now)
    assert budget.allowed_at_ms(Priority.ENTRY, now, is_order=True) == MINUTE + 20_000
    assert budget.allowed_at_ms(Priority.ENTRY, now) == now
    assert budget.allowed_at_ms(Priority.CLOSE, now, is_order=True) == now
    budget.note(200, Usage(None, 0, 720), None, MINUTE + 30_000)
    assert budget.allowed_at_ms(Priority.ENTRY, MINUTE + 30_000, is_order=True) == MINUTE + 60_000


@given(wait=st.one_of(st.none(), st.integers(1, 10**6)), status=st.sampled_from([429, 418]), at=st.integers(0, 10**6))
def test_after_a_limit_only_protection_and_emergency_and_in_a_ban_nothing(
    wait: int | None, status: int, at: int
) -> None:
    budget, now = Budget(RULES), MINUTE + 59_999
    budget.note(status, Usage(), wait, now)
    end = now + (wait or {429: 10_000, 418: 120_000}[status])
    for priority in Priority:
        held = status == 418 or priority > Priority.PROTECTION
        assert budget.allowed_at_ms(priority, now + at) == (max(end, now + at) if held else now + at)


def test_counts_of_others_and_of_requests_under_way_are_both_seen() -> None:
    budget = Budget(RULES)
    for _ in range(30):
        budget.begin(48, 0, MINUTE)
    budget.note(200, Usage(96, None, None), None, MINUTE + 1)  # the answer to the second of them
    assert budget.allowed_at_ms(Priority.ENTRY, MINUTE + 1) == MINUTE + 60_000
    budget.note(200, Usage(2_300, None, None), None, MINUTE + 60_001)  # somebody else at this address
    assert budget.allowed_at_ms(Priority.RECONCILE, MINUTE + 60_001) == MINUTE + 120_000
    assert budget.used_share(MINUTE + 60_001) == pytest.approx(2_300 / 2_400)


def test_a_corrected_clock_moves_the_ends_of_waits_along() -> None:
    budget = Budget(RULES)
    budget.note(429, Usage(), 5_000, MINUTE + 3_600_000)
    budget.shift(-3_600_000)
    assert budget.allowed_at_ms(Priority.ENTRY, MINUTE) == MINUTE + 5_000
    budget.begin(10, 0, MINUTE + 3_600_000)
    assert budget.used_share(MINUTE) == 0.0, "a window of an hour ahead is not the running one"


def test_every_kind_of_order_has_its_purpose_and_the_configuration_its_shares(venue_node: Any) -> None:
    assert PRIORITY_OF.keys() == set(OrderKind)
    assert instantiate(venue_node.adapter.budget) == RULES


def test_entries_are_held_back_where_the_exchange_would_refuse_and_protection_passes(
    open_desk: Callable[..., Any], market_order: Callable[..., Any], stop_order: Callable[..., Any]
) -> None:
    desk = open_desk(settings={"limits": LimitRules(weight_1m=2_400, orders_10s=300, orders_1m=1_200)})
    desk.run(desk.venue.send(market_order("qle1", 100)))
    desk.fault(at="* *", nth=1, kind="429")
    assert desk.run(desk.venue.find(market_order("qle1", 100).ref)).status == 429
    before = len(desk.requests)
    for held in (market_order("qle2", 100), market_order("qlr2", -100, OrderKind.REDUCE)):
        desk.venue.budget.limited_until_ms += 60_000  # longer than an order is worth waiting for
        answer = desk.run(desk.venue.send(held))
        assert (answer.status, answer.order) == (429, None)
        assert re.match("nothing was sent: the request limit is reached for [0-9]+ ms more", answer.message)
        assert answer.retry_after_ms > 5_000
    assert len(desk.requests) == before
    assert desk.run(desk.venue.send(stop_order("qls1", 1_000))).status == 200
    assert desk.run(desk.venue.send(market_order("qlx1", -100, OrderKind.EMERGENCY))).order.filled_lots == 100


def test_a_short_wait_is_kept_and_then_the_entry_goes(desk: Any, market_order: Callable[..., Any]) -> None:
    desk.run(desk.venue.books())
    until = desk.venue.budget.limited_until_ms = desk.venue.now_ms() + 120
    answer = desk.run(desk.venue.send(market_order("qle1", 100)))
    assert (answer.status, answer.sent_ms >= until) == (200, True)


def test_in_a_ban_nothing_is_asked_at_all(
    desk: Any, market_order: Callable[..., Any], stop_order: Callable[..., Any]
) -> None:
    desk.renew(reads__patience_ms=0)
    desk.fault(at="* *", nth=1, kind="418")
    first = desk.run(desk.venue.send(market_order("qle1", 100)))
    assert (first.status, first.retry_after_ms) == (418, 120_000)
    before = len(desk.requests)
    for order in (stop_order("qls1", 1_000), market_order("qlx1", -1, OrderKind.EMERGENCY)):
        for answer in (desk.run(desk.venue.send(order)), desk.run(desk.venue.cancel(order.ref))):
            assert (answer.status, answer.message[:33]) == (418, "nothing was sent: the venue bans ")
    with pytest.raises(DataError, match=r"a limit for 1[12]. s more"):
        desk.run(desk.venue.books())
    assert len(desk.requests) == before
