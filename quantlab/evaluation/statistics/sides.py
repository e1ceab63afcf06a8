"""Long against short: the trades, results and costs of each side of an account."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Records
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics import metrics
from quantlab.evaluation.statistics.exposure_path import ExposurePath
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.slippage import fill_slippage


@dataclass(frozen=True)
class SideRow:
    """One side, or both together.

    Parameters
    ----------
    side : {"long", "short", "both"}
    trades : int
        Closed round trips.
    net_pnl : float
        USD of all its trades, open ones at the last mark, after fees and slippage, before funding.
    fees, slippage : float
        USD.
    hit_rate, mean_return, profit_factor : float or None
        Of the closed trades; the mean of P&L over notional at entry, every trade alike.
    exposure : float or None
        Mean position value of this side over equity, at the closes.
    undefined : dict of number name to reason
    """

    side: str
    trades: int
    net_pnl: float
    fees: float
    slippage: float
    hit_rate: float | None
    mean_return: float | None
    profit_factor: float | None
    exposure: float | None
    undefined: dict[str, str]

    @property
    def costs(self) -> float:
        """Fees and slippage, USD."""
        return self.fees + self.slippage


def by_side(simulation: Simulation, bars: Bars, trades: Records, path: ExposurePath) -> tuple[SideRow, ...]:
    """Long, short and both.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The very bars that were simulated.
    trades : TRADE_DTYPE (N,)
        All trades of the simulation.
    path : ExposurePath
        Of the simulation.
    """
    slippage, long_share = fill_slippage(simulation, bars), long_shares(simulation)
    parts = (
        ("long", trades["side"] > 0, long_share, path.long),
        ("short", trades["side"] < 0, 1.0 - long_share, path.short),
        ("both", trades["side"] != 0, np.ones(len(slippage)), path.long + path.short),
    )
    return tuple(
        _row(side, trades[mine], float(np.sum(slippage * share)), metrics.exposure(usd, path.equity))
        for side, mine, share, usd in parts
    )


def long_shares(simulation: Simulation) -> Float64Array:
    """Share of every fill that opened, added to or closed a long, float64 (N,); a fill that crosses zero has both sides."""
    orders = simulation.orders
    shares = np.empty(len(orders))
    signed = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    for s in np.unique(orders["col"]):
        mine = orders["col"] == s
        after = np.cumsum(signed[mine])
        before = after - signed[mine]
        # A fill moves through the units from `before` to `after`; those above zero are long.
        above = np.abs(np.maximum(after, 0.0) - np.maximum(before, 0.0))
        shares[mine] = above / np.abs(signed[mine])
    return np.clip(shares, 0.0, 1.0)


def side_numbers(rows: tuple[SideRow, ...]) -> dict[str, dict[str, Any]]:
    """JSON-safe, by side, for ``metrics.json``."""
    return {row.side: {name: value for name, value in asdict(row).items() if name != "side"} for row in rows}


def _row(side: str, trades: Records, slippage: float, exposure: Statistic) -> SideRow:
    closed = trades[trades["closed"]]
    returns = closed["pnl"] / (closed["entry_price"] * closed["size"])
    found = {
        "hit_rate": metrics.hit_rate(closed["pnl"]),
        "mean_return": float(np.mean(returns)) if len(closed) else Undefined("no closed trades"),
        "profit_factor": metrics.profit_factor(closed["pnl"]),
        "exposure": exposure,
    }
    return SideRow(
        side=side,
        trades=len(closed),
        net_pnl=float(np.sum(trades["pnl"])),
        fees=float(np.sum(trades["fees"])),
        slippage=slippage,
        **{name: None if isinstance(value, Undefined) else value for name, value in found.items()},
        undefined={name: value.reason for name, value in found.items() if isinstance(value, Undefined)},
    )
