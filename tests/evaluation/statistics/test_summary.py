"""The summary by hand, its identities, and its JSON."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.files import to_json
from quantlab.core.market import VOLUME
from quantlab.core.results import EVENT_DTYPE, OrderReason, RiskEvent
from quantlab.evaluation.statistics.slippage import slippage_usd
from quantlab.evaluation.statistics.summary import summarise

PROMISED = {
    "sharpe", "sharpe_se", "max_drawdown", "trades", "turnover", "cost_share", "stop_hit_share", "cagr", "volatility", "sortino",
    "calmar", "hit_rate", "profit_factor", "exposure", "fees", "funding", "slippage", "days", "break_even_cost_bps", "capacity_usd",
    "undefined",
}  # fmt: skip
SIGNAL, STOP, TAKE = int(OrderReason.SIGNAL), int(OrderReason.STOP), int(OrderReason.TAKE_PROFIT)


@pytest.fixture
def day(bars_of):
    return bars_of(np.full((48, 1), 100.0))


def check_json(summary):
    to_json(summary)
    missing = {name for name, value in summary.items() if value is None}
    assert missing == set(summary["undefined"])
    assert all(summary["undefined"].values())


def test_by_hand(booked, day):
    # Buy 10 at 101 (open 100, slippage 10 USD), sell 10 at 109 by take-profit; fees 1 each; funding 3.
    funding = np.zeros(48)
    funding[5] = 3.0
    fills = [(2, 0, 10.0, 101.0, 1.0, SIGNAL), (10, 0, -10.0, 109.0, 1.0, TAKE)]
    summary = summarise(
        booked(day, fills, funding=funding), day, participation=0.1, entry_weight=0.05, stop_hit_baseline=0.55
    )
    expected = {
        "days": 2.0,
        "trades": 1,
        "open_positions": 0,
        "net_pnl": 75.0,
        "total_return": 0.0075,
        "traded_notional": 2_100.0,
        "fees": 2.0,
        "slippage": 10.0,
        "funding": 3.0,
        "costs": 15.0,
        "cost_share": 15.0 / 90.0,
        "cost_bps": 12.0 / 2_100.0 * 1e4,
        "break_even_cost_bps": 87.0 / 2_100.0 * 1e4,
        "average_trade": 78.0,
        "hit_rate": 1.0,
        "stop_hit_share": 0.0,
        "take_profit_share": 1.0,
        "stop_hit_baseline": 0.55,
        "time_in_market": 8 / 48,
        # 10 % of 1,000 units a bar at 100 USD, over entries of 5 % of equity: whatever this account's size was
        "capacity_usd": 200_000.0,
        "symbols_traded": 1,
        "dust_share": 0.0,
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected)
    assert summary["undefined"]["profit_factor"] == "no losing trade"
    check_json(summary)


def test_capacity_is_that_of_the_median_entry(booked, day):
    """Entries at volumes of 100, 300 and 2,000 units: half of them still fit where the middle one meets the cap."""
    ohlcv = day.ohlcv.copy()
    ohlcv[[2, 10, 20], 0, VOLUME] = [100.0, 300.0, 2_000.0]
    bars = dataclasses.replace(day, ohlcv=ohlcv)
    legs = [
        leg
        for row in (2, 10, 20)
        for leg in ((row, 0, 1.0, 100.0, 0.0, SIGNAL), (row + 3, 0, -1.0, 100.0, 0.0, SIGNAL))
    ]
    summary = summarise(booked(bars, legs), bars, participation=0.05, entry_weight=0.1)
    assert summary["capacity_usd"] == pytest.approx(0.05 * 300.0 * 100.0 / 0.1)


def test_stops_slip_at_the_rate_of_the_opens(booked, day):
    fills = [(2, 0, 10.0, 100.2, 0.0, SIGNAL), (10, 0, -10.0, 50.0, 0.0, STOP)]
    assert slippage_usd(booked(day, fills), day) == pytest.approx(2.0 + 0.002 * 500.0)


def test_no_orders(booked, day):
    summary = summarise(booked(day, []), day)
    check_json(summary)
    assert set(summary) >= PROMISED
    assert (summary["trades"], summary["turnover"], summary["max_drawdown"], summary["total_return"]) == (
        0,
        0.0,
        0.0,
        0.0,
    )
    assert summary["sharpe"] is None
    assert summary["undefined"]["funding"] == "no funding data"
    assert summary["undefined"]["hit_rate"] == "no closed trades"


@pytest.mark.parametrize("seed", range(3))
def test_identities_of_random_accounts(booked, fills_of, random_bars, seed):
    bars = random_bars(seed, n_bars=1_200, n_symbols=4)
    funding = np.random.default_rng(seed).normal(0, 0.02, bars.n_bars)
    simulation = booked(bars, fills_of(bars, seed), funding=funding)
    s = summarise(simulation, bars, participation=0.05, entry_weight=0.1)
    check_json(s)
    assert set(s) >= PROMISED
    assert s["final_equity"] - s["initial_cash"] == pytest.approx(s["net_pnl"])
    assert s["costs"] == pytest.approx(s["fees"] + s["slippage"] + s["funding"] + s["liquidation_fees"])
    # The fabricated account pays 4.5 bps and slips 2 bps everywhere; a take-profit is held to slip nothing.
    notional = simulation.orders["size"] * simulation.orders["price"]
    slipped = float(np.sum(notional[simulation.reasons != TAKE]) / np.sum(notional))
    assert s["cost_bps"] == pytest.approx(4.5 + 2.0 * slipped, rel=1e-3)
    free = s["net_pnl"] + s["fees"] + s["slippage"]
    assert s["break_even_cost_bps"] * s["traded_notional"] / 1e4 == pytest.approx(free)


def test_events_and_cuts_are_counted(booked, day):
    events = np.array(
        [(1, RiskEvent.DAILY_LIMIT, 1.0, 2.0), (2, RiskEvent.BREAKER, 1.0, 2.0), (3, 0, 1.0, 2.0)], EVENT_DTYPE
    )
    summary = summarise(dataclasses.replace(booked(day, []), events=events, cuts={"lot": np.int64(3)}), day)
    assert summary["events"] == {"daily_limit": 2, "breaker": 1, "liquidation": 0, "loss_streak": 0, "stop_rate": 0}
    assert json.loads(to_json(summary))["cuts"] == {"lot": 3}


def test_other_bars_are_refused(booked, day, bars_of):
    simulation = booked(day, [])
    with pytest.raises(ContractError, match="48 bars x 1 symbols"):
        summarise(simulation, day.rows(0, 40))
    with pytest.raises(ContractError):
        summarise(simulation, bars_of(np.full((48, 1), 100.0), names=("other",)))
    with pytest.raises(ConfigError, match="participation"):
        summarise(booked(day, [(2, 0, 10.0, 101.0, 1.0, SIGNAL)]), day, participation=5.0, entry_weight=0.1)


def test_dust_is_what_the_cap_leaves_below_the_smallest_order(booked, day):
    fills = [(2, 0, 10.0, 100.2, 0.0, SIGNAL), (10, 0, -0.05, 99.0, 0.0, SIGNAL), (11, 0, -9.95, 99.0, 0.0, SIGNAL)]
    assert summarise(booked(day, fills), day)["dust_share"] == pytest.approx(1 / 3)
