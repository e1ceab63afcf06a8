"""Metrics against hand-computed values, scipy and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantlab.core.errors import ContractError
from quantlab.evaluation.statistics import metrics
from quantlab.evaluation.statistics.metrics import Moments, Undefined

HOUR = 3_600_000
MIDNIGHT = 1_742_083_200_000  # 2025-03-16T00:00Z


def hours(n: int, start: int = MIDNIGHT) -> np.ndarray:
    return start + HOUR * np.arange(n, dtype=np.int64)


def test_daily_returns_by_hand():
    equity = np.concatenate([np.full(23, 77.0), [110.0], np.full(23, 5_000.0), [99.0]])
    np.testing.assert_allclose(metrics.daily_returns(equity, hours(48), 100.0), [0.1, -0.1])


def test_a_bar_belongs_to_the_day_of_its_open():
    # Opens at 22:00, 23:00 | 00:00: the 23:00 bar closes at midnight and still ends the first day.
    equity = np.array([100.0, 120.0, 60.0])
    np.testing.assert_allclose(metrics.daily_returns(equity, hours(3, MIDNIGHT - 2 * HOUR), 100.0), [0.2, -0.5])


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=90), st.integers(0, 23))
@settings(max_examples=60, deadline=None)
def test_daily_returns_compound_to_the_total_return(factors: list[float], offset: int):
    equity = 10_000.0 * np.cumprod(factors)
    returns = metrics.daily_returns(equity, hours(len(equity), MIDNIGHT + offset * HOUR), 10_000.0)
    assert np.prod(1.0 + returns) == pytest.approx(equity[-1] / 10_000.0, rel=1e-12)


def test_weeks_are_annualised_as_weeks_and_days_as_days():
    """52 returns a year are 52: taken for days they made a Sharpe ratio, and its certainty, sqrt(7) times too large."""
    week, monday = 7 * 24 * HOUR, 1_736_121_600_000
    returns = np.random.default_rng(2).normal(0.004, 0.03, 300)
    equity = 10_000.0 * np.cumprod(1.0 + returns)
    opens = monday + week * np.arange(300, dtype=np.int64)
    daily = metrics.daily_returns(equity, opens, 10_000.0)
    assert len(daily) == len(metrics.days_of(opens)) == 2_100 == metrics.span_days(opens, week)
    assert np.prod(1.0 + daily) == pytest.approx(equity[-1] / 10_000.0, rel=1e-12)
    yearly = returns.mean() / returns.std(ddof=1) * math.sqrt(365 / 7)
    assert metrics.sharpe_ratio(daily) == pytest.approx(yearly, rel=0.02)
    assert metrics.annual_volatility(daily) == pytest.approx(returns.std(ddof=1) * math.sqrt(365 / 7), rel=0.02)
    certain = metrics.sharpe_standard_error(daily)
    assert certain == pytest.approx(metrics.sharpe_standard_error(returns) / math.sqrt(7), rel=0.02)
    closes = metrics.day_closes(opens, week)
    assert (closes[0], closes[-1]) == (monday + 24 * HOUR, opens[-1] + week)
    one = opens[:1] + 24 * HOUR * np.arange(300)
    np.testing.assert_array_equal(metrics.daily_returns(equity, one, 10_000.0), daily[::7])


def test_a_ruined_account_earns_nothing_afterwards():
    equity = np.repeat([50.0, -10.0, -30.0, 40.0], 24)
    np.testing.assert_allclose(metrics.daily_returns(equity, hours(96), 100.0), [-0.5, -1.2, 0.0, 0.0])


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, np.nan]), np.array([1.0, 2.0, 3.0])])
def test_malformed_equity_is_refused(bad: np.ndarray):
    with pytest.raises(ContractError, match="one finite equity value per bar"):
        metrics.daily_returns(bad, hours(2), 100.0)


def test_moments_against_scipy():
    returns = np.random.default_rng(1).standard_t(4, 250) * 0.01
    m = metrics.moments(returns)
    assert isinstance(m, Moments)
    assert m.std == pytest.approx(np.std(returns, ddof=1))
    assert m.skew == pytest.approx(stats.skew(returns))
    assert m.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


def test_sharpe_sortino_and_volatility_by_hand():
    returns = np.array([0.02, -0.01, 0.03, -0.02])
    # mean 0.005; sum of squared deviations 0.0017, so std = sqrt(0.0017 / 3); downside = sqrt(0.0005 / 4)
    std = math.sqrt(0.0017 / 3)
    assert metrics.sharpe_ratio(returns) == pytest.approx(0.005 / std * math.sqrt(365))
    assert metrics.annual_volatility(returns) == pytest.approx(std * math.sqrt(365))
    assert metrics.sortino_ratio(returns) == pytest.approx(0.005 / math.sqrt(0.0005 / 4) * math.sqrt(365))


def test_sharpe_error_is_the_spread_of_the_estimate():
    rng = np.random.default_rng(5)
    worlds = rng.gamma(2.0, 0.01, (4_000, 200)) - 0.015  # skewed, so the normal formula would be off
    shapes = [metrics.moments(world) for world in worlds]
    ratios = np.array([m.sharpe for m in shapes if isinstance(m, Moments)])
    errors = np.array([metrics.sharpe_error(m) for m in shapes if isinstance(m, Moments)])
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.05)


def test_sharpe_error_of_a_normal_is_lo_2002():
    assert metrics.sharpe_error(Moments(101, 0.1, 1.0, 0.0, 3.0)) == pytest.approx(math.sqrt((1 + 0.1**2 / 2) / 100))


@given(st.lists(st.sampled_from([-0.03, 0.0, 0.01, 0.4]), min_size=2, max_size=12))
@settings(max_examples=100, deadline=None)
def test_errors_are_never_nan(values: list[float]):
    m = metrics.moments(np.array(values))
    assert isinstance(m, Undefined) or math.isfinite(metrics.sharpe_error(m))


@pytest.mark.parametrize("returns", [np.zeros(30), np.full(30, 0.01), 1.01 ** np.ones(5) - 1, np.array([0.1])])
def test_without_spread_there_is_no_sharpe(returns: np.ndarray):
    for statistic in (metrics.sharpe_ratio(returns), metrics.sharpe_standard_error(returns)):
        assert isinstance(statistic, Undefined)
        assert statistic.reason


def test_growth():
    assert metrics.cagr(100.0, 121.0, 730.0) == pytest.approx(0.1)
    assert metrics.cagr(100.0, 0.0, 10.0) == -1.0
    assert isinstance(metrics.cagr(1.0, 1e9, 1.0), Undefined)


def test_drawdown_by_hand():
    equity = np.array([110.0, 99.0, 105.0, 110.0, 120.0, 90.0, 100.0])
    np.testing.assert_allclose(metrics.drawdowns(equity, 100.0), [0, 0.1, 1 - 105 / 110, 0, 0, 0.25, 1 - 100 / 120])
    assert metrics.max_drawdown(equity, 100.0) == pytest.approx(0.25)
    assert metrics.max_drawdown_bars(equity, 100.0) == 2
    assert metrics.max_drawdown_bars(np.array([90.0, 95.0, 99.0]), 100.0) == 3
    assert metrics.calmar_ratio(0.5, 0.25) == 2.0


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=50))
def test_a_rising_equity_has_no_drawdown(steps: list[float]):
    equity = 100.0 + np.cumsum(steps)
    assert metrics.max_drawdown(equity, 100.0) == 0.0
    assert metrics.max_drawdown_bars(equity, 100.0) == 0
    assert isinstance(metrics.calmar_ratio(1.0, 0.0), Undefined)


def test_drawdown_counts_the_first_fall_from_the_initial_cash():
    assert metrics.max_drawdown(np.array([80.0, 90.0]), 100.0) == pytest.approx(0.2)


def test_trade_statistics_by_hand():
    pnl = np.array([30.0, -10.0, 0.0, -5.0])
    assert metrics.hit_rate(pnl) == 0.25
    assert metrics.profit_factor(pnl) == 2.0
    assert isinstance(metrics.profit_factor(np.array([1.0])), Undefined)
    assert isinstance(metrics.hit_rate(np.array([])), Undefined)


def test_money_ratios_by_hand():
    assert metrics.turnover(5_000.0, np.array([900.0, 1_100.0]), 2.0) == 2.5
    assert metrics.exposure(np.array([500.0, 0.0, 9.0]), np.array([1_000.0, 1_000.0, -1.0])) == 0.25
    assert metrics.cost_share(75.0, 25.0) == 0.25
    assert metrics.cost_share(-10.0, 30.0) == 1.5
    assert isinstance(metrics.cost_share(-30.0, 10.0), Undefined)
    assert metrics.per_notional_bps(6.5, 10_000.0) == pytest.approx(6.5)
    assert isinstance(metrics.per_notional_bps(0.0, 0.0), Undefined)


def test_span_counts_the_last_bar():
    assert metrics.span_days(hours(48), HOUR) == 2.0
    np.testing.assert_array_equal(metrics.day_ends(hours(49)), [23, 47, 48])
