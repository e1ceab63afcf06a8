"""A user's own signals from parquet: what is read, and everything that is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, DataError
from quantlab.trading import FileSignal, signal_of
from quantlab.trading.signals.arrays import DISTANCES

NAN, INF = np.nan, np.inf
START, STEP = 1_742_083_200_000, 300_000
TYPES = {"timestamp": pa.timestamp("ms", tz="UTC"), "symbol": pa.string(), "side": pa.int8()}


def column(values, name):
    kind = TYPES.get(name, pa.float64())
    return pa.array([START + int(t) * STEP for t in values] if name == "timestamp" else values, kind)


@pytest.fixture
def write(tmp_path):
    """``write(timestamp=[bar numbers], symbol=[...], target=[...])``; an arrow array goes in as it is."""

    def table(**columns):
        path = tmp_path / "signals.parquet"
        arrays = {n: v if isinstance(v, pa.Array) else column(v, n) for n, v in columns.items()}
        pq.write_table(pa.table(arrays), path)
        return FileSignal(str(path), None)

    return table


def test_rows_are_placed_and_the_rest_says_nothing(write, random_bars):
    bars = random_bars(n_bars=4, n_symbols=2)
    source = write(
        timestamp=[2, 0, 1, 99, -5],
        symbol=["S01", "S00", "S00", "S00", "S01"],
        target=[-0.2, 0.1, None, 0.3, 0.3],
        stop_distance=[1.0, INF, None, 1.0, 1.0],
    )
    signals = source.signal(bars)
    np.testing.assert_array_equal(signals.target, [[0.1, NAN], [NAN, NAN], [NAN, -0.2], [NAN, NAN]])
    np.testing.assert_array_equal(signals.stop_distance, [[INF, NAN], [NAN, NAN], [NAN, 1.0], [NAN, NAN]])
    assert signals.side.tolist() == [[1, 0], [0, 0], [0, -1], [0, 0]]
    assert signals.take_distance is None
    np.testing.assert_array_equal(signals.confidence, [[1.0, NAN], [NAN, NAN], [NAN, 1.0], [NAN, NAN]])
    assert np.isnan(signals.atr).all()


def test_every_column(write, random_bars):
    floats = {name: [0.5] for name in ("target", *DISTANCES)}
    signals = write(timestamp=[1], symbol=["S00"], side=[-1], confidence=[0.4], **floats).signal(random_bars(n_bars=3))
    assert signals.side[1, 0] == -1
    assert signals.confidence[1, 0] == 0.4
    for name in floats:
        assert getattr(signals, name)[1, 0] == 0.5


def test_the_atr_comes_from_the_features(write, random_bars, range_features):
    bars = random_bars(n_bars=5)
    source = dataclasses.replace(write(timestamp=[1], symbol=["S00"], side=[1]), features=range_features)
    atr = source.signal(bars).atr
    assert np.isnan(atr[0]).all()
    np.testing.assert_allclose(atr[1:], (bars.ohlcv[1:, :, 1] - bars.ohlcv[1:, :, 2]), rtol=1e-6)


@pytest.mark.parametrize("stamp", [pa.timestamp("ns", tz="UTC"), pa.timestamp("s", tz="Europe/Berlin")])
def test_any_zone_and_resolution_is_the_same_time(write, random_bars, stamp):
    time = dt.datetime.fromtimestamp((START + STEP) / 1000, dt.UTC)
    signals = write(timestamp=pa.array([time], stamp), symbol=["S02"], side=[1]).signal(random_bars(n_bars=3))
    assert signals.side.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


GOOD = {"timestamp": [0, 1], "symbol": ["S00", "S01"], "target": [0.1, 0.2]}
DIRTY = {
    "unknown column": ({"stop": [1.0, 1.0]}, "stop"),
    "side of another type": ({"side": pa.array([1, 0], pa.int64())}, "'side'.*int8.*int64"),
    "target of another type": ({"target": pa.array([0.1, 0.2], pa.float32())}, "'target'.*double.*float"),
    "stamp without a zone": ({"timestamp": pa.array([START, START + STEP], pa.timestamp("ms"))}, "time zone"),
    "stamp as a number": ({"timestamp": pa.array([START, START + STEP])}, "time zone.*int64"),
    "symbol as a number": ({"symbol": pa.array([0, 1])}, "'symbol'"),
    "no symbol column": ({"symbol": None}, "symbol"),
    "nothing said": ({"target": None}, "side or target"),
    "empty symbol": ({"symbol": ["S00", None]}, "empty cells in symbol"),
    "empty side": ({"side": [1, None]}, "empty cells in side"),
    "a side of 2": ({"side": [1, 2]}, "side.*between -1 and 1; found 2 in row 1"),
    "confidence as a percentage": ({"confidence": [0.4, 40.0]}, "confidence.*40"),
    "infinite target": ({"target": [0.1, INF]}, "target.*inf in row 1"),
    "distance of zero": ({"stop_distance": [1.0, 0.0]}, "stop_distance.*above 0"),
    "negative distance": ({"trail_distance": [-1.0, 1.0]}, "trail_distance.*above 0"),
    "twice the same cell": ({"timestamp": [1, 1], "symbol": ["S01", "S01"]}, "two for S01 at 2025-03-16T00:05"),
    "no rows": ({"timestamp": [], "symbol": [], "target": []}, "no row at all"),
    "off the grid": ({"timestamp": [0, 0.5]}, None),
    "a symbol that the bars lack": ({"symbol": ["S00", "DOGE"]}, "DOGE"),
    "another time": ({"timestamp": [50, 51]}, "2025-03-16T04:10"),
}


@pytest.mark.parametrize("case", DIRTY)
def test_what_is_not_so_is_refused(write, random_bars, case):
    change, match = DIRTY[case]
    columns = {n: v for n, v in {**GOOD, **change}.items() if v is not None}
    if case == "off the grid":
        half = pa.array([START, START + STEP // 2], TYPES["timestamp"])
        columns, match = {**columns, "timestamp": half}, "opens of 5m bars"
    with pytest.raises(DataError, match=match):
        write(**columns).signal(random_bars(n_bars=20))


def test_a_stamp_of_a_fraction_of_a_millisecond_is_refused(write, random_bars):
    stamps = pa.array([START * 1_000_000 + 1, (START + STEP) * 1_000_000], pa.timestamp("ns", tz="UTC"))
    with pytest.raises(DataError, match="whole milliseconds"):
        write(**{**GOOD, "timestamp": stamps}).signal(random_bars(n_bars=3))


def test_a_file_that_is_none_is_refused(tmp_path, random_bars):
    for text in (None, b"no parquet"):
        path = tmp_path / "signals.parquet"
        if text:
            path.write_bytes(text)
        with pytest.raises(DataError, match="a parquet file of signals at"):
            FileSignal(str(path), None).signal(random_bars(n_bars=3))
    with pytest.raises(ConfigError, match=r"signal\.path"):
        FileSignal(None, None)
    with pytest.raises(ConfigError, match=r"signal\.features"):
        FileSignal("x.parquet", 5)


def test_the_stream_refuses_what_the_batch_refuses(write, random_bars):
    bars = random_bars(n_bars=3)
    strange = write(timestamp=[0], symbol=["DOGE"], side=[1]).stream(bars.symbols, bars.interval_ms)
    with pytest.raises(DataError, match="DOGE"):
        strange.update(bars.rows(0, 1))


def test_the_fingerprint_is_the_content_and_not_the_place(write, tmp_path, range_features):
    source = write(**GOOD)
    one = source.fingerprint
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / "renamed.parquet"
    copy.write_bytes((tmp_path / "signals.parquet").read_bytes())
    assert FileSignal(str(copy), None).fingerprint == one
    assert FileSignal(str(copy), range_features).fingerprint != one
    assert write(**{**GOOD, "target": [0.1, 0.3]}).fingerprint != one


def test_the_users_rows_reach_the_account(write, market, strategy):
    """From the file to fills, by hand: entry, stop distance and all."""
    rows = [[100.0, 100.0, 100.0, 100.0, 1e9]] * 2 + [[100.0, 100.0, 97.0, 98.0, 1e9]]
    bars = market(rows)
    signals = write(timestamp=[0], symbol=["S0"], target=[0.5], stop_distance=[2.0]).signal(bars)
    result = Scan(10_000.0).run(bars, signals, strategy())
    assert result.orders["price"].tolist() == [100.0, 98.0]


def test_arrays_of_ones_own():
    target = np.array([[0.1, NAN], [-0.2, 0.0]])
    signals = signal_of(target=target, stop_distance=np.full((2, 2), INF))
    assert signals.side.tolist() == [[1, 0], [-1, 0]]
    assert signals.live_members.tolist() == [[1, 0], [1, 1]]
    for bad, match in (
        ({}, "neither"),
        ({"target": target, "stop": target}, "stop"),
        ({"side": np.array([[2]], np.int8)}, "side between -1 and 1; found 2"),
        ({"side": np.array([[1]], np.int8), "confidence": np.array([[1.5]])}, "confidence"),
        ({"target": target, "stop_distance": np.ones((2, 3))}, "stop_distance"),
        ({"target": target.astype(np.float32)}, "target"),
    ):
        with pytest.raises(ContractError, match=match):
            signal_of(**bad)


def test_a_stream_goes_on_from_its_state(write, random_bars, range_features):
    bars = random_bars(n_bars=12)
    source = dataclasses.replace(
        write(timestamp=[2, 7, 9], symbol=["S00"] * 3, side=[1, -1, 1]), features=range_features
    )
    whole, first = (source.stream(bars.symbols, bars.interval_ms) for _ in range(2))
    expected = [whole.update(bars.rows(t, t + 1)) for t in range(12)]
    for t in range(6):
        first.update(bars.rows(t, t + 1))
    second = source.stream(bars.symbols, bars.interval_ms)
    second.restore(first.state())
    for t in range(6, 12):
        row = second.update(bars.rows(t, t + 1))
        assert (row.side.tobytes(), row.atr.tobytes()) == (expected[t].side.tobytes(), expected[t].atr.tobytes())
    with pytest.raises(ArtifactError, match="file-signal state"):
        second.restore(first.state()[:-1])
    other = write(timestamp=[2], symbol=["S00"], side=[1]).stream(bars.symbols, bars.interval_ms)
    with pytest.raises(ContractError, match="another file"):
        other.restore(first.state())
