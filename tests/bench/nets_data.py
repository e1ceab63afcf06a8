"""Datasets and members for the benchmarks: random features, labels that some of them carry, the project's own yaml."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.types import Dataset, Features
from quantlab.features import NAMES
from quantlab.jobs.config.composition import build, compose
from quantlab.learning.samples.dataset import NO_LABEL

HORIZON = 12
BAR_MS = 300_000
MEMBERS = ("lightgbm", "nhits", "patchtst", "xgboost")


def member(name: str, **changes: Any) -> Any:
    """A member as its yaml has it, but for `changes`."""
    cfg = compose(f"+learning/models@learning.members.{name}={name}")
    return build(cfg.learning.members[name], **changes)


def dataset(n_bars: int, n_symbols: int, seed: int = 1) -> Dataset:
    """Every row ready and labelled; five features carry the label, the returns are noise."""
    rng = np.random.default_rng(seed)
    values = np.empty((n_bars, n_symbols, len(NAMES)), dtype=np.float32)
    rng.standard_normal(out=values, dtype=np.float32)
    drive = values[:, :, 5:10].sum(axis=2) + rng.standard_normal((n_bars, n_symbols), dtype=np.float32)
    returns = rng.standard_normal((n_bars + HORIZON, n_symbols), dtype=np.float32)
    times = 1_700_000_100_000 + BAR_MS * np.arange(n_bars, dtype=np.int64)
    ready = np.ones((n_bars, n_symbols), dtype=bool)
    return Dataset(
        features=Features(values, ready, NAMES, "of the benchmarks"),
        label=np.digitize(drive, [-1.0, 1.0]).astype(np.int8),
        weight=np.full((n_bars, n_symbols), 0.2, dtype=np.float32),
        known_at_ms=np.repeat(times[:, None] + (HORIZON + 1) * BAR_MS, n_symbols, axis=1),
        forward_returns=np.lib.stride_tricks.sliding_window_view(returns, HORIZON, axis=0)[:n_bars],
        open_time_ms=times,
        mask=ready,
    )


def rows(data: Dataset, start: int, stop: int) -> Dataset:
    """Only these bars."""
    mask = np.zeros_like(data.mask)
    mask[start:stop] = data.label[start:stop] != NO_LABEL
    return data.with_mask(mask)
