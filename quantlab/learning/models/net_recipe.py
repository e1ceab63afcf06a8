"""Options that the network members share.

A member adds the shape of its network and the columns that it reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch

from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError
from quantlab.core.ports import FittedModel, ProgressCallback
from quantlab.core.types import Dataset
from quantlab.learning.models.quantiles import are_symmetric_levels
from quantlab.learning.parallel.progress import no_progress

_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class NetRecipe(ABC):
    """Options that all network members share: windows, training and the calibrator.

    Parameters
    ----------
    name : str
        The member's name in the ensemble.
    input_bars : int
        Bars in a window: the fitted member's lookback.
    quantiles : tuple of float
        Levels that are forecast: rising, symmetric, with the median in the middle.
    max_steps : int
        Batches at most.
    batch_windows : int
        Windows in a batch.
    learning_rate : float
        Of Adam (Kingma and Ba 2015).
    check_every_steps, patience_checks : int
        When the stopping windows are looked at, and how often without improvement before training ends.
    stopping_windows : int
        Windows at most, spread evenly, that early stopping looks at.
    calibrator_fraction : float
        Share of the validation bars, the newest, that the calibrator is fitted on; early stopping has
        the others. In (0, 1).
    calibrator_penalty : float
        Ridge on the calibrator's slopes, per unit of mean log loss, > 0.
    seed : int
        Of initial weights, batches and dropout.
    threads : int
        For fitting and predicting, never the host's number: sums depend on it.
    device : "cpu" or "cuda"
        Where to train; "cuda" trains in mixed precision (bfloat16). Predictions are always made on the
        CPU in float32. Two fits have equal bits on the CPU; on CUDA some gradients are summed in no fixed order.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    name: str
    input_bars: int
    quantiles: tuple[float, ...]
    max_steps: int
    batch_windows: int
    learning_rate: float
    check_every_steps: int
    patience_checks: int
    stopping_windows: int
    calibrator_fraction: float
    calibrator_penalty: float
    seed: int
    threads: int
    device: Literal["cpu", "cuda"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantiles", tuple(float(level) for level in self.quantiles))
        for name in ("max_steps", "batch_windows", "check_every_steps", "patience_checks", "stopping_windows"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1)
        check_range(f"{self.name}.input_bars", self.input_bars, low=2)
        check_range(f"{self.name}.threads", self.threads, low=1)
        check_range(f"{self.name}.learning_rate", self.learning_rate, low=1e-8, high=1.0)
        check_range(f"{self.name}.calibrator_fraction", self.calibrator_fraction, low=0.01, high=0.99)
        check_range(f"{self.name}.calibrator_penalty", self.calibrator_penalty, low=1e-9)
        check_range(f"{self.name}.seed", self.seed, low=0, high=_LARGEST_SEED)
        if not are_symmetric_levels(self.quantiles):
            raise ConfigError(
                f"{self.name}.quantiles that rise, mirror each other and have the median in the middle",
                found=str(self.quantiles),
                fix="use for example [0.1, 0.25, 0.5, 0.75, 0.9]",
            )
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"{self.name}.device cpu or cuda", found=repr(self.device), fix="set one of them")

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Features that it reads: log returns, then exogenous ones."""

    @abstractmethod
    def network(self, horizon: int) -> torch.nn.Module:
        """A new network of neuralforecast's, with initial weights from the seed."""

    @abstractmethod
    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedModel:
        """Fit as :meth:`fit` does, with a report after every step."""

    def fit(self, train: Dataset, valid: Dataset) -> FittedModel:
        """Learn from the returns after the masked rows of `train`; `valid` stops early and calibrates.

        Raises
        ------
        HistoryError, ContractError, InstallationError, ConfigError
            See :func:`quantlab.learning.models.fitted_net.fit_net`.
        """
        return self.fit_with_progress(train, valid, no_progress)
