"""Fixtures that more than one room's tests need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from quantlab.core.market import Bars, BarState, Instrument
from quantlab.data import QualityGate

Command = Callable[..., subprocess.CompletedProcess[str]]
REPOSITORY = Path(__file__).resolve().parent.parent


def market_data_root() -> Path:
    """Folder of the reference market data: ``$QUANTLAB_MARKET_DATA``, else beside the checkout."""
    explicit = os.environ.get("QUANTLAB_MARKET_DATA")
    return Path(explicit) if explicit else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The reference market data, or a skip that says how to get it."""
    root = market_data_root()
    if not (root / "perps_5m" / "BTC.parquet").is_file():
        pytest.skip(f"needs the reference market data at {root}; set QUANTLAB_MARKET_DATA to its folder")
    return root


@pytest.fixture(scope="session")
def perps_5m(market_data: Path) -> Path:
    """100 real perpetuals, 5-minute bars, with funding."""
    return market_data / "perps_5m"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that holds these tests."""
    return REPOSITORY


def make_random_bars(
    seed: int = 0,
    n_bars: int = 400,
    n_symbols: int = 3,
    *,
    interval_ms: int = 300_000,
    start_ms: int = 1_742_083_200_000,
) -> Bars:
    """A seeded random walk with every cell traded; consistent OHLC, no funding, continuous instruments."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 0.002, (n_bars, n_symbols))
    close = 100.0 * np.exp(np.cumsum(steps, axis=0))
    open_ = np.vstack([np.full((1, n_symbols), 100.0), close[:-1]]) * np.exp(rng.normal(0.0, 1e-4, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.001, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.001, close.shape)))
    volume = rng.lognormal(8.0, 1.0, close.shape)
    instrument = Instrument(
        tick=0.0, lot=0.0, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
    )
    return Bars(
        ohlcv=np.ascontiguousarray(np.stack([open_, high, low, close, volume], axis=-1)),
        open_time_ms=start_ms + interval_ms * np.arange(n_bars, dtype=np.int64),
        interval_ms=interval_ms,
        state=np.full((n_bars, n_symbols), BarState.TRADED, dtype=np.uint8),
        symbols=tuple(f"S{i:02d}" for i in range(n_symbols)),
        instruments=(instrument,) * n_symbols,
    )


def add_false_prints(bars: Bars, seed: int, share: float = 0.01) -> Bars:
    """The same market with false prints, crashes that stay and far wicks in a share of its cells, through the gate."""
    rng = np.random.default_rng(seed + 77)
    shape = bars.state.shape
    raw = np.where(bars.printed[:, :, None], bars.ohlcv, np.nan)
    crash = rng.choice([1.0, 0.7, 1.3], shape, p=[1.0 - share / 2, share / 4, share / 4])
    crash[0] = 1.0
    raw[:, :, :4] *= np.cumprod(crash, axis=0)[:, :, None]
    raw[:, :, 0] /= crash  # the open is still the price before it
    false = rng.choice([1.0, 0.4, 1.15, 4.0], shape, p=[1.0 - share, share / 3, share / 3, share / 3])
    whole = rng.random(shape) < 0.5
    raw[:, :, 3] *= false
    raw[:, :, 0] *= np.where(whole, false, 1.0)
    wick = rng.choice([1.0, 1.3], shape, p=[1.0 - share, share])
    raw[:, :, 1] = np.maximum(raw[:, :, 1], raw[:, :, [0, 3]].max(axis=2)) * wick
    raw[:, :, 2] = np.minimum(raw[:, :, 2], raw[:, :, [0, 3]].min(axis=2))
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    return gate.run(gate.begin(), np.ascontiguousarray(raw), bars.open_time_ms, bars.funding)[1]


@pytest.fixture(scope="session")
def false_prints() -> Callable[..., Bars]:
    """The function :func:`add_false_prints`."""
    return add_false_prints


@pytest.fixture(scope="session")
def random_bars() -> Callable[..., Bars]:
    """The factory :func:`make_random_bars`."""
    return make_random_bars


@pytest.fixture
def quantlab_cli(tmp_path: Path) -> Command:
    """``python -m quantlab`` in an empty folder; returns the finished process."""

    def call(*arguments: str, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "quantlab", *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return call


@pytest.fixture
def start_quantlab(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``python -m quantlab`` in an empty folder, left running as the leader of a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "quantlab", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
