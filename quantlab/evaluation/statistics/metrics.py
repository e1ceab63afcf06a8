"""Return statistics as plain functions of arrays.

Sampling
--------
Everything that is *annualised* rests on **daily UTC returns**: the equity at the last bar of each UTC
day (a bar belongs to the date of its open), compounded from the initial cash, times 365 days a year:
perpetuals trade every day, and a day is long enough that neither bid-ask bounce nor the overlap of
open trades dominates the variance. First and last days may be partial, so that the daily returns
compound exactly to the total return. A bar longer than a day earns its return on the day it opens, and the other
days that it covers earn 0: with one return a week, and 365 of them to the year, a Sharpe ratio would be 2.6 times too
large. Drawdowns use every bar.

Units
-----
Returns, volatilities, drawdowns and shares are fractions (0.05 = 5 %), money is USD, durations are
days, ``*_bps`` are basis points of traded notional. The risk-free rate is 0.

A statistic that does not exist is an :class:`Undefined` with its reason, never NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ContractError

DAYS_PER_YEAR = 365
#: A spread of returns below this share of their size is rounding, not risk.
_ROUNDING = 1e-10


@dataclass(frozen=True, slots=True)
class Undefined:
    """A statistic that does not exist here, and why."""

    reason: str


Statistic = float | Undefined


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of daily returns, of which a Sharpe ratio and its error are made.

    Parameters
    ----------
    n : int
        Number of daily returns.
    mean, std : float
        Mean and standard deviation (``ddof=1``).
    skew, kurtosis : float
        Population skewness and kurtosis (3 for a normal).
    """

    n: int
    mean: float
    std: float
    skew: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Mean over standard deviation, *not* annualised."""
        return self.mean / self.std


def span_days(open_time_ms: Int64Array, interval_ms: int) -> float:
    """Days from the first bar's open to the last bar's close."""
    return float(int(open_time_ms[-1]) - int(open_time_ms[0]) + interval_ms) / MS_PER_DAY


def day_ends(open_time_ms: Int64Array) -> Int64Array:
    """int64 (D,): row of the last bar of every UTC day."""
    return period_ends(open_time_ms // MS_PER_DAY)


def days_of(open_time_ms: Int64Array) -> Int64Array:
    """int64 (D,): the UTC days of daily returns, since 1970; of bars longer than a day, all days that they cover.

    Examples
    --------
    >>> days_of(np.array([0, 43_200_000, 86_400_000])).tolist()  # half days
    [0, 1]
    >>> days_of(np.array([345_600_000, 950_400_000])).tolist() == list(range(4, 18))  # weeks
    True
    """
    step_ms = int(np.diff(open_time_ms).min()) if len(open_time_ms) > 1 else MS_PER_DAY
    days = open_time_ms[day_ends(open_time_ms)] // MS_PER_DAY
    if step_ms <= MS_PER_DAY:
        return days
    return np.arange(days[0], days[-1] + step_ms // MS_PER_DAY, dtype=np.int64)


def day_closes(open_time_ms: Int64Array, interval_ms: int) -> Int64Array:
    """int64 (D,): ends of the days of :func:`days_of`, ms; a day ends with the last bar that opens in it."""
    days, ends = days_of(open_time_ms), open_time_ms[day_ends(open_time_ms)] + interval_ms
    return ends if len(ends) == len(days) else (days + 1) * MS_PER_DAY


def per_day(returns: Float64Array, open_time_ms: Int64Array) -> Float64Array:
    """Returns between the last bars of UTC days (..., P), as returns of every day (..., D) of :func:`days_of`."""
    days = days_of(open_time_ms)
    if len(days) == returns.shape[-1]:
        return returns
    spread = np.zeros((*returns.shape[:-1], len(days)))
    spread[..., open_time_ms[day_ends(open_time_ms)] // MS_PER_DAY - days[0]] = returns
    return spread


def period_ends(period: Int64Array) -> Int64Array:
    """int64 (P,): last row of every stretch of equal numbers in `period` (T,)."""
    return np.append(np.flatnonzero(np.diff(period) != 0), len(period) - 1).astype(np.int64)


def daily_returns(equity: Float64Array, open_time_ms: Int64Array, initial_cash: float) -> Float64Array:
    """Simple returns per UTC day, float64 (D,); they compound from `initial_cash` to the last equity.

    A day that ends at or below zero is the last that can earn anything: later days return 0.

    Raises
    ------
    ContractError
        If the arrays differ in length, are empty, or hold a value that is not finite.
    """
    if len(equity) != len(open_time_ms) or len(equity) == 0 or not np.all(np.isfinite(equity)):
        raise ContractError(
            "one finite equity value per bar",
            found=f"{len(equity)} values ({int(np.sum(~np.isfinite(equity)))} not finite), {len(open_time_ms)} bars",
            fix="pass the arrays of one simulation",
        )
    return per_day(returns_between(equity[day_ends(open_time_ms)], initial_cash), open_time_ms)


def returns_between(marks: Float64Array, initial_cash: float) -> Float64Array:
    """Simple returns from each of the marks (..., D) to the next, float64 (..., D), the first from `initial_cash`.

    What follows a mark at or below zero is 0.

    Raises
    ------
    ContractError
        If a mark is not finite, or `initial_cash` is not positive.
    """
    if not np.all(np.isfinite(marks)) or initial_cash <= 0:
        raise ContractError(
            "finite equity and an initial cash above 0",
            found=f"{int(np.sum(~np.isfinite(marks)))} of {marks.size} values not finite, cash {initial_cash!r}",
            fix="pass the marks of one simulation",
        )
    before = np.concatenate((np.full((*marks.shape[:-1], 1), initial_cash), marks[..., :-1]), axis=-1)
    alive = np.minimum.accumulate(before, axis=-1) > 0.0
    returns = np.zeros(marks.shape)
    np.divide(marks - before, before, out=returns, where=alive)
    return returns


def moments(returns: Float64Array) -> Moments | Undefined:
    """Mean, spread and shape of daily returns (D,)."""
    n = len(returns)
    if n < 2:
        return Undefined("fewer than two daily returns")
    mean = float(np.mean(returns))
    centred = returns - mean
    variance = float(np.mean(centred**2))
    if math.sqrt(variance) <= _ROUNDING * max(abs(mean), _ROUNDING):
        return Undefined("the daily returns do not vary")
    return Moments(
        n=n,
        mean=mean,
        std=math.sqrt(variance * n / (n - 1)),
        skew=float(np.mean(centred**3)) / variance**1.5,
        kurtosis=float(np.mean(centred**4)) / variance**2,
    )


def sharpe_error(m: Moments) -> float:
    """Standard error of the daily Sharpe ratio (Mertens 2002; Lo 2002 with skew and kurtosis).

    ``sqrt((1 - skew SR + (kurtosis - 1) / 4 SR^2) / (n - 1))``: the denominator of the probabilistic
    Sharpe ratio, for independent days. The bracket cannot be negative: kurtosis >= skew^2 + 1.
    """
    bracket = 1.0 - m.skew * m.sharpe + (m.kurtosis - 1.0) / 4.0 * m.sharpe**2
    return math.sqrt(max(bracket, 0.0) / (m.n - 1))


def sharpe_ratio(returns: Float64Array) -> Statistic:
    """Annualised: daily mean / standard deviation x sqrt(365) (Sharpe 1994)."""
    m = moments(returns)
    return m if isinstance(m, Undefined) else m.sharpe * math.sqrt(DAYS_PER_YEAR)


def sharpe_standard_error(returns: Float64Array) -> Statistic:
    """Annualised standard error of :func:`sharpe_ratio`; see :func:`sharpe_error`."""
    m = moments(returns)
    return m if isinstance(m, Undefined) else sharpe_error(m) * math.sqrt(DAYS_PER_YEAR)


def annual_volatility(returns: Float64Array) -> Statistic:
    """Standard deviation (``ddof=1``) of daily returns x sqrt(365)."""
    if len(returns) < 2:
        return Undefined("fewer than two daily returns")
    return float(np.std(returns, ddof=1)) * math.sqrt(DAYS_PER_YEAR)


def sortino_ratio(returns: Float64Array) -> Statistic:
    """Annualised mean over the root mean square of losses, all days counted (Sortino and Price 1994)."""
    if len(returns) < 2:
        return Undefined("fewer than two daily returns")
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside == 0.0:
        return Undefined("no losing day")
    return float(np.mean(returns)) / downside * math.sqrt(DAYS_PER_YEAR)


def cagr(initial: float, final: float, days: float) -> Statistic:
    """Compound annual growth rate over 365-day years; -1 when nothing is left.

    Over less than a year it extrapolates: read it beside the total return.
    """
    if final <= 0.0:
        return -1.0
    exponent = math.log(final / initial) * DAYS_PER_YEAR / days
    return math.expm1(exponent) if exponent < 700.0 else Undefined("the growth is too steep to annualise")


def drawdowns(equity: Float64Array, initial_cash: float) -> Float64Array:
    """Fraction below the running peak at every bar, float64 (T,), >= 0; the first peak is the initial cash."""
    peaks = np.maximum(np.maximum.accumulate(equity), initial_cash)
    return 1.0 - equity / peaks


def max_drawdown(equity: Float64Array, initial_cash: float) -> float:
    """Largest fall from a peak, as a positive fraction, over every bar's mark."""
    return float(np.max(drawdowns(equity, initial_cash)))


def max_drawdown_bars(equity: Float64Array, initial_cash: float) -> int:
    """Most bars in a row below an earlier peak; one that has not ended counts up to the last bar."""
    below = drawdowns(equity, initial_cash) > 0.0
    last_peak = np.maximum.accumulate(np.where(below, -1, np.arange(len(below))))
    return int(np.max(np.where(below, np.arange(len(below)) - last_peak, 0)))


def calmar_ratio(growth: Statistic, drawdown: float) -> Statistic:
    """CAGR over the largest drawdown (Young 1991), over the whole period."""
    if isinstance(growth, Undefined):
        return growth
    return growth / drawdown if drawdown > 0.0 else Undefined("no drawdown")


def hit_rate(pnl: Float64Array) -> Statistic:
    """Share of closed trades with a profit after fees; `pnl` in USD (N,)."""
    return float(np.mean(pnl > 0.0)) if len(pnl) else Undefined("no closed trades")


def profit_factor(pnl: Float64Array) -> Statistic:
    """Sum of winning over sum of losing closed trades; `pnl` in USD (N,)."""
    if len(pnl) == 0:
        return Undefined("no closed trades")
    lost = -float(np.sum(pnl[pnl < 0.0]))
    return float(np.sum(pnl[pnl > 0.0])) / lost if lost > 0.0 else Undefined("no losing trade")


def turnover(notional: float, equity: Float64Array, days: float) -> Statistic:
    """Traded notional per day as a multiple of the average equity, buys and sells both counted."""
    average = float(np.mean(equity))
    return notional / average / days if average > 0.0 else Undefined("the average equity is not positive")


def exposure(gross: Float64Array, equity: Float64Array) -> Statistic:
    """Average gross position value over equity, at the closes of bars with positive equity."""
    alive = equity > 0.0
    return float(np.mean(gross[alive] / equity[alive])) if np.any(alive) else Undefined("equity was never positive")


def cost_share(net: float, costs: float) -> Statistic:
    """Share of the profit before costs that went to costs; above 1 the costs turned a profit into a loss."""
    before = net + costs
    return costs / before if before > 0.0 else Undefined("no profit before costs to pay them from")


def per_notional_bps(usd: float, notional: float) -> Statistic:
    """USD per traded notional, in basis points of one side.

    Of the costs: what a fill cost. Of the P&L before fees and slippage: the *break-even cost*, at
    which the net result would have been zero (negative: it loses even when trading is free).
    """
    return usd / notional * 1e4 if notional > 0.0 else Undefined("nothing was traded")
