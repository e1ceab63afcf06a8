"""The real features and the real trees through the whole flow, as the configuration builds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Signal
from quantlab.learning.study.walk_forward import WalkForward


def _configuration(repository: Path, cache_dir: Path, workers: int) -> DictConfig:
    """The groups that the study reads, shrunk to a market of a few days."""
    conf = repository / "conf"

    def load(name: str) -> Any:
        return OmegaConf.load(conf / f"{name}.yaml")

    members = {name: load(f"learning/models/{name}") for name in ("xgboost", "lightgbm")}
    for member in members.values():
        member.max_rounds, member.learning_rate = 20, 0.1
    splits = load("learning/splits/walk_forward")
    splits.n_folds, splits.min_train_bars, splits.min_test_bars, splits.every_k = 2, 1_000, 50, 1
    splits.calibration_fraction = 0.3
    return OmegaConf.create(
        {
            "seed": 7,
            "workers": workers,
            "cache_dir": str(cache_dir),
            "barriers": {"take_profit_atr": 2.0, "stop_atr": 1.2, "horizon": 12},
            "features": load("features/unified49"),
            "learning": {
                "labels": load("learning/labels/triple_barrier"),
                "splits": splits,
                "ensemble": load("learning/ensemble/default"),
                "members": members,
                "study": load("learning/study/walk_forward"),
                "tuning": None,
            },
        }
    )


@pytest.fixture(scope="module")
def build(repository: Path) -> Callable[[Path, int], WalkForward]:
    def make(cache_dir: Path, workers: int) -> WalkForward:
        built: WalkForward = instantiate(_configuration(repository, cache_dir, workers).learning.study, _convert_="all")
        return built

    return make


def test_trees_from_configuration_to_stream(
    build: Callable[[Path, int], WalkForward], random_bars: Callable[..., Bars], tmp_path: Path
) -> None:
    bars = random_bars(1, 2_900, 3)
    alone = build(tmp_path / "one", 1).study(bars, SilentProgress())
    together = build(tmp_path / "two", 2).study(bars, SilentProgress())
    cached = build(tmp_path / "two", 1).study(bars, SilentProgress())
    assert alone.report == together.report == cached.report
    assert alone.source.fingerprint == together.source.fingerprint == cached.source.fingerprint
    history = alone.source.signal(bars)
    last = slice(alone.first_row + (alone.last_row - alone.first_row) // 2 + 1, alone.last_row)
    for field in dataclasses.fields(Signal):
        said = getattr(alone.signal, field.name)
        if said is not None:
            np.testing.assert_array_equal(said, getattr(together.signal, field.name))
            np.testing.assert_array_equal(said, getattr(cached.signal, field.name))
            np.testing.assert_array_equal(said[last], getattr(history, field.name)[last])
    stream = cached.source.stream(bars.symbols, bars.interval_ms)
    rows = [stream.update(bars.rows(t, t + 1)) for t in range(1_900)]
    np.testing.assert_array_equal(np.concatenate([row.side for row in rows]), history.side[:1_900])
    np.testing.assert_array_equal(np.concatenate([row.atr for row in rows]), history.atr[:1_900])
    np.testing.assert_allclose(np.concatenate([row.proba for row in rows]), history.proba[:1_900], rtol=0, atol=1e-6)
