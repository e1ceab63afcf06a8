"""Runs of a small market, made once by their jobs, and the same in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.core.fakes import SilentProgress
from quantlab.jobs.research import backtest, research
from quantlab.research import Result, experiment

SMALL = ("experiment=baseline", "debug=tiny", "history.bars=2600", "history.symbols=2")
OTHER = "trading.costs.slippage_bps=9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one experiment at other costs, the first with its page."""
    path = tmp_path_factory.mktemp("runs")
    for job, extra in ((research, ()), (backtest, (OTHER,))):
        lab = experiment(*_places(path), *extra, progress=SilentProgress())
        job.run(lab.cfg)
    return path


def _places(path: Path) -> tuple[str, ...]:
    return (*SMALL, f"runs_dir={path}/runs", f"cache_dir={path}/cache")


@pytest.fixture(scope="module")
def places() -> Callable[[Path], tuple[str, ...]]:
    """Overrides of the small market whose runs and caches lie in a folder."""
    return _places


@pytest.fixture(scope="module")
def first(folder: Path) -> Path:
    return min((folder / "runs" / "baseline").iterdir(), key=lambda path: path.name)


@pytest.fixture(scope="module")
def other(folder: Path) -> Path:
    return max((folder / "runs" / "baseline").iterdir(), key=lambda path: path.name)


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    lab = experiment(*_places(folder), progress=SilentProgress())
    return lab.backtest(lab.history())


@pytest.fixture
def copied(first: Path, tmp_path: Path) -> Path:
    """A copy of the first run that a test may spoil."""
    return Path(shutil.copytree(first, tmp_path / "runs" / "baseline" / first.name))
