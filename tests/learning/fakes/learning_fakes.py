"""Small features and members that learn, record, break or die; importable by worker processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Dataset, Features

WARMUP = 8
NAMES = ("ret_1", "natr_14", "mom_5")


def _features(ohlcv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    close = ohlcv[:, :, 3]
    values = np.full((*close.shape, 3), np.nan)
    values[1:, :, 0] = np.log(close[1:] / close[:-1])
    values[:, :, 1] = (ohlcv[:, :, 1] - ohlcv[:, :, 2]) / close
    values[5:, :, 2] = np.log(close[5:] / close[:-5])
    seen = np.zeros(close.shape, dtype=bool)
    for t in range(WARMUP, len(close)):
        seen[t] = np.isfinite(close[t - WARMUP : t + 1]).all(axis=0)
    values[~seen] = np.nan
    return values.astype(np.float32), seen


@dataclass(frozen=True)
class SmallFeatures:
    """Three causal features, ready after nine bars without a hole."""

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    @property
    def fingerprint(self) -> str:
        return "small"

    @property
    def warmup(self) -> int:
        return WARMUP

    def transform(self, bars: Bars) -> Features:
        values, ready = _features(bars.ohlcv)
        return Features(values, ready, NAMES, self.fingerprint)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> SmallStream:
        return SmallStream()


@dataclass
class SmallStream:
    bars: list[np.ndarray] = field(default_factory=list)

    def update(self, bar: Bars) -> Features:
        self.bars = [*self.bars[-WARMUP:], bar.ohlcv]
        values, ready = _features(np.concatenate(self.bars))
        return Features(values[-1:], ready[-1:], NAMES, "small")


@dataclass(frozen=True)
class Centroids:
    """Softmax of the nearness to each class's mean features: learns from every training value."""

    name: str = "centroids"
    scale: float = 1.0
    lookback: int = 1

    def fit(self, train: Dataset, valid: Dataset) -> FittedCentroids:
        rows = train.features.values[train.mask].astype(np.float64)
        labels = train.label[train.mask]
        spread = rows.std(axis=0)
        means = np.stack([rows[labels == k].mean(axis=0) / spread for k in range(3)])
        # The validation rows must matter too, or a leak through them would go unseen.
        tilt = np.bincount(valid.label[valid.mask], minlength=3) / valid.mask.sum()
        return FittedCentroids(means, spread, self.scale, tilt, self.lookback)


@dataclass(frozen=True, eq=False)
class FittedCentroids:
    means: np.ndarray
    spread: np.ndarray
    scale: float
    tilt: np.ndarray
    lookback: int

    def predict_proba(self, features: Features) -> np.ndarray:
        values = features.values.astype(np.float64)
        smooth = values.copy()
        for back in range(1, self.lookback):
            smooth[:back] = np.nan
            smooth[back:] += values[:-back]
        x = smooth / self.lookback / self.spread
        logits = np.log(self.tilt) + self.scale * np.stack([(x * m).sum(axis=-1) for m in self.means], axis=-1)
        logits -= logits.max(axis=-1, keepdims=True)
        proba = np.exp(logits)
        proba /= proba.sum(axis=-1, keepdims=True)
        proba[~features.ready] = np.nan
        return proba.astype(np.float32)

    def save(self, folder: Path) -> None:
        np.save(folder / "means.npy", self.means)
        np.save(folder / "rest.npy", np.array([*self.spread, *self.tilt, self.scale, self.lookback]))

    @classmethod
    def load(cls, folder: Path) -> Self:
        rest = np.load(folder / "rest.npy", allow_pickle=False)
        means = np.load(folder / "means.npy", allow_pickle=False)
        return cls(means, rest[:3], float(rest[6]), rest[3:6], int(rest[7]))


@dataclass(frozen=True)
class Recording:
    """Writes down, under `folder`, the masks that it was fitted with; then learns like Centroids."""

    folder: str
    name: str = "recording"

    def fit(self, train: Dataset, valid: Dataset) -> FittedCentroids:
        count = len(list(Path(self.folder).glob("*.npz")))
        np.savez(Path(self.folder) / f"{count:03d}.npz", fit=train.mask, early_stopping=valid.mask)
        return Centroids().fit(train, valid)


@dataclass(frozen=True)
class Refusing:
    """Raises one of our errors."""

    name: str = "refusing"

    def fit(self, train: Dataset, valid: Dataset) -> FittedCentroids:
        raise ContractError("a model that can be fitted", found="this one", fix="use another")


@dataclass(frozen=True)
class Buggy:
    """Raises an error that is not ours."""

    name: str = "buggy"

    def fit(self, train: Dataset, valid: Dataset) -> FittedCentroids:
        raise ZeroDivisionError("a bug")


@dataclass(frozen=True)
class Dying:
    """Takes its process with it."""

    name: str = "dying"

    def fit(self, train: Dataset, valid: Dataset) -> FittedCentroids:
        os._exit(3)


@dataclass(frozen=True)
class Forgetful:
    """Loads something else than it saved."""

    name: str = "forgetful"

    def fit(self, train: Dataset, valid: Dataset) -> FittedForgetful:
        fitted = Centroids().fit(train, valid)
        return FittedForgetful(fitted.means, fitted.spread, fitted.scale, fitted.tilt, fitted.lookback)


@dataclass(frozen=True, eq=False)
class FittedForgetful(FittedCentroids):
    @classmethod
    def load(cls, folder: Path) -> Self:
        fitted = FittedCentroids.load(folder)
        return cls(fitted.means * 1.5, fitted.spread, fitted.scale, fitted.tilt, fitted.lookback)
