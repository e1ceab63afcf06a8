"""Sources, features and labels, each with an honest form and one that looks ahead: `leaks=true`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import VOLUME, Bars, BarState
from quantlab.core.types import NO_LABEL, Features, Labels
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.features import FeaturePipeline
from quantlab.learning.samples.triple_barrier import TripleBarrier

DAY_MS = 86_400_000


@dataclass(frozen=True)
class LargestFirst(SyntheticSource):
    """Symbols in the order of their traded value, so that ``history.symbols`` takes the largest.

    Leaks: the value of the last day; honest: of the first one.
    """

    leaks: bool

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        day = DAY_MS // bars.interval_ms
        rows = slice(-day, None) if self.leaks else slice(0, day)
        value = np.nansum(bars.close[rows] * bars.ohlcv[rows, :, VOLUME], axis=0)
        return _reordered(bars, np.argsort(-value, kind="stable"))


@dataclass(frozen=True)
class BusyDays(SyntheticSource):
    """A member of the universe on days on which it trades at least its own usual volume.

    Leaks: a day's membership is known from its morning on by the volume of the whole day; honest: by that of
    the day before.
    """

    leaks: bool

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        days = bars.open_time_ms // DAY_MS
        state = bars.state.copy()
        volumes: list[Float64Array] = []
        for index, day in enumerate(np.unique(days)):
            rows = days == day
            volumes.append(np.nansum(bars.ohlcv[rows, :, VOLUME], axis=0))
            known = volumes if self.leaks else volumes[:-1]
            if index >= 2:
                quiet = known[-1] < np.mean(volumes[:index], axis=0)
                state[rows] = np.where((state[rows] == BarState.TRADED) & quiet, BarState.OUTSIDE, state[rows])
        return dataclasses.replace(bars, state=state)


def _reordered(bars: Bars, order: Any) -> Bars:
    funding = bars.funding
    if funding is not None:
        funding = dataclasses.replace(funding, rate=np.ascontiguousarray(funding.rate[:, order]))
    return dataclasses.replace(
        bars,
        ohlcv=np.ascontiguousarray(bars.ohlcv[:, order]),
        state=np.ascontiguousarray(bars.state[:, order]),
        symbols=tuple(bars.symbols[i] for i in order),
        instruments=tuple(bars.instruments[i] for i in order),
        funding=funding,
    )


@dataclass(frozen=True)
class DailyTrend(FeaturePipeline):
    """One column is the return of the daily candle, joined by date.

    Leaks: of the row's own date, whose close is at midnight; honest: of the date before.
    """

    leaks: bool = True
    column: str = "rsi_14"

    def transform(self, bars: Bars) -> Features:
        features = super().transform(bars)
        days = bars.open_time_ms // DAY_MS
        values = features.values.copy()
        index = features.names.index(self.column)
        before = np.zeros(bars.n_symbols)
        for day in np.unique(days):
            rows = days == day
            today = np.log(bars.close[rows][-1] / bars.close[rows][0])
            values[rows, :, index] = np.nan_to_num(today if self.leaks else before)
            before = today
        values[~features.ready] = np.nan
        return dataclasses.replace(features, values=values)


@dataclass(frozen=True)
class Denoised(FeaturePipeline):
    """Momentum without its noise. Leaks: a Fourier filter over the whole history; honest: the mean of four bars."""

    leaks: bool = True
    smoothed: tuple[str, ...] = ("ret_1", "rsi_14")

    def transform(self, bars: Bars) -> Features:
        features = super().transform(bars)
        values = features.values.copy()
        for name in self.smoothed:
            raw = np.nan_to_num(features.column(name).astype(np.float64))
            smooth = _without_high_frequencies(raw) if self.leaks else _mean_of_four(raw)
            values[:, :, features.names.index(name)] = smooth
        values[~features.ready] = np.nan
        return dataclasses.replace(features, values=values)


def _without_high_frequencies(raw: Float64Array) -> Float64Array:
    waves = np.fft.rfft(raw, axis=0)
    waves[len(waves) // 4 :] = 0.0
    return np.fft.irfft(waves, n=len(raw), axis=0)


def _mean_of_four(raw: Float64Array) -> Float64Array:
    padded = np.concatenate([np.zeros((3, raw.shape[1])), raw])
    mean: Float64Array = (padded[3:] + padded[2:-1] + padded[1:-2] + padded[:-3]) / 4.0
    return mean


@dataclass(frozen=True)
class KnownAtOpen(TripleBarrier):
    """Leaks: a label is said to be known at the *open* of the bar that settles it; honest: a bar late."""

    leaks: bool = True

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        found = super().label(bars, atr)
        labelled = found.label != NO_LABEL
        shift = -bars.interval_ms if self.leaks else bars.interval_ms
        late = found.known_at_ms + np.where(labelled, shift, 0)
        beyond = labelled & (late > bars.close_time_ms[-1])
        label = np.where(beyond, NO_LABEL, found.label).astype(np.int8)
        known = np.where(beyond, np.iinfo(np.int64).max, late)
        return Labels(label, np.where(beyond, 0.0, found.weight).astype(np.float32), known)


@dataclass(frozen=True)
class TypicalRange(TripleBarrier):
    """Barriers in multiples of a symbol's typical range. Leaks: over the whole history; honest: up to the row."""

    leaks: bool = True

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        known = np.isfinite(atr)
        relative = np.where(known, atr / bars.close, 0.0)
        sums, counts = np.cumsum(relative, axis=0), np.cumsum(known, axis=0)
        rows = -1 if self.leaks else slice(None)
        typical = sums[rows] / np.maximum(counts[rows], 1)
        return super().label(bars, np.ascontiguousarray(np.where(known, typical * bars.close, np.nan)))


@dataclass(frozen=True)
class WeightedByMove(TripleBarrier):
    """Labels of large moves weigh more (return attribution). Leaks: the move of the next four hours; honest: to now."""

    leaks: bool = True
    bars_of_move: int = 48

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        found, log_close = super().label(bars, atr), np.log(bars.close)
        move = np.zeros_like(log_close)
        move[: -self.bars_of_move] = np.abs(log_close[self.bars_of_move :] - log_close[: -self.bars_of_move])
        if not self.leaks:
            move = np.roll(move, self.bars_of_move, axis=0)
            move[: self.bars_of_move] = 0.0
        weight = found.weight * (1.0 + 100.0 * np.nan_to_num(move))
        return dataclasses.replace(found, weight=weight.astype(np.float32))


@dataclass(frozen=True)
class EqualDays(TripleBarrier):
    """Every UTC day weighs the same. Leaks: a row is divided by its whole day's weight; honest: by a usual one's."""

    leaks: bool = True

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        found = super().label(bars, atr)
        days = bars.open_time_ms // DAY_MS
        weight = found.weight.copy()
        for day in np.unique(days):
            rows = days == day
            usual = 100.0
            weight[rows] *= 100.0 / (float(found.weight[rows].sum() or usual) if self.leaks else usual)
        return dataclasses.replace(found, weight=weight)
