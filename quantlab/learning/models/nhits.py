"""N-HiTS as a member of the ensemble: neuralforecast's module on windows of scaled log returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import nhits as library

from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError
from quantlab.core.ports import ProgressCallback
from quantlab.core.types import Dataset
from quantlab.learning.models.fitted_net import FittedNet, fit_net
from quantlab.learning.models.net_recipe import NetRecipe


@dataclass(frozen=True)
class NHITS(NetRecipe):
    """Hierarchical interpolation of quantile forecasts (Challu et al. 2023, "NHITS").

    Parameters
    ----------
    exogenous : tuple of str
        Features that it reads beside the returns, over the same window.
    hidden_units : int
        Width of both layers in each stack's network.
    pool_bars : tuple of int, length K
        Bars that each of K stacks pools its input over.
    downsampling : tuple of int, length K
        By how much each stack's forecast is coarser than a bar.
    dropout : float
        In [0, 1).

    Notes
    -----
    All other parameters are those of :class:`quantlab.learning.models.net_recipe.NetRecipe`.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    exogenous: tuple[str, ...]
    hidden_units: int
    pool_bars: tuple[int, ...]
    downsampling: tuple[int, ...]
    dropout: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("exogenous", "pool_bars", "downsampling"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_range(f"{self.name}.hidden_units", self.hidden_units, low=1)
        check_range(f"{self.name}.dropout", self.dropout, low=0.0, high=0.99)
        if not self.pool_bars or len(self.pool_bars) != len(self.downsampling):
            raise ConfigError(
                f"{self.name}.pool_bars and downsampling with one value per stack",
                found=f"{list(self.pool_bars)} and {list(self.downsampling)}",
                fix="make them equally long",
            )
        for value in (*self.pool_bars, *self.downsampling):
            check_range(f"every value of {self.name}.pool_bars and downsampling", value, low=1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Features that it reads: log returns, then exogenous ones."""
        return ("ret_1", *self.exogenous)

    def network(self, horizon: int) -> torch.nn.Module:
        """A new network of neuralforecast's, with initial weights from the seed."""
        stacks = len(self.pool_bars)
        network: torch.nn.Module = library.NHITS(
            h=horizon,
            input_size=self.input_bars,
            hist_exog_list=list(self.exogenous) or None,
            stack_types=["identity"] * stacks,
            n_blocks=[1] * stacks,
            mlp_units=[[self.hidden_units, self.hidden_units]] * 2,
            n_pool_kernel_size=list(self.pool_bars),
            n_freq_downsample=list(self.downsampling),
            dropout_prob_theta=self.dropout,
            loss=MQLoss(quantiles=list(self.quantiles)),
            random_seed=self.seed,
        )
        return network

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedNHITS:
        """Fit as ``fit`` does, with a report after every step."""
        return fit_net(FittedNHITS, self, train, valid, on_progress)


class FittedNHITS(FittedNet):
    """A fitted :class:`NHITS`."""

    recipe_class: ClassVar[type[NetRecipe]] = NHITS
