"""Regimes, symbols and windows: they add up to the whole, and say what was planted."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from quantlab.core.market import Funding
from quantlab.evaluation.report.breakdown_figures import distribution_figure, regimes_figure, trade_returns
from quantlab.evaluation.statistics.by_symbol import by_symbol, symbol_numbers
from quantlab.evaluation.statistics.metrics import daily_returns, sharpe_ratio, sharpe_standard_error
from quantlab.evaluation.statistics.regimes import MIN_DAYS, regime_numbers, regimes
from quantlab.evaluation.statistics.rolling import rolling_sharpe
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.statistics.trades import round_trips

DAYS = 30


@pytest.fixture(scope="module")
def account(random_bars, booked, fills_of):
    bars = random_bars(5, n_bars=DAYS * 24, n_symbols=3, interval_ms=3_600_000)
    stamps = bars.open_time_ms[::8]
    rate = np.where(np.arange(len(stamps))[:, None] // 3 % 3 == 0, -1e-4, 2e-4) * np.ones((1, 3))
    bars = dataclasses.replace(bars, funding=Funding(stamps.copy(), np.ascontiguousarray(rate)))
    return bars, booked(bars, fills_of(bars, 2), funding=np.full(bars.n_bars, 0.02))


def test_every_split_adds_up_to_the_run(account) -> None:
    bars, simulation = account
    rows = regimes(simulation, bars)
    net = float(simulation.equity[-1]) - simulation.initial_cash
    for split, periods in (("volatility", DAYS), ("trend", DAYS), ("funding", DAYS), ("time of day", 6 * DAYS)):
        mine = [row for row in rows if row.split == split]
        assert sum(row.periods for row in mine) == periods
        assert sum(row.net_pnl for row in mine) == pytest.approx(net, abs=1e-9 * simulation.initial_cash)
    assert [row.periods for row in rows if row.split == "volatility"] == [10, 10, 10]
    assert [row.periods for row in rows if row.split == "trend"] == [15, 15]
    json.dumps(regime_numbers(rows), allow_nan=False)


def test_means_and_errors_are_those_of_the_days(account) -> None:
    """Funding signs are planted, so the days of each are known: the market needs no second definition."""
    bars, simulation = account
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    negative = np.arange(DAYS) % 3 == 0
    low, high = (row for row in regimes(simulation, bars) if row.split == "funding")
    assert (low.regime, low.periods, high.periods) == ("negative", 10, 20)
    assert low.mean_return == pytest.approx(returns[negative].mean(), rel=1e-12)
    assert low.standard_error == pytest.approx(returns[negative].std(ddof=1) / math.sqrt(10), rel=1e-12)
    assert high.gaining == np.mean(returns[~negative] > 0.0)


def test_planted_states_of_the_market_are_told_apart(bars_of, booked) -> None:
    """Ten calm, ten middling and ten wild days; every second day runs one way, the others go back and forth."""
    rng = np.random.default_rng(1)
    size = np.array([0.0005, 0.002, 0.008])[rng.permutation(np.repeat([0, 1, 2], 10))]
    steps = size[:, None] * np.where(np.arange(DAYS)[:, None] % 2 == 0, 1.0, (-1.0) ** np.arange(24)[None, :])
    bars = bars_of(100.0 * np.exp(np.cumsum(steps.ravel()))[:, None])
    flat = booked(bars, [])
    gain = np.where(size == 0.008, 0.01, -0.002)
    hours = np.zeros((DAYS, 24))
    hours[:, 5] = 1.0  # all of it between five and six o'clock
    growth = np.cumprod((1.0 + gain[:, None] * hours).ravel())
    rows = {(row.split, row.regime): row for row in regimes(dataclasses.replace(flat, equity=1e4 * growth), bars)}
    assert rows["volatility", "high"].mean_return == pytest.approx(0.01)
    for calmer in ("low", "middle"):
        assert rows["volatility", calmer].mean_return == pytest.approx(-0.002)
    trend = [d % 2 == 0 for d in range(DAYS)]
    assert rows["trend", "trending"].periods == 15
    assert rows["trend", "trending"].mean_return == pytest.approx(float(np.mean(gain[trend])))
    assert rows["time of day", "04-08 h UTC"].net_pnl == pytest.approx(1e4 * (growth[-1] - 1.0))
    assert all(row.net_pnl == 0.0 for (split, name), row in rows.items() if split == "time of day" and name[:2] != "04")
    assert ("funding", "positive") not in rows


def test_too_short_a_run_is_not_split(random_bars, booked) -> None:
    bars = random_bars(1, n_bars=24 * (MIN_DAYS - 1), n_symbols=2, interval_ms=3_600_000)
    assert regimes(booked(bars, []), bars) == ()


def test_slow_bars_have_no_time_of_day(random_bars, booked) -> None:
    bars = random_bars(1, n_bars=40, n_symbols=2, interval_ms=86_400_000)
    assert {row.split for row in regimes(booked(bars, []), bars)} == {"volatility", "trend"}


def test_symbols_add_up_to_the_account(account) -> None:
    bars, simulation = account
    rows, summary = by_symbol(simulation, bars), summarise(simulation, bars)
    assert sum(row.net_pnl for row in rows) - summary["funding"] == pytest.approx(summary["net_pnl"], abs=1e-6)
    for name, key in (("fees", "fees"), ("slippage", "slippage"), ("notional", "traded_notional")):
        assert sum(getattr(row, name) for row in rows) == pytest.approx(summary[key], rel=1e-12)
    assert sum(row.trades for row in rows) == summary["trades"]
    assert [row.net_pnl for row in rows] == sorted((row.net_pnl for row in rows), reverse=True)
    document = symbol_numbers(rows)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document) == [row.symbol for row in rows]


def test_a_symbol_by_hand(bars_of, booked) -> None:
    bars = bars_of(np.full((200, 2), 100.0), names=("A", "B"))
    fills = [(2, 0, 1.0, 100.1, 0.5, 0), (5, 0, -1.0, 103.0, 0.5, 2), (7, 1, -2.0, 100.0, 0.25, 0)]
    first, second = by_symbol(booked(bars, fills), bars)
    assert (first.symbol, first.trades, first.hit_rate, first.stop_share, first.bars_held) == ("A", 1, 1.0, 0.0, 3.0)
    assert first.net_pnl == pytest.approx(2.9 - 1.0)
    assert first.slippage == pytest.approx(0.1)
    assert first.long_share == 1.0
    assert first.undefined == {"profit_factor": "no losing trade"}
    assert (second.symbol, second.trades, second.hit_rate) == ("B", 0, None)  # still open
    assert second.net_pnl == pytest.approx(-0.25)
    assert second.undefined["hit_rate"] == "no closed trades"


def test_windows_are_those_of_the_metrics() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, 60)
    found = rolling_sharpe(returns, 0.95, window=30)
    assert found is not None
    assert found.last_day.tolist() == list(range(29, 60))
    last = returns[-30:]
    assert found.sharpe[-1] == pytest.approx(sharpe_ratio(last), rel=1e-12)
    assert found.upper[-1] - found.lower[-1] == pytest.approx(2 * 1.959964 * sharpe_standard_error(last), rel=1e-6)
    assert rolling_sharpe(returns[:38], 0.95, window=30) is None
    assert rolling_sharpe(np.zeros(100), 0.95) is None


def test_the_distribution_holds_every_trade_and_parts_gains_from_losses(account) -> None:
    bars, simulation = account
    closed = round_trips(simulation, bars).closed
    loss, gain = distribution_figure(closed).data
    assert sum(loss.y) + sum(gain.y) == len(closed)
    assert sum(gain.y) == np.sum(trade_returns(closed) >= 0.0)
    same = closed[:1].repeat(3)
    assert sum(sum(trace.y) for trace in distribution_figure(same).data) == 3


def test_the_regimes_figure_has_a_row_for_each(account) -> None:
    bars, simulation = account
    rows = regimes(simulation, bars)
    (dots,) = regimes_figure(rows).data
    assert len(dots.x) == len(rows)
    assert dots.y[0] == len(rows)  # the first row on top
    assert dots.x[0] == pytest.approx(1e4 * rows[0].mean_return)
