"""Wins and losses of closed trades: sizes, streaks, holding times, excursions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Records
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.market import Bars
from quantlab.evaluation.statistics.excursions import excursions
from quantlab.evaluation.statistics.metrics import Statistic, Undefined

#: Fewer trades than this give no error of a mean.
_MIN_FOR_ERROR = 10


def win_loss(trades: Records, bars: Bars) -> dict[str, Statistic]:
    """Statistics of closed trades, after fees and slippage, before funding.

    A win has a P&L above 0, a loss below; a trade that made exactly 0 is neither, counts in every mean over all trades and
    ends a streak. ``payoff`` is the mean win over the mean loss (Tharp's payoff ratio), ``expectancy`` the mean P&L of a
    trade, ``hit rate x mean win + loss rate x mean loss``, ``expectancy_return`` the same of its return with
    ``expectancy_return_se = std / sqrt(N)``. Returns are over the notional at entry. Streaks are in the order of the exits.
    Holding times are in whole bars, ``holding_*_days`` in days. ``mae_of_wins`` and ``mfe_of_losses`` are medians of
    :func:`~quantlab.evaluation.statistics.excursions.excursions`: how far winners were behind, and losers ahead.

    Parameters
    ----------
    trades : TRADE_DTYPE (N,)
        All trades; open ones are left out.
    bars : Bars
        The bars that were simulated.
    """
    closed = trades[trades["closed"]]
    pnl, returns = closed["pnl"], closed["pnl"] / (closed["entry_price"] * closed["size"])
    won, lost = pnl > 0.0, pnl < 0.0
    in_order = np.argsort(closed["exit_idx"], kind="stable")
    mae, mfe = excursions(closed, bars)
    days = (closed["exit_idx"] - closed["entry_idx"]) * (bars.interval_ms / MS_PER_DAY)
    every = np.ones(len(closed), np.bool_)
    mean_win, mean_loss = _of(np.mean, pnl, won, "winning"), _of(np.mean, pnl, lost, "losing")
    return {
        "wins": int(won.sum()),
        "losses": int(lost.sum()),
        "mean_win": mean_win,
        "mean_loss": mean_loss,
        "mean_win_return": _of(np.mean, returns, won, "winning"),
        "mean_loss_return": _of(np.mean, returns, lost, "losing"),
        "payoff": _ratio(mean_win, mean_loss),
        "expectancy": _of(np.mean, pnl, every, "closed"),
        "expectancy_return": _of(np.mean, returns, every, "closed"),
        "expectancy_return_se": _mean_error(returns),
        "best_trade": _of(np.max, pnl, every, "closed"),
        "worst_trade": _of(np.min, pnl, every, "closed"),
        "best_trade_return": _of(np.max, returns, every, "closed"),
        "worst_trade_return": _of(np.min, returns, every, "closed"),
        "longest_winning_streak": longest_streak(won[in_order]),
        "longest_losing_streak": longest_streak(lost[in_order]),
        "holding_median_days": _of(np.median, days, every, "closed"),
        "holding_wins_median_days": _of(np.median, days, won, "winning"),
        "holding_losses_median_days": _of(np.median, days, lost, "losing"),
        "holding_longest_days": _of(np.max, days, every, "closed"),
        "mae_of_wins": _of(np.median, mae, won, "winning"),
        "mfe_of_losses": _of(np.median, mfe, lost, "losing"),
    }


def longest_streak(hits: BoolArray) -> int:
    """Most hits in a row.

    Examples
    --------
    >>> longest_streak(np.array([True, True, False, True]))
    2
    """
    misses = np.flatnonzero(~np.concatenate(([False], hits, [False])))
    return int(np.max(np.diff(misses))) - 1


def _of(statistic: Callable[[Float64Array], Any], values: Float64Array, mine: BoolArray, kind: str) -> Statistic:
    return float(statistic(values[mine])) if mine.any() else Undefined(f"no {kind} trade")


def _ratio(win: Statistic, loss: Statistic) -> Statistic:
    if isinstance(win, Undefined):
        return win
    return loss if isinstance(loss, Undefined) else win / -loss


def _mean_error(returns: Float64Array) -> Statistic:
    n = len(returns)
    if n < _MIN_FOR_ERROR:
        return Undefined(f"{n} of the {_MIN_FOR_ERROR} trades that an error needs")
    return float(np.std(returns, ddof=1)) / math.sqrt(n)
