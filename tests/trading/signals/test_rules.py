"""What the two unlearned signal sources say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.trading import MovingAverageSignal, RandomSignal


def test_the_moving_average_is_the_crossing_of_two_means(random_bars, range_features):
    bars = random_bars(seed=1, n_bars=300, n_symbols=4)
    signals = MovingAverageSignal(range_features, 5, 20).signal(bars)
    for t in range(19, 300):
        fast = bars.close[t - 4 : t + 1].mean(axis=0)
        slow = bars.close[t - 19 : t + 1].mean(axis=0)
        assert np.array_equal(signals.side[t], np.sign(fast - slow).astype(np.int8))
    assert not signals.side[:19].any()


def test_a_history_shorter_than_the_window_says_nothing(random_bars, range_features):
    signals = MovingAverageSignal(range_features, 5, 20).signal(random_bars(n_bars=19))
    assert not signals.side.any()


def test_a_hole_silences_the_window(market, range_features):
    rows = np.array([[p, p + 1, p - 1, p, 1.0] for p in np.arange(100.0, 120.0)])
    rows[10] = np.nan
    signals = MovingAverageSignal(range_features, 2, 4).signal(market(rows))
    assert signals.side[:, 0].tolist() == [0] * 3 + [1] * 7 + [0] * 4 + [1] * 6


def test_probabilities_are_sure_and_absent_in_warm_up(random_bars, range_features):
    signals = MovingAverageSignal(range_features, 2, 4).signal(random_bars(n_bars=50))
    assert np.isnan(signals.proba[0]).all()
    assert signals.live_members[0].tolist() == [0, 0, 0]
    assert np.array_equal(signals.proba[1:].argmax(axis=-1) - 1, signals.side[1:])
    assert np.all(signals.proba[1:].sum(axis=-1) == 1.0)


@pytest.mark.parametrize("turnover", [0.0, 0.05, 0.4, 1.0])
def test_the_coin_is_fair_and_has_the_turnover_that_was_asked_for(random_bars, range_features, turnover):
    bars = random_bars(n_bars=4_000, n_symbols=10)
    side = RandomSignal(range_features, 3, turnover).signal(bars).side[1:]
    n = side.size
    error = 4.0 * np.sqrt(turnover * (1.0 - turnover) / n)
    assert abs((side != 0).mean() - turnover) <= error
    spoken = side[side != 0]
    assert abs(spoken.astype(float).sum()) <= 4.0 * np.sqrt(len(spoken) + 1)


def test_a_draw_depends_on_seed_symbol_and_time_alone(random_bars, range_features):
    bars = random_bars(n_bars=500, n_symbols=5)
    source = RandomSignal(range_features, 3, 0.5)
    side = source.signal(bars).side
    assert np.array_equal(source.signal(bars.rows(100, 500)).side[1:], side[101:])
    turned = dataclasses.replace(bars, symbols=bars.symbols[::-1], ohlcv=np.ascontiguousarray(bars.ohlcv[:, ::-1]))
    assert np.array_equal(source.signal(turned).side[:, ::-1], side)
    assert (RandomSignal(range_features, 4, 0.5).signal(bars).side != side).mean() > 0.3
