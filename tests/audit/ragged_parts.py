"""Labels, learners and engines that know which symbols will die, or where a test begins best: `leaks=true`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.backtest.scan import Scan
from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import Bars, BarState
from quantlab.core.ports import Progress
from quantlab.core.results import Simulation, Study
from quantlab.core.types import Labels, Signal
from quantlab.learning.samples.triple_barrier import TripleBarrier
from quantlab.learning.study.walk_forward import WalkForward

DAY = 288


def last_days(bars: Bars) -> BoolArray:
    """bool (T, S): the last day before a symbol's last bar, of those that do not trade to the end."""
    there = bars.state != BarState.ABSENT
    last = bars.n_bars - 1 - np.argmax(there[::-1], axis=0)
    rows = np.arange(bars.n_bars)[:, None]
    doomed: BoolArray = (rows <= last) & (rows > last - DAY) & (last < bars.n_bars - 1)
    return doomed


def first_days(bars: Bars) -> BoolArray:
    """bool (T, S): the first day of a symbol that was not there in the first bar."""
    there = bars.state != BarState.ABSENT
    first = np.argmax(there, axis=0)
    rows = np.arange(bars.n_bars)[:, None]
    young: BoolArray = (rows >= first) & (rows < first + DAY) & (first > 0)
    return young


@dataclass(frozen=True)
class SymbolsAlike(TripleBarrier):
    """Every symbol weighs the same. Leaks: divided by all bars that it will ever have; honest: by those so far."""

    leaks: bool = True

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        found = super().label(bars, atr)
        there = np.isfinite(bars.close)
        count = there.sum(axis=0, keepdims=True) if self.leaks else np.cumsum(there, axis=0)
        weight = found.weight * np.float32(1_000.0) / np.maximum(count, 1)
        return dataclasses.replace(found, weight=weight.astype(np.float32))


@dataclass(frozen=True)
class LeavesInTime(Scan):
    """No entry in doubtful symbols. Leaks: in the last day before a delisting; honest: in the first after a listing."""

    leaks: bool = True

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        doubtful = last_days(bars) if self.leaks else first_days(bars)
        side = np.where(doubtful, 0, signal.side).astype(np.int8)
        return super().run(bars, dataclasses.replace(signal, side=side), strategy, limits_on=limits_on)


@dataclass(frozen=True)
class SmallerInDoubt(WalkForward):
    """Half the size in doubtful symbols. Leaks: in the last day before a delisting; honest: in the first day."""

    leaks: bool = True

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        doubtful = last_days(bars) if self.leaks else first_days(bars)
        confidence = np.where(doubtful, 0.5, 1.0) * study.signal.confidence
        return dataclasses.replace(study, signal=dataclasses.replace(study.signal, confidence=confidence))


@dataclass(frozen=True)
class BeginsAtItsBest(WalkForward):
    """The account begins later than the tests. Leaks: where the signals' gain was lowest; honest: after a day."""

    leaks: bool = True

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        rows = np.arange(study.first_row, study.last_row - 1)
        moves = np.log(bars.close[rows + 1] / bars.close[rows])
        gain = np.cumsum(np.nansum(study.signal.side[rows] * moves, axis=1))
        first = study.first_row + (int(np.argmin(gain)) if self.leaks else DAY)
        windows = tuple((max(start, first), stop) for start, stop in study.windows if stop > first)
        return dataclasses.replace(study, first_row=first, windows=windows)
