"""A sweep's statistics: ranks, trials, luck and maps, on results whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from quantlab.core.errors import ContractError
from quantlab.evaluation.statistics import overfitting
from quantlab.evaluation.statistics.metrics import moments, sharpe_ratio, sharpe_standard_error
from quantlab.evaluation.statistics.overfitting import backtest_overfitting, probabilistic_sharpe
from quantlab.evaluation.sweep.maps import pair_maps, short_names, value_text, varied_names
from quantlab.evaluation.sweep.scores import (
    SweepTable,
    annualised,
    count_distinct,
    daily_sharpes,
    ranking,
    sharpe_dispersion,
    sharpe_quantiles,
    trials_of,
)
from quantlab.evaluation.verdict.deflation import deflated_sharpe, luck_sharpe, uncapped_luck_sharpe


def table_of(
    returns: np.ndarray, values: list[dict[str, object]] | None = None, tried: int | None = None
) -> SweepTable:
    """A table of these daily returns (N, D)."""
    rows = values or [{"policy.x": i} for i in range(len(returns))]
    return SweepTable(tuple(rows[0]), tuple(rows), returns, {"trades": np.full(len(rows), 200)}, tried or len(rows))


def test_sharpe_ratios_are_those_of_the_metrics() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, (5, 60))
    returns[3] = 0.0
    found = annualised(daily_sharpes(returns))
    for i in (0, 1, 2, 4):
        assert found[i] == sharpe_ratio(returns[i])
    assert math.isnan(found[3])


def test_the_ranking_puts_enough_trades_before_luck() -> None:
    sharpe = np.array([1.0, 9.0, 2.0, np.nan, 2.0])
    trades = np.array([500, 3, 100, 900, 100])
    assert ranking(sharpe, trades, 100).tolist() == [2, 4, 0, 3, 1]
    assert ranking(sharpe, trades, 0).tolist() == [1, 2, 4, 0, 3]


def test_a_lucky_best_of_many_is_no_edge() -> None:
    """Two thousand coins: the best is certain on its own, and nothing special among the others."""
    returns = np.random.default_rng(7).normal(0.0, 0.01, (2_000, 90))
    table = table_of(returns)
    best = int(ranking(daily_sharpes(returns), table.numbers["trades"], 0)[0])
    shape, trials = moments(returns[best]), trials_of(table)
    assert probabilistic_sharpe(shape) > 0.99
    assert deflated_sharpe(shape, uncapped_luck_sharpe(trials)) < 0.95
    pbo = backtest_overfitting(trials.returns, 8)
    assert 0.3 < pbo < 0.7
    expected = luck_sharpe(trials, 90)
    assert isinstance(expected, float)
    assert abs(expected / daily_sharpes(returns).max() - 1.0) < 0.2


def test_a_real_edge_among_many_survives() -> None:
    returns = np.random.default_rng(8).normal(0.0, 0.01, (200, 90))
    returns[17] += 0.008
    trials = trials_of(table_of(returns))
    assert deflated_sharpe(moments(returns[17]), uncapped_luck_sharpe(trials)) > 0.95
    assert backtest_overfitting(trials.returns, 8) < 0.05


def test_impossible_parameter_sets_are_trials_too() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (10, 30))
    few, many = trials_of(table_of(returns)), trials_of(table_of(returns, tried=1_000))
    assert (few.count, many.count) == (10, 1_000)
    little, much = luck_sharpe(few, 30), luck_sharpe(many, 30)
    assert isinstance(little, float)
    assert isinstance(much, float)
    assert much > 1.5 * little > 0.0
    with pytest.raises(ContractError, match="one result for every parameter set"):
        table_of(returns, tried=9)


def test_overfitting_needs_no_more_memory_for_more_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """One choice at a time gives the same share, and equals ranking all trials of all choices at once."""
    returns = np.random.default_rng(2).normal(0.0, 0.01, (40, 25))
    returns[:, 5] = returns[:, 6]  # ties
    whole = backtest_overfitting(returns, 6)
    monkeypatch.setattr(overfitting, "_CELLS", 1)
    assert backtest_overfitting(returns, 6) == whole
    assert 0.0 < float(whole) < 1.0  # type: ignore[arg-type]
    outside = np.array([[1.0, 2.0, 2.0, 0.0]])
    rank = np.sum(outside < 2.0, axis=1) + (np.sum(outside == 2.0, axis=1) + 1) / 2
    assert rank[0] == rankdata(outside, axis=1)[0, 1]


def test_maps_show_the_median_of_what_falls_into_a_cell() -> None:
    values = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in (0.5, 0.25) for c in ("x", "y", "z")]
    score = np.arange(12.0)
    score[0] = np.nan
    maps = pair_maps(table_of(np.zeros((12, 3)), values), score)
    assert [(one.down, one.across) for one in maps] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert maps[0].columns == ("0.25", "0.5")
    np.testing.assert_array_equal(maps[0].median, [[4.0, 1.5], [10.0, 7.0]])
    np.testing.assert_array_equal(maps[0].count, [[3, 2], [3, 3]])


def test_many_values_become_classes_that_hold_everything() -> None:
    rng = np.random.default_rng(3)
    values = [{"a": float(x), "b": bool(x > 0)} for x in rng.normal(size=500)]
    (one,) = pair_maps(table_of(np.zeros((500, 3)), values), np.ones(500))
    assert one.median.shape == (8, 2)
    assert one.count.sum() == 500
    assert np.isnan(one.median[one.count == 0]).all()
    assert one.columns == ("off", "on")


def test_one_parameter_makes_no_map_and_off_is_a_value() -> None:
    assert pair_maps(table_of(np.zeros((2, 3)), [{"a": None}, {"a": 2}]), np.ones(2)) == []
    assert [value_text(value) for value in (None, False, True, 3, 0.12345678, "x")] == [
        "off",
        "off",
        "on",
        "3",
        "0.1235",
        "x",
    ]


def test_the_spread_of_nothing_is_nothing() -> None:
    assert sharpe_quantiles(np.array([np.nan]))["median"] is None
    assert sharpe_quantiles(np.array([-1.0, 1.0, 3.0]))["median"] == 1.0
    assert sharpe_quantiles(np.array([-1.0, 1.0, 3.0]))["positive_share"] == pytest.approx(2 / 3)


def test_the_scatter_of_coins_is_the_error_of_one() -> None:
    """Independent trials without skill differ by chance alone; a drift of their own sets them further apart."""
    coins = np.random.default_rng(9).normal(0.0, 0.01, (400, 60))
    apart, by_chance = sharpe_dispersion(coins) or (0.0, 0.0)
    assert by_chance == pytest.approx(np.median([sharpe_standard_error(row) for row in coins]), rel=1e-12)
    assert apart == pytest.approx(by_chance, rel=0.1)
    drifting = coins - np.linspace(0.0, 0.02, 400)[:, None]
    apart, by_chance = sharpe_dispersion(drifting) or (0.0, 0.0)
    assert apart > 3.0 * by_chance
    assert sharpe_dispersion(np.vstack([coins[:1], np.zeros((3, 60))])) is None  # those that never traded have no ratio


def test_accounts_that_are_the_same_are_counted_once() -> None:
    returns = np.random.default_rng(4).normal(0.0, 0.01, (6, 30))
    returns[4] = returns[1]
    assert count_distinct(returns) == 5
    assert count_distinct(np.zeros((7, 30))) == 1


def test_names_are_short_where_that_leaves_them_apart() -> None:
    assert short_names(["policy.stop_atr", "signal.fast"]) == ["stop atr", "fast"]
    assert short_names(["policy.x", "signal.x"]) == ["policy.x", "signal.x"]


def test_what_has_one_value_was_not_varied() -> None:
    values: list[dict[str, object]] = [{"a": i, "b": 0.5, "c": 1e-9 * i} for i in range(3)]
    assert varied_names(table_of(np.zeros((3, 4)), values)) == ["a", "c"]
