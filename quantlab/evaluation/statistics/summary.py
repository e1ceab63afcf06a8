"""One simulation in numbers, JSON-safe: what ``metrics.json`` and the tear sheet show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlab.core.checks import check_range
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ContractError
from quantlab.core.market import OPEN, VOLUME, Bars
from quantlab.core.results import OrderReason, RiskEvent, Simulation
from quantlab.core.rule_spans import rule_in_cells
from quantlab.evaluation.statistics import metrics
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.slippage import slippage_usd
from quantlab.evaluation.statistics.trades import Trades, exit_share, round_trips


def summarise(
    simulation: Simulation,
    bars: Bars,
    *,
    participation: float | None = None,
    entry_weight: float | None = None,
    stop_hit_baseline: float | None = None,
    coarsest_order_usd: float = math.inf,
) -> dict[str, Any]:
    """Every number of one run.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated, (T, S).
    participation : float, optional
        Share of a bar's volume that an order may take, for the capacity.
    entry_weight : float, optional
        Fraction of equity that an uncut entry takes, likewise. Filled sizes will not do: they are
        already cut to what the volume allows.
    stop_hit_baseline : float, optional
        Share of blind entries with the same barriers that are stopped first.
    coarsest_order_usd : float, optional
        A smallest order above it counts as unknown, as in the account; without it none does.

    Returns
    -------
    dict of str to float, int, None or dict
        Fractions, USD and days as in :mod:`quantlab.evaluation.statistics.metrics`. What does not exist is None
        and has its reason in ``undefined``. ``trades`` counts closed round trips; the trade statistics
        are after fees and before funding, which the account pays as a whole; ``slippage`` is
        exact at opens, and for stops it is valued at the average rate of the fills at opens.
        ``turnover`` is per day; ``cost_share`` is fees, slippage, funding and liquidation fees over the
        profit before them; ``cost_bps`` and ``break_even_cost_bps`` are fees and slippage per traded
        notional, paid and bearable; ``dust_share`` is the share of fills below the instrument's smallest
        order, which the participation cap leaves behind; ``capacity_usd`` is the account size whose uncut entries reach the participation cap in the median
        entry bar.

    Raises
    ------
    ContractError
        If `bars` are not the simulation's own.
    """
    check_same_bars(simulation, bars)
    trades = round_trips(simulation, bars)
    statistics = {
        **_path_statistics(simulation),
        **_trade_statistics(trades, stop_hit_baseline),
        **_cost_statistics(simulation, bars),
        **_fill_statistics(simulation, bars, coarsest_order_usd),
        "capacity_usd": _capacity(simulation, bars, participation, entry_weight),
    }
    kinds = simulation.events["kind"]
    return {
        "bars": len(simulation.equity),
        "days": metrics.span_days(simulation.open_time_ms, simulation.interval_ms),
        "symbols": len(simulation.symbols),
        "initial_cash": float(simulation.initial_cash),
        "final_equity": float(simulation.equity[-1]),
        "orders": len(simulation.orders),
        "trades": len(trades.closed),
        "open_positions": len(trades.open),
        "missing_funding": simulation.missing_funding,
        "stale_marks": simulation.stale_marks,
        "events": {kind.name.lower(): int(np.sum(kinds == kind)) for kind in RiskEvent},
        "cuts": {rule: int(count) for rule, count in simulation.cuts.items()},
        **{name: None if isinstance(value, Undefined) else value for name, value in statistics.items()},
        "undefined": {name: value.reason for name, value in statistics.items() if isinstance(value, Undefined)},
    }


def check_same_bars(simulation: Simulation, bars: Bars) -> None:
    """Raise ContractError unless times and symbols of both are the same."""
    same_time = np.array_equal(simulation.open_time_ms, bars.open_time_ms)
    if not same_time or simulation.symbols != bars.symbols or len(simulation.equity) != bars.n_bars:
        raise ContractError(
            f"the {len(simulation.equity)} bars x {len(simulation.symbols)} symbols that were simulated",
            found=f"{bars.n_bars} bars x {bars.n_symbols} symbols" + ("" if same_time else " at other times"),
            fix="pass bars.rows(first_row, last_row) of the study",
        )


def _path_statistics(simulation: Simulation) -> dict[str, Statistic]:
    equity, cash = simulation.equity, simulation.initial_cash
    returns = metrics.daily_returns(equity, simulation.open_time_ms, cash)
    growth = metrics.cagr(cash, float(equity[-1]), metrics.span_days(simulation.open_time_ms, simulation.interval_ms))
    drawdown = metrics.max_drawdown(equity, cash)
    return {
        "net_pnl": float(equity[-1]) - cash,
        "total_return": float(equity[-1]) / cash - 1.0,
        "cagr": growth,
        "volatility": metrics.annual_volatility(returns),
        "sharpe": metrics.sharpe_ratio(returns),
        "sharpe_se": metrics.sharpe_standard_error(returns),
        "sortino": metrics.sortino_ratio(returns),
        "calmar": metrics.calmar_ratio(growth, drawdown),
        "max_drawdown": drawdown,
        "max_drawdown_days": metrics.max_drawdown_bars(equity, cash) * simulation.interval_ms / MS_PER_DAY,
        "exposure": metrics.exposure(simulation.gross, equity),
        "time_in_market": float(np.mean(simulation.gross > 0.0)),
    }


def _trade_statistics(trades: Trades, stop_hit_baseline: float | None) -> dict[str, Statistic]:
    closed = trades.closed
    pnl = closed["pnl"]
    none = Undefined("no closed trades")
    return {
        "hit_rate": metrics.hit_rate(pnl),
        "profit_factor": metrics.profit_factor(pnl),
        "average_trade": float(np.mean(pnl)) if len(pnl) else none,
        "stop_hit_share": _or_undefined(exit_share(closed, OrderReason.STOP), none),
        "take_profit_share": _or_undefined(exit_share(closed, OrderReason.TAKE_PROFIT), none),
        "stop_hit_baseline": _or_undefined(stop_hit_baseline, Undefined("no baseline was measured for these barriers")),
    }


def _cost_statistics(simulation: Simulation, bars: Bars) -> dict[str, Statistic]:
    net = float(simulation.equity[-1]) - simulation.initial_cash
    notional = float(np.sum(simulation.orders["size"] * simulation.orders["price"]))
    fees = float(np.sum(simulation.orders["fees"]))
    slippage = slippage_usd(simulation, bars)
    liquidation = float(np.sum(simulation.liquidation_fees))
    funding = float(np.sum(simulation.funding))
    costs = fees + slippage + liquidation + funding
    days = metrics.span_days(simulation.open_time_ms, simulation.interval_ms)
    return {
        "traded_notional": notional,
        "turnover": metrics.turnover(notional, simulation.equity, days),
        "fees": fees,
        "slippage": slippage,
        "funding": funding if simulation.has_funding else Undefined("no funding data"),
        "liquidation_fees": liquidation,
        "costs": costs,
        "cost_share": metrics.cost_share(net, costs),
        "cost_bps": metrics.per_notional_bps(fees + slippage, notional),
        "break_even_cost_bps": metrics.per_notional_bps(net + fees + slippage, notional),
    }


def _fill_statistics(simulation: Simulation, bars: Bars, coarsest_order_usd: float) -> dict[str, Statistic]:
    """Breadth and dust: how many symbols got a position, and how many fills are below the smallest order."""
    orders = simulation.orders
    smallest = rule_in_cells(bars, "min_notional", orders["idx"], orders["col"])
    notional = orders["size"] * orders["price"]
    return {
        "symbols_traded": len(np.unique(orders["col"])),
        "dust_share": float(np.mean((notional < smallest) & (smallest <= coarsest_order_usd)))
        if len(orders)
        else Undefined("no fills"),
    }


def _capacity(simulation: Simulation, bars: Bars, participation: float | None, weight: float | None) -> Statistic:
    if participation is None or weight is None:
        return Undefined("no participation cap, or no fixed weight of an entry")
    check_range("participation", participation, low=0.0, high=1.0)
    trades = round_trips(simulation, bars).records
    if len(trades) == 0:
        return Undefined("nothing was traded")
    row, column = trades["entry_idx"], trades["symbol"]
    room = participation * bars.ohlcv[row, column, VOLUME] * bars.ohlcv[row, column, OPEN]
    return float(np.median(room) / weight)


def _or_undefined(value: float | None, otherwise: Undefined) -> Statistic:
    return otherwise if value is None else float(value)
