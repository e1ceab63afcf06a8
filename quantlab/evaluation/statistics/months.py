"""Returns by calendar month and year."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array


@dataclass(frozen=True)
class YearRow:
    """One calendar year, UTC.

    Parameters
    ----------
    year : int
    months : tuple of 12 float or None
        Compounded return of each month, as fractions; None for a month without a day of the run.
    total : float
        Compounded over the days of the run in this year.
    """

    year: int
    months: tuple[float | None, ...]
    total: float


def monthly_returns(days: Int64Array, returns: Float64Array) -> tuple[YearRow, ...]:
    """Daily returns compounded by month: ``prod(1 + r) - 1``; years without a day of the run are left out.

    Parameters
    ----------
    days : int64 (D,)
        UTC days since 1970, increasing.
    returns : float64 (D,)
        Simple returns of these days. First and last month may be partial.
    """
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    found = {int(m): math.prod((1.0 + returns[month == m]).tolist()) - 1.0 for m in np.unique(month)}
    rows = []
    for year in sorted({m // 12 for m in found}):
        months = tuple(found.get(12 * year + i) for i in range(12))
        rows.append(YearRow(1970 + year, months, math.prod(1.0 + r for r in months if r is not None) - 1.0))
    return tuple(rows)


def month_numbers(rows: tuple[YearRow, ...]) -> dict[str, float]:
    """JSON-safe, ``"2025-03"`` to its return, for ``metrics.json``."""
    return {
        f"{row.year}-{i:02d}": value for row in rows for i, value in enumerate(row.months, start=1) if value is not None
    }
