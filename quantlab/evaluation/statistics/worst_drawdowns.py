"""Drawdowns one by one: where each began, was deepest and ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.evaluation.statistics.metrics import drawdowns

#: Drawdowns that a report lists.
LISTED = 10


@dataclass(frozen=True)
class Drawdown:
    """One stretch of bars below an earlier peak.

    Parameters
    ----------
    start_ms, trough_ms : int
        Close of the peak's bar (the open of the first bar where the peak is the initial cash), and of the lowest bar.
    recovery_ms : int or None
        Close of the first bar at or above the peak; None if there was none.
    end_ms : int
        The same, or the last bar's close.
    depth : float
        Largest fall from the peak, as a positive fraction.
    """

    start_ms: int
    trough_ms: int
    recovery_ms: int | None
    end_ms: int
    depth: float

    @property
    def days(self) -> float:
        """Days from the start to the recovery, or to the last bar."""
        return (self.end_ms - self.start_ms) / MS_PER_DAY

    @property
    def recovery_days(self) -> float | None:
        """Days from the trough to the recovery."""
        return None if self.recovery_ms is None else (self.recovery_ms - self.trough_ms) / MS_PER_DAY


def worst_drawdowns(
    equity: Float64Array, close_time_ms: Int64Array, start_ms: int, initial_cash: float, count: int = LISTED
) -> tuple[Drawdown, ...]:
    """The `count` deepest drawdowns, the deepest first (Young 1991; as in pyfolio's ``gen_drawdown_table``, on every bar).

    They do not overlap: one ends where the equity is back at its peak, and only then can the next begin.

    Parameters
    ----------
    equity : float64 (T,)
        USD at every bar's close.
    close_time_ms : int64 (T,)
    start_ms : int
        Open of the first bar, at which the account held `initial_cash`.
    initial_cash : float
    count : int
    """
    falls = np.append(0.0, drawdowns(equity, initial_cash))
    times = np.append(start_ms, close_time_ms)
    peaks = np.flatnonzero(falls <= 0.0)
    found = [
        _between(falls, times, int(peak), int(end)) for peak, end in pairwise([*peaks, len(falls)]) if end > peak + 1
    ]
    return tuple(sorted(found, key=lambda one: (-one.depth, one.start_ms))[:count])


def _between(falls: Float64Array, times: Int64Array, peak: int, end: int) -> Drawdown:
    """The drawdown in rows ``peak + 1 : end``; `end` is the row of its recovery, or behind the last row."""
    trough = peak + 1 + int(np.argmax(falls[peak + 1 : end]))
    recovered = int(times[end]) if end < len(times) else None
    last = int(times[-1]) if recovered is None else recovered
    return Drawdown(int(times[peak]), int(times[trough]), recovered, last, float(falls[trough]))


def drawdown_numbers(rows: tuple[Drawdown, ...]) -> list[dict[str, Any]]:
    """JSON-safe, the deepest first, for ``metrics.json``."""
    return [
        {
            **{
                name.replace("_ms", ""): iso_utc(value) if isinstance(value, int) else value
                for name, value in asdict(row).items()
                if name != "end_ms"
            },
            "days": row.days,
            "recovery_days": row.recovery_days,
        }
        for row in rows
    ]
