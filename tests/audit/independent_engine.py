"""Engines around the scan that are kinder than a venue: `leaks=true`; or crueller."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.backtest.scan import Scan
from quantlab.core.arrays import Float64Array
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, Bars
from quantlab.core.results import Simulation
from quantlab.core.types import Signal


@dataclass(frozen=True)
class TypicalPrice(Scan):
    """Leaks: orders fill at the bar's typical price, (high + low + close) / 3, in place of its open."""

    leaks: bool = True

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        prices: Float64Array = bars.ohlcv.copy()
        if self.leaks:
            prices[:, :, OPEN] = prices[:, :, [HIGH, LOW, CLOSE]].mean(axis=2)
        return super().run(dataclasses.replace(bars, ohlcv=prices), signal, strategy, limits_on=limits_on)


@dataclass(frozen=True)
class PassiveEntries(Scan):
    """Orders rest beside the open, and fill there wherever the bar comes by.

    Leaks: where it does not come by, the order is filled at the open after all. Honest: the signal of a
    bar that is too narrow, known at its close, is passed over.
    """

    leaks: bool = True
    offset: float = 0.0005

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        if not self.leaks:
            wide = bars.ohlcv[:, :, HIGH] - bars.ohlcv[:, :, LOW] > self.offset * bars.close
            quiet = dataclasses.replace(signal, side=np.where(wide, signal.side, 0).astype(np.int8))
            return super().run(bars, quiet, strategy, limits_on=limits_on)
        prices = bars.ohlcv.copy()
        asked = signal.side[:-1].astype(np.float64)
        resting = prices[1:, :, OPEN] * (1.0 - asked * self.offset)
        reached = np.where(asked > 0.0, prices[1:, :, LOW] <= resting, prices[1:, :, HIGH] >= resting)
        prices[1:, :, OPEN] = np.where(reached, resting, prices[1:, :, OPEN])
        return super().run(dataclasses.replace(bars, ohlcv=prices), signal, strategy, limits_on=limits_on)


@dataclass(frozen=True)
class SlowVenue(Scan):
    """Every signal arrives one bar late: known clean."""

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        side = np.zeros_like(signal.side)
        side[1:] = signal.side[:-1]
        return super().run(bars, dataclasses.replace(signal, side=side), strategy, limits_on=limits_on)
