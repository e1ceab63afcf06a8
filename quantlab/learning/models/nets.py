"""Training and asking a neural forecaster: our own loop around a library's module.

1. Batches of windows are drawn from one shared array (``windows``), an epoch at a time without repeats.
2. The loss is the mean quantile loss over all steps and levels, weighted by the labels' uniqueness.
3. Every `check_every_steps` the same stopping windows are forecast; the best weights so far are kept, and
   training ends when they have not improved for `patience_checks`.
4. A fitted network speaks in blocks of one fixed shape, on the CPU, in float32: a window's forecast has the
   same bits alone, in any company and at any place in a history.

Everything random is seeded inside :func:`undisturbed`, which leaves every global generator and the thread
count of the process as they were.
"""

from __future__ import annotations

import logging
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from quantlab.core.errors import ConfigError, InstallationError
from quantlab.core.types import Float32Array, Float64Array, Int64Array, check_range
from quantlab.learning.models.quantiles import central, summary
from quantlab.learning.models.windows import Batch, WindowTable

#: Windows that a network sees at once when it speaks; fewer are filled up with zeros.
BLOCK_WINDOWS = 128

#: Written by Lightning's own seeding when a library's module is built.
_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
_SEED_LOGGER = logging.getLogger("lightning_fabric.utilities.seed")
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class NetRecipe(ABC):
    """What every network member is told about windows, training and its calibrator.

    A member adds the shape of its network, the columns that it reads, and ``fit``.

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
        if not central(self.quantiles):
            raise ConfigError(
                f"{self.name}.quantiles that rise, mirror each other and have the median in the middle",
                found=str(self.quantiles),
                mend="use for example [0.1, 0.25, 0.5, 0.75, 0.9]",
            )
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"{self.name}.device cpu or cuda", found=repr(self.device), mend="set one of them")

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Features that it reads: log returns, then exogenous ones."""

    @abstractmethod
    def network(self, horizon: int) -> torch.nn.Module:
        """A new network of neuralforecast's, with initial weights from the seed."""


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

    def thinned(self, most: int) -> Examples:
        """At most `most` of them, spread evenly."""
        if len(self.index) <= most:
            return self
        kept = np.linspace(0, len(self.index) - 1, most).astype(np.int64)
        return Examples(self.table, self.index[kept], self.actual[kept], self.weight[kept])


def train(network: torch.nn.Module, recipe: NetRecipe, examples: Examples, stopping: Examples) -> None:
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
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    few = stopping.thinned(recipe.stopping_windows)
    best, best_weights, waited = np.inf, {}, 0
    for step, rows in enumerate(_batches(len(examples.index), recipe), start=1):
        network.train()
        optimiser.zero_grad(set_to_none=True)
        loss: Any = _loss(network, examples, rows, levels, recipe.device)
        loss.backward()
        optimiser.step()
        if step % recipe.check_every_steps and step != recipe.max_steps:
            continue
        found = _stopping_loss(network, few, levels, recipe)
        waited = 0 if found < best else waited + 1
        if found < best:
            best, best_weights = found, {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
        if waited >= recipe.patience_checks:
            break
    if not best_weights:
        raise ConfigError(
            f"{recipe.name} to reach a finite validation loss",
            found="none",
            mend=f"lower {recipe.name}.learning_rate",
        )
    network.to("cpu")
    network.load_state_dict(best_weights)
    network.eval()


def summaries(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Float64Array:
    """float64 (N, 3): what the forecasts for rows `index` say, block by block (see ``quantiles.summary``)."""
    blocks = [summary(forecast) for forecast in _forecasts(network, table, index)]
    return np.concatenate(blocks) if blocks else np.empty((0, 3))


def forecast(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Float32Array:
    """float32 (N, H, Q): quantiles of the next returns after rows `index`, in units of each window's scale."""
    return np.concatenate(list(_forecasts(network, table, index)))


def to_library(batch: Batch, device: str = "cpu") -> dict[str, Any]:
    """A batch as neuralforecast's modules take it: tensors (N, L, 1) and (N, L, C)."""
    returns = torch.from_numpy(batch.returns).unsqueeze(-1).to(device)
    exogenous = torch.from_numpy(batch.exogenous).to(device) if batch.exogenous.shape[2] else None
    return {
        "insample_y": returns,
        "insample_mask": torch.ones_like(returns),
        "futr_exog": None,
        "hist_exog": exogenous,
        "stat_exog": None,
    }


def require_device(recipe: NetRecipe) -> None:
    """Raise InstallationError if the device that was asked for would not be the one that is used."""
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise InstallationError(
            f"PyTorch on device {recipe.device!r}",
            found="it would use 'cpu'",
            mend=f"set {recipe.name}.device to cpu, or install a build and a driver for CUDA",
        )


@contextmanager
def undisturbed(seed: int, threads: int) -> Iterator[None]:
    """Seeded and on `threads` threads inside; outside, no generator, variable or count has moved.

    Building a library's module seeds the whole process and says so in a log.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - kept, never drawn from
    variables = {name: os.environ.get(name) for name in _SEED_VARIABLES}
    level = _SEED_LOGGER.level
    _SEED_LOGGER.setLevel(logging.WARNING)
    try:
        with fixed_threads(threads), torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        _SEED_LOGGER.setLevel(level)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        for name, value in variables.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """PyTorch on `threads` threads inside the block."""
    before = torch.get_num_threads()
    if before == threads:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    batch = to_library(examples.table.gather(examples.index[rows]), device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        said = network(batch)
    error = torch.from_numpy(examples.actual[rows]).to(device).unsqueeze(-1) - said.float()
    losses = torch.maximum(levels * error, (levels - 1.0) * error).mean(dim=(1, 2))
    return (losses * torch.from_numpy(examples.weight[rows]).to(device)).mean()


def _stopping_loss(network: torch.nn.Module, stopping: Examples, levels: torch.Tensor, recipe: NetRecipe) -> float:
    network.eval()
    size = recipe.batch_windows
    positions = np.arange(len(stopping.index))
    blocks = [positions[start : start + size] for start in range(0, len(positions), size)]
    with torch.inference_mode():
        losses = [float(_loss(network, stopping, rows, levels, recipe.device)) * len(rows) for rows in blocks]
    return sum(losses) / len(positions)


def _forecasts(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Iterator[Float32Array]:
    with torch.inference_mode():
        for start in range(0, len(index), BLOCK_WINDOWS):
            batch = table.gather(index[start : start + BLOCK_WINDOWS])
            yield network(to_library(_filled(batch))).numpy()[: len(batch.scale)]


def _filled(batch: Batch) -> Batch:
    """A batch of exactly `BLOCK_WINDOWS`."""
    missing = BLOCK_WINDOWS - len(batch.scale)
    if missing == 0:
        return batch
    space = ((0, missing), (0, 0))
    return Batch(
        np.pad(batch.returns, space), np.pad(batch.exogenous, (*space, (0, 0))), np.pad(batch.scale, (0, missing))
    )
