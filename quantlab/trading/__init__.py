"""Decisions and fills: policies, sizing, risk limits, matching and the ledger, as one bar step."""

from quantlab.trading.account.latches import reset_breaker
from quantlab.trading.bar.replay import Replay, replay
from quantlab.trading.interface.policy import Account, Intents, Market, compiled_step
from quantlab.trading.interface.sizer import Entry, compiled_size
from quantlab.trading.signals.arrays import signal_of
from quantlab.trading.signals.parquet import FileSignal
from quantlab.trading.signals.rules import MovingAverageSignal, RandomSignal
from quantlab.trading.strategy.policies import BuyAndHold, EnsembleThreshold, FromSignals
from quantlab.trading.strategy.sizers import (
    ConfidenceFraction,
    FixedFraction,
    KellyFraction,
    RiskPerTrade,
    VolatilityTarget,
)
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy

__all__ = [
    "Account",
    "BuyAndHold",
    "ConfidenceFraction",
    "Costs",
    "EnsembleThreshold",
    "Entry",
    "FileSignal",
    "FixedFraction",
    "FromSignals",
    "Intents",
    "KellyFraction",
    "Limits",
    "Market",
    "MovingAverageSignal",
    "RandomSignal",
    "Replay",
    "RiskPerTrade",
    "Strategy",
    "VolatilityTarget",
    "compiled_size",
    "compiled_step",
    "replay",
    "reset_breaker",
    "signal_of",
]
