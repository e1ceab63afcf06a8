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
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.types import Dataset, Features
from quantlab.features.contract import FeatureContract
from quantlab.learning.ensemble.calibration import scale_of_least_loss
from quantlab.learning.models.artifact import MemberCard
from quantlab.learning.models.linear_map import N_CLASSES, LinearMap, Standardizer, blocks, softmax
from quantlab.learning.models.native import NativeMember
from quantlab.learning.models.rows import RowTable, classify_ready_rows, common_contract

MODEL_FILE = "linear.json"
#: Scales that a fit may return. At the lower end the scores were of no use on the validation rows; it is
#: above 0, because a member that says the same of every row counts as dead.
SCALE_RANGE = (0.1, 10.0)

#: Of the fit: sums of products depend on how many threads share them. Predicting needs no more.
_THREADS = 1
#: The search for the smallest loss ends where no slope of it is larger.
_GRADIENT_TOLERANCE = 1e-8
#: Weight of one average row of each class that is fitted beside the real ones, of weight 1: a class that never
#: occurred is then very unlikely instead of unknown.
_PRIOR_WEIGHT = 1e-3


@dataclass(frozen=True, eq=False)
class FittedLinear(NativeMember):
    """A fitted :class:`Linear`.

    Parameters
    ----------
    map : LinearMap
    contract : FeatureContract
    golden : float32 (G, F)
        Rows that a reloaded member is compared on.
    """

    library: ClassVar[str] = f"scikit-learn {sklearn.__version__}"
    model_file: ClassVar[str] = MODEL_FILE
    refusals: ClassVar[tuple[type[Exception], ...]] = (ContractError, ValueError, TypeError, KeyError, RecursionError)

    map: LinearMap
    contract: FeatureContract
    golden: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        """See :class:`quantlab.core.ports.FittedModel`."""
        self.contract.check(features)
        return classify_ready_rows(features, self.map.classify)

    def payload(self) -> bytes:
        """The map as its file holds it."""
        return self.map.payload()

    @classmethod
    def read(cls, path: Path, card: MemberCard) -> Self:
        """See :class:`~quantlab.learning.models.native.NativeMember`."""
        return cls(LinearMap.read(path.read_bytes()), card.contract, card.golden())

    def prediction_threads(self) -> int:
        """Threads that it predicts with."""
        return _THREADS

    def classify_golden(self) -> Float32Array:
        """float32 (G, 3): its forecasts for the golden rows."""
        return self.map.classify(self.golden)


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
        contract = common_contract(train, valid)
        rows = RowTable.of(train, "fit on")
        scale_on = RowTable.of(valid, "fit the scale on")
        standard = Standardizer.of(rows, float(self.clip))
        unscaled = LinearMap(standard, *self._smallest_loss(standard, rows), scale=1.0)
        scores = np.concatenate([unscaled.scores(block) for block in blocks(scale_on)], axis=1)
        fitted = dataclasses.replace(unscaled, scale=fit_scale(scores, unscaled.intercepts, scale_on))
        return FittedLinear(fitted, contract, rows.golden())

    def _smallest_loss(self, standard: Standardizer, rows: RowTable) -> tuple[Float64Array, Float64Array]:
        """Coefficients (F, 3) and intercepts (3,)."""
        table = np.zeros((len(rows) + N_CLASSES, rows.values.shape[1]))
        done = 0
        for block in blocks(rows):
            table[done : done + len(block)] = standard(block)
            done += len(block)
        label = np.concatenate([rows.label, np.arange(N_CLASSES)])
        weight = np.concatenate([rows.weight.astype(np.float64), np.full(N_CLASSES, _PRIOR_WEIGHT)])
        model = LogisticRegression(
            C=N_CLASSES / (self.penalty * weight.sum()),
            tol=_GRADIENT_TOLERANCE,
            max_iter=self.max_iterations,
            solver="lbfgs",
        )
        with threadpool_limits(limits=_THREADS), warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(table, label, weight)
            except ConvergenceWarning as warning:
                raise ConfigError(
                    f"a fit of {self.name} that settles",
                    found=str(warning).splitlines()[0].rstrip(":"),
                    fix=f"raise learning.members.{self.name}.max_iterations, or its penalty",
                ) from warning
        return np.ascontiguousarray(model.coef_.T), model.intercept_


def fit_scale(scores: Float64Array, intercepts: Float64Array, rows: RowTable) -> float:
    """The scale at which ``softmax(intercepts + scale * scores)`` has the smallest weighted log loss.

    See :func:`quantlab.learning.ensemble.calibration.scale_of_least_loss`; the ensemble's temperature is the case without
    intercepts.

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

    def excess_score(scale: float) -> Float64Array:
        proba = softmax(intercepts[:, None] + scale * scores)
        excess: Float64Array = (proba * scores).sum(axis=0) - chosen
        return excess

    return scale_of_least_loss(excess_score, rows.weight, SCALE_RANGE)
