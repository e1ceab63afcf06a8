"""Symbols that are gone while they are held: the loops and vectorbt's bookkeeping agree to the last bit, or digit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.portfolio import to_portfolio
from quantlab.backtest.scan import Scan
from quantlab.backtest.sweep import sweep
from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.trades import round_trips
from quantlab.trading import replay

CASH = 10_000.0


@pytest.fixture
def ending(case):
    """``ending(seed)``: half of a wild market's symbols are gone from bar 250 on; what is absent for 9 bars is settled."""

    def make(seed: int):
        bars, signal, strategy = case(seed)
        ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
        ohlcv[250:, ::2], state[250:, ::2] = np.nan, BarState.ABSENT
        costs = dataclasses.replace(strategy.costs, delisted_after_bars=9)
        return dataclasses.replace(bars, ohlcv=ohlcv, state=state), signal, dataclasses.replace(strategy, costs=costs)

    return make


@pytest.mark.parametrize("seed", range(3))
def test_scan_session_and_sweep_settle_the_same(ending, seed):
    bars, signal, strategy = ending(seed)
    scanned = Scan(CASH).run(bars, signal, strategy)
    rows = ((bars.rows(t, t + 1), signal.rows(t, t + 1)) for t in range(bars.n_bars))
    stepped = replay(rows, strategy, CASH)
    for name in ("orders", "reasons", "equity", "gross", "funding", "events"):
        assert np.array_equal(getattr(scanned, name), getattr(stepped, name)), name
    assert (scanned.cuts, scanned.stale_marks) == (stepped.cuts, stepped.stale_marks)
    swept = sweep(bars, signal, [strategy], CASH, threads=1, limits_on=True)
    assert swept.final_equity.tolist() == [scanned.equity[-1]]
    assert swept.n_orders.tolist() == [len(scanned.orders)]
    assert swept.fees.tolist() == pytest.approx([scanned.orders["fees"].sum()], rel=1e-12)
    assert swept.n_trades.tolist() == [len(round_trips(scanned, bars).closed)]


def test_vectorbts_bookkeeping_values_a_fill_in_a_bar_without_a_price(ending):
    """Funding and liquidation fees are not in order records: the values differ by what was paid of them, bar by bar."""
    settled = 0
    for seed in range(6):
        bars, signal, strategy = ending(seed)
        simulation = Scan(CASH).run(bars, signal, strategy)
        ends = simulation.orders["idx"][simulation.reasons == OrderReason.DELISTED]
        settled += len(ends)
        value = to_portfolio(simulation, bars).value().to_numpy()
        assert np.isfinite(value).all()
        apart = np.cumsum(simulation.funding + simulation.liquidation_fees)
        np.testing.assert_allclose(value - apart, simulation.equity, rtol=1e-9)
    assert settled > 3
