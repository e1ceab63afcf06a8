"""Everything that a tear sheet unfolds about one account, computed once for the page and for ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.benchmarks import RANDOM_SIGNAL
from quantlab.evaluation.statistics.exposure_path import ExposurePath, exposure_path
from quantlab.evaluation.statistics.market_relation import market_relation
from quantlab.evaluation.statistics.metrics import Statistic, Undefined, daily_returns, days_of
from quantlab.evaluation.statistics.months import YearRow, month_numbers, monthly_returns
from quantlab.evaluation.statistics.sides import SideRow, by_side, side_numbers
from quantlab.evaluation.statistics.tails import tails
from quantlab.evaluation.statistics.trades import Trades, round_trips
from quantlab.evaluation.statistics.win_loss import win_loss
from quantlab.evaluation.statistics.worst_drawdowns import Drawdown, drawdown_numbers, worst_drawdowns


@dataclass(frozen=True)
class AccountDetails:
    """One account in detail.

    Parameters
    ----------
    days : int
        Daily returns.
    trades : Trades
    months : tuple of YearRow
    drawdowns : tuple of Drawdown
        The deepest first.
    sides : tuple of SideRow
        Long, short, both.
    win_loss, tails, exposure : dict of name to float or Undefined
    market : dict of benchmark name to dict of name to float or Undefined
    path : ExposurePath
    """

    days: int
    trades: Trades
    months: tuple[YearRow, ...]
    drawdowns: tuple[Drawdown, ...]
    sides: tuple[SideRow, ...]
    win_loss: dict[str, Statistic]
    tails: dict[str, Statistic]
    exposure: dict[str, Statistic]
    market: dict[str, dict[str, Statistic]]
    path: ExposurePath


def account_details(simulation: Simulation, bars: Bars, benchmarks: Mapping[str, Float64Array]) -> AccountDetails:
    """Compute every part.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated, (T, S).
    benchmarks : dict of name to float64 (T,)
        Equity in USD; the random signal, which is no market, is left out.
    """
    times, cash = simulation.open_time_ms, simulation.initial_cash
    returns = daily_returns(simulation.equity, times, cash)
    trades, path = round_trips(simulation, bars), exposure_path(simulation, bars)
    return AccountDetails(
        days=len(returns),
        trades=trades,
        months=monthly_returns(days_of(times), returns),
        drawdowns=worst_drawdowns(simulation.equity, bars.close_time_ms, int(times[0]), cash),
        sides=by_side(simulation, bars, trades.records, path),
        win_loss=win_loss(trades.records, bars),
        tails=tails(returns),
        exposure=exposure_statistics(path),
        market={
            name: market_relation(returns, daily_returns(equity, times, cash))
            for name, equity in benchmarks.items()
            if name != RANDOM_SIGNAL
        },
        path=path,
    )


def exposure_statistics(path: ExposurePath) -> dict[str, Statistic]:
    """Means and extremes of position values over equity, at the closes of bars with positive equity."""
    alive = path.equity > 0.0
    long, short, maintenance = (path.share(usd)[alive] for usd in (path.long, path.short, path.maintenance))
    parts: dict[str, tuple[Callable[[Float64Array], Any], Float64Array]] = {
        "gross_mean": (np.mean, long + short),
        "gross_max": (np.max, long + short),
        "net_mean": (np.mean, long - short),
        "net_min": (np.min, long - short),
        "net_max": (np.max, long - short),
        "long_mean": (np.mean, long),
        "long_max": (np.max, long),
        "short_mean": (np.mean, short),
        "short_max": (np.max, short),
        "maintenance_max": (np.max, maintenance),
    }
    dead = Undefined("equity was never positive")
    return {name: float(statistic(share)) if alive.any() else dead for name, (statistic, share) in parts.items()}


def detail_numbers(details: AccountDetails) -> dict[str, Any]:
    """JSON-safe, for ``metrics.json``; undefined numbers are None and have their reason in ``undefined`` beside them."""
    return {
        "months": month_numbers(details.months),
        "worst_drawdowns": drawdown_numbers(details.drawdowns),
        "sides": side_numbers(details.sides),
        "win_loss": plain(details.win_loss),
        "tails": plain(details.tails),
        "exposure": plain(details.exposure),
        "market": {name: plain(found) for name, found in details.market.items()},
    }


def plain(found: Mapping[str, Statistic]) -> dict[str, Any]:
    """Numbers by name, None where undefined, with the reasons in ``undefined``."""
    return {
        **{name: None if isinstance(value, Undefined) else value for name, value in found.items()},
        "undefined": {name: value.reason for name, value in found.items() if isinstance(value, Undefined)},
    }
