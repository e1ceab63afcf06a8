"""Decisions and fills: policies, sizing, risk limits, matching and the ledger, as one bar step."""

from quantlab.trading.arrays import signal_of
from quantlab.trading.decision import Account, Intents, Market, compiled_step
from quantlab.trading.file_signal import FileSignal
from quantlab.trading.policies import BuyAndHold, EnsembleThreshold, FromSignals
from quantlab.trading.replay import Replay, replay
from quantlab.trading.risk import reset_breaker
from quantlab.trading.signals import MovingAverageSignal, RandomSignal
from quantlab.trading.sizer import Entry, compiled_size
from quantlab.trading.sizing import ConfidenceFraction, FixedFraction, KellyFraction, RiskPerTrade, VolatilityTarget
from quantlab.trading.strategy import Costs, Limits, Strategy

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
