"""The vote: one compiled loop from the members' forecasts to one pooled forecast.

For every bar, in time order:

1. a member is *alive* unless it made a forecast in each of the last ``liveness_bars`` bars and no ready symbol's
   probabilities moved between any two of them; a shorter record is unknown, and unknown counts as alive;
2. per symbol, a member is *live* if it is alive and its three probabilities are finite;
3. the pool is the mean over the live members by weight, weights renormalised, then tempered;
4. the decision is the most probable class, a tie is HOLD; confidence is its probability; consensus is
   the weight share of the live members whose own most probable class is the decision.

When a pooled forecast becomes a side is decided in ``thresholds``.

History is this loop over many bars and live trading is the same loop over one, with the state carried.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from quantlab.core.compiled import compiled
from quantlab.core.types import HOLD

#: Two outputs nearer than this are the same forecast: batch and stream may differ by a few ulp.
SAME_FORECAST_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Liveness:
    """Memory of the vote between bars; never changed in place.

    It is a function of the last ``liveness_bars`` bars alone, so a stream that was started that many
    bars earlier carries the same state as one that never stopped.

    Parameters
    ----------
    last : float32 (M, S, 3)
        The members' outputs in the previous bar.
    forecast_bars : int64 (M,)
        Bars in a row in which the member made a forecast for at least one symbol, up to ``liveness_bars``.
    unmoved_bars : int64 (M,)
        Bars in a row in which none of its outputs moved, up to ``liveness_bars``.
    """

    last: Float32Array
    forecast_bars: Int64Array
    unmoved_bars: Int64Array

    @classmethod
    def begin(cls, n_members: int, n_symbols: int) -> Liveness:
        """State before the first bar: nothing is known."""
        return cls(
            last=np.full((n_members, n_symbols, 3), np.nan, dtype=np.float32),
            forecast_bars=np.zeros(n_members, dtype=np.int64),
            unmoved_bars=np.zeros(n_members, dtype=np.int64),
        )


@dataclass(frozen=True)
class PooledForecast:
    """The vote's outcome, row by row.

    Parameters
    ----------
    proba : float64 (T, S, 3)
        Pooled and tempered; NaN where no member is live.
    confidence, consensus : float64 (T, S)
        Of the decision, before any threshold; NaN likewise.
    live_members : int8 (T, S)
    gain_bps : float64 (T, S)
        What the decision is expected to gain before costs, see :func:`quantlab.learning.ensemble.thresholds.gain_bps`.
    side : int8 (T, S)
        -1, 0, +1 after the thresholds, see :mod:`quantlab.learning.ensemble.thresholds`.
    """

    proba: Float64Array
    confidence: Float64Array
    consensus: Float64Array
    live_members: Int8Array
    gain_bps: Float64Array
    side: Int8Array

    @classmethod
    def empty(cls, n_bars: int, n_symbols: int) -> PooledForecast:
        """No forecast: HOLD and NaN everywhere, ready to be written."""
        cells = (n_bars, n_symbols)
        return cls(
            proba=np.full((*cells, 3), np.nan),
            confidence=np.full(cells, np.nan),
            consensus=np.full(cells, np.nan),
            live_members=np.zeros(cells, dtype=np.int8),
            gain_bps=np.full(cells, np.nan),
            side=np.zeros(cells, dtype=np.int8),
        )

    def rows(self, start: int, stop: int) -> PooledForecast:
        """Rows ``start:stop`` as views."""
        return PooledForecast(**{f.name: getattr(self, f.name)[start:stop] for f in dataclasses.fields(self)})


@compiled(forceinline=True)
def _choice(sell: float, hold: float, buy: float) -> int:
    """The most probable class; a tie for the first place is HOLD."""
    if sell > hold and sell > buy:
        return 0
    if buy > hold and buy > sell:
        return 2
    return 1


@compiled
def decisions(proba: Float64Array) -> Int8Array:
    """int8 (T, S): -1, 0, +1 as :func:`pool` decides, before any threshold; 0 where `proba` is NaN."""
    side = np.zeros(proba.shape[:2], dtype=np.int8)
    for t in range(proba.shape[0]):
        for s in range(proba.shape[1]):
            side[t, s] = _choice(proba[t, s, 0], proba[t, s, 1], proba[t, s, 2]) - HOLD
    return side


@compiled(forceinline=True)
def _is_forecast(row: Float32Array) -> bool:
    return bool(np.isfinite(row[0]) and np.isfinite(row[1]) and np.isfinite(row[2]))


@compiled(forceinline=True)
def _record_output(now: Float32Array, last: Float32Array) -> tuple[bool, bool]:
    """Tell whether a member (S, 3) made a forecast in this bar, and whether any moved; `last` takes this bar."""
    has_any = moved = False
    for s in range(now.shape[0]):
        if _is_forecast(now[s]):
            has_any = True
            for k in range(3):
                moved = moved or bool(abs(now[s, k] - last[s, k]) > SAME_FORECAST_TOLERANCE)
        for k in range(3):
            last[s, k] = now[s, k]
    return has_any, moved


@compiled(forceinline=True)
def _temper(proba: Float64Array, temperature: float) -> None:
    """Raise to ``1 / temperature`` and normalise, in place, through logarithms so that nothing underflows."""
    highest = np.log(max(proba[0], proba[1], proba[2]))
    total = 0.0
    for k in range(3):
        proba[k] = np.exp((np.log(proba[k]) - highest) / temperature)
        total += proba[k]
    for k in range(3):
        proba[k] /= total


@compiled(forceinline=True)
def _is_alive(forecast_bars: int, unmoved_bars: int, liveness_bars: int) -> bool:
    # n equal outputs are n - 1 bars in a row without a move.
    return bool(forecast_bars < liveness_bars or unmoved_bars < liveness_bars - 1)


@compiled
def alive_members(forecast_bars: Int64Array, unmoved_bars: Int64Array, liveness_bars: int) -> BoolArray:
    """bool (M,): members that are alive after the bars that a :class:`Liveness` has counted."""
    alive = np.ones(len(forecast_bars), dtype=np.bool_)
    for m in range(len(forecast_bars)):
        alive[m] = _is_alive(forecast_bars[m], unmoved_bars[m], liveness_bars)
    return alive


@compiled
def pool(
    members: Float32Array,
    weights: Float64Array,
    temperature: float,
    liveness_bars: int,
    last: Float32Array,
    forecast_bars: Int64Array,
    unmoved_bars: Int64Array,
    proba: Float64Array,
    confidence: Float64Array,
    consensus: Float64Array,
    live_members: Int8Array,
) -> None:
    """Run the vote of the module's docstring over `members`, float32 (M, T, S, 3).

    A weight of 0 takes a member out. ``last``, ``forecast_bars`` and ``unmoved_bars`` are a :class:`Liveness`, moved on in
    place; the rest are outputs, made by :meth:`PooledForecast.empty`.
    """
    n_members, n_bars, n_symbols, _ = members.shape
    alive = np.ones(n_members, dtype=np.bool_)
    choice = np.zeros(n_members, dtype=np.int64)
    sums = np.zeros(3)
    for t in range(n_bars):
        for m in range(n_members):
            has_any, moved = _record_output(members[m, t], last[m])
            forecast_bars[m] = min(forecast_bars[m] + 1, liveness_bars) if has_any else 0
            unmoved_bars[m] = 0 if moved else min(unmoved_bars[m] + 1, liveness_bars)
            alive[m] = _is_alive(forecast_bars[m], unmoved_bars[m], liveness_bars)
        for s in range(n_symbols):
            total = 0.0
            sums[:] = 0.0
            for m in range(n_members):
                choice[m] = -1
                row = members[m, t, s]
                if alive[m] and weights[m] > 0.0 and _is_forecast(row):
                    choice[m] = _choice(row[0], row[1], row[2])
                    live_members[t, s] += 1
                    total += weights[m]
                    for k in range(3):
                        sums[k] += weights[m] * row[k]
            if total == 0.0:
                continue
            for k in range(3):
                sums[k] /= total
            _temper(sums, temperature)
            decided = _choice(sums[0], sums[1], sums[2])
            agreed = 0.0
            for m in range(n_members):
                if choice[m] == decided:
                    agreed += weights[m]
            for k in range(3):
                proba[t, s, k] = sums[k]
            confidence[t, s] = sums[decided]
            consensus[t, s] = agreed / total


def has_forecast(proba: Float32Array | Float64Array) -> BoolArray:
    """bool (..., ): rows of (..., 3) whose three probabilities are finite."""
    finite: BoolArray = np.logical_and.reduce(np.isfinite(proba), axis=-1)
    return finite
