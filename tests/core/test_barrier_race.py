"""The race of the triple barrier against a plain loop for each side."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.barrier_race import ENDS, PASSES, SETTLES, STOPPED, UNSETTLED, WON, run_races


def plain_race(highs: list[float], lows: list[float], side: int, entry: float, target: float, stop: float) -> list[int]:
    """How one side stands after each bar, None for a bar that passes by."""
    found, state = [], UNSETTLED
    for high, low in zip(highs, lows, strict=True):
        if state == UNSETTLED and high is not None:
            best, worst = (high, low) if side > 0 else (-low, -high)
            if worst <= side * entry - stop:
                state = STOPPED
            elif best > side * entry + target:
                state = WON
        found.append(state)
    return found


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("target", "stop"), [(2.0, 1.0), (2.0, 2.0), (1.0, 3.0)])
def test_equals_a_plain_loop_for_each_side(seed: int, target: float, stop: float) -> None:
    """Prices lie on a grid, so that levels are met exactly."""
    rng = np.random.default_rng(seed)
    open_ = 100.0 + np.cumsum(rng.integers(-1, 2, 30)).astype(float)
    ohlcv = np.stack([open_, open_ + rng.integers(0, 3, 30), open_ - rng.integers(0, 3, 30), open_, open_], axis=1)
    kind = rng.choice([PASSES, SETTLES, ENDS], 30, p=[0.1, 0.87, 0.03]).astype(np.uint8)
    for first in range(30):
        ends = [j for j in range(first, 30) if kind[j] == ENDS]
        bars = range(first, ends[0] if ends else 30)
        highs, lows = ([ohlcv[j, k] if kind[j] == SETTLES else None for j in bars] for k in (1, 2))
        sides = [plain_race(highs, lows, side, ohlcv[first, 0], target, stop) for side in (1, -1)]
        settled = [j for j, pair in zip(bars, zip(*sides, strict=True), strict=True) if UNSETTLED not in pair]
        last = settled[0] if settled else bars.stop - 1
        expected = [side[last - first] if len(bars) else UNSETTLED for side in sides]
        found = run_races(ohlcv[:, None], kind[:, None], 0, first, 30, ohlcv[first, 0], target, stop)
        assert found == (*expected, last)
