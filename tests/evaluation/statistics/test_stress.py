"""Replays: where the result turns, by hand."""

from __future__ import annotations

import json
import math

import pytest

from quantlab.core.errors import ConfigError
from quantlab.evaluation.statistics.metrics import Undefined
from quantlab.evaluation.statistics.stress import (
    Stress,
    StressAccount,
    StressPlan,
    break_even_multiple,
    half_return_usd,
    measure_account,
    stress_numbers,
)


def series(results: dict[float, float], orders: int = 10) -> list[StressAccount]:
    """Replays with a given P&L of a 1,000 USD account."""
    return [
        StressAccount(at, {"net_pnl": pnl, "total_return": pnl / 1_000.0, "orders": orders}, {})
        for at, pnl in results.items()
    ]


def test_the_break_even_lies_on_the_line_between_the_replays_around_it() -> None:
    assert break_even_multiple(series({0.0: 9.0, 1.0: 3.0, 2.0: -1.0, 4.0: -9.0})) == 1.75
    assert break_even_multiple(series({1.0: 3.0, 2.0: 0.0})) == 2.0


@pytest.mark.parametrize(
    ("results", "orders", "reason"),
    [
        ({0.0: -1.0, 1.0: -3.0}, 10, "a loss even when trading is free"),
        ({0.5: -1.0, 1.0: -3.0}, 10, "a loss even at 0.5 x the costs"),
        ({0.5: 5.0, 4.0: 3.0}, 10, "still a profit at 4 x the costs"),
        ({0.5: 0.0, 4.0: 0.0}, 0, "nothing was traded"),
        ({1.0: 3.0}, 10, "fewer than two multiples of the costs were replayed"),
    ],
)
def test_where_nothing_crosses_zero_it_says_why(results: dict[float, float], orders: int, reason: str) -> None:
    assert break_even_multiple(series(results, orders)) == Undefined(reason)


def test_half_of_the_return_is_found_on_the_log_scale() -> None:
    found = half_return_usd(series({1e3: 80.0, 1e4: 60.0, 1e6: 20.0}))
    assert isinstance(found, float)
    assert math.log10(found) == pytest.approx(5.0)  # 40 is half-way from 60 to 20, 1e5 half-way from 1e4 to 1e6
    assert half_return_usd(series({1e3: -1.0, 1e6: -2.0})) == Undefined("the smallest account earned nothing")
    assert half_return_usd(series({1e3: 80.0, 1e6: 50.0})) == Undefined("more than half of it is left at 1,000,000 USD")
    assert isinstance(half_return_usd([]), Undefined)


def test_the_plan_is_a_log_grid_and_sorted_multiples() -> None:
    plan = StressPlan([4.0, 0.5, 1], 1e3, 1e7, 5)
    assert plan.cost_multiples == (0.5, 1.0, 4.0)
    assert plan.sizes == pytest.approx((1e3, 1e4, 1e5, 1e6, 1e7))
    assert StressPlan([], 1e3, 1e7, 0).sizes == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cost_multiples": [-1.0]},
        {"cost_multiples": [1.0, 1]},
        {"cost_multiples": [float("nan")]},
        {"account_low": 0.0},
        {"account_high": 10.0},
        {"accounts": -1},
        {"accounts": 2.5},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, object]) -> None:
    settings = {"cost_multiples": [1.0], "account_low": 1e3, "account_high": 1e7, "accounts": 3} | wrong
    with pytest.raises(ConfigError, match=r"stress\."):
        StressPlan(**settings)  # type: ignore[arg-type]


def test_a_replay_is_the_summary_and_json_says_why_numbers_are_missing(booked, bars_of, random_bars, fills_of) -> None:
    bars = random_bars(3, n_bars=900, n_symbols=2)
    simulation = booked(bars, fills_of(bars, 1))
    quiet = booked(bars, [])
    one, two = measure_account(1.0, simulation, bars), measure_account(2.0, quiet, bars)
    assert one.numbers["net_pnl"] == simulation.equity[-1] - 10_000.0
    assert one.numbers["orders"] == len(simulation.orders)
    assert two.numbers["sharpe"] is None
    assert "sharpe" in two.undefined
    document = stress_numbers(Stress((one, two), (), None))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [row["multiple"] for row in document["costs"]] == [1.0, 2.0]
    assert document["half_return_usd"] is None
    assert document["undefined"]["half_return_usd"] == "fewer than two account sizes were replayed"
    assert stress_numbers(None) == {}
