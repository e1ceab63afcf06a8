"""Three small members on the 49 features: quick to fit, deterministic, and with a state worth saving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.types import Features
from quantlab.features.pipeline import FeaturePipeline
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fixed random softmax over the mean of the last `lookback` rows of features."""

    coefficients: Any
    lookback: int

    def predict_proba(self, features: Features) -> Float32Array:
        count, n_symbols = features.ready.shape
        proba = np.full((count, n_symbols, 3), np.nan, dtype=np.float32)
        for t in range(count):
            first = max(0, t - self.lookback + 1)
            ready = features.ready[first : t + 1].all(axis=0) & (t + 1 - first == self.lookback)
            window = features.values[first : t + 1, ready].astype(np.float64)
            scores = np.tanh(window.mean(axis=0)) @ self.coefficients if ready.any() else np.empty((0, 3))
            odds = np.exp(scores - scores.max(axis=1, keepdims=True)) if len(scores) else scores
            proba[t, ready] = odds / odds.sum(axis=1, keepdims=True) if len(scores) else odds
        return proba

    def save(self, folder: Any) -> None:
        np.save(folder / "coefficients.npy", self.coefficients)

    @classmethod
    def load(cls, folder: Any) -> Self:
        return cls(np.load(folder / "coefficients.npy", allow_pickle=False), 1)


def small_ensemble(bars: Bars) -> EnsembleSignal:
    """A fitted ensemble for the bars' interval; it trades a lot and knows nothing, and one member is dead."""
    features = FeaturePipeline(bars.interval_ms, 1)
    rng = np.random.default_rng(3)
    shape = (len(features.names), 3)
    weights = {"one": rng.normal(0.0, 2.0, shape), "three": rng.normal(0.0, 2.0, shape), "stuck": np.zeros(shape)}
    members = tuple(
        Member(name, Logistic(weights[name], 3 if name == "three" else 1), fingerprint(name)) for name in weights
    )
    rules = Ensemble(
        min_confidence=0.4,
        min_consensus=0.5,
        quorum=1,
        liveness_bars=20,
        min_weight=0.1,
        max_weight=0.9,
        min_gain_bps=0.0,
        move_atr=2.0,
    )
    return EnsembleSignal(features, members, FittedEnsemble(rules, tuple(weights), (0.4, 0.3, 0.3), 1.0))
