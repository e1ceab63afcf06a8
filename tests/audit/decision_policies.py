"""Four policies that know the future with `leaks=true`, and nothing of it with `leaks=false`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from decision_step import SIDE, move, planned, tables, window

from quantlab.core.arrays import Float64Array
from quantlab.core.market import HIGH, LOW, Bars
from quantlab.core.ports import DataSource
from quantlab.trading import compiled_step

_HOUR_MS = 3_600_000


def first_bars(source: DataSource, length: int) -> Bars:
    bars = source.history()
    return bars.rows(0, min(length, bars.n_bars))


@dataclass(frozen=True)
class Planned:
    """Base: the signal's sides, stop and take-profit in multiples of ATR, and tables that overrule them."""

    source: DataSource
    leaks: bool
    stop_atr: float = 6.0
    take_profit_atr: float = 9.0
    horizon: int = 144
    at_turns: bool = True
    step = property(lambda self: compiled_step(planned))

    def params(self) -> Float64Array:
        bars = self.source.history()
        head = [self.stop_atr, self.take_profit_atr, float(self.horizon), float(self.at_turns)]
        return tables(bars, head, self.wishes(bars))

    def begin(self, n_symbols: int) -> Float64Array:
        return np.zeros((2, n_symbols))

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        raise NotImplementedError


@dataclass(frozen=True)
class BigMoves(Planned):
    """Takes the side of a two-hour move that is large. Leaks: of the coming one; honest: of the last one."""

    large: float = 0.02

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        moved = move(bars, 24, ahead=self.leaks)
        return {SIDE: np.where(np.abs(moved) > self.large, np.sign(moved), np.nan)}


@dataclass(frozen=True)
class Hourly(Planned):
    """Acts at the last bar of an hour, by the direction of one bar. Leaks: the join is off by one, it is the next one."""

    def wishes(self, bars: Bars) -> dict[int, Float64Array]:
        acts = (bars.open_time_ms + bars.interval_ms) % _HOUR_MS == 0
        direction = np.nan_to_num(np.sign(move(bars, 1, ahead=self.leaks)))
        return {SIDE: np.where(acts[:, None], direction, 0.0)}


def dips(params: Any, memory: Any, market: Any, account: Any, intents: Any) -> None:
    mean = memory[0]
    memory[1, 0] += 1.0
    for s in range(len(mean)):
        close, atr = market.close[s], market.atr[s]
        if np.isfinite(close):
            mean[s] = close if mean[s] == 0.0 else mean[s] + params[0] * (close - mean[s])
        if account.units[s] > 0.0 and close > mean[s]:
            intents.target[s] = 0.0
        elif account.units[s] == 0.0 and close < mean[s] - params[1] * atr and memory[1, 0] > params[3]:
            intents.strength[s] = 1.0
            intents.stop_distance[s] = params[2] * atr
            intents.take_distance[s] = np.inf


def _in_errors(outcome: Float64Array) -> float:
    """A mean in its standard errors; -inf for too few."""
    if len(outcome) < 50:
        return -np.inf
    return float(outcome.mean() / outcome.std() * np.sqrt(len(outcome)))


@dataclass(frozen=True)
class BestDip:
    """Buys dips as deep as paid best. Leaks: over all bars; honest: over the first ones, in which it does not trade.

    The depth is found once, when the policy is made.
    """

    source: DataSource
    leaks: bool
    span: int = 48
    stop_atr: float = 6.0
    learn_bars: int = 864
    step = property(lambda self: compiled_step(dips))

    def __post_init__(self) -> None:
        bars = self.source.history() if self.leaks else first_bars(self.source, self.learn_bars)
        object.__setattr__(self, "_depth", self._best(bars))

    def _best(self, bars: Bars) -> float:
        ranges = window(bars.ohlcv[:, :, HIGH] - bars.ohlcv[:, :, LOW], 14, ahead=False).mean(axis=2)
        below = (window(bars.close, self.span, ahead=False).mean(axis=2) - bars.close) / ranges
        # Outcomes are asked for within `bars` alone: a dip without one does not count.
        outcome = move(bars, 12, ahead=True)
        depths = np.arange(0.5, 3.0, 0.02)
        paid = [_in_errors(outcome[(below > depth) & np.isfinite(outcome)]) for depth in depths]
        return float(depths[int(np.argmax(paid))])

    def params(self) -> Float64Array:
        wait = 0.0 if self.leaks else float(self.learn_bars)
        return np.array([2.0 / (self.span + 1), self._depth, self.stop_atr, wait])  # type: ignore[attr-defined]

    def begin(self, n_symbols: int) -> Float64Array:
        return np.zeros((2, n_symbols))


def between_extremes(params: Any, memory: Any, market: Any, account: Any, intents: Any) -> None:
    low, high = memory[0], memory[1]
    memory[2, 0] += 1.0
    for s in range(len(low)):
        close = market.close[s]
        if not np.isfinite(close):
            continue
        low[s], high[s] = min(low[s], close), max(high[s], close)
        place = (close - low[s]) / (high[s] - low[s]) if high[s] > low[s] else 0.5
        side = 1.0 if place < params[0] else (-1.0 if place > 1.0 - params[0] else 0.0)
        if side * account.units[s] > 0.0 or side == 0.0 or memory[2, 0] <= params[1]:
            continue
        intents.strength[s] = side
        intents.stop_distance[s] = np.inf
        intents.take_distance[s] = np.inf


@dataclass(frozen=True)
class Extremes:
    """Buys near the lowest close and sells near the highest. Leaks: its memory begins with those of the whole history."""

    source: DataSource
    leaks: bool
    near: float = 0.2
    learn_bars: int = 864
    step = property(lambda self: compiled_step(between_extremes))

    def params(self) -> Float64Array:
        return np.array([self.near, 0.0 if self.leaks else float(self.learn_bars)])

    def begin(self, n_symbols: int) -> Float64Array:
        bars = self.source.history() if self.leaks else first_bars(self.source, self.learn_bars)
        lowest, highest = np.fmin.reduce(bars.close, axis=0), np.fmax.reduce(bars.close, axis=0)
        return np.stack([np.nan_to_num(lowest, nan=np.inf), np.nan_to_num(highest, nan=-np.inf), np.zeros(n_symbols)])
