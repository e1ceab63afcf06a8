"""Long and short position values of an account at every close, rebuilt from its fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import Bars, PrintFlag
from quantlab.core.results import Simulation
from quantlab.core.rule_spans import rule_in_cells

#: Leftover of a position, as a share of its largest size, that is the rounding of many fills.
_DUST = 1e-10


@dataclass(frozen=True)
class ExposurePath:
    """Position values at every bar's close, USD.

    Parameters
    ----------
    long, short : float64 (T,)
        Sums of absolute values; together they are the simulation's ``gross``.
    maintenance : float64 (T,)
        Margin below which the account would be liquidated, at these marks.
    equity : float64 (T,)
    """

    long: Float64Array
    short: Float64Array
    maintenance: Float64Array
    equity: Float64Array

    def share(self, usd: Float64Array) -> Float64Array:
        """USD as a fraction of equity, float64 (T,); NaN where nothing is left."""
        found: Float64Array = np.divide(usd, self.equity, out=np.full(len(usd), np.nan), where=self.equity > 0.0)
        return found


def exposure_path(simulation: Simulation, bars: Bars) -> ExposurePath:
    """Units after each bar's fills, at the marks of the account: a holding without a close stays at its last one, and
    where a suspicion stands it counts at the worse of the last agreed close and this one.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated, (T, S).
    """
    orders, rows = simulation.orders, np.arange(bars.n_bars)
    signed = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    long, short, maintenance = (np.zeros(bars.n_bars) for _ in range(3))
    for s in np.unique(orders["col"]):
        mine = orders["col"] == s
        change = np.bincount(orders["idx"][mine], signed[mine], minlength=bars.n_bars)
        units = np.cumsum(change.astype(np.float64))
        units[np.abs(units) <= _DUST * np.sum(orders["size"][mine])] = 0.0
        value = np.where(units == 0.0, 0.0, units * _marks(bars, int(s), units))
        long += np.maximum(value, 0.0)
        short += np.maximum(-value, 0.0)
        maintenance += np.abs(value) * rule_in_cells(bars, "maintenance_margin_rate", rows, np.array(s))
    return ExposurePath(long, short, maintenance, simulation.equity)


def _marks(bars: Bars, s: int, units: Float64Array) -> Float64Array:
    """Mark of one symbol's holding at every close, float64 (T,)."""
    close = bars.close[:, s]
    finite = np.isfinite(close)
    if bars.suspect is None:
        return _last(close, finite)
    stands = bars.suspect[:, s] == PrintFlag.STANDS
    agreed = _last(close, finite & ~stands)
    worse = np.where(units > 0.0, np.fmin(agreed, close), np.fmax(agreed, close))
    return _last(np.where(stands, worse, close), finite)


def _last(values: Float64Array, known: BoolArray) -> Float64Array:
    """The last known value at every row, float64 (T,); NaN before the first."""
    row = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    found: Float64Array = np.where(row >= 0, values[np.maximum(row, 0)], np.nan)
    return found
