"""Which parameter sets a sweep tries, and how they become strategies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.sweep_space import Axis, Grid, RandomSearch, axes_of
from quantlab.backtest.sweep_strategies import with_values
from quantlab.core.errors import ConfigError


def test_a_grid_is_every_combination_the_last_axis_fastest():
    grid = Grid({"policy.stop_atr": [1.0, 2.0], "policy.horizon": {"low": 6, "high": 12, "n": 3}})
    found = [tuple(values.values()) for values in grid.combinations()]
    assert found == [(1.0, 6), (1.0, 9), (1.0, 12), (2.0, 6), (2.0, 9), (2.0, 12)]
    assert all(isinstance(horizon, int) for _, horizon in found)


def test_ranges_end_where_they_say_and_keep_their_kind():
    def points(**node):
        return axes_of({"x": node})[0].points()

    assert points(low=0.0, high=1.0, n=5) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert points(low=1, high=1000, n=4, log=True) == (1, 10, 100, 1000)
    assert points(low=0.1, high=10.0, n=3, log=True) == pytest.approx((0.1, 1.0, 10.0))
    assert points(low=1, high=3, n=9) == (1, 2, 3)  # whole numbers repeat themselves only once
    assert points(low=2.0, high=2.0, n=1) == (2.0,)


def test_a_random_search_is_seeded_and_grows_without_changing():
    space = {"a": [1, "x", None], "b": {"low": 2, "high": 5}, "c": {"low": 1e-3, "high": 1e3, "log": True}}
    many = RandomSearch(space, 4_000, 3).combinations()
    assert many[:100] == RandomSearch(space, 100, 3).combinations()
    assert many[:100] != RandomSearch(space, 100, 4).combinations()
    whole = np.array([values["b"] for values in many])
    assert sorted(set(whole.tolist())) == [2, 3, 4, 5]
    assert np.bincount(whole)[2:].min() > 850  # the ends as often as the middle
    logs = np.log10([values["c"] for values in many])
    assert abs(np.mean(logs)) < 0.1
    assert abs(np.mean(logs < -1.0) - 1.0 / 3.0) < 0.03
    assert {values["a"] for values in many} == {1, "x", None}


@pytest.mark.parametrize(
    "node",
    [[], {}, 3, "1,2", {"low": 1}, {"low": 1, "high": 2, "step": 1}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True},
     {"low": 1, "high": 2, "n": 0}, {"low": 1, "high": 2, "n": 1.5}, {"low": 1, "high": 2, "log": "yes"},
     {"low": "a", "high": 2}, {"low": float("nan"), "high": 2.0}],
)  # fmt: skip
def test_an_axis_that_is_none_is_refused(node):
    for space in (lambda: Grid({"policy.x": node}), lambda: RandomSearch({"policy.x": node}, 1, 0)):
        with pytest.raises(ConfigError, match=r"sweep\.space\.policy\.x"):
            space()


def test_an_empty_or_endless_space_is_refused():
    for space in (None, {}):
        with pytest.raises(ConfigError, match="at least one parameter"):
            Grid(space).combinations()
        with pytest.raises(ConfigError, match="at least one parameter"):
            RandomSearch(space, 3, 0).combinations()
    with pytest.raises(ConfigError, match="number of points"):
        Grid({"a": {"low": 1, "high": 2}}).combinations()
    with pytest.raises(ConfigError, match="at most 1,000,000"):
        Grid({name: {"low": 0.0, "high": 1.0, "n": 1001} for name in "ab"}).combinations()
    with pytest.raises(ConfigError, match=r"sweep\.n"):
        RandomSearch({"a": [1]}, 0, 0)
    with pytest.raises(ConfigError, match="as a mapping"):
        Grid([1, 2])


def test_values_replace_what_they_name_and_nothing_else(strategy):
    before = strategy()
    after = with_values(before, {"policy.stop_atr": 3.0, "costs.slippage_bps": 7.0, "limits.breaker": None})
    assert (after.policy.stop_atr, after.costs.slippage_bps, after.limits.breaker) == (3.0, 7.0, None)
    assert after.policy == dataclasses.replace(before.policy, stop_atr=3.0)
    assert after.sizer is before.sizer
    assert before.policy.stop_atr == 1.2
    assert with_values(before, {}) == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policy.stop_art": 1.0}, "Write policy.stop_atr"),
        ({"sizer.colour": 1.0}, "It has weight"),
        ({"stop_atr": 1.0}, "e.g. policy.stop_atr"),
        ({"policy.a.b": 1.0}, "e.g. policy.stop_atr"),
        ({"signal.fast": 1}, "e.g. policy.stop_atr"),
        ({"costs.slippage_bps": -1.0}, "slippage_bps"),
        ({"policy.horizon": 1.5}, "horizon"),
    ],
)
def test_a_value_that_cannot_be_is_refused(strategy, values, message):
    with pytest.raises(ConfigError, match=message):
        with_values(strategy(), values)


def test_an_axis_knows_its_kind():
    assert Axis("x", (), 1, 2).draw(np.random.default_rng(0)) in (1, 2)
    assert isinstance(Axis("x", (), 1.0, 2.0).draw(np.random.default_rng(0)), float)
