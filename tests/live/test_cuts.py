"""A process that dies at any commit or request, and what the next one knows: nothing doubled, nothing lost, nothing open.

The ledger of the exchange is the judge; the venue hides new orders for 0, 300 or 1,000 ms, and orders that have left
arrive, also after their process is gone and after the next one has asked.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from order_world import Case, judge, play

from quantlab.execution.orders.states import IntentState

LAGS_MS, ORDERS_MS, DOWN_MS = (0, 300, 1_000), (10, 2_500, 4_900), (100, 3_000, 60_000)
SEED = 20


def places(lag_ms: int, orders_ms: int) -> int:
    """Places at which a process may die that is left alone."""
    return play(Case((), lag_ms, orders_ms))[2]


def faults_of(cases: list[Case]) -> dict[Case, list[str]]:
    judged = {}
    for case in cases:
        world, sender, _ = play(case)
        judged[case] = judge(world, sender)
    return {case: found for case, found in judged.items() if found}


def test_a_day_without_a_death_does_all_that_was_decided() -> None:
    world, sender, count = play(Case())
    assert judge(world, sender) == []
    assert (sender.orders.missed, count) == ({}, 34)
    states = [
        view.state
        for order in world.journal.events
        if order.kind == "intent"
        if (view := sender.orders.view(order.facts["cid"]))
    ]
    assert states == [IntentState.FILLED] * 6 + [IntentState.OPEN, IntentState.CANCELLED]


def test_a_death_anywhere_doubles_nothing_loses_nothing_and_leaves_nothing_open() -> None:
    cases = [Case((k,), lag_ms=LAGS_MS[k % 3], orders_ms=ORDERS_MS[k % 2 * 2]) for k in range(1, 35)]
    assert faults_of(cases) == {}


def test_a_death_of_the_restart_too() -> None:
    drawn = np.random.default_rng(SEED)
    deaths = drawn.integers(1, 35, (25, 2)).tolist()
    cases = [Case(tuple(pair), LAGS_MS[n % 3], ORDERS_MS[n % 3]) for n, pair in enumerate(deaths)]
    assert faults_of(cases) == {}


def test_a_restart_after_the_life_of_an_entry_sends_no_entry_and_every_exit() -> None:
    world, sender, _ = play(Case((1,), down_ms=60_000))  # it died before the intents were durable
    assert sender.orders.missed == {"late": 3}
    assert world.venue.held() == {}
    assert len([e for e in world.venue.ledger("order") if e["origin"] == "client"]) == 3
    assert judge(world, sender) == []


@pytest.mark.slow
def test_a_death_at_every_place_under_every_lag_and_wire() -> None:
    cases = [
        Case((k,), lag_ms, orders_ms, down_ms)
        for lag_ms, orders_ms, down_ms in product(LAGS_MS, ORDERS_MS, DOWN_MS)
        for k in range(1, places(lag_ms, orders_ms) + 1)
    ]
    assert len(cases) > 1_000
    assert faults_of(cases) == {}


@pytest.mark.slow
def test_many_deaths_in_a_row() -> None:
    drawn = np.random.default_rng(SEED)
    cases = [
        Case(
            tuple(drawn.integers(1, 61, drawn.integers(2, 6)).tolist()),
            *(values[drawn.integers(3)] for values in (LAGS_MS, ORDERS_MS, DOWN_MS)),
        )
        for _ in range(600)
    ]
    assert faults_of(cases) == {}
