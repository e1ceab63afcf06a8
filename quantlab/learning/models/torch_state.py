"""PyTorch inside a process that others use too: seeded, and without a trace.

Everything random in a network member is seeded inside :func:`seeded_torch`, which leaves every global
generator and the thread count of the process as they were.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

#: Written by Lightning's own seeding when a library's module is built.
_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
_SEED_LOGGER = logging.getLogger("lightning_fabric.utilities.seed")


@contextmanager
def seeded_torch(seed: int, threads: int) -> Iterator[None]:
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
