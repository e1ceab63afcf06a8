"""Four sizers that know the future with `leaks=true`, and nothing of it with `leaks=false`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from decision_policies import first_bars
from decision_step import looked_up, lookup, move, trend, window

from quantlab.core.arrays import Float64Array
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, FeatureSource
from quantlab.trading import compiled_size
from quantlab.trading.interface.sizer import Entry, bounded


def fixed(params: Float64Array, entry: Entry) -> float:
    return bounded(params[0], params[0], entry.strength)


@dataclass(frozen=True)
class LookedUp:
    """Base: a size is told no time and no symbol, so it finds its row by the ATR, which hardly comes twice."""

    source: DataSource
    features: FeatureSource
    leaks: bool
    usual: float = 0.05
    size = property(lambda self: compiled_size(looked_up))

    def params(self) -> Float64Array:
        bars = self.source.history()
        longs, shorts = self.weights(bars)
        return lookup(self.usual, average_true_range(bars, self.features.transform(bars)), longs, shorts)

    def weights(self, bars: Bars) -> tuple[Float64Array, Float64Array]:
        raise NotImplementedError


@dataclass(frozen=True)
class WinnersLarge(LookedUp):
    """Larger where four hours agree with the side. Leaks: the coming ones; honest: the last ones."""

    def weights(self, bars: Bars) -> tuple[Float64Array, Float64Array]:
        moved = move(bars, 48, ahead=self.leaks)
        return np.where(moved > 0.0, 0.09, 0.01), np.where(moved < 0.0, 0.09, 0.01)


@dataclass(frozen=True)
class DayVolatility(LookedUp):
    """Smaller where a day is wilder. Leaks: the coming day; honest: the last one."""

    daily: float = 0.003

    def weights(self, bars: Bars) -> tuple[Float64Array, Float64Array]:
        sigma = window(move(bars, 1, ahead=False), 288, self.leaks).std(axis=2) * np.sqrt(288.0)
        weight = np.where(sigma > 0.0, np.clip(self.daily / sigma, 0.01, 0.09), self.usual)
        return weight, weight


@dataclass(frozen=True)
class YoungMarkets(LookedUp):
    """Another size in a symbol's first days, where it lists late; the usual one elsewhere.

    Leaks: as large as the coming four hours are good. Honest: always smaller, since little is known of it.
    """

    young_bars: int = 1440

    def weights(self, bars: Bars) -> tuple[Float64Array, Float64Array]:
        there = np.isfinite(bars.close)
        age = np.cumsum(there, axis=0)
        young = (age <= self.young_bars) & (np.argmax(there, axis=0) > 0)
        moved = move(bars, 48, ahead=True) if self.leaks else np.full(bars.close.shape, np.nan)
        longs, shorts = np.where(moved > 0.0, 0.09, 0.01), np.where(moved < 0.0, 0.09, 0.01)
        return np.where(young, longs, self.usual), np.where(young, shorts, self.usual)


@dataclass(frozen=True)
class TypicalVolatility:
    """One weight, the smaller the wilder the market is. Leaks: all of it; honest: a first stretch, before anything is traded."""

    source: DataSource
    leaks: bool
    learn_bars: int = 1440
    daily: float = 0.003
    size = property(lambda self: compiled_size(fixed))

    def params(self) -> Float64Array:
        bars = self.source.history() if self.leaks else first_bars(self.source, self.learn_bars)
        steps = np.diff(np.log(bars.close), axis=0)
        return np.array([self.daily / (np.std(steps[np.isfinite(steps)]) * np.sqrt(288.0))])


@dataclass(frozen=True)
class KellyOfOutcome:
    """Kelly's stake on a trend that is followed for two hours. Leaks: by its outcome over all bars.

    Honest: by its outcome in a first stretch, before anything is traded. Its market is one of several sources.
    """

    sources: dict[str, DataSource]
    leaks: bool
    fraction: float = 0.02
    learn_bars: int = 1440
    size = property(lambda self: compiled_size(fixed))

    def params(self) -> Float64Array:
        source = self.sources["traded"]
        bars = source.history() if self.leaks else first_bars(source, self.learn_bars)
        outcome = trend(bars, 96) * move(bars, 24, ahead=True)
        outcome = outcome[np.isfinite(outcome)]
        stake = self.fraction * float(np.mean(outcome) / np.var(outcome))
        return np.array([min(max(stake, 0.01), 0.09)])
