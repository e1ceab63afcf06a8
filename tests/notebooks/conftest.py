"""A small experiment, and kernels that nothing of the person's own setup reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.research import Experiment, experiment

SMALL = ("experiment=baseline", "debug=tiny", "history.bars=3600", "trading/policy=ensemble_threshold")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of runs and caches."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Experiment:
    """A plain signal with stops and take-profits, on 3,600 bars of 4 symbols."""
    return experiment(*SMALL, f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}", progress=SilentProgress())


@pytest.fixture(scope="module")
def bars(lab: Experiment) -> Bars:
    return lab.history()
