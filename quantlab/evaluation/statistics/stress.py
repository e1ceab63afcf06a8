"""Other costs, other account sizes: the evidence run replayed with the same signal and strategy.

Costs: maker fee, taker fee and slippage times a multiple; funding and the liquidation fee are the venue's
and stay. Account size: the initial cash on a logarithmic grid. Orders are cut at the participation cap, and
what is not filled is not traded: larger accounts earn less because they cannot get in, or not out in
time. Beyond the cap no price impact is modelled, so every curve here is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.summary import summarise

#: What a replay keeps of its summary.
_SUMMARY_KEYS = (
    "net_pnl",
    "total_return",
    "sharpe",
    "sharpe_se",
    "max_drawdown",
    "exposure",
    "trades",
    "orders",
    "cost_bps",
)


@dataclass(frozen=True)
class StressPlan:
    """Replays to make: multiples of the costs, sizes of the account; empty and 0 = none.

    Parameters
    ----------
    cost_multiples : sequence of float
        Of fees and slippage; 1 is the run itself, 0 is free trading.
    account_low, account_high : float
        Smallest and largest initial cash, USD.
    accounts : int
        Sizes between them, evenly spaced in the logarithm; 0 = no capacity curve.

    Raises
    ------
    ConfigError
        If a value is out of its range or a multiple is repeated.
    """

    cost_multiples: Sequence[float]
    account_low: float
    account_high: float
    accounts: int

    def __post_init__(self) -> None:
        for multiple in self.cost_multiples:
            check_range("stress.cost_multiples", multiple, low=0.0, high=100.0)
        if len(set(self.cost_multiples)) != len(self.cost_multiples):
            raise ConfigError(
                "every stress.cost_multiples once", found=str(list(self.cost_multiples)), fix="drop the repeated one"
            )
        check_range("stress.account_low", self.account_low, low=1.0)
        check_range("stress.account_high", self.account_high, low=self.account_low)
        check_whole("stress.accounts", self.accounts, low=0, high=200)
        object.__setattr__(self, "cost_multiples", tuple(sorted(float(m) for m in self.cost_multiples)))

    @property
    def sizes(self) -> tuple[float, ...]:
        """Initial cash of the capacity curve, USD, ascending."""
        return tuple(float(size) for size in np.geomspace(self.account_low, self.account_high, self.accounts))


#: No replays at all.
NO_STRESS = StressPlan((), 1_000.0, 10_000_000.0, 0)


@dataclass(frozen=True)
class StressAccount:
    """One replay.

    Parameters
    ----------
    at : float
        The multiple, or the initial cash in USD.
    numbers : dict
        As in :func:`quantlab.evaluation.statistics.summary.summarise`; ``cut_fills`` counts the legs that the
        participation cap cut.
    undefined : dict of number name to reason
    """

    at: float
    numbers: dict[str, Any]
    undefined: dict[str, str]


@dataclass(frozen=True)
class Stress:
    """All replays, each series ascending.

    Parameters
    ----------
    costs, accounts : tuple of StressAccount
    participation : float or None
        The cap; without one the size of an account changes nothing, and nothing is replayed for it.
    """

    costs: tuple[StressAccount, ...]
    accounts: tuple[StressAccount, ...]
    participation: float | None


def measure_account(at: float, simulation: Simulation, bars: Bars) -> StressAccount:
    """Numbers of one replay."""
    summary = summarise(simulation, bars)
    numbers = {name: summary[name] for name in _SUMMARY_KEYS} | {
        "cut_fills": int(simulation.cuts.get("participation", 0))
    }
    return StressAccount(
        at, numbers, {name: why for name, why in summary["undefined"].items() if name in _SUMMARY_KEYS}
    )


def break_even_multiple(costs: Sequence[StressAccount]) -> Statistic:
    """The multiple of fees and slippage at which the net P&L is zero, linear between the replays around it."""
    if len(costs) < 2:
        return Undefined("fewer than two multiples of the costs were replayed")
    if not any(run.numbers["orders"] for run in costs):
        return Undefined("nothing was traded")
    for left, right in pairwise(costs):
        before, after = float(left.numbers["net_pnl"]), float(right.numbers["net_pnl"])
        if before > 0.0 >= after:
            return left.at + (right.at - left.at) * before / (before - after)
    if costs[0].numbers["net_pnl"] > 0.0:
        return Undefined(f"still a profit at {costs[-1].at:g} x the costs")
    free = "when trading is free" if costs[0].at == 0.0 else f"at {costs[0].at:g} x the costs"
    return Undefined(f"a loss even {free}")


def half_return_usd(accounts: Sequence[StressAccount]) -> Statistic:
    """Account size at which half of the smallest account's return is left, log-linear between replays."""
    if len(accounts) < 2:
        return Undefined("fewer than two account sizes were replayed")
    half = accounts[0].numbers["total_return"] / 2.0
    if half <= 0.0:
        return Undefined("the smallest account earned nothing")
    for left, right in pairwise(accounts):
        before, after = float(left.numbers["total_return"]), float(right.numbers["total_return"])
        if before > half >= after:
            share = (before - half) / (before - after)
            return math.exp(math.log(left.at) + share * math.log(right.at / left.at))
    return Undefined(f"more than half of it is left at {accounts[-1].at:,.0f} USD")


def stress_numbers(stress: Stress | None) -> dict[str, Any]:
    """JSON-safe, for ``metrics.json``; empty where nothing was replayed."""
    if stress is None:
        return {}
    found = {
        "break_even_multiple": break_even_multiple(stress.costs),
        "half_return_usd": half_return_usd(stress.accounts),
    }
    return {
        "costs": [_row("multiple", run) for run in stress.costs],
        "accounts": [_row("initial_cash", run) for run in stress.accounts],
        **{name: None if isinstance(value, Undefined) else value for name, value in found.items()},
        "undefined": {name: value.reason for name, value in found.items() if isinstance(value, Undefined)},
    }


def _row(name: str, run: StressAccount) -> dict[str, Any]:
    return {name: run.at, **run.numbers, "undefined": run.undefined}
