"""Step 7: the weight of equity that a sizer makes of a strength, from the table of sizers in the docs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plain_account import Distances


@dataclass(frozen=True)
class Entry:
    """What is known of the position that would be opened."""

    confidence: float
    atr: float
    close: float
    distances: Distances


def weight_of(sizer: Any, entry: Entry) -> float:
    """Between 0 and the sizer's largest weight; NaN refuses the entry."""
    formula, inputs, largest = SIZERS[type(sizer).__name__]
    if not all(possible(name, value) for name, value in inputs(entry).items()):
        return math.nan
    return min(max(formula(sizer, entry), 0.0), float(getattr(sizer, largest)))


def possible(name: str, value: float) -> bool:
    """Finite; a probability lies in 0 .. 1, a price or a distance above 0."""
    if not math.isfinite(value):
        return False
    return 0.0 <= value <= 1.0 if name == "confidence" else value > 0.0


def _fixed(sizer: Any, entry: Entry) -> float:
    return float(sizer.weight)


def _confidence(sizer: Any, entry: Entry) -> float:
    return float(sizer.weight) * entry.confidence


def _risk(sizer: Any, entry: Entry) -> float:
    return float(sizer.risk) * entry.close / entry.distances.stop


def _volatility(sizer: Any, entry: Entry) -> float:
    return float(sizer.volatility) * entry.close * math.sqrt(8.0 / math.pi) / entry.atr


def _kelly(sizer: Any, entry: Entry) -> float:
    p = entry.confidence
    edge = p - (1.0 - p) / (entry.distances.take / entry.distances.stop)
    return float(sizer.fraction) * edge * entry.close / entry.distances.stop


def _no_inputs(entry: Entry) -> dict[str, float]:
    return {}


def _confidence_inputs(entry: Entry) -> dict[str, float]:
    return {"confidence": entry.confidence}


def _risk_inputs(entry: Entry) -> dict[str, float]:
    return {"close": entry.close, "stop": entry.distances.stop}


def _volatility_inputs(entry: Entry) -> dict[str, float]:
    return {"atr": entry.atr, "close": entry.close}


def _kelly_inputs(entry: Entry) -> dict[str, float]:
    return {"take": entry.distances.take, **_confidence_inputs(entry), **_risk_inputs(entry)}


Formula = Callable[[Any, Entry], float]
Inputs = Callable[[Entry], dict[str, float]]

#: Formula, what it reads, and the field that names the largest weight.
SIZERS: dict[str, tuple[Formula, Inputs, str]] = {
    "FixedFraction": (_fixed, _no_inputs, "weight"),
    "ConfidenceFraction": (_confidence, _confidence_inputs, "weight"),
    "RiskPerTrade": (_risk, _risk_inputs, "max_weight"),
    "VolatilityTarget": (_volatility, _volatility_inputs, "max_weight"),
    "KellyFraction": (_kelly, _kelly_inputs, "max_weight"),
}
