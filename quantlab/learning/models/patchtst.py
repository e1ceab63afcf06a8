"""PatchTST as a member of the ensemble: neuralforecast's module on windows of scaled log returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import patchtst as library

from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError
from quantlab.core.ports import ProgressCallback
from quantlab.core.types import Dataset
from quantlab.learning.models.fitted_net import FittedNet, fit_net
from quantlab.learning.models.net_recipe import NetRecipe


@dataclass(frozen=True)
class PatchTST(NetRecipe):
    """A transformer over patches of a window (Nie et al. 2023, "A time series is worth 64 words").

    It reads log returns only: the library's module takes no exogenous input.

    Parameters
    ----------
    patch_bars, stride_bars : int
        Length of a patch, and bars from one patch to the next; at most `input_bars`.
    layers : int
        Of the encoder.
    heads : int
        Of attention; divides `hidden_units`.
    hidden_units : int
        Width of a patch's embedding; the layer behind attention is twice as wide.
    dropout : float
        In [0, 1).

    Notes
    -----
    All other parameters are those of :class:`quantlab.learning.models.net_recipe.NetRecipe`. The library's own
    normalisation of a window ("RevIN") is off: it would take the last return as the level of all that follow.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    patch_bars: int
    stride_bars: int
    layers: int
    heads: int
    hidden_units: int
    dropout: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch_bars", "stride_bars"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1, high=self.input_bars)
        for name in ("layers", "heads", "hidden_units"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1)
        check_range(f"{self.name}.dropout", self.dropout, low=0.0, high=0.99)
        if self.hidden_units % self.heads:
            raise ConfigError(
                f"{self.name}.hidden_units that are a multiple of its {self.heads} heads",
                found=str(self.hidden_units),
                fix=f"use {self.heads * max(1, self.hidden_units // self.heads)}",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Features that it reads: log returns."""
        return ("ret_1",)

    def network(self, horizon: int) -> torch.nn.Module:
        """A new network of neuralforecast's, with initial weights from the seed."""
        network: torch.nn.Module = library.PatchTST(
            h=horizon,
            input_size=self.input_bars,
            patch_len=self.patch_bars,
            stride=self.stride_bars,
            encoder_layers=self.layers,
            n_heads=self.heads,
            hidden_size=self.hidden_units,
            linear_hidden_size=2 * self.hidden_units,
            dropout=self.dropout,
            fc_dropout=self.dropout,
            revin=False,
            loss=MQLoss(quantiles=list(self.quantiles)),
            random_seed=self.seed,
        )
        return network

    def fit_with_progress(self, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedPatchTST:
        """Fit as ``fit`` does, with a report after every step."""
        return fit_net(FittedPatchTST, self, train, valid, on_progress)


class FittedPatchTST(FittedNet):
    """A fitted :class:`PatchTST`."""

    recipe_class: ClassVar[type[NetRecipe]] = PatchTST
