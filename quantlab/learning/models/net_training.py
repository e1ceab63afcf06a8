"""Training a neural forecaster: our own loop around a library's module.

1. Batches of windows are drawn from one shared array (``windows``), an epoch at a time without repeats.
2. The loss is the mean quantile loss over all steps and levels, weighted by the labels' uniqueness.
3. Every `check_every_steps` the same stopping windows are forecast; the best weights so far are kept, and
   training ends when they have not improved for `patience_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from quantlab.core.arrays import Float32Array, Int64Array
from quantlab.core.errors import ConfigError, InstallationError
from quantlab.core.ports import ProgressCallback
from quantlab.learning.models.net_forecast import to_tensors
from quantlab.learning.models.net_recipe import NetRecipe
from quantlab.learning.models.windows import WindowTable

#: Stopping windows that are forecast at once.
_STOPPING_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows to learn from, and what came after them.

    Parameters
    ----------
    table : WindowTable
    index : int64 (N,)
        Rows, flat and time-major.
    actual : float32 (N, H)
        Forward returns in units of each window's scale.
    weight : float32 (N,)
        Of mean 1.
    """

    table: WindowTable
    index: Int64Array
    actual: Float32Array
    weight: Float32Array

    def thin(self, most: int) -> Examples:
        """At most `most` of them, spread evenly."""
        if len(self.index) <= most:
            return self
        kept = np.linspace(0, len(self.index) - 1, most).astype(np.int64)
        return Examples(self.table, self.index[kept], self.actual[kept], self.weight[kept])


@dataclass
class BestWeights:
    """The best weights seen, and for how long nothing was better.

    Parameters
    ----------
    loss : float
    weights : dict of str to Tensor
        On the CPU; empty before the first finite loss.
    checks_without_improvement : int
        Looks since then.
    """

    loss: float
    weights: dict[str, torch.Tensor]
    checks_without_improvement: int

    def update(self, loss: float, network: torch.nn.Module) -> None:
        """Keep the weights of `network` if `loss` is lower than ever."""
        if loss < self.loss:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
            self.loss, self.checks_without_improvement = loss, 0
        else:
            self.checks_without_improvement += 1


def train(
    network: torch.nn.Module, recipe: NetRecipe, examples: Examples, stopping: Examples, on_progress: ProgressCallback
) -> None:
    """Fit `network` in place; it ends on the CPU, in eval mode, with the best weights seen.

    Raises
    ------
    InstallationError
        If ``device="cuda"`` and there is none that PyTorch can use.
    ConfigError
        If no validation loss was ever finite.
    """
    require_device(recipe)
    network.to(recipe.device)
    levels = torch.tensor(recipe.quantiles, device=recipe.device)
    # Fused: one kernel for all weights, where the default walks over them one by one.
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True)
    few = stopping.thin(recipe.stopping_windows)
    best = BestWeights(np.inf, {}, 0)
    for step, rows in enumerate(_batches(len(examples.index), recipe), start=1):
        network.train()
        optimiser.zero_grad(set_to_none=True)
        loss: Any = _loss(network, examples, rows, levels, recipe.device)
        loss.backward()
        optimiser.step()
        on_progress(step / recipe.max_steps)
        if step % recipe.check_every_steps == 0 or step == recipe.max_steps:
            best.update(_stopping_loss(network, few, levels, recipe.device), network)
            if best.checks_without_improvement >= recipe.patience_checks:
                break
    if not best.weights:
        raise ConfigError(
            f"{recipe.name} to reach a finite validation loss",
            found="none",
            fix=f"lower {recipe.name}.learning_rate",
        )
    network.to("cpu")
    network.load_state_dict(best.weights)
    network.eval()


def require_device(recipe: NetRecipe) -> None:
    """Raise InstallationError if the device that was asked for would not be the one that is used."""
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise InstallationError(
            f"PyTorch on device {recipe.device!r}",
            found="it would use 'cpu'",
            fix=f"set {recipe.name}.device to cpu, or install a build and a driver for CUDA",
        )


def _batches(count: int, recipe: NetRecipe) -> Iterator[Int64Array]:
    """`max_steps` batches of positions; an epoch's rest that fills no batch is left out of it."""
    rng = np.random.default_rng(recipe.seed)
    size = min(recipe.batch_windows, count)
    order = rng.permutation(count)
    start = 0
    for _ in range(recipe.max_steps):
        if start + size > count:
            order, start = rng.permutation(count), 0
        yield order[start : start + size]
        start += size


def _loss(
    network: torch.nn.Module, examples: Examples, rows: Int64Array, levels: torch.Tensor, device: str
) -> torch.Tensor:
    """Weighted mean quantile loss (Koenker and Bassett 1978) of some of the examples."""
    batch = to_tensors(examples.table.gather(examples.index[rows]), device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        forecast = network(batch)
    error = torch.from_numpy(examples.actual[rows]).to(device).unsqueeze(-1) - forecast.float()
    losses = torch.maximum(levels * error, (levels - 1.0) * error).mean(dim=(1, 2))
    return (losses * torch.from_numpy(examples.weight[rows]).to(device)).mean()


def _stopping_loss(network: torch.nn.Module, stopping: Examples, levels: torch.Tensor, device: str) -> float:
    network.eval()
    positions = np.arange(len(stopping.index))
    blocks = [positions[start : start + _STOPPING_BLOCK] for start in range(0, len(positions), _STOPPING_BLOCK)]
    with torch.inference_mode():
        losses = [float(_loss(network, stopping, rows, levels, device)) * len(rows) for rows in blocks]
    return sum(losses) / len(positions)
