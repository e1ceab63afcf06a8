"""Benchmarks by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.evaluation.statistics import benchmarks


def test_buy_and_hold(bars_of):
    bars = bars_of(np.array([[100.0, 1.0], [110.0, 2.0], [99.0, np.nan]]))
    np.testing.assert_allclose(benchmarks.buy_and_hold(bars, 1_000.0, "S0"), [1_000, 1_100, 990])
    np.testing.assert_allclose(benchmarks.buy_and_hold(bars, 1_000.0, "S1"), [1_000, 2_000, 2_000])
    with pytest.raises(ConfigError, match="'X'"):
        benchmarks.buy_and_hold(bars, 1_000.0, "X")


def test_equal_weight_is_brought_back_every_day(bars_of):
    close = np.repeat(np.array([[1.0, 1.0], [2.0, 1.0], [2.0, 2.0]]), 24, axis=0)
    equity = benchmarks.equal_weight(bars_of(close), 100.0)
    # The second day earns (2 + 1) / 2, the third, from equal weights again, (1 + 2) / 2.
    np.testing.assert_allclose(equity[[23, 47, 71]], [100.0, 150.0, 225.0])


def test_a_late_listing_joins_at_the_end_of_its_first_day(bars_of):
    close = np.repeat(np.array([[1.0, np.nan], [1.0, 5.0], [1.0, 10.0]]), 24, axis=0)
    np.testing.assert_allclose(benchmarks.equal_weight(bars_of(close), 100.0)[[23, 47, 71]], [100.0, 100.0, 150.0])


def test_equal_weight_of_one_symbol_is_buy_and_hold(random_bars):
    bars = random_bars(2, n_bars=900, n_symbols=1)
    np.testing.assert_allclose(
        benchmarks.equal_weight(bars, 1e4), benchmarks.buy_and_hold(bars, 1e4, bars.symbols[0]), rtol=1e-12
    )


def test_the_market_leader_is_the_one_with_the_largest_notional(random_bars):
    bars = random_bars(n_bars=50, n_symbols=3)
    ohlcv = bars.ohlcv.copy()
    ohlcv[:, 1, 4] *= 10.0
    ohlcv[3, 1] = np.nan
    assert benchmarks.most_traded(dataclasses.replace(bars, ohlcv=ohlcv)) == "S01"
