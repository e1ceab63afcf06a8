"""A sizer of every kind, the two rules that count losses and stops, and what counts as unknown, drawn at random."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from quantlab.trading.strategy.sizers import (
    ConfidenceFraction,
    FixedFraction,
    KellyFraction,
    RiskPerTrade,
    VolatilityTarget,
)
from quantlab.trading.strategy.strategy import Costs, Limits


def random_sizer(rng: np.random.Generator) -> Any:
    """Any of the five; sizes from small to far too large."""
    weight = float(rng.choice([0.1, 0.3, 0.8, 2.5]))
    small = float(rng.choice([0.0005, 0.003, 0.02, 0.1]))
    return (
        FixedFraction(weight),
        ConfidenceFraction(weight),
        RiskPerTrade(small, weight),
        VolatilityTarget(small, weight),
        KellyFraction(10.0 * small, weight),
    )[int(rng.choice(5, p=[0.25, 0.3, 0.15, 0.15, 0.15]))]


def with_streak_rules(rng: np.random.Generator, limits: Limits) -> Limits:
    """`limits` with a loss streak in one of three cases and a stop rate in two of three."""
    if rng.random() < 1.0 / 3.0:
        limits = dataclasses.replace(limits, loss_streak=int(rng.integers(1, 5)))
    if rng.random() < 0.65:
        minutes = float(rng.choice([5.0, 12.5, 60.0, 240.0, 1_440.0, 6_000.0]))
        limits = dataclasses.replace(limits, max_stops=int(rng.integers(1, 4)), stop_window_minutes=minutes)
    return limits


def with_unknown_rules(rng: np.random.Generator, costs: Costs) -> Costs:
    """`costs` with the defaults in half of the cases, else with bounds that a price can hit exactly."""
    unusual = rng.random() < 0.5
    after = (1, 2, 5, None)[int(rng.choice(4, p=[0.2, 0.25, 0.3, 0.25]))]
    return dataclasses.replace(
        costs,
        coarsest_tick=float(rng.choice([1.0 / 1024.0, 0.005, 1.0 / 8.0, 1.0])) if unusual else 0.001,
        coarsest_order_usd=float(rng.choice([10.0, 100.0, 600.0, 100_000.0])) if unusual else 1_000.0,
        delisted_after_bars=after,
    )
