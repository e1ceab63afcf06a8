"""A file of adjustments mends a break in every part of a history, and says what it cannot mend."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Bars
from quantlab.data import ParquetSource, coverage
from quantlab.data.quality.breaks import find_breaks
from quantlab.data.store.day_files import BARS
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import Batch, open_store

START_MS, STEP_MS = 1_746_057_600_000, 300_000
N = 700
TIME = "2025-05-02T05:10:00Z"  # row 350


def write_parquet(path: Path, bars: Bars, s: int, ohlcv: Float64Array) -> None:
    stamps = pa.array(bars.open_time_ms, pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    columns = dict(zip(("open", "high", "low", "close", "volume"), ohlcv[:, s].T, strict=True))
    pq.write_table(pa.table({"timestamp": stamps, **{k: np.ascontiguousarray(v) for k, v in columns.items()}}), path)


@pytest.fixture(params=["parquet", "collected"])
def source(
    request: Any,
    tmp_path: Path,
    random_bars: Callable[..., Bars],
    parquet_source: Callable[..., ParquetSource],
    collected_source: Callable[..., CollectedSource],
) -> Callable[..., Any]:
    """Two symbols, of which A was redenominated 1000:1 at row 350; `steps` are others; the settings of the source."""
    bars = random_bars(seed=5, n_bars=N, n_symbols=2, start_ms=START_MS)

    def make(steps: tuple[tuple[int, int, float], ...] = (), **settings: Any) -> Any:
        root = tmp_path / f"data{len(steps)}"
        if root.is_dir():
            return (parquet_source if request.param == "parquet" else collected_source)(root, **settings)
        ohlcv = bars.ohlcv.copy()
        for row, s, factor in ((350, 0, 0.001), *steps):
            ohlcv[row:, s, :4] *= factor
            ohlcv[row:, s, 4] /= factor
        root.mkdir()
        if request.param == "parquet":
            for s, symbol in enumerate("AB"):
                write_parquet(root / f"{symbol}.parquet", bars, s, ohlcv)
            return parquet_source(root, **settings)
        series = {symbol: (bars.open_time_ms, np.ascontiguousarray(ohlcv[:, s])) for s, symbol in enumerate("AB")}
        span = (START_MS, START_MS + N * STEP_MS)
        with open_store(root, "test", STEP_MS) as store:
            store.add(Batch(BARS, series, {"A": (span,), "B": (span,)}, {}))
        return collected_source(root, **settings)

    return make


def table(tmp_path: Path, *rows: str, heading: str = "symbol,time,factor") -> Path:
    path = tmp_path / "adjustments.csv"
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def test_the_line_of_the_finding_mends_the_break(source: Callable[..., Any], tmp_path: Path) -> None:
    raw = source().history()
    (found,) = find_breaks(raw)
    assert found.adjustment == f"A,{TIME},0.001"
    mended_source = source(adjustments=table(tmp_path, found.adjustment))
    mended = mended_source.history()
    np.testing.assert_array_equal(mended.ohlcv[:350, 0, :4], raw.ohlcv[:350, 0, :4] * 0.001)
    np.testing.assert_array_equal(mended.ohlcv[:350, 0, 4], raw.ohlcv[:350, 0, 4] / 0.001)
    np.testing.assert_array_equal(mended.ohlcv[350:], raw.ohlcv[350:])
    np.testing.assert_array_equal(mended.ohlcv[:, 1], raw.ohlcv[:, 1])
    assert mended.suspect is None
    assert find_breaks(mended) == ()
    assert not any("redenomination" in text for text in coverage(mended).findings())
    assert mended.fingerprint() != raw.fingerprint()
    notes = mended_source.data_notes()
    assert f"prices of A before {TIME} are multiplied by 0.001 and volumes divided by it (adjustments.csv)" in notes
    assert any("data.instruments" in note for note in notes)
    assert not any("prices of A" in note for note in source().data_notes())


def test_parts_and_the_stream_are_the_adjusted_history(
    source: Callable[..., Any], tmp_path: Path, assert_same_stream: Callable[..., None]
) -> None:
    rows = (f"A,{TIME},0.001", "A,2025-05-01T10:00:00Z,3", f"B,{TIME},2")
    mended = source(((120, 0, 3.0), (350, 1, 2.0)), adjustments=table(tmp_path, *rows))
    whole = mended.history()
    for first, last in ((0, 100), (100, 360), (340, 700)):
        part = mended.history(START_MS + first * STEP_MS, START_MS + last * STEP_MS)
        assert part.ohlcv.tobytes() == whole.ohlcv[first:last].tobytes()
    assert_same_stream(whole, mended.stream())


def test_several_of_one_symbol_compose(source: Callable[..., Any], tmp_path: Path) -> None:
    steps = ((120, 0, 3.0),)
    raw = source(steps).history()
    both = source(steps, adjustments=table(tmp_path, f"A,{TIME},0.001", "A,2025-05-01T10:00:00Z,3")).history()
    np.testing.assert_allclose(both.ohlcv[:120, 0, 3], raw.ohlcv[:120, 0, 3] * 0.003, rtol=1e-15)
    np.testing.assert_array_equal(both.ohlcv[120:350, 0, 3], raw.ohlcv[120:350, 0, 3] * 0.001)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        # Six bars late, sixteen early, a day late: silently a gain or a loss of 99.9 % in between, before.
        ("2025-05-02T05:40:00Z,0.001", rf"0\.001 for A at 2025-05-02T05:40.*nearest step of that size is at {TIME}"),
        ("2025-05-02T03:50:00Z,0.001", rf"nearest step of that size is at {TIME}. Write {TIME}"),
        ("2025-05-03T05:10:00Z,0.001", rf"nearest step of that size is at {TIME}"),
        # A wrong factor: a part of the step, the other way round, one that is nowhere.
        (f"{TIME},0.01", r"which is 0\.00\d+ times; no step of A is of that size"),
        (f"{TIME},0.0013", r"step by \(within 1\.25 times\) at its time in row 1 of adjustments.csv"),
        (f"{TIME},1000", r"1000 for A at .* Write what earlier prices are multiplied by: 0\.001"),
        ("2025-05-01T10:00:00Z,1.02", r"no step of A is of that size"),
    ],
)
def test_a_factor_that_is_not_the_step_in_price_at_its_time_is_refused(
    source: Callable[..., Any], tmp_path: Path, row: str, says: str
) -> None:
    chosen = source(adjustments=table(tmp_path, f"A,{row}"))
    for part in ((None, None), (START_MS, START_MS + 20 * STEP_MS)):  # also where the part that is read ends before it
        with pytest.raises(DataError, match=says):
            chosen.history(*part)


def test_a_factor_may_differ_from_the_step_by_what_a_market_moves(source: Callable[..., Any], tmp_path: Path) -> None:
    for factor in (0.00085, 0.0012):
        source(adjustments=table(tmp_path, f"A,{TIME},{factor}")).history()


def test_a_bar_in_both_units_is_named(
    tmp_path: Path, random_bars: Callable[..., Bars], parquet_source: Callable[..., ParquetSource]
) -> None:
    """It opens at the old price and closes at the new one: a row can mend neither half; without the bar it mends."""
    bars = random_bars(seed=5, n_bars=N, n_symbols=1, start_ms=START_MS)
    ohlcv = bars.ohlcv.copy()
    ohlcv[350:, 0, :4] *= 0.001
    ohlcv[350, 0, 0] = ohlcv[350, 0, 1] = ohlcv[349, 0, 3]
    write_parquet(tmp_path / "A.parquet", bars, 0, ohlcv)
    for time in (TIME, "2025-05-02T05:15:00Z"):
        row = f"A,{time},0.001"
        with pytest.raises(DataError, match=rf"bar that opens at {TIME} moves so .*Take that bar"):
            parquet_source(tmp_path, adjustments=table(tmp_path, row)).history()
    kept = np.flatnonzero(np.arange(N) != 350)
    stamps = pa.array(bars.open_time_ms[kept], pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    columns = {name: ohlcv[kept, 0, k] for k, name in enumerate(("open", "high", "low", "close", "volume"))}
    pq.write_table(pa.table({"timestamp": stamps, **columns}), tmp_path / "A.parquet")
    for time in (TIME, "2025-05-02T05:15:00Z"):  # both ends of the hole are the same
        mended = parquet_source(tmp_path, adjustments=table(tmp_path, f"A,{time},0.001")).history()
        assert find_breaks(mended) == ()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([f"A,{TIME},0.001", f"C,{TIME},2"], r"symbol of the data in row 2 of adjustments.csv; found C, of which"),
        (["A,2025-05-01T00:00:00Z,2"], r"after the first bar and not after the last in row 1.*2025-05-03T10:15:00Z"),
        (["A,2026-01-01T00:00:00Z,2"], r"not after the last in row 1.*found 2026-01-01"),
        (["A,2025-05-02T05:11:00Z,2"], r"open of a bar of 5m in row 1.*05:11:00Z"),
        ([f"A,{TIME},2", f"A,{TIME},2"], r"one factor per symbol and time in row 2.*also in row 1"),
        ([f"A,{TIME},1"], r"factor > 0 and not 1 in row 1.*found 1\b"),
        ([f"A,{TIME},0"], r"factor > 0 and not 1 in row 1"),
        ([f"A,{TIME},-2"], r"finite number >= 0 in row 1.*'-2'"),
        ([f"A,{TIME},nan"], r"finite number >= 0 in row 1.*'nan'"),
        ([f"A,{TIME},1_000"], r"finite number >= 0 in row 1.*'1_000'"),
        ([f"A,{TIME},"], r"a factor in row 1 of adjustments.csv; found an empty cell"),
        (["A,soon,2"], r"time as an ISO 8601 time in row 1.*'soon'"),
        ([f"A,{TIME}"], r"columns symbol, time, factor.*Expected 3 columns, got 2"),
    ],
)
def test_rows_are_refused_with_their_number(
    source: Callable[..., Any], tmp_path: Path, rows: list[str], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        source(adjustments=table(tmp_path, *rows)).history()


@pytest.mark.parametrize(
    "heading", ["symbol,time", "symbol,time,factor,note", "symbol,time,factor,factor", "Symbol,time,factor"]
)
def test_columns_are_never_guessed(source: Callable[..., Any], tmp_path: Path, heading: str) -> None:
    row = ",".join(["A", TIME, "2", "2"][: heading.count(",") + 1])
    with pytest.raises(DataError, match=r"columns symbol, time, factor at .*wrong, missing or there twice"):
        source(adjustments=table(tmp_path, row, heading=heading)).history()


def test_a_file_that_is_not_there_and_a_name_that_is_none(source: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"csv file with the columns symbol, time, factor at .*none.csv"):
        source(adjustments=tmp_path / "none.csv").history()
    with pytest.raises(ConfigError, match=r"data\.adjustments as a file"):
        source(adjustments="")


def test_a_symbol_that_is_not_chosen_may_stand_in_the_file(source: Callable[..., Any], tmp_path: Path) -> None:
    path = table(tmp_path, f"A,{TIME},0.001")
    only = source(symbols=["B"], adjustments=path)
    assert only.history().fingerprint() == source(symbols=["B"]).history().fingerprint()
    assert not any("multiplied" in note for note in only.data_notes())
    assert dataclasses.replace(only, symbols=["A"]).history().suspect is None
