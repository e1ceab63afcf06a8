"""Statistics over all results of a sweep: ranks, dispersion, and trials for the deflation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ContractError
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Undefined, moments, sharpe_error
from quantlab.evaluation.verdict.rule import Trials


@dataclass(frozen=True)
class SweepTable:
    """Parameter sets and what became of them, row by row.

    Parameters
    ----------
    names : tuple of str
        Parameters that were varied.
    values : tuple of dict of name to value, length N
    daily_returns : float64 (N, D)
    numbers : dict of column name to array (N,)
        Other results per row: ``final_equity``, ``trades``, ``costs``, ...
    tried : int
        Everything that was tried, >= N: impossible parameter sets too.

    Raises
    ------
    ContractError
        If the lengths differ.
    """

    names: tuple[str, ...]
    values: tuple[dict[str, Any], ...]
    daily_returns: Float64Array
    numbers: dict[str, Float64Array | Int64Array]
    tried: int

    def __post_init__(self) -> None:
        lengths = {len(self.values), len(self.daily_returns), *map(len, self.numbers.values())}
        if len(lengths) != 1 or 0 in lengths or self.tried < len(self.values):
            raise ContractError(
                "one result for every parameter set, and at least one",
                found=f"lengths {sorted(lengths)} of {self.tried} tried",
                fix="give the sweep's own values and results",
            )

    def __len__(self) -> int:
        return len(self.values)


def daily_sharpes(daily_returns: Float64Array) -> Float64Array:
    """float64 (N,): daily Sharpe ratio of every row of (N, D), *not* annualised; NaN where undefined."""
    ratios = (moments(returns) for returns in daily_returns)
    return np.array([math.nan if isinstance(m, Undefined) else m.sharpe for m in ratios])


def annualised(daily: Float64Array) -> Float64Array:
    """Annualised Sharpe ratios."""
    annualised: Float64Array = daily * math.sqrt(DAYS_PER_YEAR)
    return annualised


def ranking(sharpe: Float64Array, trades: Int64Array, min_trades: int) -> Int64Array:
    """Rows from the best on: those with enough trades first, then by Sharpe ratio, undefined ones last.

    A few lucky trades would otherwise head every list, and the verdict on them is "not enough data". Ties go
    to the earlier row.

    Parameters
    ----------
    sharpe : float64 (N,)
    trades : int64 (N,)
        Round trips.
    min_trades : int
    """
    score = np.where(np.isfinite(sharpe), sharpe, -np.inf)
    return np.lexsort((np.arange(len(score)), -score, trades < min_trades)).astype(np.int64)


def trials_of(table: SweepTable) -> Trials:
    """All that was tried, for the deflated Sharpe ratio and the probability of overfitting.

    Every parameter set counts as a trial, although neighbours are alike: taking them for independent makes the
    deflation severe, which is the side to err on. Of a sweep over assumptions too, give the part of one scenario.
    """
    daily = daily_sharpes(table.daily_returns)
    returns = np.ascontiguousarray(table.daily_returns.T)
    return Trials(table.tried, sharpe=daily[np.isfinite(daily)], returns=returns)


def sharpe_dispersion(daily_returns: Float64Array) -> tuple[float, float] | None:
    """Deviation between the Sharpe ratios, and the error of a single one by chance; None for fewer than two.

    Where the first is much larger than the second, the parameter sets differ in what they do and pay, not in
    luck; :mod:`quantlab.evaluation.verdict.deflation` takes no more of it for luck than chance can make.

    Parameters
    ----------
    daily_returns : float64 (N, D)

    Returns
    -------
    tuple of float
        Annualised: standard deviation over the rows, and their median standard error.
    """
    shapes = (m for m in map(moments, daily_returns) if not isinstance(m, Undefined))
    known = np.array([(m.sharpe, sharpe_error(m)) for m in shapes])
    if len(known) < 2:
        return None
    return float(annualised(np.std(known[:, 0], ddof=1))), float(annualised(np.median(known[:, 1])))


def count_distinct(daily_returns: Float64Array) -> int:
    """Count the rows (N, D) that differ from all rows before them, to the bit."""
    return len({blake2b(row.tobytes(), digest_size=16).digest() for row in daily_returns})


def sharpe_quantiles(sharpe: Float64Array) -> dict[str, float | None]:
    """Quantiles of the Sharpe ratios that exist, and the share of them above zero; None without one."""
    known = sharpe[np.isfinite(sharpe)]
    shares = {"minimum": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "maximum": 1.0}
    quantiles = {name: float(np.quantile(known, q)) if len(known) else None for name, q in shares.items()}
    return quantiles | {"positive_share": float(np.mean(known > 0.0)) if len(known) else None}
