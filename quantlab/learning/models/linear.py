"""The baseline that every other member has to beat: a strongly penalised multinomial logistic regression.

The penalty halves coefficients and more. Where the signal is faint and many columns say much the same, that
orders rows best, but it also makes every probability too timid. So one scale, fitted on the validation rows, gives
the scores their size back:

    probabilities = softmax(intercepts + scale * scores)
    scores = coefficients . standardised row

A row of average columns has scores of 0, so the scale leaves the shares of the classes there as they were.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import sklearn
from scipy.optimize import brentq
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.files import to_json
from quantlab.core.types import (
    CLASS_NAMES,
    Dataset,
    Features,
    Float32Array,
    Float64Array,
    check_range,
    check_whole,
    read_only,
)
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard, write_member
from quantlab.learning.models.rows import BLOCK_ROWS, RowTable, agreed_contract, score

MODEL_FILE = "linear.json"
#: Scales that a fit may return. At the lower end the scores were of no use on the validation rows; it is
#: above 0, because a member that says the same of every row counts as dead.
SCALE_RANGE = (0.1, 10.0)

_CLASSES = len(CLASS_NAMES)
#: Of the fit: sums of products depend on how many threads share them. Predicting needs no more.
_THREADS = 1
#: The search for the smallest loss ends where no slope of it is larger.
_FLAT = 1e-8
#: A column that deviates by no larger a share of its mean than this is constant, but for rounding.
_ROUNDING = float(np.sqrt(np.finfo(np.float64).eps))
#: Weight of one average row of each class that is fitted beside the real ones, of weight 1: a class that never
#: occurred is then very unlikely instead of unknown.
_UNSEEN = 1e-3


@dataclass(frozen=True, eq=False)
class Standard:
    """What makes columns comparable.

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
        """In two passes, so that a large mean does not swallow a small deviation."""
        mean, square = np.zeros((2, rows.values.shape[1]))
        for block in _blocks(rows):
            mean += block.sum(axis=0, dtype=np.float64) / len(rows)
        for block in _blocks(rows):
            square += ((block - mean) ** 2).sum(axis=0) / len(rows)
        deviation = np.sqrt(square)
        deviation[deviation <= _ROUNDING * np.abs(mean)] = 1.0
        return cls(mean, deviation, clip)

    def __call__(self, rows: Float32Array) -> Float64Array:
        """float64 (N, F): rows (N, F) standardised and cut."""
        return np.clip((rows - self.mean) / self.deviation, -self.clip, self.clip)


@dataclass(frozen=True, eq=False)
class LinearMap:
    """From rows to class probabilities.

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

    standard: Standard
    coefficients: Float64Array
    intercepts: Float64Array
    scale: float

    def __post_init__(self) -> None:
        n_features = len(self.coefficients)
        sizes = np.array([*self.standard.deviation, self.standard.clip, self.scale])
        arrays = [
            read_only(self.coefficients, np.float64, (n_features, _CLASSES), "coefficients"),
            read_only(self.intercepts, np.float64, (_CLASSES,), "intercepts"),
            read_only(self.standard.mean, np.float64, (n_features,), "mean"),
            read_only(self.standard.deviation, np.float64, (n_features,), "deviation"),
        ]
        if not (all(np.isfinite(array).all() for array in (*arrays, sizes)) and (sizes > 0.0).all()):
            raise ContractError(
                "finite numbers, and deviation, clip and scale above 0", found="others", mend="fit the member again"
            )

    def scores(self, rows: Float32Array) -> Float64Array:
        """float64 (3, N): scores of rows (N, F) before the scale.

        Summed column by column, not as a matrix product: a row's bits must not depend on how many others there are.
        """
        total = np.zeros((_CLASSES, len(rows)))
        columns = np.ascontiguousarray(self.standard(rows).T)
        for column, slopes in zip(columns, self.coefficients, strict=True):
            total += slopes[:, None] * column
        return total

    def classify(self, rows: Float32Array) -> Float32Array:
        """float32 (N, 3): probabilities of rows (N, F)."""
        proba = _softmax(self.intercepts[:, None] + self.scale * self.scores(rows))
        return np.ascontiguousarray(proba.T, dtype=np.float32)

    def payload(self) -> bytes:
        """As JSON, from which every number comes back bit for bit."""
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
        """What :meth:`payload` wrote.

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
        standard = Standard(arrays["mean"], arrays["deviation"], float(content["clip"]))
        return cls(standard, arrays["coefficients"], arrays["intercepts"], float(content["scale"]))


@dataclass(frozen=True, eq=False)
class FittedLinear:
    """A fitted :class:`Linear`.

    Parameters
    ----------
    map : LinearMap
    contract : FeatureContract
    golden : float32 (G, F)
        Rows that a reloaded member is compared on.
    """

    library: ClassVar[str] = f"scikit-learn {sklearn.__version__}"

    map: LinearMap
    contract: FeatureContract
    golden: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        """See :class:`quantlab.core.ports.FittedModel`."""
        self.contract.check(features)
        return score(features, self.map.classify)

    def save(self, folder: Path) -> None:
        """Write the map and its card, load both again and compare golden predictions bit for bit.

        Raises
        ------
        ArtifactError
            If the reloaded member differs.
        """
        card = write_member(
            folder,
            library=self.library,
            file=MODEL_FILE,
            payload=self.map.payload(),
            threads=_THREADS,
            contract=self.contract,
            golden_inputs=self.golden,
            golden_outputs=self.map.classify(self.golden),
        )
        card.require_golden(self.load(folder).map.classify(self.golden), tolerance=0.0)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or golden predictions differ.
        """
        card = MemberCard.read(folder)
        path = folder / card.file
        try:
            fitted = cls(LinearMap.read(path.read_bytes()), card.contract, card.golden())
            card.require_golden(fitted.map.classify(fitted.golden))
        except (ContractError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ArtifactError(f"a linear map in {path}", found=str(error), mend="fit the member again") from error
        return fitted


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression with an L2 penalty, at the scale that the validation rows ask for.

    Nothing is drawn at random, so there is no seed.

    Parameters
    ----------
    name : str
        The member's name in the ensemble.
    penalty : float
        Against the data's own curvature, whatever the number of rows, > 0: the coefficient of a column that is
        independent of the others shrinks to 1 / (1 + penalty) where classes are equally frequent, and so does that
        of a ridge regression whose penalty is `penalty` times the number of rows.
    clip : float
        Standard deviations at which a column is cut.
    max_iterations : int
        Of the search for the smallest loss, by L-BFGS.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Notes
    -----
    The fit minimises the weighted mean log loss plus ``penalty / 6 * sum of squared coefficients``: with three equally
    frequent classes the loss curves by a third along every column of deviation 1. It holds all rows at once, as
    float64: 390 bytes for each row of 49 columns.
    """

    name: str
    penalty: float
    clip: float
    max_iterations: int

    def __post_init__(self) -> None:
        check_range(f"{self.name}.penalty", self.penalty, low=1e-6, high=1e6)
        check_range(f"{self.name}.clip", self.clip, low=0.1, high=1e6)
        check_whole(f"{self.name}.max_iterations", self.max_iterations, low=1)

    def fit(self, train: Dataset, valid: Dataset) -> FittedLinear:
        """Fit the map on the masked rows of `train`, its scale on those of `valid`.

        Raises
        ------
        HistoryError
            If either has no rows.
        ContractError
            If a row holds a NaN, or the two have different features.
        ConfigError
            If `max_iterations` were too few.
        """
        contract = agreed_contract(train, valid)
        rows = RowTable.of(train, "fit on")
        scale_on = RowTable.of(valid, "fit the scale on")
        standard = Standard.of(rows, float(self.clip))
        timid = LinearMap(standard, *self._smallest_loss(standard, rows), scale=1.0)
        scores = np.concatenate([timid.scores(block) for block in _blocks(scale_on)], axis=1)
        fitted = dataclasses.replace(timid, scale=fit_scale(scores, timid.intercepts, scale_on))
        return FittedLinear(fitted, contract, rows.golden())

    def _smallest_loss(self, standard: Standard, rows: RowTable) -> tuple[Float64Array, Float64Array]:
        """Coefficients (F, 3) and intercepts (3,)."""
        table = np.zeros((len(rows) + _CLASSES, rows.values.shape[1]))
        for number, block in enumerate(_blocks(rows)):
            table[number * BLOCK_ROWS :][: len(block)] = standard(block)
        label = np.concatenate([rows.label, np.arange(_CLASSES)])
        weight = np.concatenate([rows.weight.astype(np.float64), np.full(_CLASSES, _UNSEEN)])
        model = LogisticRegression(
            C=_CLASSES / (self.penalty * weight.sum()), tol=_FLAT, max_iter=self.max_iterations, solver="lbfgs"
        )
        with threadpool_limits(limits=_THREADS), warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(table, label, weight)
            except ConvergenceWarning as warning:
                raise ConfigError(
                    f"a fit of {self.name} that settles",
                    found=str(warning).splitlines()[0].rstrip(":"),
                    mend=f"raise learning.members.{self.name}.max_iterations, or its penalty",
                ) from warning
        return np.ascontiguousarray(model.coef_.T), model.intercept_


def fit_scale(scores: Float64Array, intercepts: Float64Array, rows: RowTable) -> float:
    """The scale at which ``softmax(intercepts + scale * scores)`` has the smallest weighted log loss.

    The loss is convex in the scale, so the minimum is the root of its slope ``sum w (E_p[score] - score of the
    label)``, a monotone function (as in :func:`quantlab.learning.calibration.fit_temperature`, which is the case
    without intercepts).

    Parameters
    ----------
    scores : float64 (3, N)
    intercepts : float64 (3,)
    rows : RowTable, N rows

    Returns
    -------
    float
        In :data:`SCALE_RANGE`.
    """
    chosen = scores[rows.label.astype(np.int64), np.arange(len(rows))]

    def slope(scale: float) -> float:
        proba = _softmax(intercepts[:, None] + scale * scores)
        # Not a dot product: its bits depend on the number of threads.
        return float((rows.weight * ((proba * scores).sum(axis=0) - chosen)).sum())

    smallest, largest = SCALE_RANGE
    if slope(smallest) >= 0.0:
        return smallest
    if slope(largest) <= 0.0:
        return largest
    return float(brentq(slope, smallest, largest, xtol=1e-12, rtol=1e-12))


def _blocks(rows: RowTable) -> Iterator[Float32Array]:
    for start in range(0, len(rows), BLOCK_ROWS):
        yield rows.block(start, start + BLOCK_ROWS)


def _softmax(logits: Float64Array) -> Float64Array:
    """float64 (3, N): shares of each column."""
    powers = np.exp(logits - logits.max(axis=0))
    return np.asarray(powers / (powers[0] + powers[1] + powers[2]))
