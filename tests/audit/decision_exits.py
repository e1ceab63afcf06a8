"""Four ways out that know the future with `leaks=true`, and nothing of it with `leaks=false`; entries are the signal's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from decision_policies import Planned
from decision_step import LEAVE, STOP, TAKE, move, planned, reach, tables, window

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars, BarState
from quantlab.core.ports import DataSource
from quantlab.trading import compiled_step


@dataclass(frozen=True)
class RangeForecast:
    """A part of a policy: the standard deviation of three hours' moves, of the coming ones or of the last."""

    source: DataSource
    ahead: bool

    def sigma(self) -> tuple[Bars, Float64Array]:
        bars = self.source.history()
        steps = move(bars, 1, ahead=False)
        return bars, window(steps, 36, self.ahead).std(axis=2) * np.sqrt(36.0) * bars.close


@dataclass(frozen=True)
class StopsByRange:
    """Stop and take-profit as far as a forecast of the range says, which is a part with the source in it."""

    forecast: RangeForecast
    step = property(lambda self: compiled_step(planned))

    def params(self) -> Float64Array:
        bars, sigma = self.forecast.sigma()
        return tables(bars, [6.0, 9.0, 144.0, 1.0], {STOP: 1.0 * sigma, TAKE: 1.5 * sigma})

    def begin(self, n_symbols: int) -> Float64Array:
        return np.zeros((2, n_symbols))


@dataclass(frozen=True)
class BestBar(Planned):
    """Time exits. Leaks: at a close that the next two hours do not better; honest: by numbers drawn for each bar."""

    seed: int = 3

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        if not self.leaks:
            # Drawn row by row: a longer history begins with the numbers of a shorter one.
            drawn = np.random.default_rng(self.seed).random(bars.close.shape)
            return {LEAVE: np.where(drawn < 0.04, 2.0, np.nan)}
        coming = window(bars.close, 24, ahead=True)
        highest, lowest = np.fmax.reduce(coming, axis=2), np.fmin.reduce(coming, axis=2)
        return {LEAVE: np.where(bars.close >= highest, 1.0, np.where(bars.close <= lowest, -1.0, np.nan))}


@dataclass(frozen=True)
class AroundHoles(Planned):
    """Leaves where a market stops. Leaks: shortly before a hole; honest: shortly after one."""

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        dark = (bars.state != BarState.TRADED).astype(np.float64)
        near = np.fmax.reduce(window(dark, 3, self.leaks), axis=2) > 0.0
        return {LEAVE: np.where(near, 2.0, np.nan)}


@dataclass(frozen=True)
class TakeAtHigh(Planned):
    """Another take-profit where the range is large. Leaks: just inside the coming two hours' extreme; honest: the last's."""

    large: float = 0.02

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        highest, lowest = reach(bars, 24, self.leaks)
        reached = np.fmax(highest - bars.close, bars.close - lowest)
        return {TAKE: np.where(reached > self.large * bars.close, 0.9 * reached, np.nan)}
