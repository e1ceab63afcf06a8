"""The synthetic market: reproducible, causal, sound, and exactly as predictable as it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars, BarState
from quantlab.data import SyntheticSource, Truth, coverage, measure_oracle

Make = Callable[..., SyntheticSource]
HORIZON, DAY = 12, 288


@pytest.fixture(scope="module")
def with_edge(synthetic_source: Make) -> tuple[Bars, Truth]:
    source = synthetic_source(7, days=60, n_symbols=10)
    return source.history(), source.truth()


@pytest.fixture(scope="module")
def without_edge(synthetic_source: Make) -> tuple[Bars, Truth]:
    source = synthetic_source(7, days=60, n_symbols=10, edge=0.0)
    return source.history(), source.truth()


def close_returns(bars: Bars) -> Float64Array:
    """(T, S) simple return of each bar since the close before; NaN where either is not traded."""
    close = np.where(bars.tradable, bars.close, np.nan)
    return np.concatenate([np.full((1, bars.n_symbols), np.nan), close[1:] / close[:-1] - 1.0])


def slope_and_t(x: Float64Array, y: Float64Array) -> tuple[float, float]:
    """Slope of y on x through the origin and its t-statistic, from the spread of the days' sums."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(good, x, 0.0), np.where(good, y, 0.0)
    slope = (x * y).sum() / (x * x).sum()
    daily = (x * (y - slope * x)).reshape(-1, DAY * x.shape[1]).sum(axis=1)
    return float(slope), float(slope * (x * x).sum() / np.sqrt((daily**2).sum()))


def test_same_seed_same_bits_other_seed_other_bits(synthetic_source: Make) -> None:
    first, again, other = (synthetic_source(seed).history().fingerprint() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_longer_world_begins_with_the_shorter_one(synthetic_source: Make) -> None:
    short, long = synthetic_source(days=9), synthetic_source(days=31)
    a, b = short.history(), long.history().rows(0, 9 * DAY)
    assert a.ohlcv.tobytes() == b.ohlcv.tobytes()
    assert a.state.tobytes() == b.state.tobytes()
    assert a.funding is not None
    assert b.funding is not None
    n = len(a.funding.time_ms)
    assert a.funding.rate.tobytes() == b.funding.rate[:n].tobytes()
    for name in ("expected_return", "score"):
        mine, theirs = getattr(short.truth(), name)(HORIZON), getattr(long.truth(), name)(HORIZON)
        assert mine.tobytes() == theirs[: 9 * DAY].tobytes()


def test_stream_is_the_history(synthetic_source: Make, assert_same_stream: Callable[..., None]) -> None:
    source = synthetic_source(days=10)
    whole = source.history()
    assert_same_stream(whole, source.stream())
    bounds = (int(whole.open_time_ms[700]), int(whole.open_time_ms[1500]))
    assert source.history(*bounds).ohlcv.tobytes() == whole.ohlcv[700:1500].tobytes()
    assert_same_stream(source.history(*bounds), source.stream(*bounds))


def test_bars_are_sound_and_on_the_tick(with_edge: tuple[Bars, Truth]) -> None:
    bars, _ = with_edge
    there = bars.state != BarState.ABSENT
    opens, high, low, close, volume = (bars.ohlcv[there][:, k] for k in range(5))
    assert np.isfinite(bars.ohlcv[there]).all()
    assert np.all(low > 0)
    assert np.all((low <= np.minimum(opens, close)) & (high >= np.maximum(opens, close)))
    assert np.all((volume > 0) == (bars.state[there] == BarState.TRADED))
    ticks = np.array([instrument.tick for instrument in bars.instruments])[:, None]
    prices = bars.ohlcv[:, :, :4]
    np.testing.assert_array_equal(np.rint(prices / ticks) * ticks, prices)
    scale = np.nanmedian(bars.close, axis=0)
    assert scale.max() / scale.min() > 1e4
    assert np.all(ticks[:, 0] / scale < 1e-3)


def test_listings_stops_holes_and_funding_are_there(with_edge: tuple[Bars, Truth]) -> None:
    bars, truth = with_edge
    report = coverage(bars)
    listed = [(quality.listed_ms - report.first_ms) / 86_400_000 for quality in report.symbols.values()]
    assert listed[:8] == [0.0] * 8
    assert 6 <= listed[8] < 7
    assert 3 <= listed[9] < 4
    assert len(report.venue_stops) == 4
    assert all(3 <= stop.bars <= 12 for stop in report.venue_stops)
    holes = [gap.missing_bars for quality in report.symbols.values() for gap in quality.gaps]
    assert sum(hole > 12 for hole in holes) == 3
    assert 5 <= sum(hole <= 6 for hole in holes) <= 40
    assert np.isnan(truth.flow[~bars.tradable]).all()
    assert np.isfinite(truth.flow[bars.tradable]).all()
    assert bars.funding is not None
    assert len(bars.funding.time_ms) == 60 * 24
    late = bars.funding.time_ms < report.symbols["SYN09"].listed_ms
    assert np.isnan(bars.funding.rate[late, 9]).all()
    assert np.isfinite(bars.funding.rate[~late, 9]).all()
    assert np.nanmax(np.abs(bars.funding.rate)) < 1e-4


def test_a_stop_is_flat_at_the_last_close(with_edge: tuple[Bars, Truth]) -> None:
    bars, _ = with_edge
    stop = coverage(bars).venue_stops[1]  # when all symbols are listed
    row = (stop.first_ms - int(bars.open_time_ms[0])) // bars.interval_ms
    flat = bars.ohlcv[row : row + stop.bars]
    assert (bars.state[row : row + stop.bars] == BarState.ZERO_VOLUME).all()
    np.testing.assert_array_equal(flat[:, :, :4], np.broadcast_to(bars.close[row - 1][:, None], flat[:, :, :4].shape))
    assert not flat[:, :, 4].any()


def test_prices_look_like_a_market(without_edge: tuple[Bars, Truth]) -> None:
    bars, _ = without_edge
    returns = close_returns(bars)
    yearly = np.nanstd(returns, axis=0) * np.sqrt(365 * DAY)
    assert np.all((yearly > 0.3) & (yearly < 2.0))
    standard = returns / np.nanstd(returns, axis=0)
    assert np.all(np.nanmean(standard**4, axis=0) > 4.0)  # fat tails; 3 for a normal
    size = np.abs(standard)
    for lag in (1, 12, 288):  # volatility clusters; its error is below .01
        pairs = np.isfinite(size[lag:]) & np.isfinite(size[:-lag])
        assert np.corrcoef(size[lag:][pairs], size[:-lag][pairs])[0, 1] > 0.05
        assert abs(np.corrcoef(standard[lag:][pairs], standard[:-lag][pairs])[0, 1]) < 0.03
    both = np.isfinite(standard).all(axis=1)
    between = np.corrcoef(standard[both].T)
    assert 0.3 < between[~np.eye(10, dtype=bool)].mean() < 0.7
    logs = np.log(bars.ohlcv[:, :, 4][both])
    assert all(np.corrcoef(logs[:, s], size[both][:, s])[0, 1] > 0.2 for s in range(10))
    by_hour = [np.nanmean(size[np.arange(len(size)) % DAY // 12 == hour]) for hour in range(24)]
    assert max(by_hour) == by_hour[14]
    assert max(by_hour) > 1.3 * min(by_hour)


def test_without_an_edge_nothing_known_predicts_the_next_bars(without_edge: tuple[Bars, Truth]) -> None:
    bars, truth = without_edge
    assert not truth.expected_return(HORIZON)[bars.tradable].any()
    opens = np.where(bars.tradable, bars.ohlcv[:, :, 0], np.nan)
    ahead = np.full(opens.shape, np.nan)
    ahead[: -HORIZON - 1] = opens[HORIZON + 1 :] / opens[1:-HORIZON] - 1.0
    recent = close_returns(bars)
    volume = np.where(bars.tradable, bars.ohlcv[:, :, 4], np.nan)
    volume_sign = np.sign(recent) * np.log(volume / np.nanmedian(volume, axis=0))
    for known in (truth.flow, recent, volume_sign, np.ones(opens.shape)):
        assert abs(slope_and_t(known, ahead)[1]) < 3.0


def test_the_bounce_is_there_and_far_below_the_fees(without_edge: tuple[Bars, Truth]) -> None:
    bars, _ = without_edge
    with np.errstate(invalid="ignore"):
        gap = bars.ohlcv[1:, :, 0] / bars.close[:-1] - 1.0
    quiet = np.abs(gap[bars.tradable[1:] & bars.tradable[:-1]])
    assert 0.1e-4 < np.mean(quiet) < 2e-4  # the fees of a round trip alone are 9e-4


def test_the_planted_edge_is_worth_what_the_truth_says(with_edge: tuple[Bars, Truth]) -> None:
    bars, truth = with_edge
    opens = np.where(bars.tradable, bars.ohlcv[:, :, 0], np.nan)
    ahead = np.full(opens.shape, np.nan)
    ahead[: -HORIZON - 1] = opens[HORIZON + 1 :] / opens[1:-HORIZON] - 1.0
    slope, t = slope_and_t(truth.expected_return(HORIZON), ahead)
    assert t > 5.0
    assert abs(slope - 1.0) < 3.0 * slope / t


def test_the_edge_moves_each_bar_by_the_flow_known_before_it(synthetic_source: Make) -> None:
    """Worlds that differ only in the edge share all shocks: their returns differ by the drift alone."""
    strong, none = (synthetic_source(edge=edge) for edge in (50.0, 0.0))
    truth, without = strong.truth(), none.history()
    difference = np.diff(np.log(strong.history().close) - np.log(without.close), axis=0)
    usual = without.tradable[1:] & without.tradable[:-1]
    planned = truth.expected_return(1)[:-1]
    seen = usual & np.isfinite(planned) & np.isfinite(difference)
    np.testing.assert_allclose(difference[seen], planned[seen], rtol=0, atol=10e-4)  # ticks
    assert np.abs(planned[seen]).mean() > 20e-4


def test_the_edge_shows_in_signed_volume(with_edge: tuple[Bars, Truth]) -> None:
    """The on-balance volume of 20 bars, which is a feature, sees most of the hidden flow."""
    bars, truth = with_edge
    volume, direction = bars.ohlcv[:, :, 4], np.sign(np.diff(bars.close, axis=0, prepend=np.nan))
    window = np.lib.stride_tricks.sliding_window_view
    signed = window(direction * volume, 20, axis=0).sum(axis=-1)
    imbalance = signed / np.maximum(window(volume, 20, axis=0).sum(axis=-1), 1e-9)
    flow = truth.flow[19:]
    seen = np.isfinite(imbalance) & np.isfinite(flow)
    assert np.corrcoef(imbalance[seen], flow[seen])[0, 1] > 0.7


def test_reference_strength_and_no_strength(
    synthetic_source: Make, with_edge: tuple[Bars, Truth], without_edge: tuple[Bars, Truth]
) -> None:
    strong = [measure_oracle(*with_edge, horizon=HORIZON, cost_bps=6.5)]
    for seed in (1, 2, 3):
        source = synthetic_source(seed, days=60, n_symbols=10)
        strong.append(measure_oracle(source.history(), source.truth(), horizon=HORIZON, cost_bps=6.5))
    assert 9.0 < np.mean([report.sharpe for report in strong]) < 15.0
    assert 0.545 < np.mean([report.auc for report in strong]) < 0.565
    none = measure_oracle(*without_edge, horizon=HORIZON, cost_bps=6.5)
    assert (none.auc, none.sharpe, none.trades_per_day) == (0.5, 0.0, 0.0)


def test_other_intervals_keep_the_scale(synthetic_source: Make) -> None:
    for interval_ms in (60_000, 900_000):
        bars = synthetic_source(interval_ms=interval_ms, late_listings=0, days=6).history()
        assert bars.n_bars == 6 * 86_400_000 // interval_ms
        yearly = np.nanstd(close_returns(bars), axis=0) * np.sqrt(365 * 86_400_000 / interval_ms)
        assert np.all((yearly > 0.25) & (yearly < 2.5))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed", -1),
        ("days", 6),
        ("n_symbols", 2),
        ("edge", -0.1),
        ("edge", float("nan")),
        ("late_listings", -1),
        ("interval_ms", 0),
        ("interval_ms", 7 * 60_000),
        ("start", "soon"),
        ("start", "2025-01-01T05:00:00"),
    ],
)
def test_impossible_settings_are_refused(synthetic_source: Make, setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{setting}"):
        synthetic_source(**{setting: value})
