"""The crux: what a strategy of the backtest sends to the venue in lockstep fills as in the backtest, lot for lot and tick for tick."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from lockstep import MARKETS, LockstepTrader, fills_of

from quantlab.backtest.scan import Scan
from quantlab.core.results import OrderReason

CASH = 10_000.0


@pytest.fixture(scope="module")
def trade(grid_bars, grid_signal, grid_strategy, open_venue, direct_client):
    """``trade(market)``: its bars, the backtest, and what happened on the venue."""

    def run(market):
        bars, strategy = grid_bars(market.seed), grid_strategy(participation=market.participation)
        signal = grid_signal(bars, market.seed, trailing=market.trailing)
        client = direct_client(open_venue(bars, strategy.costs))
        outcome = LockstepTrader(client, bars, signal, strategy, CASH).run()
        return bars, Scan(CASH).run(bars, signal, strategy), outcome

    return run


def check_equal(bars, simulation, outcome) -> None:
    """The same fills in each bar, and the same equity at each close."""
    assert sorted(outcome.fills) == sorted(fills_of(simulation, bars))
    np.testing.assert_allclose(outcome.equity, simulation.equity, rtol=1e-9, atol=0.0)


def test_a_market_with_the_volume_cap_fills_as_in_the_backtest(trade) -> None:
    bars, simulation, outcome = trade(MARKETS[0])
    check_equal(bars, simulation, outcome)
    assert outcome.fills == fills_of(simulation, bars), "also in their order"
    assert simulation.cuts["participation"] > 0
    assert len(outcome.fills) > 500


@pytest.mark.slow
def test_every_market_fills_as_in_the_backtest_and_has_what_it_should(trade) -> None:
    fills, reasons, counts = 0, Counter[int](), Counter[str]()
    for market in MARKETS:
        bars, simulation, outcome = trade(market)
        check_equal(bars, simulation, outcome)
        assert bars.n_bars >= 1_500
        fills += len(outcome.fills)
        reasons.update(simulation.reasons.tolist())
        counts.update(outcome.counts)
        assert np.abs(simulation.funding).sum() > 0.0
        assert simulation.stale_marks > 0, "held through a hole"
        assert simulation.cuts["no_volume"] > 0
    assert fills > 2_000
    assert reasons[OrderReason.STOP] > 300
    assert reasons[OrderReason.TAKE_PROFIT] > 200
    assert reasons[OrderReason.DELISTED] > 0
    assert reasons[OrderReason.FLATTEN] > 0
    assert counts["flip"] > 100
    assert counts["stop moved"] > 50
