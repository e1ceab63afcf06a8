"""Stand-ins for an ensemble's member and for the store of members."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ArtifactError
from quantlab.core.ports import FeatureSource, FittedModel
from quantlab.core.types import Dataset, Features


@dataclass(frozen=True)
class ConstantModel:
    """A :class:`~quantlab.core.ports.Model` that answers the class shares of its training rows."""

    name: str = "constant"

    def fit(self, train: Dataset, valid: Dataset) -> FittedConstant:
        labels = train.label[train.mask]
        share = np.bincount(labels, minlength=3).astype(np.float64) / max(len(labels), 1)
        return FittedConstant((float(share[0]), float(share[1]), float(share[2])))


@dataclass(frozen=True)
class FittedConstant:
    """The fitted form of :class:`ConstantModel`."""

    share: tuple[float, float, float]

    def predict_proba(self, features: Features) -> Float32Array:
        proba = np.full((*features.ready.shape, 3), np.nan, dtype=np.float32)
        proba[features.ready] = self.share
        return proba

    def save(self, folder: Path) -> None:
        np.save(folder / "share.npy", np.array(self.share))

    @classmethod
    def load(cls, folder: Path) -> Self:
        share = np.load(folder / "share.npy", allow_pickle=False)
        return cls((float(share[0]), float(share[1]), float(share[2])))


@dataclass
class MemoryStore:
    """A :class:`~quantlab.core.ports.ModelStore` of members in memory, each version with its facts.

    A version in `broken` is refused by :meth:`load`.
    """

    models: dict[str, FittedModel]
    facts: dict[str, dict[str, Any]]
    serving: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def active(self) -> dict[str, str]:
        return dict(self.serving)

    def describe(self, version: str) -> dict[str, Any]:
        return self.facts[version]

    def load(self, version: str, features: FeatureSource) -> FittedModel:
        if version in self.broken:
            raise ArtifactError(f"{version} as it was stored", found="a broken one", fix="promote another")
        return self.models[version]
