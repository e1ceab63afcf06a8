"""The on-grid rule against exact rational arithmetic, and fills that are always against us."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.trading.account.matching import (
    ON_GRID_TOLERANCE,
    budget,
    fill_price,
    round_down,
    round_up,
    stop_level,
    stop_touched,
    take_level,
    take_passed,
)

steps = st.sampled_from([1e-6, 1e-4, 0.01, 0.05, 0.25, 0.5, 1.0, 3.0])
prices = st.floats(1e-4, 1e6)


@given(prices, steps)
@settings(deadline=None)  # the first call compiles
def test_rounding_brackets_the_value_by_whole_steps(value: float, step: float) -> None:
    down, up = round_down(value, step), round_up(value, step)
    assert down == round(down / step) * step
    assert up == round(up / step) * step
    slack = Fraction(ON_GRID_TOLERANCE) * max(1, Fraction(value) / Fraction(step)) * Fraction(step) * 2
    assert Fraction(down) <= Fraction(value) + slack
    assert Fraction(up) >= Fraction(value) - slack
    assert round((up - down) / step) in (0, 1)


@given(st.integers(0, 10**7), steps)
def test_a_value_on_the_grid_stays_there(count: int, step: float) -> None:
    assert round_down(count * step, step) == count * step
    assert round_up(count * step, step) == count * step


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        (0.3, 0.1, 3 * 0.1, 3 * 0.1),  # 0.3 / 0.1 = 2.9999999999999996
        (100.019, 0.01, 10_001 * 0.01, 10_002 * 0.01),
        (7.3, 0.0, 7.3, 7.3),
        (math.inf, 0.01, math.inf, math.inf),
        (0.004, 0.01, 0.0, 0.01),
        (1e9 + 0.0004, 0.001, 1e9, 1e9),  # within the relative tolerance
    ],
)
def test_rounding_by_hand(value: float, step: float, down: float, up: float) -> None:
    assert round_down(value, step) == down
    assert round_up(value, step) == up


def test_a_buy_is_rounded_up_and_a_sell_down() -> None:
    assert fill_price(1.0, 100.0, 0.0002, 0.05, 0.001) == 2001 * 0.05
    assert fill_price(-1.0, 100.0, 0.0002, 0.05, 0.001) == 1999 * 0.05
    assert fill_price(-1.0, 0.02, 0.0002, 0.05, 1.0) == 0.02 * (1 - 0.0002)  # no tick of a price below it
    assert fill_price(-1.0, 0.09, 0.0, 0.05, 1.0) == 0.05
    assert fill_price(-1.0, 100.0, 0.0002, 0.0, 0.001) == 100.0 * (1 - 0.0002)


def test_budget_is_floored_to_the_lot_and_never_negative() -> None:
    assert budget(0.05, 1_000.0, 0.0, 0.0) == 50.0
    assert budget(0.05, 1_000.0, 20.0, 7.0) == 28.0
    assert budget(0.05, 100.0, 20.0, 1.0) == 0.0
    assert budget(math.inf, 1.0, 3.0, 1.0) == math.inf


def test_levels_are_rounded_away_from_the_entry() -> None:
    assert stop_level(1.0, 100.0, 1.21, 0.5, 1.0) == 98.5
    assert take_level(1.0, 100.0, 1.21, 0.5, 1.0) == 101.5
    assert stop_level(-1.0, 100.0, 1.21, 0.5, 1.0) == 101.5
    assert take_level(-1.0, 100.0, 1.21, 0.5, 1.0) == 98.5
    assert stop_level(1.0, 100.0, math.inf, 0.5, 1.0) == -math.inf
    assert take_level(-1.0, 100.0, math.inf, 0.0, 1.0) == -math.inf


def test_a_stop_is_touched_a_take_profit_must_be_passed() -> None:
    assert stop_touched(1.0, 99.0, 101.0, 99.0)
    assert not stop_touched(1.0, np.nextafter(99.0, 100.0), 101.0, 99.0)
    assert not take_passed(1.0, 99.0, 101.0, 101.0)
    assert take_passed(1.0, 99.0, np.nextafter(101.0, 102.0), 101.0)
    assert stop_touched(-1.0, 99.0, 101.0, 101.0)
    assert not take_passed(-1.0, 99.0, 101.0, 99.0)
    for level in (0.0, -1.0, math.nan):
        assert not stop_touched(-1.0, 99.0, 101.0, level)
        assert not take_passed(1.0, 99.0, 101.0, level)
