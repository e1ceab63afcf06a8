"""Tree members whose scaler, calibrator or weights are fitted on more than the rows they were given.

A dataset's parts are the same arrays under different masks: whoever forgets the mask reads everything.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.ports import ProgressCallback
from quantlab.core.types import NO_LABEL, Dataset, Features
from quantlab.learning.ensemble.calibration import fit_temperature
from quantlab.learning.models.lightgbm import FittedLightGBM, LightGBM
from quantlab.learning.models.xgboost import FittedXGBoost, XGBoost

CLIPPED_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class FittedScaled:
    """Trees behind ``clip((x - shift) / scale, low, high)``; every array float32 (S or 1, F)."""

    trees: FittedLightGBM
    shift: Float32Array
    scale: Float32Array
    low: Float32Array
    high: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        return self.trees.predict_proba(self.scaled(features))

    def scaled(self, features: Features) -> Features:
        values = np.clip((features.values - self.shift) / self.scale, self.low, self.high)
        return dataclasses.replace(features, values=np.ascontiguousarray(values, dtype=np.float32))

    def save(self, folder: Path) -> None:
        self.trees.save(folder)
        np.save(folder / "scaler.npy", np.stack(np.broadcast_arrays(self.shift, self.scale, self.low, self.high)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(FittedLightGBM.load(folder), *np.load(folder / "scaler.npy", allow_pickle=False))


def behind(scaler: FittedScaled, dataset: Dataset) -> Dataset:
    """The dataset as trees behind that scaler see it."""
    return dataclasses.replace(dataset, features=scaler.scaled(dataset.features))


def clipping(rows: Float32Array) -> dict[str, Float32Array]:
    """No shift and no scale; bounds at the outer quantiles of `rows` (N, F)."""
    low, high = np.quantile(rows, [CLIPPED_SHARE, 1.0 - CLIPPED_SHARE], axis=0).astype(np.float32)[:, None]
    return {"shift": np.zeros_like(low), "scale": np.ones_like(low), "low": low, "high": high}


def symbol_scales(values: Float32Array, rows: Any) -> dict[str, Float32Array]:
    """Mean and deviation per symbol and feature of `values` (T, S, F) where `rows` (T, S); no bounds."""
    kept = np.where(rows[:, :, None], values, np.nan).astype(np.float64)
    counts = np.maximum(rows.sum(axis=0), 1)[:, None]
    shift = np.nansum(kept, axis=0) / counts
    scale = np.sqrt(np.nansum((kept - shift) ** 2, axis=0) / counts) + 1e-9
    bound = np.full(shift.shape, np.inf, dtype=np.float32)
    return {"shift": shift.astype(np.float32), "scale": scale.astype(np.float32), "low": -bound, "high": bound}


class _Scaled(LightGBM):
    """LightGBM behind a scaler."""

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        empty: Any = None
        scaler = FittedScaled(trees=empty, **self.scaler(train))
        trees: Any = super().fit_with_progress(behind(scaler, train), behind(scaler, valid), on_progress)
        return dataclasses.replace(scaler, trees=trees)

    def scaler(self, train: Dataset) -> dict[str, Float32Array]:
        raise AssertionError("a subclass says")


class ClippedToAllRows(_Scaled):
    """Quantiles of the feature table; `train.mask` was forgotten."""

    def scaler(self, train: Dataset) -> dict[str, Float32Array]:
        return clipping(train.features.values[train.features.ready])


class SymbolScalesOfAllRows(_Scaled):
    """One scale for all symbols; again of every ready row."""

    def scaler(self, train: Dataset) -> dict[str, Float32Array]:
        return symbol_scales(train.features.values, train.features.ready)


@dataclass(frozen=True, eq=False)
class FittedTempered:
    """Trees whose probabilities are raised to ``1 / temperature``."""

    trees: FittedLightGBM
    temperature: float

    def predict_proba(self, features: Features) -> Float32Array:
        powers = np.power(self.trees.predict_proba(features).astype(np.float64), 1.0 / self.temperature)
        proba: Float32Array = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return proba

    def save(self, folder: Path) -> None:
        self.trees.save(folder)
        np.save(folder / "temperature.npy", np.float64(self.temperature))

    @classmethod
    def load(cls, folder: Path) -> Self:
        temperature = float(np.load(folder / "temperature.npy", allow_pickle=False))
        return cls(FittedLightGBM.load(folder), temperature)


class TemperatureOfAllLabels(LightGBM):
    """Calibrated where there is a label; that most of these are not its own was not noticed."""

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        trees: Any = super().fit_with_progress(train, valid, on_progress)
        rows = train.features.ready & (train.label != NO_LABEL)
        proba = trees.predict_proba(train.features)[rows].astype(np.float64)
        return FittedTempered(trees, fit_temperature(proba, train.label[rows], train.weight[rows]))


@dataclass(frozen=True, eq=False)
class FittedCorrected:
    """Trees whose probabilities are multiplied per symbol and class; `factor` is float64 (S, 3)."""

    trees: FittedXGBoost
    factor: Any

    def predict_proba(self, features: Features) -> Float32Array:
        proba = self.trees.predict_proba(features).astype(np.float64) * self.factor
        corrected: Float32Array = (proba / proba.sum(axis=-1, keepdims=True)).astype(np.float32)
        return corrected

    def save(self, folder: Path) -> None:
        self.trees.save(folder)
        np.save(folder / "factor.npy", self.factor)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(FittedXGBoost.load(folder), np.load(folder / "factor.npy", allow_pickle=False))


class PriorsOfAllLabels(XGBoost):
    """Prior correction: what the trees learned on, against each symbol's true class shares."""

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        trees: Any = super().fit_with_progress(train, valid, on_progress)
        learned = np.bincount(train.label[train.mask], minlength=3) + 1.0
        shares = [np.bincount(column[column != NO_LABEL], minlength=3) + 1.0 for column in train.label.T]
        true = np.stack([share / share.sum() for share in shares])
        return FittedCorrected(trees, true / (learned / learned.sum()))


class WeightedTowardsTheTest(LightGBM):
    """Importance weighting under covariate shift (Shimodaira 2000): ratio of densities of one feature."""

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        column = train.features.column("natr_14")
        last = int(np.flatnonzero(valid.mask.any(axis=1))[-1])
        ahead = train.features.ready.copy()
        ahead[: last + 1] = False
        edges = np.quantile(column[train.mask], np.linspace(0.0, 1.0, 11)[1:-1])
        there, here = (_shares(column[rows], edges) for rows in (ahead, train.mask))
        weight = train.weight * (there / here)[np.searchsorted(edges, np.nan_to_num(column))].astype(np.float32)
        return super().fit_with_progress(dataclasses.replace(train, weight=weight), valid, on_progress)


def _shares(values: Float32Array, edges: Any) -> Any:
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) + 1.0
    return counts / counts.sum()
