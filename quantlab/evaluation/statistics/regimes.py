"""Regimes: P&L split by the state of the market and by the time of day.

The states are known **only in hindsight**: terciles of volatility and the halves of trending days are taken
over the whole run. They say where a result came from; they are no filter that could have been traded.

The market is the mean log return over the symbols that traded in a bar. Per UTC day: volatility is its root
mean square, trend its efficiency ``|sum| / sum of absolutes`` (Kaufman 1995), funding the mean rate over all
stamps and symbols. The time of day splits every day at 4-hour blocks of the bars' opens, UTC.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.market import CLOSE, OPEN, Bars
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.metrics import period_ends

#: Fewer days than this are not split.
MIN_DAYS = 6
_BLOCK_MS = 4 * 3_600_000


@dataclass(frozen=True)
class RegimeRow:
    """One regime of one split.

    Parameters
    ----------
    split, regime : str
        E.g. ``"volatility"``, ``"low"``.
    periods : int
        Days, or blocks of a day.
    net_pnl : float
        USD after all costs, summed over these periods; all rows of one split together make the run's net P&L,
        up to periods to which the split does not apply.
    mean_return, standard_error : float or None
        Per period, fractions; None with fewer than two periods.
    gaining : float
        Share of periods with a gain.
    """

    split: str
    regime: str
    periods: int
    net_pnl: float
    mean_return: float | None
    standard_error: float | None
    gaining: float


def regimes(simulation: Simulation, bars: Bars) -> tuple[RegimeRow, ...]:
    """Every split that the data allows; empty below :data:`MIN_DAYS` days.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars, (T, S)
        The bars that it ran over.
    """
    day = bars.open_time_ms // MS_PER_DAY
    ends = period_ends(day)
    if len(ends) < MIN_DAYS:
        return ()
    market = _market_returns(bars)
    volatility, efficiency = _by_day(market, ends)
    rows = [
        *_rows("volatility", ("low", "middle", "high"), _terciles(volatility), simulation, ends),
        *_rows("trend", ("ranging", "trending"), _halves(efficiency), simulation, ends),
    ]
    if bars.funding is not None:
        paid = _funding_sign(bars, day[ends])
        rows += _rows("funding", ("negative", "positive"), paid, simulation, ends)
    if bars.interval_ms <= _BLOCK_MS:
        block = bars.open_time_ms // _BLOCK_MS
        ends = period_ends(block)
        names = tuple(f"{4 * i:02d}-{4 * i + 4:02d} h UTC" for i in range(6))
        rows += _rows("time of day", names, block[ends] % 6, simulation, ends)
    return tuple(rows)


def regime_numbers(rows: tuple[RegimeRow, ...]) -> list[dict[str, Any]]:
    """JSON-safe, for ``metrics.json``."""
    return [
        asdict(row) | {"undefined": {} if row.standard_error is not None else {"standard_error": "a single period"}}
        for row in rows
    ]


def _rows(
    split: str, names: tuple[str, ...], label: Int64Array, simulation: Simulation, ends: Int64Array
) -> list[RegimeRow]:
    """One row per name with at least one period; `label` -1 belongs to none."""
    after = simulation.equity[ends]
    before = np.concatenate(([simulation.initial_cash], after[:-1]))
    pnl = after - before
    returns = np.divide(pnl, before, out=np.zeros(len(pnl)), where=before > 0.0)
    return [
        _row(split, name, pnl[label == i], returns[label == i]) for i, name in enumerate(names) if np.any(label == i)
    ]


def _row(split: str, name: str, pnl: Float64Array, returns: Float64Array) -> RegimeRow:
    n = len(pnl)
    error = float(np.std(returns, ddof=1)) / math.sqrt(n) if n > 1 else None
    return RegimeRow(split, name, n, float(np.sum(pnl)), float(np.mean(returns)), error, float(np.mean(pnl > 0.0)))


def _market_returns(bars: Bars) -> Float64Array:
    """float64 (T,): mean log return from close to close over the symbols with both; the first from its open."""
    before = np.vstack([bars.ohlcv[:1, :, OPEN], bars.ohlcv[:-1, :, CLOSE]])
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.log(bars.close / before)
    known = np.isfinite(moves)
    count = known.sum(axis=1)
    market: Float64Array = np.where(known, moves, 0.0).sum(axis=1) / np.maximum(count, 1)
    return market


def _by_day(market: Float64Array, ends: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Root mean square and efficiency of every day."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    count = np.diff(np.append(starts, ends[-1] + 1))
    total, path = np.add.reduceat(market, starts), np.add.reduceat(np.abs(market), starts)
    efficiency = np.divide(np.abs(total), path, out=np.zeros(len(path)), where=path > 0.0)
    return np.sqrt(np.add.reduceat(market**2, starts) / count), efficiency


def _terciles(values: Float64Array) -> Int64Array:
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left").astype(np.int64)


def _halves(values: Float64Array) -> Int64Array:
    return (values > np.median(values)).astype(np.int64)


def _funding_sign(bars: Bars, days: Int64Array) -> Int64Array:
    """1 where longs paid on average, 0 where shorts did, -1 without a rate or at exactly zero."""
    assert bars.funding is not None  # noqa: S101 - the caller asked
    known = np.isfinite(bars.funding.rate)
    total = np.where(known, bars.funding.rate, 0.0).sum(axis=1)
    stamp_day = bars.funding.time_ms // MS_PER_DAY
    mean = np.array([float(np.sum(total[stamp_day == day])) for day in days])
    return np.where(mean > 0.0, 1, np.where(mean < 0.0, 0, -1)).astype(np.int64)
