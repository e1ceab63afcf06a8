"""Volatility of the synthetic market: known before each bar opens, and forecast exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, read_only
from quantlab.core.compiled import compiled

_SLOW_MEMORY, _SLOW_SIZE = 288.0, 0.35  # bars, standard deviation of log-volatility
_FAST_MEMORY, _FAST_SIZE = 12.0, 0.25
_STRESS_ENTRY, _STRESS_EXIT, _STRESS_SIZE = 1 / 1152, 1 / 144, 0.6  # per bar, per bar, log-volatility


def decay(memory: float) -> float:
    """Share of a mean-reverting state that is left after one bar."""
    return float(np.exp(-1.0 / memory))


@compiled
def mean_revert(shocks: Float64Array, keep: float) -> Float64Array:
    """``y = keep y + sqrt(1 - keep^2) shock`` down each column of (T, S): unit variance, from 0."""
    out = np.empty_like(shocks)
    size = np.sqrt(1.0 - keep * keep)
    for s in range(shocks.shape[1]):
        y = 0.0
        for t in range(shocks.shape[0]):
            y = keep * y + size * shocks[t, s]
            out[t, s] = y
    return out


@compiled
def _regime(chance: Float64Array, entry: float, leave: float) -> BoolArray:
    """bool (T, 1): a two-state Markov chain that starts calm."""
    stressed = np.empty(chance.shape, dtype=np.bool_)
    now = False
    for t in range(chance.shape[0]):
        now = chance[t, 0] > leave if now else chance[t, 0] <= entry
        stressed[t, 0] = now
    return stressed


@dataclass(frozen=True)
class Volatility:
    """The state of volatility at each close.

    Parameters
    ----------
    quiet : float64 (S,)
        Standard deviation of one bar's log-return in quiet times.
    slow : float64 (T, 1)
        Shared by all symbols, unit variance.
    fast : float64 (T, S)
        Each symbol's own, unit variance.
    stressed : bool (T, 1)
        The regime, shared by all symbols.
    bars_per_day : int
    """

    quiet: Float64Array
    slow: Float64Array
    fast: Float64Array
    stressed: BoolArray
    bars_per_day: int

    def __post_init__(self) -> None:
        shape = (len(self.fast), len(self.quiet))
        for name, want in (("quiet", shape[1:]), ("slow", (shape[0], 1)), ("fast", shape)):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64, want, f"volatility.{name}"))
        object.__setattr__(self, "stressed", read_only(self.stressed, np.bool_, (shape[0], 1), "volatility.stressed"))

    def of_bars(self) -> Float64Array:
        """float64 (T, S): of each bar itself, from the state at the close before it (0 and calm at first)."""
        state = (
            _SLOW_SIZE * _shift_bar(self.slow)
            + _FAST_SIZE * _shift_bar(self.fast)
            + _STRESS_SIZE * _shift_bar(self.stressed)
        )
        actual: Float64Array = self.quiet * np.exp(state + self._season(0))
        return actual

    def expected(self, ahead: int) -> Float64Array:
        """float64 (T, S): at the close of t, the expected volatility of bar ``t + 1 + ahead``.

        Exact for the model: log-normal for the mean-reverting parts, the chain's own law for the
        regime. With ``ahead = 0`` nothing is left to chance.
        """
        slow = _lognormal_mean(self.slow, decay(_SLOW_MEMORY) ** ahead, _SLOW_SIZE)
        fast = _lognormal_mean(self.fast, decay(_FAST_MEMORY) ** ahead, _FAST_SIZE)
        # A two-state chain forgets its start at the rate 1 - entry - exit.
        usual, memory = _STRESS_ENTRY / (_STRESS_ENTRY + _STRESS_EXIT), (1.0 - _STRESS_ENTRY - _STRESS_EXIT) ** ahead
        chance = usual + memory * (self.stressed - usual)
        stress = 1.0 + chance * (np.exp(_STRESS_SIZE) - 1.0)
        forecast: Float64Array = self.quiet * slow * fast * stress * np.exp(self._season(1 + ahead))
        return forecast

    def _season(self, bars_later: int) -> Float64Array:
        """(T, 1) log-volatility by the hour (UTC): quiet at night, busiest when America opens."""
        bar_of_day = (np.arange(len(self.fast)) + bars_later) % self.bars_per_day
        hour = 24.0 * bar_of_day[:, None] / self.bars_per_day
        opening = 0.35 * np.exp(-(((hour - 14.5) / 2.5) ** 2))
        busy: Float64Array = opening - 0.15 * np.cos(2.0 * np.pi * (hour - 3.0) / 24.0)
        return busy


def make_volatility(
    quiet: Float64Array, slow: Float64Array, fast: Float64Array, chance: Float64Array, bars_per_day: int
) -> Volatility:
    """From normal shocks `slow` (T, 1) and `fast` (T, S) and uniform `chance` (T, 1)."""
    return Volatility(
        quiet,
        mean_revert(slow, decay(_SLOW_MEMORY)),
        mean_revert(fast, decay(_FAST_MEMORY)),
        _regime(chance, _STRESS_ENTRY, _STRESS_EXIT),
        bars_per_day,
    )


def _shift_bar(state: Float64Array | BoolArray) -> Float64Array:
    """`state` moved one bar later, so that row t holds what was known at the close of t - 1."""
    return np.concatenate([np.zeros((1, state.shape[1])), state[:-1]])


def _lognormal_mean(state: Float64Array, left: float, size: float) -> Float64Array:
    """E[exp(size y)] of a unit-variance mean-reverting y of which the share `left` of `state` remains."""
    mean: Float64Array = np.exp(size * left * state + 0.5 * size**2 * (1.0 - left**2))
    return mean
