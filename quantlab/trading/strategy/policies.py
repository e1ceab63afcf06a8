"""The policies that ship: what to hold.

A policy is a frozen dataclass whose ``step`` is a compiled function of the signature :data:`STEP`::

    step(params, memory, market, account, intents) -> None

It runs once per bar, at the close, for all symbols. It reads `params`, `market` and `account`
(read-only by type: a policy that writes to them does not compile) and writes `memory` and
`intents`; see :mod:`quantlab.trading.interface.policy`. Everything that may vary is in ``params()``, so that another value never recompiles.
"""

# ruff: noqa: ARG001 - a function of a fixed signature keeps its arguments, used or not

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_flag, check_range, check_whole
from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.trading.interface.policy import STEP, Account, Intents, Market, compiled_step

__all__ = ["STEP", "Account", "BuyAndHold", "EnsembleThreshold", "FromSignals", "Intents", "Market", "compiled_step"]

TIME_EXIT = int(OrderReason.TIME_EXIT)
TRADED = int(BarState.TRADED)


def _multiple(name: str, value: float | None) -> float:
    """A positive number, or +inf for None."""
    if value is None:
        return math.inf
    check_range(name, value, low=1e-6)
    return float(value)


def _ensemble_threshold(
    params: Float64Array, memory: Float64Array, market: Market, account: Account, intents: Intents
) -> None:
    stop_atr, take_profit_atr, horizon, rebalance = params[0], params[1], params[2], params[3] != 0.0
    trail_atr, break_even_atr = params[4], params[5]
    for s in range(len(market.side)):
        signal_side, held = market.side[s], account.units[s]
        if signal_side == 0 and held == 0.0:
            continue
        side = float(signal_side)
        if held == 0.0:
            enter = account.stopped[s] == 0.0
        else:
            enter = side * held < 0.0
            if not enter and account.bars_held[s] >= horizon:
                intents.target[s] = 0.0
                intents.reason[s] = TIME_EXIT
                continue
            enter = enter or (rebalance and side != 0.0)
        if enter:
            intents.strength[s] = side
            intents.stop_distance[s] = stop_atr * market.atr[s]
            intents.take_distance[s] = take_profit_atr * market.atr[s]
            intents.trail_distance[s] = trail_atr * market.atr[s]
            intents.break_even_distance[s] = break_even_atr * market.atr[s]


@dataclass(frozen=True)
class EnsembleThreshold:
    """Open or flip on BUY and SELL, keep on HOLD; leave by stop, take-profit or after `horizon` bars.

    The thresholds on confidence and consensus belong to the ensemble and are already in the
    signal's side. A flip at the horizon goes before the time exit, since it leaves the position
    too. There is no entry, on either side, at the close of the bar that stopped the symbol.

    Parameters
    ----------
    stop_atr, take_profit_atr : float or None
        Distances from the entry in multiples of ATR; None = none.
    horizon : int or None
        Closes after which a position is left, the *label's* horizon; None = never.
    rebalance : bool
        Size again at every BUY and SELL, not only on an open or a flip.
    trail_atr : float or None
        Distance by which the stop follows the best price, in multiples of ATR; None = it does not.
    break_even_atr : float or None
        Gain, in multiples of ATR, at which the stop moves to the entry; None = it does not.

    Raises
    ------
    ConfigError
        If a multiple or the horizon is not positive, or `rebalance` is not true or false.
    """

    stop_atr: float | None
    take_profit_atr: float | None
    horizon: int | None
    rebalance: bool
    trail_atr: float | None = None
    break_even_atr: float | None = None

    def __post_init__(self) -> None:
        check_flag("trading.policy.rebalance", self.rebalance)
        if self.horizon is not None:
            check_whole("trading.policy.horizon", self.horizon, low=1)
        self.params()

    @property
    def step(self) -> Any:
        return compiled_step(_ensemble_threshold)

    def params(self) -> Float64Array:
        return np.array(
            [
                _multiple("trading.policy.stop_atr", self.stop_atr),
                _multiple("trading.policy.take_profit_atr", self.take_profit_atr),
                math.inf if self.horizon is None else float(self.horizon),
                float(self.rebalance),
                _multiple("trading.policy.trail_atr", self.trail_atr),
                _multiple("trading.policy.break_even_atr", self.break_even_atr),
            ]
        )

    def begin(self, n_symbols: int) -> Float64Array:
        return np.zeros((0, n_symbols))


def _buy_and_hold(
    params: Float64Array, memory: Float64Array, market: Market, account: Account, intents: Intents
) -> None:
    bought = memory[0]
    for s in range(len(market.side)):
        if account.units[s] != 0.0:
            bought[s] = 1.0
        elif bought[s] == 0.0 and market.state[s] == TRADED and not np.isnan(market.atr[s]):
            intents.strength[s] = 1.0
            intents.stop_distance[s] = np.inf
            intents.take_distance[s] = np.inf


@dataclass(frozen=True)
class BuyAndHold:
    """Buy every symbol once, as soon as its ATR is known, and keep it: the benchmark.

    It starts where the strategies beside it may start. What was liquidated is not bought again.
    """

    @property
    def step(self) -> Any:
        return compiled_step(_buy_and_hold)

    def params(self) -> Float64Array:
        return np.zeros(0)

    def begin(self, n_symbols: int) -> Float64Array:
        """float64 (1, S): 1 where a position was seen."""
        return np.zeros((1, n_symbols))


def _from_signals(
    params: Float64Array, memory: Float64Array, market: Market, account: Account, intents: Intents
) -> None:
    rebalance = params[0] != 0.0
    brings_targets = len(market.target) > 0
    for s in range(len(market.side)):
        if brings_targets:
            intents.target[s] = market.target[s]
        else:
            side = float(market.side[s])
            if side == 0.0 or (side * account.units[s] > 0.0 and not rebalance):
                continue
            intents.strength[s] = side
        intents.stop_distance[s] = market.stop_distance[s] if len(market.stop_distance) > 0 else np.inf
        intents.take_distance[s] = market.take_distance[s] if len(market.take_distance) > 0 else np.inf
        intents.trail_distance[s] = market.trail_distance[s] if len(market.trail_distance) > 0 else np.inf
        intents.break_even_distance[s] = (
            market.break_even_distance[s] if len(market.break_even_distance) > 0 else np.inf
        )


@dataclass(frozen=True)
class FromSignals:
    """Follow the signal, and nothing else.

    Target weights are followed where the signal brings them; otherwise BUY and SELL open or flip
    and HOLD keeps. Stops, take-profits, trailing and break-even are those that the signal brings, or none.

    Parameters
    ----------
    rebalance : bool
        Without targets: size again at every BUY and SELL, not only on an open or a flip.

    Raises
    ------
    ConfigError
        If `rebalance` is not true or false.
    """

    rebalance: bool

    def __post_init__(self) -> None:
        check_flag("trading.policy.rebalance", self.rebalance)

    @property
    def step(self) -> Any:
        return compiled_step(_from_signals)

    def params(self) -> Float64Array:
        return np.array([float(self.rebalance)])

    def begin(self, n_symbols: int) -> Float64Array:
        return np.zeros((0, n_symbols))
