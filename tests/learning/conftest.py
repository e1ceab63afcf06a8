"""The room's fixtures; ``fakes`` goes on the path so that spawned workers find its classes too."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import Bars
from quantlab.learning.ensemble.ensemble import Ensemble
from quantlab.learning.samples.splits import PurgedWalkForward
from quantlab.learning.samples.triple_barrier import TripleBarrier
from quantlab.learning.study.walk_forward import WalkForward

FAKES = str(Path(__file__).parent / "fakes")
if FAKES not in sys.path:
    sys.path.insert(0, FAKES)

from learning_fakes import Centroids, SmallFeatures  # noqa: E402 - found only now


@pytest.fixture(scope="session")
def trending_bars(random_bars: Callable[..., Bars]) -> Callable[..., Bars]:
    """Random bars on slow common trends, with a late listing and a hole, so that not every cell is ready."""

    def make(seed: int = 0, n_bars: int = 700, n_symbols: int = 4) -> Bars:
        bars = random_bars(seed, n_bars, n_symbols)
        ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
        rng = np.random.default_rng(seed + 1)
        drift = np.zeros(n_bars)
        for t in range(1, n_bars):
            drift[t] = 0.95 * drift[t - 1] + rng.normal(0.0, 0.0005)
        ohlcv[:, :, :4] *= np.exp(drift.cumsum())[:, None, None]
        for rows, symbol in ((slice(0, 60), 1), (slice(450, 470), 2)):
            ohlcv[rows, symbol] = np.nan
            state[rows, symbol] = 3
        return Bars(ohlcv, bars.open_time_ms, bars.interval_ms, state, bars.symbols, bars.instruments)

    return make


@pytest.fixture(scope="session")
def walk_forward() -> Callable[..., WalkForward]:
    """A small learner over ``learning_fakes``; any argument can be replaced."""

    def make(cache_dir: Path, **changes: Any) -> WalkForward:
        values: dict[str, Any] = {
            "features": SmallFeatures(),
            "labels": TripleBarrier(take_profit_atr=1.0, stop_atr=0.8, horizon=6),
            "splits": PurgedWalkForward(
                n_folds=3,
                min_train_bars=300,
                min_test_bars=20,
                train_bars=None,
                early_stopping_fraction=0.2,
                calibration_fraction=0.25,
                every_k=2,
            ),
            "members": {"plain": Centroids(), "sharp": Centroids(name="sharp", scale=3.0, lookback=4)},
            "ensemble": Ensemble(
                min_confidence=0.36,
                min_consensus=0.5,
                quorum=2,
                liveness_bars=48,
                min_weight=0.1,
                max_weight=0.6,
                min_gain_bps=0.0,
                move_atr=2.0,
            ),
            "workers": 1,
            "cache_dir": cache_dir,
            "seed": 7,
            "bootstrap_samples": 50,
        }
        return WalkForward(**{**values, **changes})

    return make
