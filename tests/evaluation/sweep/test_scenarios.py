"""Assumptions apart from choices: who is compared with whom, and that nothing is won by calling a choice a cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import stats

from quantlab.evaluation.sweep.scenario_scores import order_of, score_scenarios, table_of_scenario
from quantlab.evaluation.sweep.scenarios import ASSUMPTIONS, configured_scenario, scenarios_of
from quantlab.evaluation.sweep.scores import SweepTable, annualised, daily_sharpes, trials_of
from quantlab.trading import Costs

SLIPPAGE, PARTICIPATION = "costs.slippage_bps", "costs.participation"


def grid(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    names = [name.replace("__", ".") for name in axes]
    return [dict(zip(names, values, strict=True)) for values in product(*axes.values())]


def table_of(values: list[dict[str, Any]], returns: np.ndarray) -> SweepTable:
    return SweepTable(tuple(values[0]), tuple(values), returns, {"trades": np.full(len(values), 500)}, len(values))


def test_only_the_fields_of_costs_are_assumptions(repository: Path) -> None:
    names = {f"costs.{field.name}" for field in dataclasses.fields(Costs)}
    shipped = OmegaConf.load(repository / "conf" / "trading" / "costs" / "default.yaml")
    assert set(ASSUMPTIONS) == names == {f"costs.{name}" for name in shipped if name != "_target_"}
    hidden = scenarios_of(grid(policy__a=[1, 2], costs__my_choice=[1, 2], sizer__slippage_bps=[1, 2]))
    assert [(one.assumed, one.tried) for one in hidden] == [({}, 8)]


def test_scenarios_are_the_costs_and_trials_the_choices() -> None:
    values = grid(
        policy__a=[1, 2, 3], costs__slippage_bps=[4.0, 2.0], costs__participation=[False, 0.05], signal__b=[0, 1]
    )
    found = scenarios_of(values)
    assert [one.assumed for one in found] == [
        {SLIPPAGE: 2.0, PARTICIPATION: None},
        {SLIPPAGE: 2.0, PARTICIPATION: 0.05},
        {SLIPPAGE: 4.0, PARTICIPATION: None},
        {SLIPPAGE: 4.0, PARTICIPATION: 0.05},
    ]
    assert {one.tried for one in found} == {6}
    assert sorted(np.concatenate([one.rows for one in found]).tolist()) == list(range(24))
    for one in found:
        for row in one.rows:
            assert values[row][SLIPPAGE] == one.assumed[SLIPPAGE]
            assert (values[row][PARTICIPATION] or None) == one.assumed[PARTICIPATION]


def test_without_assumptions_all_is_one_family() -> None:
    for values in (grid(policy__a=[1, 2, 3]), grid(policy__a=[1, 2], costs__slippage_bps=[2.0])):
        (one,) = scenarios_of(values)
        assert (one.assumed, one.tried, one.rows.tolist()) == ({}, len(values), list(range(len(values))))


def test_impossible_choices_count_in_every_scenario_and_impossible_costs_in_none() -> None:
    values = grid(policy__a=[1, 2, 3, 4], costs__slippage_bps=[2.0, 4.0, -1.0])
    possible = [one for one in values if one["policy.a"] != 4 and one[SLIPPAGE] >= 0.0]
    found = scenarios_of(possible, [one for one in values if one not in possible])
    assert [(one.assumed[SLIPPAGE], len(one.rows), one.tried) for one in found] == [(2.0, 3, 4), (4.0, 3, 4)]
    part = table_of_scenario(table_of(possible, np.random.default_rng(0).normal(size=(6, 30))), found[1])
    assert trials_of(part).count == 4


def test_a_choice_that_is_drawn_together_with_costs_is_not_split() -> None:
    """A thousand draws of a cost that hardly differs would be a thousand sweeps of one trial."""
    rng = np.random.default_rng(0)
    drawn = [{"policy.a": float(rng.uniform()), SLIPPAGE: float(rng.uniform(2.0, 2.001))} for _ in range(50)]
    (one,) = scenarios_of(drawn)
    assert (one.assumed, one.tried) == ({}, 50)
    (one,) = scenarios_of(grid(policy__a=[1, 2], costs__slippage_bps=[2.0, 4.0])[:-1])
    assert one.tried == 3


def test_a_repeated_choice_counts_as_often_as_where_it_was_tried_most() -> None:
    values = [*grid(policy__a=[1, 1, 2], costs__slippage_bps=[2.0, 4.0]), {"policy.a": 2, SLIPPAGE: 4.0}]
    assert [(len(one.rows), one.tried) for one in scenarios_of(values)] == [(3, 4), (4, 4)]


def test_the_configured_scenario_is_known_by_its_values() -> None:
    found = scenarios_of(grid(policy__a=[1, 2], costs__slippage_bps=[1, 2, 4], costs__participation=["off", 0.05]))
    for participation in (None, 0.05):
        configured = {SLIPPAGE: 2.0, PARTICIPATION: participation, "costs.liquidation_fee_bps": 125.0}
        i = configured_scenario(found, configured)
        assert i is not None
        assert found[i].assumed == {SLIPPAGE: 2, PARTICIPATION: participation}
    assert configured_scenario(found, dict.fromkeys(ASSUMPTIONS, 0.1)) is None
    assert found[-1].assumed == {SLIPPAGE: 4, PARTICIPATION: 0.05}  # the dearest


def a_priced_grid(seed: int, days: int = 60) -> tuple[SweepTable, list[dict[str, Any]]]:
    """Five choices under four costs; a choice pays in proportion to its turnover."""
    values = grid(costs__slippage_bps=[0.0, 2.0, 4.0, 8.0], policy__a=[1, 2, 4, 8, 16])
    gross = np.random.default_rng(seed).normal(0.0, 0.01, (5, days))
    returns = np.array([gross[i % 5] - 1e-4 * one[SLIPPAGE] * one["policy.a"] for i, one in enumerate(values)])
    return table_of(values, returns), values


def test_every_scenario_against_a_sweep_of_its_own() -> None:
    """By numpy and scipy alone."""
    table, values = a_priced_grid(1)
    sharpe = annualised(daily_sharpes(table.daily_returns))
    scores = score_scenarios(table, sharpe, scenarios_of(values), 100)
    winners = []
    for k, one in enumerate(scores):
        returns = table.daily_returns[5 * k : 5 * k + 5]
        ratio = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
        assert one.order.tolist() == (5 * k + np.argsort(-ratio)).tolist()
        euler = 0.5772156649015329
        best_of = (1 - euler) * stats.norm.ppf(1 - 1 / 5) + euler * stats.norm.ppf(1 - 1 / (5 * math.e))
        lucky = math.sqrt(min(ratio.var(ddof=1), 1 / 59)) * best_of
        best = returns[np.argmax(ratio)]
        skew, kurtosis, r = stats.skew(best), stats.kurtosis(best, fisher=False), ratio.max()
        error = math.sqrt((1 - skew * r + (kurtosis - 1) / 4 * r**2) / 59)
        assert one.luck_sharpe == pytest.approx(lucky * math.sqrt(365), rel=1e-10)
        assert one.dsr == pytest.approx(stats.norm.cdf((r - lucky) / error), rel=1e-9)
        winners.append(int(np.argmax(ratio)))
    for one, winner in zip(scores, winners, strict=True):
        np.testing.assert_array_equal(one.sharpe_by_scenario, sharpe[winner::5])
    order = order_of(scores, 2)
    assert order[:5].tolist() == scores[2].order.tolist()
    assert sorted(order.tolist()) == list(range(20))


def test_more_assumptions_neither_help_nor_hurt() -> None:
    """The score of one scenario does not know of the others."""
    table, values = a_priced_grid(2)
    sharpe = annualised(daily_sharpes(table.daily_returns))
    for k, beside in enumerate(score_scenarios(table, sharpe, scenarios_of(values), 0)):
        rows = slice(5 * k, 5 * k + 5)
        alone_table = table_of([{"policy.a": one["policy.a"]} for one in values[rows]], table.daily_returns[rows])
        (alone,) = score_scenarios(alone_table, sharpe[rows], scenarios_of(alone_table.values), 0)
        assert (alone.luck_sharpe, alone.dsr) == (beside.luck_sharpe, beside.dsr)
        assert (alone.order + 5 * k).tolist() == beside.order.tolist()


def test_a_best_that_is_impossible_elsewhere_has_no_ratio_there() -> None:
    values = grid(costs__slippage_bps=[2.0, 4.0], policy__a=[1, 2])
    returns = np.random.default_rng(0).normal(0.0, 0.01, (3, 30))
    returns[1] += 0.02
    table = table_of(values[:3], returns)
    scores = score_scenarios(table, annualised(daily_sharpes(returns)), scenarios_of(values[:3], values[3:]), 0)
    assert scores[0].row == 1
    assert math.isnan(scores[0].sharpe_by_scenario[1])
    assert scores[0].scenario.tried == scores[1].scenario.tried == 2
    assert scores[1].dsr is None  # a second trial without a result: luck is unknown
