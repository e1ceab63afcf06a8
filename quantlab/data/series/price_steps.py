"""Steps from the close of one bar to the open of the next, and where they are about a factor that somebody claims.

Markets that trade around the clock open where they closed: the largest such step in the reference data (110 perpetuals, 91 days of
5 minutes) is a factor of 1.13. A redenomination is one of its factor, more or less what the market moved besides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.market import CLOSE, OPEN, VOLUME
from quantlab.data.series.alignment import Series

#: A step is about a factor if it lies within these multiples of it: between bars that follow each other and traded, and
#: after a hole or beside bars without a trade. It is never farther from it than half the way to no step at all.
NEAR, NEAR_AFTER_PAUSE = 1.25, 1.6


@dataclass(frozen=True)
class PriceSteps:
    """Every step of one symbol.

    Parameters
    ----------
    time_ms : int64 (N,)
        Opens of the bars after the steps, increasing.
    close_before, open_after : float64 (N,)
        USD.
    close_after : float64 (N,)
        USD: of the bars that open at `time_ms`.
    paused : bool (N,)
        Whether a bar is missing between the two, or one of them did not trade.
    """

    time_ms: Int64Array
    close_before: Float64Array
    open_after: Float64Array
    close_after: Float64Array
    paused: BoolArray

    def at(self, time_ms: int) -> int | None:
        """Index of the step from the last bar before an instant to the first that opens at or after it."""
        k = int(np.searchsorted(self.time_ms, time_ms))
        return k if k < len(self.time_ms) else None

    def ratio(self, k: int) -> float:
        """Price after step `k` over the price before it."""
        return float(self.open_after[k] / self.close_before[k])

    def about(self, factor: float) -> BoolArray:
        """Tell for every step (N,) whether it is about `factor`."""
        return self._near(np.log(self.open_after / self.close_before), factor)

    def inside(self, factor: float) -> BoolArray:
        """Tell for every step (N,) whether the bar after it moves by about `factor` between its own open and close."""
        return self._near(np.log(self.close_after / self.open_after), factor)

    def _near(self, logs: Float64Array, factor: float) -> BoolArray:
        away = np.where(self.paused, math.log(within(factor, paused=True)), math.log(within(factor, paused=False)))
        return np.asarray(np.abs(logs - math.log(factor)) <= away)


def within(factor: float, *, paused: bool) -> float:
    """Multiple by which a step may differ from `factor`."""
    return min(NEAR_AFTER_PAUSE if paused else NEAR, math.exp(abs(math.log(factor)) / 2.0))


def price_steps(series: Series, interval_ms: int) -> PriceSteps:
    """The steps between bars of sound prices.

    Parameters
    ----------
    series : (int64 (N,), float64 (N, 5))
        Opens, and open, high, low, close and volume.
    interval_ms : int
    """
    time_ms, ohlcv = series
    prices = ohlcv[:, [OPEN, CLOSE]]
    sound = np.isfinite(prices).all(axis=1) & (prices > 0.0).all(axis=1)
    time_ms, ohlcv = time_ms[sound], ohlcv[sound]
    traded = ohlcv[:, VOLUME] > 0.0
    return PriceSteps(
        time_ms[1:],
        ohlcv[:-1, CLOSE],
        ohlcv[1:, OPEN],
        ohlcv[1:, CLOSE],
        (np.diff(time_ms) > interval_ms) | ~traded[1:] | ~traded[:-1],
    )
