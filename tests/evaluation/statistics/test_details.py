"""Details of an account against scipy, pandas and plain loops, and against the account itself."""

from __future__ import annotations

import dataclasses
import json
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from quantlab.core.market import PrintFlag
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.benchmarks import RANDOM_SIGNAL
from quantlab.evaluation.statistics.details import account_details, detail_numbers
from quantlab.evaluation.statistics.exposure_path import exposure_path
from quantlab.evaluation.statistics.market_relation import market_relation
from quantlab.evaluation.statistics.metrics import Undefined, max_drawdown, max_drawdown_bars, moments
from quantlab.evaluation.statistics.months import month_numbers, monthly_returns
from quantlab.evaluation.statistics.slippage import slippage_usd
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.statistics.tails import days_needed, tails
from quantlab.evaluation.statistics.trade_list import trade_list
from quantlab.evaluation.statistics.win_loss import longest_streak
from quantlab.evaluation.statistics.worst_drawdowns import worst_drawdowns

SIGNAL, STOP = int(OrderReason.SIGNAL), int(OrderReason.STOP)
HOUR = 3_600_000


@pytest.fixture(scope="module")
def bars(random_bars):
    return random_bars(5, n_bars=2_400, n_symbols=4, interval_ms=HOUR)


@pytest.fixture(scope="module")
def simulation(booked, fills_of, bars):
    return booked(bars, fills_of(bars, 5), funding=np.full(bars.n_bars, 0.01))


@pytest.fixture(scope="module")
def details(simulation, bars):
    market = 10_000.0 * bars.close[:, 0] / bars.ohlcv[0, 0, 0]
    return account_details(simulation, bars, {"S00 buy and hold": market, RANDOM_SIGNAL: market})


@pytest.mark.parametrize(("first", "count"), [("2025-03-05", 20), ("2025-03-16", 91), ("2019-11-30", 2_200)])
def test_months_compound_as_pandas_does(first, count):
    days = pd.date_range(first, periods=count, freq="D")
    returns = np.random.default_rng(count).normal(0.0, 0.02, count)
    rows = monthly_returns(days.values.astype("datetime64[D]").astype(np.int64), returns)
    series = 1.0 + pd.Series(returns, days)
    by_month = series.groupby(series.index.strftime("%Y-%m")).prod() - 1.0
    by_year = series.groupby(series.index.year).prod() - 1.0
    assert month_numbers(rows) == pytest.approx(by_month.to_dict())
    assert {row.year: row.total for row in rows} == pytest.approx(by_year.to_dict())
    assert all(len(row.months) == 12 for row in rows)


def loop_drawdowns(equity, cash):
    """(peak, trough, recovery or None, depth) by a walk over the marks; -1 is the start."""
    found, peak, at, trough = [], cash, -1, None
    for i, value in enumerate(equity):
        if value >= peak:
            if trough is not None:
                found.append((at, trough, i, 1 - equity[trough] / peak))
            peak, at, trough = value, i, None
        elif trough is None or value < equity[trough]:
            trough = i
    if trough is not None:
        found.append((at, trough, None, 1 - equity[trough] / peak))
    return sorted(found, key=lambda one: -one[3])


@pytest.mark.parametrize("seed", range(4))
def test_drawdowns_as_a_walk_finds_them(seed):
    rng = np.random.default_rng(seed)
    equity = np.round(10_000.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, 800))), -1)  # rounded: peaks are met again
    open_ms = HOUR * np.arange(800)
    close_ms = open_ms + HOUR
    rows = worst_drawdowns(equity, close_ms, 0, 10_000.0, count=8)
    expected = loop_drawdowns(equity.tolist(), 10_000.0)[:8]
    times = [0, *close_ms.tolist(), 0]
    assert [one.depth for one in rows] == pytest.approx([one[3] for one in expected])
    assert [(one.start_ms, one.trough_ms) for one in rows] == [(times[a + 1], times[b + 1]) for a, b, _, _ in expected]
    recovered = [None if c is None else times[c + 1] for _, _, c, _ in expected]
    assert [one.recovery_ms for one in rows] == recovered
    assert rows[0].depth == pytest.approx(max_drawdown(equity, 10_000.0))
    every = worst_drawdowns(equity, close_ms, 0, 10_000.0, count=800)
    below = [(one.end_ms - one.start_ms) // HOUR - (one.recovery_ms is not None) for one in every]
    assert max(below) == max_drawdown_bars(equity, 10_000.0)


def test_a_fall_from_the_first_bar_on_starts_at_its_open_and_may_not_have_ended():
    (one,) = worst_drawdowns(np.array([90.0, 80.0, 95.0]), np.array([10, 20, 30]), 0, 100.0)
    assert (one.start_ms, one.trough_ms, one.recovery_ms, one.end_ms) == (0, 20, None, 30)
    assert one.recovery_days is None
    assert worst_drawdowns(np.array([100.0, 101.0]), np.array([10, 20]), 0, 100.0) == ()


@pytest.mark.parametrize("n", [60, 91, 300, 1_000])
def test_tails_are_empyricals_and_scipys(n):
    returns = np.random.default_rng(n).standard_t(4, n) * 0.01
    found = tails(returns)
    assert found["var_95"] == pytest.approx(-np.percentile(returns, 5))
    worst = np.sort(returns)[: int((n - 1) * 0.05) + 1]  # empyrical's conditional_value_at_risk
    assert found["cvar_95"] == pytest.approx(-np.mean(worst))
    assert found["skew"] == pytest.approx(scipy.stats.skew(returns))
    assert found["excess_kurtosis"] == pytest.approx(scipy.stats.kurtosis(returns))
    assert found["skew"] == pytest.approx(moments(returns).skew)
    assert (found["worst_day"], found["best_day"]) == (returns.min(), returns.max())
    assert isinstance(found["var_99"], Undefined) == (n < 300)
    if n >= 300:
        assert found["cvar_99"] >= found["var_99"] >= found["var_95"]


def test_twenty_days_have_no_tail_and_no_shape():
    found = tails(np.random.default_rng(0).normal(0.0, 0.01, 20))
    said = {name: value.reason for name, value in found.items() if isinstance(value, Undefined)}
    assert set(said) == {f"{kind}_{level}" for kind in ("var", "cvar") for level in (95, 99)} | {
        "skew", "skew_se", "excess_kurtosis", "excess_kurtosis_se",
    }  # fmt: skip
    assert said["var_95"] == "20 of the 60 days that 95 % needs"
    assert (days_needed(0.95), days_needed(0.99)) == (60, 300)
    assert isinstance(tails(np.zeros(40))["skew"], Undefined)
    assert isinstance(tails(np.empty(0))["worst_day"], Undefined)


def test_beta_and_correlation_are_scipys():
    rng = np.random.default_rng(3)
    market = rng.normal(0.001, 0.03, 90)
    returns = 0.0005 + 0.4 * market + rng.normal(0.0, 0.01, 90)
    found, line = market_relation(returns, market), scipy.stats.linregress(market, returns)
    assert found["beta"] == pytest.approx(line.slope)
    assert found["beta_se"] == pytest.approx(line.stderr)
    assert found["alpha_daily"] == pytest.approx(line.intercept)
    assert found["alpha_daily_se"] == pytest.approx(line.intercept_stderr)
    assert found["correlation"] == pytest.approx(line.rvalue)
    assert found["correlation_se"] == pytest.approx(np.sqrt((1 - line.rvalue**2) / 88))
    assert market_relation(market, market)["beta_se"] == pytest.approx(0.0, abs=1e-9)
    assert market_relation(returns[:19], market[:19])["beta"] == Undefined("19 of the 20 days that a relation needs")
    assert isinstance(market_relation(returns, np.zeros(90))["correlation"], Undefined)


def test_long_and_short_are_the_accounts_gross(simulation, bars):
    path = exposure_path(simulation, bars)
    np.testing.assert_allclose(path.long + path.short, simulation.gross, rtol=1e-9, atol=1e-6)
    assert path.long.max() > 0.0 < path.short.max()
    np.testing.assert_allclose(path.maintenance, 0.03 * simulation.gross, rtol=1e-9, atol=1e-6)


def test_marks_of_gaps_and_of_suspect_prints(booked, bars_of):
    close = np.array([[100.0, 100.0, 150.0, np.nan, 110.0]]).T
    bars = bars_of(close)
    suspect = np.array([[0, 0, PrintFlag.STANDS, 0, 0]], np.uint8).T
    bars = dataclasses.replace(bars, suspect=np.ascontiguousarray(suspect))
    held = booked(bars, [(1, 0, 2.0, 100.0, 0.0, SIGNAL)])
    assert exposure_path(held, bars).long.tolist() == [0.0, 200.0, 200.0, 200.0, 220.0]
    sold = booked(bars, [(1, 0, -2.0, 100.0, 0.0, SIGNAL)])
    assert exposure_path(sold, bars).short.tolist() == [0.0, 200.0, 300.0, 300.0, 220.0]


def test_sides_add_up_to_the_account(simulation, bars, details):
    long, short, both = details.sides
    whole = summarise(simulation, bars)
    for name, total in (("fees", whole["fees"]), ("slippage", slippage_usd(simulation, bars))):
        assert getattr(long, name) + getattr(short, name) == pytest.approx(getattr(both, name)) == pytest.approx(total)
    assert (both.trades, both.hit_rate, both.profit_factor) == (
        whole["trades"], whole["hit_rate"], whole["profit_factor"],
    )  # fmt: skip
    assert both.exposure == pytest.approx(whole["exposure"])
    funding = float(np.sum(simulation.funding))
    assert long.net_pnl + short.net_pnl - funding == pytest.approx(whole["net_pnl"])
    table = trade_list(simulation, bars)
    mine = table[(table["side"] == "short") & table["closed"]]
    assert short.mean_return == pytest.approx(mine["return"].mean())
    assert short.trades == len(mine)


def test_a_fill_that_crosses_zero_has_costs_of_both_sides(booked, bars_of):
    bars = bars_of(np.full((6, 1), 100.0))
    fills = [(1, 0, 2.0, 101.0, 0.2, SIGNAL), (3, 0, -6.0, 99.0, 0.6, SIGNAL), (4, 0, 4.0, 101.0, 0.4, SIGNAL)]
    long, short, _ = account_details(booked(bars, fills), bars, {}).sides
    assert (long.fees, short.fees) == (pytest.approx(0.4), pytest.approx(0.8))
    assert (long.slippage, short.slippage) == (pytest.approx(4.0), pytest.approx(8.0))
    assert (long.net_pnl, short.net_pnl) == (pytest.approx(-4.4), pytest.approx(-8.8))


def test_wins_and_losses_from_the_list_of_trades(simulation, bars, details):
    table = trade_list(simulation, bars)
    closed = table[table["closed"]].sort_values("exit_time", kind="stable")
    found = details.win_loss
    won, lost = closed[closed["pnl"] > 0], closed[closed["pnl"] < 0]
    runs = {True: 0, False: 0}
    for kind, group in groupby(closed["pnl"] > 0):
        runs[bool(kind)] = max(runs[bool(kind)], len(list(group)))
    expected = {
        "wins": len(won),
        "losses": len(lost),
        "mean_win": won["pnl"].mean(),
        "mean_loss": lost["pnl"].mean(),
        "payoff": won["pnl"].mean() / -lost["pnl"].mean(),
        "expectancy": len(won) / len(closed) * won["pnl"].mean() + len(lost) / len(closed) * lost["pnl"].mean(),
        "expectancy_return": closed["return"].mean(),
        "expectancy_return_se": closed["return"].sem(),
        "best_trade": closed["pnl"].max(),
        "worst_trade_return": closed["return"].min(),
        "longest_winning_streak": runs[True],
        "longest_losing_streak": runs[False],
        "holding_median_days": closed["bars"].median() / 24,
        "holding_losses_median_days": (lost["exit_time"] - lost["entry_time"]).median() / pd.Timedelta(days=1),
        "mae_of_wins": won["mae"].median(),
        "mfe_of_losses": lost["mfe"].median(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_streaks():
    assert [longest_streak(np.array(hits, bool)) for hits in ([], [0, 0], [1], [1, 1, 0, 1, 1, 1], [0, 1, 1, 0])] == [
        0, 0, 1, 3, 2,
    ]  # fmt: skip


def test_numbers_are_json_and_say_why(details, booked, bars):
    numbers = detail_numbers(details)
    json.dumps(numbers, allow_nan=False)
    assert set(numbers["market"]) == {"S00 buy and hold"}  # the random signal is no market
    assert numbers["tails"]["undefined"]["var_99"] == "100 of the 300 days that 99 % needs"
    assert numbers["worst_drawdowns"][0]["depth"] == details.drawdowns[0].depth
    assert numbers["worst_drawdowns"][0]["start"].startswith("2025-")
    empty = detail_numbers(account_details(booked(bars, []), bars, {}))
    json.dumps(empty, allow_nan=False)
    assert empty["win_loss"]["undefined"]["mean_win"] == "no winning trade"
    assert empty["sides"]["long"]["undefined"]["hit_rate"] == "no closed trades"
    assert empty["worst_drawdowns"] == []
    assert empty["exposure"]["gross_max"] == 0.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("close", "fills"),
    [
        ([100.0], []),
        ([100.0, 100.0], [(1, 0, 1.0, 100.0, 0.0, SIGNAL)]),
        ([100.0] * 30 + [20.0] * 30, [(1, 0, 1_000.0, 100.0, 0.0, SIGNAL)]),  # ruined, and still held
        ([100.0] * 30 + [20.0] * 30, [(1, 0, 1_000.0, 100.0, 0.0, SIGNAL), (40, 0, -1_000.0, 20.0, 0.0, STOP)]),
        (
            [100.0] * 30 + [np.nan] * 30,
            [(1, 0, 1.0, 100.0, 0.0, SIGNAL), (40, 0, -1.0, 100.0, 0.0, int(OrderReason.DELISTED))],
        ),
        ([100.0, 101.0, 102.0, 103.0], [(1, 0, 1.0, 100.0, 0.0, SIGNAL), (3, 0, -1.0, 102.0, 0.0, STOP)]),
    ],
    ids=["one bar", "never closed", "ruined", "ruined and closed", "no bars any more", "one win"],
)
def test_odd_accounts_have_numbers_or_reasons(booked, bars_of, close, fills):
    bars = bars_of(np.array(close)[:, None])
    details = account_details(booked(bars, fills), bars, {"flat": np.ones(len(close))})
    json.dumps(detail_numbers(details), allow_nan=False)
