"""Parameters of a fitted linear member: a standardizer of columns, and one coefficient per column and class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array, Float64Array, read_only
from quantlab.core.errors import ContractError
from quantlab.core.files import to_json
from quantlab.core.types import CLASS_NAMES
from quantlab.learning.models.rows import BLOCK_ROWS, RowTable

N_CLASSES = len(CLASS_NAMES)
#: A column whose deviation is no larger share of its mean than this is constant, but for rounding.
_ROUNDING = float(np.sqrt(np.finfo(np.float64).eps))


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Mean, deviation and cut that make columns comparable.

    Parameters
    ----------
    mean, deviation : float64 (F,)
        Of the fit rows, unweighted; a constant column has deviation 1.
    clip : float
        Standardised values beyond are cut: outside of what it was fitted on the map does not extrapolate.
    """

    mean: Float64Array
    deviation: Float64Array
    clip: float

    @classmethod
    def of(cls, rows: RowTable, clip: float) -> Self:
        """Moments of `rows`, in two passes, so that a large mean does not swallow a small deviation."""
        mean, square = np.zeros((2, rows.values.shape[1]))
        for block in blocks(rows):
            mean += block.sum(axis=0, dtype=np.float64) / len(rows)
        for block in blocks(rows):
            square += ((block - mean) ** 2).sum(axis=0) / len(rows)
        deviation = np.sqrt(square)
        deviation[deviation <= _ROUNDING * np.abs(mean)] = 1.0
        return cls(mean, deviation, clip)

    def __call__(self, rows: Float32Array) -> Float64Array:
        """float64 (N, F): rows (N, F) standardised and cut."""
        return np.clip((rows - self.mean) / self.deviation, -self.clip, self.clip)


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Map from rows to class probabilities.

    Parameters
    ----------
    standard : Standard
    coefficients : float64 (F, 3)
    intercepts : float64 (3,)
    scale : float

    Raises
    ------
    ContractError
        If a shape does not fit the others, or a number is not finite, or not above 0 where it divides or bounds.
    """

    standard: Standardizer
    coefficients: Float64Array
    intercepts: Float64Array
    scale: float

    def __post_init__(self) -> None:
        n_features = len(self.coefficients)
        sizes = np.array([*self.standard.deviation, self.standard.clip, self.scale])
        arrays = [
            read_only(self.coefficients, np.float64, (n_features, N_CLASSES), "coefficients"),
            read_only(self.intercepts, np.float64, (N_CLASSES,), "intercepts"),
            read_only(self.standard.mean, np.float64, (n_features,), "mean"),
            read_only(self.standard.deviation, np.float64, (n_features,), "deviation"),
        ]
        if not (all(np.isfinite(array).all() for array in (*arrays, sizes)) and (sizes > 0.0).all()):
            raise ContractError(
                "finite numbers, and deviation, clip and scale above 0", found="others", fix="fit the member again"
            )

    def scores(self, rows: Float32Array) -> Float64Array:
        """float64 (3, N): scores of rows (N, F) before the scale.

        Summed column by column, not as a matrix product: a row's bits must not depend on how many others there are.
        """
        total = np.zeros((N_CLASSES, len(rows)))
        columns = np.ascontiguousarray(self.standard(rows).T)
        for column, slopes in zip(columns, self.coefficients, strict=True):
            total += slopes[:, None] * column
        return total

    def classify(self, rows: Float32Array) -> Float32Array:
        """float32 (N, 3): probabilities of rows (N, F)."""
        proba = softmax(self.intercepts[:, None] + self.scale * self.scores(rows))
        return np.ascontiguousarray(proba.T, dtype=np.float32)

    def payload(self) -> bytes:
        """JSON bytes, from which every number comes back bit for bit."""
        content = {
            "mean": self.standard.mean.tolist(),
            "deviation": self.standard.deviation.tolist(),
            "clip": self.standard.clip,
            "coefficients": self.coefficients.tolist(),
            "intercepts": self.intercepts.tolist(),
            "scale": self.scale,
        }
        return to_json(content).encode()

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Read what :meth:`payload` wrote.

        Raises
        ------
        ContractError, ValueError, TypeError, KeyError, RecursionError
            If it is something else.
        """
        content: dict[str, Any] = json.loads(payload)
        arrays = {
            name: np.array(content[name], dtype=np.float64)
            for name in ("mean", "deviation", "coefficients", "intercepts")
        }
        standard = Standardizer(arrays["mean"], arrays["deviation"], float(content["clip"]))
        return cls(standard, arrays["coefficients"], arrays["intercepts"], float(content["scale"]))


def blocks(rows: RowTable) -> Iterator[Float32Array]:
    """The rows (N, F), at most :data:`~quantlab.learning.models.rows.BLOCK_ROWS` at a time."""
    for start in range(0, len(rows), BLOCK_ROWS):
        yield rows.block(start, start + BLOCK_ROWS)


def softmax(logits: Float64Array) -> Float64Array:
    """float64 (3, N): shares of each column."""
    powers = np.exp(logits - logits.max(axis=0))
    return np.asarray(powers / (powers[0] + powers[1] + powers[2]))
