"""Ports of the ensemble's members and of the store that keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from quantlab.core.arrays import Float32Array
from quantlab.core.ports.features import FeatureSource
from quantlab.core.ports.progress import ProgressCallback
from quantlab.core.types import Dataset, Features


class Model(Protocol):
    """One member of the ensemble."""

    @property
    def name(self) -> str:
        """``xgboost``, ``lightgbm``, ``nhits`` or ``patchtst``, or a user's own."""
        ...

    def fit(self, train: Dataset, valid: Dataset) -> FittedModel:
        """Fit on `train`, stop early on `valid`; deterministic given the member's own seed."""
        ...


class FittedModel(Protocol):
    """A member that makes forecasts."""

    def predict_proba(self, features: Features) -> Float32Array:
        """float32 (T, S, 3) that sum to 1; NaN where a row is not ready.

        Raises
        ------
        ContractError
            If `features` are not the ones it was fitted on, or a ready row holds a NaN.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write native files into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the caller has verified hashes before."""
        ...


@runtime_checkable
class ProgressReportingModel(Protocol):
    """Optional: a :class:`Model` whose fit reports its progress."""

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedModel:
        """Fit as ``fit`` does, bit for bit; `on_progress` gets the share of the work after every step."""
        ...


@runtime_checkable
class HasLookback(Protocol):
    """Optional: a fitted member that reads more than the row it makes a forecast for."""

    @property
    def lookback(self) -> int:
        """Rows that it reads to forecast the last of them, >= 1."""
        ...


@runtime_checkable
class HasColumns(Protocol):
    """Optional: a member that reads some features by name; a learner asks before it begins."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of these features."""
        ...


@runtime_checkable
class StridedModel(Protocol):
    """Optional: a fitted member that can leave rows out, and with them their cost."""

    def predict_every(self, features: Features, stride: int) -> Float32Array:
        """Predict as ``predict_proba`` does in every stride-th row, counted back from the last; NaN between them."""
        ...


class ModelStore(Protocol):
    """Keeps fitted members; hands out nothing that it did not verify."""

    def active(self) -> dict[str, str]:
        """Member -> version that serves.

        Raises
        ------
        ArtifactError
            If the store itself is damaged.
        """
        ...

    def describe(self, version: str) -> dict[str, Any]:
        """The verified facts of a version: what it was fitted on, with whom, and how good it was."""
        ...

    def load(self, version: str, features: FeatureSource) -> FittedModel:
        """A member that may be asked about `features`.

        Raises
        ------
        ContractError
            If it was fitted on others.
        ArtifactError
            If it cannot be trusted.
        """
        ...
