"""Decisions and fills: policies, sizing, risk limits, matching and the ledger, as one bar step."""

from quantlab.trading.policies import BuyAndHold, EnsembleThreshold, FromSignals
from quantlab.trading.replay import Replay, replay
from quantlab.trading.signals import MovingAverageSignal, RandomSignal
from quantlab.trading.sizing import ConfidenceFraction, FixedFraction
from quantlab.trading.strategy import Costs, Limits, Strategy

__all__ = [
    "BuyAndHold",
    "ConfidenceFraction",
    "Costs",
    "EnsembleThreshold",
    "FixedFraction",
    "FromSignals",
    "Limits",
    "MovingAverageSignal",
    "RandomSignal",
    "Replay",
    "Strategy",
    "replay",
]
