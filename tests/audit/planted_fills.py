"""Engines that fill at prices nobody could have had."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.backtest.scan import Scan
from quantlab.core.arrays import Float64Array
from quantlab.core.market import HIGH, LOW, OPEN, Bars
from quantlab.core.results import Simulation
from quantlab.core.types import Signal


def with_opens(bars: Bars, opens: Float64Array) -> Bars:
    """`bars` with other opens, and ranges that hold them."""
    ohlcv = bars.ohlcv.copy()
    known = np.isfinite(opens) & np.isfinite(ohlcv[:, :, OPEN])
    ohlcv[:, :, OPEN] = np.where(known, opens, ohlcv[:, :, OPEN])
    ohlcv[:, :, HIGH] = np.fmax(ohlcv[:, :, HIGH], ohlcv[:, :, OPEN])
    ohlcv[:, :, LOW] = np.fmin(ohlcv[:, :, LOW], ohlcv[:, :, OPEN])
    return dataclasses.replace(bars, ohlcv=ohlcv)


@dataclass(frozen=True)
class FilledAtItsOwnOpen:
    """The signal of a bar trades in that bar: somebody took ``shift(1)`` for a mistake."""

    initial_cash: float

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        arrays = {field.name: getattr(signal, field.name) for field in dataclasses.fields(signal)}
        earlier = {name: np.concatenate([a[1:], a[-1:]]) for name, a in arrays.items() if a is not None}
        return Scan(self.initial_cash).run(bars, dataclasses.replace(signal, **earlier), strategy, limits_on=limits_on)


@dataclass(frozen=True)
class FilledAtTheBestPrice:
    """Places a limit order at the bar's low or high instead of paying the open."""

    initial_cash: float

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        opens, said = bars.ohlcv[:, :, OPEN].copy(), signal.side[:-1]
        opens[1:] = np.where(said > 0, bars.ohlcv[1:, :, LOW], opens[1:])
        opens[1:] = np.where(said < 0, bars.ohlcv[1:, :, HIGH], opens[1:])
        return Scan(self.initial_cash).run(with_opens(bars, opens), signal, strategy, limits_on=limits_on)
