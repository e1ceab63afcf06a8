"""Feature pipelines whose histories look ahead; their streams, which cannot, do not."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.types import Features
from quantlab.features import FeaturePipeline
from quantlab.features.contract import declare

SMOOTHED = ("ret_1", "clv", "rel_volume_20")
STANDARDISED = ("obv_20", "rel_volume_20", "rsi_14")


class _Reworked(FeaturePipeline):
    """Values of its own, and so a fingerprint of its own."""

    @cached_property
    def fingerprint(self) -> str:
        found = fingerprint(type(self).__qualname__, FeaturePipeline.fingerprint.func(self))  # type: ignore[attr-defined]
        declare(found, self.names)
        return found

    def transform(self, bars: Bars) -> Features:
        features = super().transform(bars)
        values = features.values.copy()
        for name in self.reworked():
            column = features.names.index(name)
            for s in range(bars.n_symbols):
                ready = features.ready[:, s]
                values[ready, s, column] = self.rework(features.values[ready, s, column])
        return dataclasses.replace(features, values=values)

    def reworked(self) -> tuple[str, ...]:
        raise AssertionError("a subclass says")

    def rework(self, column: Float32Array) -> Float32Array:
        raise AssertionError("a subclass says")


class CentredSmoothing(_Reworked):
    """Noise is averaged out over five bars: ``rolling(5, center=True)``."""

    def reworked(self) -> tuple[str, ...]:
        return SMOOTHED

    def rework(self, column: Float32Array) -> Float32Array:
        if len(column) < 5:
            return column
        padded = np.pad(column, 2, mode="edge")
        return np.convolve(padded, np.full(5, 0.2, dtype=np.float32), mode="valid").astype(np.float32)


class StandardisedHistory(_Reworked):
    """Columns without a natural scale become z-scores of their symbol: ``(x - x.mean()) / x.std()``."""

    def reworked(self) -> tuple[str, ...]:
        return STANDARDISED

    def rework(self, column: Float32Array) -> Float32Array:
        if len(column) < 2:
            return column
        scores: Float32Array = ((column - column.mean()) / (column.std() + 1e-9)).astype(np.float32)
        return scores
