"""Options that the tree members share, and one way to fit and to forecast.

A member adds its library: how rows are boosted, and how a booster becomes bytes, and bytes a booster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from quantlab.core.arrays import Float32Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.ports import ProgressCallback
from quantlab.core.types import Dataset, Features
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard
from quantlab.learning.models.native import NativeMember
from quantlab.learning.models.rows import LARGEST_SEED, RowTable, classify_ready_rows, common_contract, refusals_of
from quantlab.learning.parallel.progress import no_progress


@dataclass(frozen=True)
class TreeRecipe(ABC):
    """Options that all tree members share.

    Parameters
    ----------
    name : str
        The member's name in the ensemble.
    max_rounds : int
        Boosting rounds at most, three trees each.
    early_stopping_rounds : int
        Rounds without a better log loss on the validation rows after which boosting stops; the best
        round's trees are kept.
    learning_rate : float
    max_bin : int
        Histogram bins per feature.
    increasing, decreasing : tuple of str
        Features in which every class's *score* may only rise, or only fall. Both libraries bind the three
        scores alike, and probabilities are their softmax: the probability of a single class is not bound.
    class_weights : tuple of float, length 3
        Multiply the weights of SELL, HOLD and BUY rows, for fitting and stopping, > 0. With other than
        equal ones the member forecasts the shares of a market that was tilted so, not those of this one.
    seed : int
    threads : int
        For fitting and predicting, never the host's number: sums depend on it.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    fitted_class: ClassVar[type[FittedTrees]]

    name: str
    max_rounds: int
    early_stopping_rounds: int
    learning_rate: float
    max_bin: int
    increasing: tuple[str, ...]
    decreasing: tuple[str, ...]
    class_weights: tuple[float, float, float]
    seed: int
    threads: int

    def __post_init__(self) -> None:
        for name in ("increasing", "decreasing", "class_weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("max_rounds", "early_stopping_rounds", "threads"):
            check_whole(f"{self.name}.{name}", getattr(self, name), low=1)
        check_whole(f"{self.name}.max_bin", self.max_bin, low=2, high=65_536)
        check_whole(f"{self.name}.seed", self.seed, low=0, high=LARGEST_SEED)
        check_range(f"{self.name}.learning_rate", self.learning_rate, low=1e-6, high=1.0)
        for value in self.class_weights:
            check_range(f"every value of {self.name}.class_weights", value, low=1e-6, high=1e6)
        if len(self.class_weights) != 3:
            raise ConfigError(
                f"{self.name}.class_weights of SELL, HOLD and BUY",
                found=str(list(self.class_weights)),
                fix="give three numbers",
            )
        both = sorted(set(self.increasing) & set(self.decreasing))
        if both:
            raise ConfigError(
                f"{self.name}.increasing and decreasing without a common feature",
                found=", ".join(both),
                fix="take it out of one of them",
            )

    def fit(self, train: Dataset, valid: Dataset) -> FittedTrees:
        """Fit on the masked rows of `train`, stop early on those of `valid`.

        Raises
        ------
        HistoryError
            If either has no rows.
        ContractError
            If a row holds a NaN, the two have different features, or a bound one is missing.
        InstallationError
            If the device is not there.
        ConfigError
            If the library refuses a hyper-parameter.
        """
        return self.fit_with_progress(train, valid, no_progress)

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedTrees:
        """Fit as :meth:`fit` does, with a report after every round."""
        contract = common_contract(train, valid)
        rows = RowTable.of(train, "fit on", self.class_weights)
        stop_on = RowTable.of(valid, "stop early on", self.class_weights)
        with refusals_of(self.name, self.fitted_class.refusals):
            payload = self.boost(rows, stop_on, self._directions(contract), on_progress)
        kind = self.fitted_class
        return kind(kind.load_booster(payload, self.threads), contract, self.threads, rows.golden())

    @abstractmethod
    def boost(
        self, rows: RowTable, stop_on: RowTable, directions: tuple[int, ...] | None, on_progress: ProgressCallback
    ) -> bytes:
        """The best rounds' trees as the library writes them.

        Parameters
        ----------
        rows, stop_on : RowTable
        directions : tuple of int, length F, or None
            Per feature +1, -1 or 0: where every score may only rise, only fall, or do either.
        on_progress : callable
            Gets the share of `max_rounds` after every round.
        """

    def _directions(self, contract: FeatureContract) -> tuple[int, ...] | None:
        unknown = [name for name in (*self.increasing, *self.decreasing) if name not in contract.names]
        if unknown:
            raise ContractError(
                f"features that {self.name}.increasing and decreasing name",
                found=f"none called {', '.join(unknown)}",
                fix="name features of the contract",
            )
        if not (self.increasing or self.decreasing):
            return None
        return tuple((name in self.increasing) - (name in self.decreasing) for name in contract.names)


@dataclass(frozen=True, eq=False)
class FittedTrees(NativeMember):
    """A fitted tree member; only the best rounds' trees, exactly as its file holds them.

    Parameters
    ----------
    booster
        The library's.
    contract : FeatureContract
    threads : int
    golden : float32 (G, F)
        Rows that a reloaded member is compared on.
    """

    booster: Any
    contract: FeatureContract
    threads: int
    golden: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        """See :class:`quantlab.core.ports.FittedModel`."""
        self.contract.check(features)
        return classify_ready_rows(features, self.classify)

    @classmethod
    def read(cls, path: Path, card: MemberCard) -> Self:
        """See :class:`~quantlab.learning.models.native.NativeMember`."""
        return cls(cls.load_booster(path.read_bytes(), card.threads), card.contract, card.threads, card.golden())

    def prediction_threads(self) -> int:
        """Threads that it predicts with."""
        return self.threads

    def classify_golden(self) -> Float32Array:
        """float32 (G, 3): its forecasts for the golden rows."""
        return self.classify(self.golden)

    @classmethod
    @abstractmethod
    def load_booster(cls, payload: bytes, threads: int) -> Any:
        """The library's booster of a file's bytes: no training data, no training state."""

    @abstractmethod
    def classify(self, rows: Float32Array) -> Float32Array:
        """float32 (N, 3): probabilities of rows (N, F)."""
