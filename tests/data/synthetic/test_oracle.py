"""The oracle's parts against hand-computed values and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quantlab.core.market import Bars, BarState, Instrument
from quantlab.data import Truth, directional_auc, measure_oracle
from quantlab.data.synthetic.volatility import Volatility, make_volatility

DAY_MS = 86_400_000


def still(n_bars: int, sigma: float) -> Volatility:
    """Quiet, average states; a bar is a day, so that the time of day never changes."""
    nothing = np.zeros((n_bars, 1))
    return Volatility(np.array([sigma]), nothing, nothing, np.zeros((n_bars, 1), dtype=bool), 1)


def test_auc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    score = np.round(rng.normal(size=(60, 2)), 1)  # rounded, to have ties
    score[3] = np.nan
    outcome = rng.integers(-1, 2, size=(60, 2))
    buys, sells = score[(outcome > 0) & np.isfinite(score)], score[(outcome < 0) & np.isfinite(score)]
    pairs = [1.0 if b > s else 0.5 if b == s else 0.0 for b in buys for s in sells]
    assert directional_auc(score, outcome > 0, outcome < 0) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert math.isnan(directional_auc(score, outcome > 5, outcome < 0))


def test_expected_return_of_one_bar_is_drift_times_flow_times_volatility() -> None:
    truth = Truth(np.array([[2.0], [-1.0]]), still(2, 0.01), 0.05)
    season = truth.volatility.expected(0)[0, 0] / 0.01
    np.testing.assert_allclose(truth.expected_return(1)[:, 0], [0.05 * 2.0 * 0.01 * season, -0.05 * 0.01 * season])
    np.testing.assert_allclose(truth.score(1)[:, 0], [0.1, -0.05])


def test_the_score_is_that_of_simulated_paths() -> None:
    """Unit volatility, many paths from one flow: mean over standard deviation of 12 bars."""
    rng, drift, flow, keep = np.random.default_rng(5), 0.3, 1.5, math.exp(-1 / 24)
    state, total = np.full(400_000, flow), np.zeros(400_000)
    for _ in range(12):
        shock = rng.standard_normal(400_000)
        total += shock + drift * state
        own = 0.5 * shock + math.sqrt(0.75) * rng.standard_normal(400_000)
        state = keep * state + math.sqrt(1 - keep**2) * own
    truth = Truth(np.array([[flow]]), still(1, 0.01), drift)
    assert truth.score(12)[0, 0] == pytest.approx(total.mean() / total.std(), abs=0.008)


@pytest.mark.parametrize("ahead", [0, 1, 12, 60])
def test_volatility_forecasts_are_unbiased(ahead: int) -> None:
    rng, n, s = np.random.default_rng(2), 60_000, 4
    made = make_volatility(
        np.full(s, 0.01), rng.standard_normal((n, 1)), rng.standard_normal((n, s)), 1.0 - rng.random((n, 1)), 288
    )
    actual, forecast = made.of_bars()[1 + ahead :], made.expected(ahead)[: n - 1 - ahead]
    ratio = actual / forecast
    if ahead == 0:
        np.testing.assert_allclose(ratio, 1.0, rtol=1e-12)
        return
    blocks = ratio[: len(ratio) // 600 * 600].reshape(-1, 600 * s).mean(axis=1)
    assert abs(blocks.mean() - 1.0) < 3.5 * blocks.std() / math.sqrt(len(blocks))
    assert abs(blocks.mean() - 1.0) < 0.02


def test_the_oracles_trades_by_hand() -> None:
    """One symbol, one bar a day: buys at the next open, holds two bars after the last signal, pays twice."""
    opens = np.array([100.0, 100.0, 110.0, 121.0, 150.0, 150.0, 150.0, 150.0])
    ohlcv = np.repeat(opens[:, None, None], 5, axis=2)
    bars = Bars(
        ohlcv,
        DAY_MS * np.arange(20_000, 20_008, dtype=np.int64),
        DAY_MS,
        np.full((8, 1), BarState.TRADED, dtype=np.uint8),
        ("X",),
        (Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5),),
    )
    flow = np.zeros((8, 1))
    flow[0] = 5.0
    report = measure_oracle(bars, Truth(flow, still(8, 0.01), 0.1), horizon=2, cost_bps=10.0)
    assert report.gross_bps == pytest.approx(1e4 * (0.1 + 0.1) / 8)
    assert report.cost_bps == pytest.approx(2 * 10.0 / 8)
    assert report.trades_per_day == pytest.approx(2 / 8)
    net = np.array([0.1 - 0.001, 0.1, -0.001, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert report.sharpe == pytest.approx(math.sqrt(365) * net.mean() / net.std(ddof=1))
