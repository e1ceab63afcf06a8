"""A fitted network member: forecasts, their calibrator, and one file that holds both.

The file is safetensors: weights, moments and calibrator as tensors, the member's configuration as JSON in
its header. What is loaded is built from that configuration, put in eval mode, and has to repeat its golden
predictions.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from quantlab.core.arrays import Float32Array, Int64Array
from quantlab.core.errors import ConfigError
from quantlab.core.ports import ProgressCallback
from quantlab.core.types import Dataset, Features
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard
from quantlab.learning.models.native import NativeMember
from quantlab.learning.models.net_forecast import summaries
from quantlab.learning.models.net_recipe import NetRecipe
from quantlab.learning.models.net_training import Examples, train
from quantlab.learning.models.quantiles import Calibrator, fit_calibrator
from quantlab.learning.models.rows import common_contract
from quantlab.learning.models.torch_state import fixed_threads, seeded_torch
from quantlab.learning.models.windows import (
    Moments,
    ValidationSplit,
    WindowTable,
    complete_rows,
    known_rows,
    normalized_weights,
    require_rows,
    targets,
)

MODEL_FILE = "model.safetensors"
#: Windows kept with a fitted member, to hold its reloaded self against.
GOLDEN_WINDOWS = 8

_HEADER = "quantlab"
_WEIGHTS = "network."
#: Buffers of the library's loss, which is ours to compute.
_NOT_WEIGHTS = ("loss.", "valid_loss.")


Fitted = TypeVar("Fitted", bound="FittedNet")


@dataclass(frozen=True, eq=False)
class FittedNet(NativeMember):
    """A network and the map from its forecasts to class probabilities.

    Parameters
    ----------
    recipe : NetRecipe
    horizon : int
        Returns that are forecast.
    network : torch.nn.Module
        On the CPU, in eval mode.
    calibrator : Calibrator
    moments : Moments
        Moments of the exogenous columns.
    contract : FeatureContract
    golden : float32 (G, L, 1 + C)
        Raw windows that a reloaded member is compared on.
    """

    library: ClassVar[str] = f"torch {torch.__version__}"
    model_file: ClassVar[str] = MODEL_FILE
    refusals: ClassVar[tuple[type[Exception], ...]] = (
        SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        ConfigError,
    )
    recipe_class: ClassVar[type[NetRecipe]]

    recipe: NetRecipe
    horizon: int
    network: Any
    calibrator: Calibrator
    moments: Moments
    contract: FeatureContract
    golden: Float32Array

    @property
    def lookback(self) -> int:
        """Rows that it reads to forecast the last of them."""
        return self.recipe.input_bars

    def predict_proba(self, features: Features) -> Float32Array:
        """See :class:`quantlab.core.ports.FittedModel`; NaN also where fewer than `lookback` ready rows end."""
        return self.predict_every(features, 1)

    def predict_every(self, features: Features, stride: int) -> Float32Array:
        """The same in every stride-th row only, counted back from the last; NaN between them.

        Parameters
        ----------
        features : Features, (T, S, F)
        stride : int
            >= 1; the work is a stride-th of all.
        """
        self.contract.check(features)
        n_bars, n_symbols = features.ready.shape
        rows = complete_rows(features.ready, self.lookback)
        rows[(n_bars - 1 - np.arange(n_bars)) % stride != 0] = False
        index = np.flatnonzero(rows)
        proba = np.full((n_bars, n_symbols, 3), np.nan, dtype=np.float32)
        if len(index):
            table = WindowTable.of(features, self.recipe.columns, self.moments, self.lookback)
            proba.reshape(-1, 3)[index] = self._classify(table, index)
        return proba

    def payload(self) -> bytes:
        """Weights, moments and calibrator as tensors, the configuration in the header."""
        tensors = {
            **{_WEIGHTS + name: tensor for name, tensor in weights(self.network).items()},
            "exogenous.mean": torch.from_numpy(self.moments.mean),
            "exogenous.deviation": torch.from_numpy(self.moments.deviation),
            "calibrator.mean": torch.from_numpy(self.calibrator.mean),
            "calibrator.deviation": torch.from_numpy(self.calibrator.deviation),
            "calibrator.coefficients": torch.from_numpy(self.calibrator.coefficients),
        }
        header = json.dumps({"horizon": self.horizon, "recipe": asdict(self.recipe)}, sort_keys=True)
        return save(tensors, metadata={_HEADER: header})

    @classmethod
    def read(cls, path: Path, card: MemberCard) -> Self:
        """See :class:`~quantlab.learning.models.native.NativeMember`."""
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()[_HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        recipe = cls.recipe_class(**header["recipe"])
        with seeded_torch(recipe.seed, recipe.threads):
            network = recipe.network(header["horizon"])
        stored = {name.removeprefix(_WEIGHTS): t for name, t in tensors.items() if name.startswith(_WEIGHTS)}
        if stored.keys() != weights(network).keys():
            raise ValueError("weights of another network")
        network.load_state_dict(stored, strict=False)
        network.eval()
        calibrator = Calibrator(*(tensors[f"calibrator.{n}"].numpy() for n in ("mean", "deviation", "coefficients")))
        moments = Moments(tensors["exogenous.mean"].numpy(), tensors["exogenous.deviation"].numpy())
        return cls(recipe, header["horizon"], network, calibrator, moments, card.contract, card.golden())

    def _classify(self, table: WindowTable, index: Int64Array) -> Float32Array:
        with fixed_threads(self.recipe.threads):
            return self.calibrator(summaries(self.network, table, index))

    def prediction_threads(self) -> int:
        """Threads that it predicts with."""
        return self.recipe.threads

    def classify_golden(self) -> Float32Array:
        """float32 (G, 3): its forecasts for the golden windows, each as a symbol of its own."""
        values = np.ascontiguousarray(self.golden.transpose(1, 0, 2))
        n_bars, n_windows = values.shape[:2]
        features = Features(values, np.ones((n_bars, n_windows), bool), self.recipe.columns, "golden")
        table = WindowTable.of(features, self.recipe.columns, self.moments, self.lookback)
        return self._classify(table, (n_bars - 1) * n_windows + np.arange(n_windows))


def fit_net(
    kind: type[Fitted], recipe: NetRecipe, train_on: Dataset, valid: Dataset, on_progress: ProgressCallback
) -> Fitted:
    """Fit a recipe's network, and its calibrator on rows that the network has not seen.

    The validation part is cut in time order: its older rows stop the training, its newer rows fit the
    calibrator, and the returns of the former end before the first of the latter.

    Raises
    ------
    HistoryError
        If a part has no rows with a complete window.
    ContractError
        If a row holds a NaN, the two have different features, or a column is missing.
    InstallationError
        If the device is not there.
    """
    contract = common_contract(train_on, valid)
    fit_on = known_rows(train_on, recipe.input_bars)
    require_rows(fit_on, "fit on", recipe.input_bars)
    validation = ValidationSplit.of(valid, recipe.input_bars, recipe.calibrator_fraction)
    moments = Moments.of(train_on.features, recipe.columns[1:], fit_on)
    table = WindowTable.of(train_on.features, recipe.columns, moments, recipe.input_bars)
    horizon = train_on.forward_returns.shape[2]
    with seeded_torch(recipe.seed, recipe.threads):
        network = recipe.network(horizon)
        stopping = _examples(table, valid, validation.stopping)
        train(network, recipe, _examples(table, train_on, fit_on), stopping, on_progress)
        calibrator = fit_calibrator(
            summaries(network, table, validation.calibrating),
            valid.label.reshape(-1)[validation.calibrating],
            normalized_weights(valid, validation.calibrating),
            recipe.calibrator_penalty,
        )
    golden = _golden(train_on.features, recipe.columns, fit_on, recipe.input_bars)
    return kind(recipe, horizon, network, calibrator, moments, contract, golden)


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that a forecast depends on, by name."""
    return {name: t.contiguous() for name, t in network.state_dict().items() if not name.startswith(_NOT_WEIGHTS)}


def _examples(table: WindowTable, dataset: Dataset, index: Int64Array) -> Examples:
    actual = targets(dataset, index, table.scale(index))
    return Examples(table, index, actual, normalized_weights(dataset, index).astype(np.float32))


def _golden(features: Features, columns: tuple[str, ...], index: Int64Array, length: int) -> Float32Array:
    """float32 (G, L, 1 + C): raw windows, spread evenly over the rows `index`."""
    chosen = index[np.linspace(0, len(index) - 1, min(GOLDEN_WINDOWS, len(index))).astype(np.int64)]
    picked = [features.names.index(name) for name in columns]
    ends = zip(*np.divmod(chosen, features.ready.shape[1]), strict=True)
    return np.stack([features.values[t - length + 1 : t + 1, s][:, picked] for t, s in ends])
