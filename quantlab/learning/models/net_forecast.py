"""Forecasts of a fitted network: in blocks of one fixed shape, on the CPU, in float32.

So a window's forecast has the same bits alone, in any company and at any place in a history.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from quantlab.core.arrays import Float32Array, Float64Array, Int64Array
from quantlab.learning.models.quantiles import summary
from quantlab.learning.models.windows import Batch, WindowTable

#: Windows that a network forecasts at once; fewer are filled up with zeros.
BLOCK_WINDOWS = 128


def summaries(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Float64Array:
    """float64 (N, 3): what the forecasts for rows `index` say, block by block (see ``quantiles.summary``)."""
    blocks = [summary(forecast) for forecast in _forecasts(network, table, index)]
    return np.concatenate(blocks) if blocks else np.empty((0, 3))


def forecast(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Float32Array:
    """float32 (N, H, Q): quantiles of the next returns after rows `index`, in units of each window's scale."""
    return np.concatenate(list(_forecasts(network, table, index)))


def to_tensors(batch: Batch, device: str = "cpu") -> dict[str, Any]:
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


def _forecasts(network: torch.nn.Module, table: WindowTable, index: Int64Array) -> Iterator[Float32Array]:
    with torch.inference_mode():
        for start in range(0, len(index), BLOCK_WINDOWS):
            batch = table.gather(index[start : start + BLOCK_WINDOWS])
            yield network(to_tensors(_pad_block(batch))).numpy()[: len(batch.scale)]


def _pad_block(batch: Batch) -> Batch:
    """A batch of exactly `BLOCK_WINDOWS`."""
    missing = BLOCK_WINDOWS - len(batch.scale)
    if missing == 0:
        return batch
    space = ((0, missing), (0, 0))
    return Batch(
        np.pad(batch.returns, space), np.pad(batch.exogenous, (*space, (0, 0))), np.pad(batch.scale, (0, missing))
    )
