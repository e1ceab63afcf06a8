"""Halts, share and positions that only a session sets: the same rules as the strategy's own, and nothing when neutral."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantlab.core.results import CUT_RULES
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel import layout

CASH = 10_000.0
FLAT = [100.0, 101.0, 99.0, 100.0, 1e6]


def decided(market: Any, signal: Any, strategy: Any, slots: dict[int, float], **limits: Any) -> Stepper:
    """An account of three symbols, of which two are held, after a decision that adds, closes and opens."""
    bars = market([[FLAT] * 3] * 3)
    target = np.array([[0.2, 0.1, 0.0], [0.2, 0.1, 0.0], [0.6, 0.0, -0.3]])
    target[0, 2] = np.nan
    rows = signal(bars, target=target, stop_distance=5.0, take_distance=8.0)
    account = Stepper(strategy(limits=limits), bars.symbols, bars.instruments, bars.interval_ms, CASH)
    for t in range(3):
        account.settle(bars.rows(t, t + 1))
        if t == 2:
            for slot, value in slots.items():
                account.state.account[slot] = value
        account.decide(rows.rows(t, t + 1))
    return account


def legs(account: Stepper) -> Any:
    return account.state.orders[[layout.REDUCE, layout.INCREASE]]


@pytest.mark.parametrize("halt", [layout.VENUE_HALT, layout.OWNER_HALT])
def test_a_halt_of_the_session_refuses_increases_and_nothing_else(
    market: Any, signal: Any, strategy: Any, halt: int
) -> None:
    account = decided(market, signal, strategy, {halt: 1.0})
    assert legs(account)[1].tolist() == [0.0, 0.0, 0.0]
    assert legs(account)[0].tolist() == [0.0, 10.0, 0.0]
    assert account.state.cuts[CUT_RULES.index("halt")] == 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_a_stage_cuts_targets_as_the_rollout_does(
    market: Any, signal: Any, strategy: Any, share: float
) -> None:
    staged = decided(market, signal, strategy, {layout.STAGE_SHARE: share})
    adds, opens = max(60.0 * share - 20.0, 0.0), 30.0 * share
    assert legs(staged)[1].tolist() == pytest.approx([adds, 0.0, opens])
    assert legs(staged)[0].tolist() == [0.0, 10.0, 0.0], "no share trims what is held or a close"


def test_the_share_multiplies_the_strategys_own_rollout(market: Any, signal: Any, strategy: Any) -> None:
    account = decided(market, signal, strategy, {layout.STAGE_SHARE: 0.5}, rollout=0.5)
    # Held are 10 and 5 units: half of what was wanted.
    assert legs(account)[1].tolist() == pytest.approx([5.0, 0.0, 7.5])


@pytest.mark.parametrize(
    ("positions", "own", "opened"), [(2.0, None, 0), (3.0, None, 1), (2.0, 5, 0), (9.0, 2, 0), (0.0, None, 0)]
)
def test_positions_of_a_stage_are_a_second_limit(
    market: Any, signal: Any, strategy: Any, positions: float, own: int | None, opened: int
) -> None:
    account = decided(market, signal, strategy, {layout.STAGE_POSITIONS: positions}, max_positions=own)
    assert int(legs(account)[1, 2] > 0.0) == opened
    assert account.state.cuts[CUT_RULES.index("max_positions")] == 1 - opened
    assert legs(account)[1, 0] > 0.0, "an add needs no slot"


def test_a_new_account_is_not_limited_by_any_of_them(market: Any, signal: Any, strategy: Any) -> None:
    neutral = {layout.VENUE_HALT: 0.0, layout.OWNER_HALT: 0.0, layout.STAGE_SHARE: 1.0, layout.STAGE_POSITIONS: np.inf}
    account = decided(market, signal, strategy, {})
    assert {slot: account.state.account[slot] for slot in neutral} == neutral
    assert account.state.cuts.sum() == 0
