"""Honest parts of the clean pipelines: a feature of one's own, and scalers that keep to the rows they are given."""

from __future__ import annotations

from typing import Any

import planted_models

from quantlab.core.arrays import Float32Array
from quantlab.core.types import Dataset
from quantlab.features import ExtraFeature, window_function


@window_function
def close_in_range(bars: Any) -> float:
    places = 0.0
    for row in range(len(bars)):
        high, low, close = bars[row, 1], bars[row, 2], bars[row, 3]
        places += (close - low) / (high - low) if high > low else 0.5
    return places / len(bars)


CLOSE_IN_RANGE_24 = ExtraFeature(
    name="close_in_range_24",
    value=close_in_range,
    window=24,
    low=0.0,
    high=1.0,
    neutral=0.5,
    formula="mean over 24 bars of (C - L)/(H - L); 0.5 where H = L",
    version=1,
)


class ClippedToTrainingRows(planted_models._Scaled):
    """Quantiles of the rows that it is fitted on."""

    def scaler(self, train: Dataset) -> dict[str, Float32Array]:
        return planted_models.clipping(train.features.values[train.mask])


class SymbolScalesOfTrainingRows(planted_models._Scaled):
    """Means and deviations of the rows that it is fitted on."""

    def scaler(self, train: Dataset) -> dict[str, Float32Array]:
        return planted_models.symbol_scales(train.features.values, train.mask)
