"""The crux: what a strategy of the backtest sends to the venue in lockstep fills as in the backtest, lot for lot and tick for tick.

The cap on volume cuts entries, closes, flips and takes in every market here.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from lockstep import MARKETS, LockstepTrader, ReplayedMarket, by_price, fills_of

from quantlab.backtest.scan import Scan
from quantlab.core.results import OrderReason

CASH = 10_000.0


@pytest.fixture(scope="module")
def trade(grid_bars, grid_signal, grid_strategy, open_venue, direct_client):
    """``trade(market, costs={}, **rules)``: its bars, the backtest, and what happened on the venue."""

    def run(market, costs=None, **rules):
        bars, strategy = grid_bars(market.seed), grid_strategy(participation=market.participation, **(costs or {}))
        signal = grid_signal(bars, market.seed, trailing=market.trailing)
        client = direct_client(open_venue(bars, strategy.costs, **rules))
        outcome = LockstepTrader(client, bars, signal, strategy, CASH).run()
        return bars, Scan(CASH).run(bars, signal, strategy), outcome

    return run


def check_equal(bars, simulation, outcome) -> None:
    """The same lots at the same ticks in each bar, and the same equity at each close."""
    assert by_price(outcome.fills) == by_price(fills_of(simulation, bars))
    np.testing.assert_allclose(outcome.equity, simulation.equity, rtol=1e-9, atol=0.0)


def test_markets_with_the_volume_cap_fill_as_in_the_backtest_and_have_what_they_should(trade) -> None:
    fills, reasons, counts = 0, Counter[int](), Counter[str]()
    for market in MARKETS:
        bars, simulation, outcome = trade(market)
        check_equal(bars, simulation, outcome)
        assert bars.n_bars >= 1_500
        assert np.abs(simulation.funding).sum() > 0.0
        assert simulation.stale_marks > 0, "held through a hole"
        assert simulation.cuts["no_volume"] > 0
        assert simulation.cuts["participation"] > 0
        fills += len(outcome.fills)
        reasons.update(simulation.reasons.tolist())
        counts.update(outcome.counts)
    assert fills > 3_500
    assert reasons[OrderReason.STOP] > 300
    assert reasons[OrderReason.TAKE_PROFIT] > 200
    assert reasons[OrderReason.DELISTED] > 0
    assert reasons[OrderReason.FLATTEN] > 0
    assert counts["flip"] > 400
    assert counts["entry cut"] > 500
    assert counts["close cut"] > 200
    assert counts["stop moved"] > 900
    assert counts["take beyond the market"] > 10
    # The difference that is left, and that a deeper market makes up for: see test_lockstep_differences.py.
    assert counts["stop at once, cut"] == 3


def test_fills_come_in_the_order_of_the_backtest(trade) -> None:
    bars, simulation, outcome = trade(ReplayedMarket(13, 0.05, False))
    assert outcome.fills == fills_of(simulation, bars)


@pytest.mark.slow
@pytest.mark.parametrize("participation", [None, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("trailing", [False, True])
def test_more_markets_fill_as_in_the_backtest(trade, participation, trailing) -> None:
    for seed in range(100, 105):
        # A spread of two ticks and more: see test_lockstep_differences.py.
        check_equal(*trade(ReplayedMarket(seed, participation, trailing), {"slippage_bps": 5.0}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules", [{"reduce_only": "reject"}, {"reduce_only": "count_open"}, {"slices": 3}], ids=lambda rules: str(rules)
)
def test_other_rules_of_the_venue_change_no_fill(trade, rules) -> None:
    for market in MARKETS:
        check_equal(*trade(market, **rules))


@pytest.mark.slow
@pytest.mark.parametrize("bars_of_patience", [1, 2])
def test_early_delistings_settle_as_in_the_backtest(trade, bars_of_patience) -> None:
    for market in MARKETS:
        bars, simulation, outcome = trade(market, {"delisted_after_bars": bars_of_patience})
        check_equal(bars, simulation, outcome)
        assert Counter(simulation.reasons.tolist())[OrderReason.DELISTED] > 0
