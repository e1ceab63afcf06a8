"""Fixtures of the data room's tests; ``fakes`` and ``exchange`` go on the path, where its servers and its fuzz lie."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.core.market import Bars, Instrument
from quantlab.data import ParquetSource, SyntheticSource
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.collect.market_choice import MarketChoice
from quantlab.data.exchange.retry import Retry
from quantlab.data.store.source import CollectedSource

sys.path += [str(Path(__file__).parent / folder) for folder in ("fakes", "exchange")]
from binance_server import CountingProgress, FakeBinance, Listing, serving

START_MS = 1_746_057_600_000  # 2025-05-01, a Thursday
STEP_MS = 300_000


@pytest.fixture(scope="session")
def instrument() -> Instrument:
    return Instrument(
        tick=0.0, lot=0.0, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
    )


@pytest.fixture(scope="session")
def cases(repository: Path) -> Path:
    """The small inputs that once went wrong, or a skip that says where they belong."""
    folder = repository.parent / "shared" / "cases"
    if not (folder / "README.md").is_file():
        pytest.skip(f"needs the inputs in {folder}")
    return folder


@pytest.fixture(scope="session")
def write_bars() -> Callable[..., Path]:
    """Write sound bars with the given row numbers of the grid; `columns` replaces or adds, None drops one."""

    def write(path: Path, rows: Any, **columns: Any) -> Path:
        rows = np.asarray(list(rows), dtype=np.int64)
        stamps = pa.array(START_MS + STEP_MS * rows, pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
        close = 100.0 + rows
        table = {"timestamp": stamps, "open": close, "high": close + 1.0, "low": close - 1.0, "close": close}
        table |= {"volume": np.full(len(rows), 5.0)} | columns
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
        return path

    return write


@pytest.fixture(scope="session")
def write_funding() -> Callable[..., Path]:
    """Write hourly rates with the given stamps in ms."""

    def write(path: Path, stamps_ms: Any, rate: Any) -> Path:
        stamps = pa.array(list(stamps_ms), pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"timestamp": stamps, "funding_rate": np.asarray(list(rate), dtype=float)}), path)
        return path

    return write


@pytest.fixture(scope="session")
def parquet_source(instrument: Instrument) -> Callable[..., ParquetSource]:
    def make(root: Path, symbols: Any = "all", **settings: Any) -> ParquetSource:
        defaults: dict[str, Any] = {"start": None, "end": None, "funding": "auto", "folders": []}
        defaults["largest_funding_rate"] = 10.0  # the rates of most tests here are whole numbers
        return ParquetSource(root=root, symbols=symbols, instrument=instrument, **(defaults | settings))

    return make


@pytest.fixture(scope="session")
def synthetic_source(instrument: Instrument) -> Callable[..., SyntheticSource]:
    def make(seed: int = 7, **settings: Any) -> SyntheticSource:
        defaults: dict[str, Any] = {
            "days": 12,
            "n_symbols": 5,
            "interval_ms": STEP_MS,
            "start": "2025-01-01",
            "edge": 1.0,
            "late_listings": 2,
        }
        return SyntheticSource(seed=seed, instrument=instrument, **(defaults | settings))

    return make


@pytest.fixture(scope="session")
def assert_same_stream() -> Callable[..., None]:
    """A source's stream, put together, has the bits of its history, funding included."""

    def check(history: Bars, stream: Any) -> None:
        rows = list(stream)
        assert len(rows) == history.n_bars
        assert all(row.n_bars == 1 and row.symbols == history.symbols for row in rows)
        np.testing.assert_array_equal(np.concatenate([row.open_time_ms for row in rows]), history.open_time_ms)
        assert np.concatenate([row.ohlcv for row in rows]).tobytes() == history.ohlcv.tobytes()
        assert np.concatenate([row.state for row in rows]).tobytes() == history.state.tobytes()
        if history.funding is None:
            assert all(row.funding is None for row in rows)
            return
        for row in rows:
            due = row.funding.time_ms
            assert np.all((due > row.open_time_ms[0] - row.interval_ms) & (due <= row.open_time_ms[0]))
        np.testing.assert_array_equal(np.concatenate([row.funding.time_ms for row in rows]), history.funding.time_ms)
        np.testing.assert_array_equal(np.concatenate([row.funding.rate for row in rows]), history.funding.rate)

    return check


@pytest.fixture
def progress() -> CountingProgress:
    return CountingProgress()


@pytest.fixture
def binance() -> Iterator[Callable[..., FakeBinance]]:
    """Start a fake Binance; four days, three symbols, the middle of a bar."""
    with ExitStack() as stack:

        def start(listings: dict[str, Listing] | None = None, **settings: Any) -> FakeBinance:
            usual = {
                "BTCUSDT": Listing(1, volume=9e9),
                "ETHUSDT": Listing(2, holes=((100, 103), (400, 520)), volume=5e9),
                "NEWUSDT": Listing(3, first=700, volume=1e6),
            }
            now = {"now_ms": START_MS + 4 * 86_400_000 - 200_000}
            return stack.enter_context(serving(FakeBinance(listings or usual, **{**now, **settings})))

        yield start


@pytest.fixture(scope="session")
def exchange_source() -> Callable[..., ExchangeSource]:
    """A collector of a fake exchange, without waits; any setting can be replaced."""

    def make(server: FakeBinance, **settings: Any) -> ExchangeSource:
        url = f"{server.url}/fapi/v1"
        defaults: dict[str, Any] = {
            "exchange": "binanceusdm",
            "timeframe": "5m",
            "choice": MarketChoice("all", ["USDT"], None),
            "days": 3,
            "start": None,
            "end": None,
            "concurrency": 4,
            "bars_per_request": 288,
            "rates_per_request": 48,
            "margin_notional_usd": 10_000.0,
            "largest_funding_rate": 0.05,
            "grace_seconds": 5.0,
            "retry": Retry(5, 0.0, 0.0, 0.0, 60.0),
            "settings": {"urls": {"api": {"fapiPublic": url}}, "rateLimit": 1, "timeout": 5000},
        }
        return ExchangeSource(**(defaults | settings))

    return make


@pytest.fixture(scope="session")
def collected_source(instrument: Instrument) -> Callable[..., CollectedSource]:
    def make(root: Path, symbols: Any = "all", **settings: Any) -> CollectedSource:
        defaults: dict[str, Any] = {"start": None, "end": None, "funding": "auto", "largest_funding_rate": 0.05}
        return CollectedSource(root=root, symbols=symbols, instrument=instrument, **(defaults | settings))

    return make
