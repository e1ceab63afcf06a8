"""Members with a transformation of their own around LightGBM: over the rows they are given, or over all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.ports import FittedModel, ProgressCallback
from quantlab.core.types import NO_LABEL, Dataset, Features
from quantlab.learning.models.lightgbm import FittedLightGBM, LightGBM

NUMBERS = "numbers.npz"


@dataclass(frozen=True)
class Carrying:
    """A fitted member and the numbers that it brings along."""

    inner: FittedModel
    numbers: dict[str, Float32Array]

    def save(self, folder: Path) -> None:
        self.inner.save(folder)
        np.savez(folder / NUMBERS, **self.numbers)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / NUMBERS, allow_pickle=False) as found:
            return cls(FittedLightGBM.load(folder), dict(found))

    def predict_proba(self, features: Features) -> Float32Array:
        return self.inner.predict_proba(features)


def _with(dataset: Dataset, values: Float32Array) -> Dataset:
    features = dataclasses.replace(dataset.features, values=np.ascontiguousarray(values, dtype=np.float32))
    return dataclasses.replace(dataset, features=features)


class Rotating(Carrying):
    def predict_proba(self, features: Features) -> Float32Array:
        return self.inner.predict_proba(dataclasses.replace(features, values=rotated(features.values, self.numbers)))


def rotated(values: Float32Array, numbers: dict[str, Float32Array]) -> Float32Array:
    scaled = (values - numbers["mean"]) / numbers["scale"]
    turned: Float32Array = np.ascontiguousarray((scaled @ numbers["axes"]).astype(np.float32))
    return turned


@dataclass(frozen=True)
class PrincipalComponents(LightGBM):
    """Boosts on principal components. Leaks: of all ready rows; honest: of the rows to fit on."""

    leaks: bool = True

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        values = train.features.values
        rows = values[train.features.ready if self.leaks else train.mask].astype(np.float64)
        mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
        _, axes = np.linalg.eigh(np.cov((rows - mean) / scale, rowvar=False))
        numbers = {"mean": mean, "scale": scale, "axes": axes}
        small = {name: one.astype(np.float32) for name, one in numbers.items()}
        turned = rotated(values, small)
        return Rotating(super().fit_with_progress(_with(train, turned), _with(valid, turned), on_progress), small)


class Standardising(Carrying):
    """Leaks where it carries no mean: it then takes that of the rows it is asked about."""

    def predict_proba(self, features: Features) -> Float32Array:
        rows = features.values[features.ready]
        mean = self.numbers["mean"] if len(self.numbers["mean"]) else rows.mean(axis=0)
        scale = self.numbers["scale"] if len(self.numbers["scale"]) else rows.std(axis=0) + 1e-9
        scaled = np.ascontiguousarray((features.values - mean) / scale, dtype=np.float32)
        return self.inner.predict_proba(dataclasses.replace(features, values=scaled))


@dataclass(frozen=True)
class Standardised(LightGBM):
    """Leaks: ``fit_transform`` on the rows to forecast, where ``transform`` was meant."""

    leaks: bool = True

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        rows = train.features.values[train.mask]
        mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
        values = (train.features.values - mean) / scale
        none = np.zeros(0, dtype=np.float32)
        numbers = {"mean": none, "scale": none} if self.leaks else {"mean": mean, "scale": scale}
        return Standardising(
            super().fit_with_progress(_with(train, values), _with(valid, values), on_progress), numbers
        )


class Recalibrated(Carrying):
    def predict_proba(self, features: Features) -> Float32Array:
        proba = self.inner.predict_proba(features) * self.numbers["ratio"]
        shares: Float32Array = (proba / proba.sum(axis=2, keepdims=True)).astype(np.float32)
        return shares


@dataclass(frozen=True)
class BiasCorrected(LightGBM):
    """Makes each class as frequent as it is forecast. Leaks: on all rows it was not fitted on; honest: on validation rows."""

    leaks: bool = True

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        fitted = super().fit_with_progress(train, valid, on_progress)
        labelled = train.features.ready & (train.label != NO_LABEL)
        rows = labelled & ~train.mask if self.leaks else valid.mask
        said = fitted.predict_proba(train.features)[rows].astype(np.float64).mean(axis=0)
        there = np.bincount(train.label[rows], minlength=3) / int(rows.sum())
        return Recalibrated(fitted, {"ratio": (there / said).astype(np.float32)})


@dataclass(frozen=True)
class Recent(LightGBM):
    """Rows near the newest weigh more, with a half-life of a day: known clean."""

    half_life_bars: float = 288.0

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> Any:
        newest = int(np.flatnonzero(train.mask.any(axis=1))[-1])
        age = np.maximum(newest - np.arange(len(train.label)), 0)
        decay = (0.5 ** (age / self.half_life_bars))[:, None]
        return super().fit_with_progress(
            dataclasses.replace(train, weight=(train.weight * decay).astype(np.float32)), valid, on_progress
        )
