"""A few bars by hand, and targets that a policy asks for on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from plain_markets import MIDNIGHT_MS, NO_LIMITS, Case, random_case

from quantlab.core.market import CLOSE, Bars, BarState, Instrument
from quantlab.core.results import Simulation
from quantlab.core.types import Signal
from quantlab.trading.strategy.policies import FromSignals
from quantlab.trading.strategy.sizers import FixedFraction
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy

FREE = Instrument(0.0, 0.0, 0.0, 0.03, maker_fee_bps=0.0, taker_fee_bps=0.0)
NO_COSTS = Costs(slippage_bps=0.0, participation=None, liquidation_fee_bps=0.0)
KEEP = np.nan
HOLE = (np.nan,) * 4

Rows = list[tuple[float, float, float, float]]
Play = Callable[..., Simulation]


def flat_bars(rows: list[Rows], instrument: Instrument) -> Bars:
    """One list of (open, high, low, close) per symbol; a million units trade in every bar that is no hole."""
    prices = np.array(rows, dtype=np.float64).transpose(1, 0, 2)
    ohlcv = np.concatenate([prices, np.full((*prices.shape[:2], 1), 1e6)], axis=2)
    ohlcv[np.isnan(prices[:, :, CLOSE])] = np.nan
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=MIDNIGHT_MS + 300_000 * np.arange(len(prices), dtype=np.int64),
        interval_ms=300_000,
        state=np.where(np.isnan(prices[:, :, CLOSE]), BarState.ABSENT, BarState.TRADED).astype(np.uint8, order="C"),
        symbols=tuple(f"S{i}" for i in range(len(rows))),
        instruments=(instrument,) * len(rows),
    )


def still(price: float, count: int) -> Rows:
    return [(price, price, price, price)] * count


def scene(bars: Bars, target: Any, costs: Costs = NO_COSTS, policy: Any = None, **changes: Any) -> Case:
    """Targets and distances (S, T) on bars; limits by name."""
    limits = {name: changes.pop(name) for name in LIMITS if name in changes}
    return Case(0, bars, _signal(bars, target, changes), _strategy(costs, policy, limits))


LIMITS = ("max_gross_leverage", "rollout", "max_positions", "loss_streak")


def _signal(bars: Bars, target: Any, distances: dict[str, Any]) -> Signal:
    shape = (bars.n_bars, bars.n_symbols)
    columns = {name: np.ascontiguousarray(np.array(rows, dtype=np.float64).T) for name, rows in distances.items()}
    if target is not None:
        columns["target"] = np.ascontiguousarray(np.array(target, dtype=np.float64).T)
    return Signal(
        side=np.zeros(shape, dtype=np.int8),
        proba=np.full((*shape, 3), np.nan),
        confidence=np.ones(shape),
        consensus=np.ones(shape),
        live_members=np.zeros(shape, dtype=np.int8),
        atr=np.ones(shape),
        **columns,
    )


def _strategy(costs: Costs, policy: Any, limits: dict[str, Any]) -> Strategy:
    silent = random_case(0).strategy.signal
    all_limits: Limits = dataclasses.replace(NO_LIMITS, **limits)
    return Strategy(silent, policy or FromSignals(rebalance=False), FixedFraction(0.5), all_limits, costs)
