"""A sizer of every kind, and the two rules that count losses and stops, drawn at random."""

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
from quantlab.trading.strategy.strategy import Limits


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
    """`limits` with a loss streak in one of three cases and a stop rate in every second."""
    if rng.random() < 1.0 / 3.0:
        limits = dataclasses.replace(limits, loss_streak=int(rng.integers(1, 5)))
    if rng.random() < 0.5:
        minutes = float(rng.choice([5.0, 12.5, 60.0, 240.0, 1_440.0, 6_000.0]))
        limits = dataclasses.replace(limits, max_stops=int(rng.integers(1, 4)), stop_window_minutes=minutes)
    return limits
