"""Blind entries: a few bars by hand, and a plain loop on random markets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from quantlab.core.market import Bars, BarState
from quantlab.evaluation.statistics.blind_entries import blind_stop_share


def hand_bars(random_bars: Callable[..., Bars], rows: list[tuple[float, float, float, float]]) -> Bars:
    """One symbol with the given open, high, low, close."""
    bars = random_bars(n_bars=len(rows), n_symbols=1)
    ohlcv = np.array([[(*row, 5.0)] for row in rows])
    return dataclasses.replace(bars, ohlcv=ohlcv)


def test_by_hand(random_bars: Callable[..., Bars]) -> None:
    # Entry at 100: long stop 99, long target 102; short stop 101, short target 98.
    bars = hand_bars(
        random_bars, [(100, 100, 100, 100), (100, 100.5, 99.5, 100), (100, 101, 99.5, 100.5), (100.5, 103, 100, 103)]
    )
    atr = np.array([[1.0], [np.nan], [np.nan], [np.nan]])
    # The short is stopped at exactly 101 in bar 2; the long passes 102 in bar 3 and is not stopped.
    assert blind_stop_share(bars, atr, take_profit_atr=2.0, stop_atr=1.0, horizon=3) == 0.5
    # Within one bar nothing is settled.
    assert blind_stop_share(bars, atr, take_profit_atr=2.0, stop_atr=1.0, horizon=1) == 0.0
    assert blind_stop_share(bars, np.full((4, 1), np.nan), take_profit_atr=2.0, stop_atr=1.0, horizon=3) is None


def test_the_stop_comes_first_within_one_bar(random_bars: Callable[..., Bars]) -> None:
    bars = hand_bars(random_bars, [(100, 100, 100, 100), (100, 105, 95, 100)])
    atr = np.array([[1.0], [np.nan]])
    assert blind_stop_share(bars, atr, take_profit_atr=2.0, stop_atr=1.0, horizon=1) == 1.0


def test_a_touched_target_is_not_passed(random_bars: Callable[..., Bars]) -> None:
    # The long's target at 102 is touched in bar 1, its stop at 99 reached in bar 2; the short's at 101 in bar 1.
    bars = hand_bars(random_bars, [(100, 100, 100, 100), (100, 102, 99.5, 100), (100, 100.5, 98.5, 99)])
    atr = np.array([[1.0], [np.nan], [np.nan]])
    assert blind_stop_share(bars, atr, take_profit_atr=2.0, stop_atr=1.0, horizon=2) == 1.0


def test_equals_a_plain_loop(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(seed=3, n_bars=300, n_symbols=2)
    state = bars.state.copy()
    state[50:60, 0] = BarState.ZERO_VOLUME
    bars = dataclasses.replace(bars, state=state)
    atr = np.full(bars.state.shape, 0.3)
    stopped = []
    for t in range(bars.n_bars - 1):
        for s in range(2):
            if not (bars.tradable[t, s] and bars.tradable[t + 1, s]):
                continue
            entry = bars.ohlcv[t + 1, s, 0]
            rows = [j for j in range(t + 1, min(t + 13, bars.n_bars)) if bars.tradable[j, s]]
            lows, highs = bars.ohlcv[rows, s, 2], bars.ohlcv[rows, s, 1]
            for hit, won in ((lows <= entry - 0.36, highs > entry + 0.6), (highs >= entry + 0.36, lows < entry - 0.6)):
                first_hit = int(np.argmax(hit)) if hit.any() else 99
                first_won = int(np.argmax(won)) if won.any() else 99
                stopped.append(first_hit < 99 and first_hit <= first_won)
    share = blind_stop_share(bars, atr, take_profit_atr=2.0, stop_atr=1.2, horizon=12)
    assert share == np.mean(stopped)
    assert 0.1 < share < 0.9
