"""A collected dataset read back: any part is a slice of the whole, and queries stay lazy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from binance_server import DAY_MS, EPOCH_MS, STEP_MS, make_bars

from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Bars, BarState
from quantlab.data import ParquetSource
from quantlab.data.store.arrow_dataset import open_dataset
from quantlab.data.store.manifest import SymbolFacts
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import Batch, open_store

Read = Callable[..., CollectedSource]
ROWS = {"AAA": [*range(30, 280), *range(300, 800)], "BBB": [*range(100, 576)], "CCC": [*range(290), *range(296, 864)]}


def write(root: Path, rows: dict[str, list[int]] = ROWS, interval_ms: int = STEP_MS) -> None:
    series = {}
    for s, (symbol, kept) in enumerate(rows.items()):
        index = np.array(kept, dtype=np.int64)
        series[symbol] = (EPOCH_MS + index * interval_ms, make_bars(s, 864)[index])
    covered = dict.fromkeys(rows, ((EPOCH_MS, EPOCH_MS + 864 * interval_ms),))
    rate = np.array([[1e-4], [2e-4]])
    paid = {"AAA": (EPOCH_MS + DAY_MS * np.arange(2, dtype=np.int64) + 7, rate)}
    facts = {"BBB": SymbolFacts("BBB/USDT:USDT", {"tick": 0.5, "taker_fee_bps": 9.0})}
    with open_store(root, "test", interval_ms) as store:
        store.add(Batch("bars", series, covered, facts))
        store.add(Batch("funding", paid, {"AAA": covered["AAA"]}, {}))


def assert_slice(part: Bars, whole: Bars, first: int) -> None:
    rows = slice(first, first + part.n_bars)
    np.testing.assert_array_equal(part.open_time_ms, whole.open_time_ms[rows])
    assert part.ohlcv.tobytes() == whole.ohlcv[rows].tobytes()
    assert part.state.tobytes() == whole.state[rows].tobytes()


def test_the_whole_is_what_was_written(tmp_path: Path, collected_source: Read) -> None:
    write(tmp_path)
    bars = collected_source(tmp_path).history()
    assert bars.symbols == ("AAA", "BBB", "CCC")
    for s, kept in enumerate(ROWS.values()):
        np.testing.assert_array_equal(bars.ohlcv[kept, s], make_bars(s, 864)[kept])
        assert int((bars.state[:, s] <= BarState.ZERO_VOLUME).sum()) == len(kept)
    assert (bars.instruments[1].tick, bars.instruments[1].taker_fee_bps, bars.instruments[1].lot) == (0.5, 9.0, 0.0)
    assert bars.instruments[0] == collected_source(tmp_path).instrument
    assert bars.funding is not None
    assert bars.funding.time_ms.tolist() == [EPOCH_MS, EPOCH_MS + DAY_MS]
    np.testing.assert_array_equal(bars.funding.rate, [[1e-4, np.nan, np.nan], [2e-4, np.nan, np.nan]])


@pytest.mark.parametrize("first", [0, 1, 29, 30, 31, 285, 292, 299, 305, 310, 575, 580, 800, 811, 813, 863])
def test_any_period_is_a_slice_of_the_whole(tmp_path: Path, collected_source: Read, first: int) -> None:
    """Also inside a hole, which was seen by bars that are not asked for."""
    write(tmp_path)
    source = collected_source(tmp_path)
    whole = source.history()
    for last in (first + 1, min(first + 40, 864)):
        part = source.history(EPOCH_MS + first * STEP_MS, EPOCH_MS + last * STEP_MS)
        assert part.n_bars == last - first
        assert_slice(part, whole, first)
    odd = source.history(EPOCH_MS + first * STEP_MS - 1, None)
    assert_slice(odd, whole, first)


def test_the_stream_is_the_history_and_symbols_keep_their_order(
    tmp_path: Path, collected_source: Read, assert_same_stream: Callable[..., None]
) -> None:
    write(tmp_path)
    source = collected_source(tmp_path, ["CCC", "AAA"], start="2025-05-01T20:00:00", end="2025-05-02T03:00:00")
    assert source.history().symbols == ("CCC", "AAA")
    assert_same_stream(source.history(), source.stream())


def test_only_the_days_asked_for_are_read(tmp_path: Path, collected_source: Read) -> None:
    write(tmp_path)
    damaged = next((tmp_path / "bars").glob("2025-05-02-*"))
    damaged.write_bytes(b"damaged")
    assert collected_source(tmp_path).history(None, EPOCH_MS + DAY_MS).n_bars == 288
    with pytest.raises(Exception, match="another hash"):
        collected_source(tmp_path).history(None, EPOCH_MS + DAY_MS + 1)


def test_what_is_not_there_is_said(tmp_path: Path, collected_source: Read) -> None:
    with pytest.raises(DataError, match=r"a collected dataset in .*job=collect"):
        collected_source(tmp_path).history()
    write(tmp_path)
    with pytest.raises(DataError, match="nearest names are AAA"):
        collected_source(tmp_path, "AAB").history()
    with pytest.raises(DataError, match="data from 2025-05-01T00:00:00Z to 2025-05-04T00:00:00Z"):
        collected_source(tmp_path, start="2025-06-01").history()
    for settings in ({"start": "soon"}, {"funding": "half"}, {"start": "2025-05-02", "end": "2025-05-01"}):
        with pytest.raises(ConfigError, match=r"data\."):
            collected_source(tmp_path, **settings)
    assert collected_source(tmp_path, funding="off").history().funding is None


def test_lazy_queries_read_only_what_they_ask_for(tmp_path: Path) -> None:
    """The example of docs/data.md."""
    write(tmp_path)
    dataset = open_dataset(tmp_path)
    highest = dataset.to_table(
        columns=["timestamp", "close"],
        filter=(pc.field("symbol") == "BBB") & (pc.field("close") > 90.0),
    )
    closes = make_bars(1, 864)[ROWS["BBB"]][:, 3]
    np.testing.assert_array_equal(highest["close"].to_numpy(), closes[closes > 90.0])
    daily = dataset.to_table(columns=["symbol", "volume"]).group_by("symbol").aggregate([("volume", "sum")])
    assert sorted(daily["symbol"].to_pylist()) == ["AAA", "BBB", "CCC"]
    assert open_dataset(tmp_path, "funding").count_rows() == 2
    with pytest.raises(DataError, match="files of 'trades'"):
        open_dataset(tmp_path, "trades")


def test_uncommitted_files_are_seen_by_nobody(tmp_path: Path, collected_source: Read) -> None:
    write(tmp_path)
    before = collected_source(tmp_path).history().fingerprint()
    stray = tmp_path / "bars" / "2025-05-09-0123456789ab.parquet"
    stray.write_bytes(next((tmp_path / "bars").iterdir()).read_bytes())
    assert collected_source(tmp_path).history().fingerprint() == before
    assert open_dataset(tmp_path).count_rows() == sum(len(rows) for rows in ROWS.values())
    with open_store(tmp_path, "test", STEP_MS):
        pass
    assert not stray.exists()


def test_a_real_symbol_read_back_is_the_one_that_was_stored(
    perps_5m: Path, parquet_source: Callable[..., ParquetSource], collected_source: Read, tmp_path: Path
) -> None:
    theirs: Any = parquet_source(perps_5m, ["BTC", "OM"], end="2025-04-20").history()
    series = {symbol: (theirs.open_time_ms, theirs.ohlcv[:, s]) for s, symbol in enumerate(theirs.symbols)}
    span = (int(theirs.open_time_ms[0]), int(theirs.open_time_ms[-1]) + STEP_MS)
    with open_store(tmp_path, "real", STEP_MS) as store:
        store.add(Batch("bars", series, dict.fromkeys(series, (span,)), {}))
    ours = collected_source(tmp_path).history()
    assert ours.ohlcv.tobytes() == theirs.ohlcv.tobytes()
    assert ours.state.tobytes() == theirs.state.tobytes()
