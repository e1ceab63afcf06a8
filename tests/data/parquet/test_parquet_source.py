"""Files in, bars out, or one sentence: on real files, damaged ones and small ones made here."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from quantlab.core.clock import parse_utc
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import BarState
from quantlab.data import ParquetSource, coverage
from quantlab.data.series.timestamp_checks import floor_to_hour

START_MS, STEP_MS, HOUR_MS = 1_746_057_600_000, 300_000, 3_600_000
Make = Callable[..., ParquetSource]
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "01_duplicate_timestamps",
            "3 exact repeats and 2 with other values .at 2025-05-02T17:30:00Z, 2025-05-02T17:35",
        ),
        ("02_out_of_order", "time order.*the first row 201"),
        ("03_nan_values", r"\(open 2, high 1, low 1, close 4, volume 7\) in 11 rows 50, 51"),
        ("04_negative_price", "not positive in 2 rows 333, 450.*negative volume in row 500"),
        ("05_high_below_low", "do not enclose the open and close in 5 rows 10, 11, 400, 600, 863"),
        ("10_truncated", "whole parquet file 10_truncated.parquet; found 18700 bytes"),
        ("11_empty", "11_empty.parquet; found an empty file"),
    ],
)
def test_real_defects_are_refused_in_one_sentence(
    market_data: Path, parquet_source: Make, name: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        parquet_source(market_data / "dirty", name).history()


def test_every_file_of_the_manifest_has_its_case_here(market_data: Path) -> None:
    listed = {
        entry["file"].split(".")[0] for entry in json.loads((market_data / "dirty" / "manifest.json").read_text())
    }
    text = Path(__file__).read_text()
    assert len(listed) == 12
    assert all(f'"{name}"' in text for name in listed)


def test_sorting_restores_the_out_of_order_file(market_data: Path, parquet_source: Make, tmp_path: Path) -> None:
    table = pq.read_table(market_data / "dirty" / "02_out_of_order.parquet").sort_by("timestamp")
    pq.write_table(table, tmp_path / "SOL.parquet")
    fixed = parquet_source(tmp_path).history()
    source = parquet_source(market_data / "perps_5m", "SOL", start="2025-05-01", end="2025-05-04", funding="off")
    assert fixed.ohlcv.tobytes() == source.history().ohlcv.tobytes()


def test_zero_volume_run_passes_and_is_found(market_data: Path, parquet_source: Make) -> None:
    bars = parquet_source(market_data / "dirty", "06_zero_volume_run").history()
    assert (bars.state[405:413, 0] == BarState.ZERO_VOLUME).all()
    run = coverage(bars).symbols["06_zero_volume_run"].longest_zero_volume
    assert run is not None
    assert (run.first_ms, run.bars) == (parse_utc("2025-06-08T09:45:00"), 8)


def test_missing_bars_are_marked_and_a_long_gap_stays_empty(market_data: Path, parquet_source: Make) -> None:
    bars = parquet_source(market_data / "dirty", "07_missing_bars").history()
    assert bars.n_bars == 864
    gaps = coverage(bars).symbols["07_missing_bars"].gaps
    assert [gap.missing_bars for gap in gaps] == [1, 6, 72]
    assert [gap.last_before_ms + STEP_MS for gap in gaps] == [
        parse_utc(text) for text in ("2025-05-01T05:50:00", "2025-05-01T12:30:00", "2025-05-02T17:40:00")
    ]
    assert int((bars.state == BarState.FILLED).sum()) == 1 + 6 + 12
    assert int(np.isnan(bars.close).sum()) == 60


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("08_naive_string_timestamps", "a time with a zone .UTC.; found (a time without a zone|string)"),
        ("09_milliseconds_as_seconds", "wrong or missing: timestamp"),
        ("12_wrong_columns", "Open time.*wrong or missing: timestamp, open, high, low, close, volume"),
    ],
)
def test_defects_of_csv_files_are_refused_after_conversion(
    market_data: Path, parquet_source: Make, tmp_path: Path, name: str, says: str
) -> None:
    pq.write_table(pa.csv.read_csv(market_data / "dirty" / f"{name}.csv"), tmp_path / "X.parquet")
    with pytest.raises(DataError, match=says):
        parquet_source(tmp_path).history()


def test_csv_files_are_not_read(market_data: Path, parquet_source: Make, tmp_path: Path) -> None:
    shutil.copy(market_data / "dirty" / "12_wrong_columns.csv", tmp_path)
    with pytest.raises(DataError, match=r"<SYMBOL>\.parquet.*only \.csv.*job=collect job/source=csv"):
        parquet_source(tmp_path).history()


def test_all_problems_of_a_folder_are_found(market_data: Path, parquet_source: Make) -> None:
    problems = [str(problem) for problem in parquet_source(market_data / "dirty").problems()]
    assert len(problems) == 7
    for number, problem in zip(("01", "02", "03", "04", "05", "10", "11"), problems, strict=True):
        assert f" {number}_" in problem


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"close": None}, "wrong or missing: close"),
        ({"close": None, "Close": np.ones(3)}, "wrong or missing: close"),
        ({"volume": pa.array(["1", "2", "3"])}, "volume of X.parquet as float64, .*; found string"),
        ({"open": pa.array([True, True, True])}, "open of X.parquet as float64, .*; found bool"),
        ({"volume": np.array([1, 2, 2**53 + 1])}, "volume of X.parquet with numbers that float64 holds exactly"),
        ({"timestamp": np.array([1, 2, 3])}, "zone .UTC.; found int64"),
        ({"timestamp": pa.array([1, 2, 3], pa.timestamp("ms"))}, "found a time without a zone"),
        ({"timestamp": pa.array(START_MS + STEP_MS * np.arange(3), pa.timestamp("s", tz="UTC"))}, "2009 and 2100"),
        ({"timestamp": pa.array(START_MS // 1000 + 300 * np.arange(3), pa.timestamp("ms", tz="UTC"))}, "found 1970-01"),
        ({"timestamp": pa.array([START_MS * 1000 + 7], pa.timestamp("us", tz="UTC")).take([0, 0, 0])}, "whole millis"),
        ({"timestamp": pa.array([None, START_MS, START_MS + 1], pa.timestamp("ms", tz="UTC"))}, "1 missing"),
        (
            {
                "timestamp": pa.array(
                    [START_MS + 7, START_MS + STEP_MS + 7, START_MS + 2 * STEP_MS + 7], pa.timestamp("ms", tz="UTC")
                )
            },
            "multiples of 5m; found 3",
        ),
        ({"low": np.array([99.0, np.nan, 101.0])}, r"\(low 1\) in row 1"),
        ({"close": pa.array([100.0, None, 102.0])}, r"\(close 1\) in row 1"),
    ],
)
def test_wrong_columns_types_and_stamps(
    parquet_source: Make, write_bars: Write, tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    write_bars(tmp_path / "X.parquet", range(3), **columns)
    with pytest.raises(DataError, match=says):
        parquet_source(tmp_path).history()


def test_whole_numbers_and_short_floats_are_widened_and_said(
    parquet_source: Make, write_bars: Write, tmp_path: Path
) -> None:
    volume, close = np.array([1, 2**53, 3]), np.array([100.1, 101.1, 102.1], dtype=np.float32)
    write_bars(tmp_path / "A.parquet", range(3), volume=volume, close=close, high=close + 5, low=close - 5)
    write_bars(tmp_path / "B.parquet", range(3))
    source = parquet_source(tmp_path)
    bars = source.history()
    assert bars.ohlcv[:, 0, 4].tolist() == volume.tolist()
    assert bars.ohlcv[:, 0, 3].tolist() == [float(price) for price in close]
    (note,) = source.data_notes()
    assert note.startswith("read as float64, to which they were widened: close (float) of A; high (float) of A; low")
    assert "volume (int64) of A." in note
    assert "B" not in note


def test_a_folder_without_files_is_told_by_what_it_holds(
    parquet_source: Make, write_bars: Write, tmp_path: Path
) -> None:
    def refusal(root: Path) -> str:
        with pytest.raises(DataError) as caught:
            parquet_source(root).history()
        return str(caught.value)

    for name in ("empty", "text", "csv", "deep/bars", "a folder"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("text/notes.txt", "csv/BTCUSDT.csv", "a folder/BTCUSDT.csv"):
        (tmp_path / name).write_text("x")
    write_bars(tmp_path / "deep" / "bars" / "A.parquet", range(3))
    assert "no such folder" in refusal(tmp_path / "absent")
    assert "an empty folder" in refusal(tmp_path / "empty")
    assert "only .txt" in refusal(tmp_path / "text")
    advice = f"job=collect job/source=csv job.source.folder={tmp_path}/csv job.root=collected/csv"
    assert advice in refusal(tmp_path / "csv")
    assert "then read it with data=collected data.root=collected/csv" in refusal(tmp_path / "csv")
    assert "a file" in refusal(tmp_path / "csv" / "BTCUSDT.csv")
    assert advice in refusal(tmp_path / "csv" / "BTCUSDT.csv")
    assert shlex.split(f"x={refusal(tmp_path / 'a folder').split('job.source.folder=')[1]}")[0] == (
        f"x='{tmp_path}/a folder'"
    )
    assert f"such files only in bars. Set data.root to one of them, e.g. data.root={tmp_path}/deep/bars" in refusal(
        tmp_path / "deep"
    )
    file = tmp_path / "deep" / "bars" / "A.parquet"
    assert f"data.root={file.parent} data.symbols=[A]" in refusal(file)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_any_resolution_and_zone_names_the_same_instants(
    parquet_source: Make, write_bars: Write, tmp_path: Path, unit: str
) -> None:
    scale = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[unit]
    stamps = pa.array((START_MS // 1000 + 300 * np.arange(4)) * scale, pa.timestamp(unit, tz="America/New_York"))
    write_bars(tmp_path / "X.parquet", range(4), timestamp=stamps, quote_volume=np.ones(4))
    assert parquet_source(tmp_path).history().open_time_ms.tolist() == [START_MS + STEP_MS * k for k in range(4)]


def test_no_rows_and_a_single_bar_are_refused(parquet_source: Make, write_bars: Write, tmp_path: Path) -> None:
    write_bars(tmp_path / "X.parquet", [])
    with pytest.raises(DataError, match=r"at least one row in X\.parquet"):
        parquet_source(tmp_path).history()
    write_bars(tmp_path / "X.parquet", [0])
    with pytest.raises(DataError, match="at least two bars"):
        parquet_source(tmp_path).history()


def test_intervals_must_agree(parquet_source: Make, write_bars: Write, tmp_path: Path) -> None:
    write_bars(tmp_path / "A.parquet", range(6))
    write_bars(tmp_path / "B.parquet", range(0, 6, 2))
    with pytest.raises(DataError, match="5m in A, 10m in B"):
        parquet_source(tmp_path).history()


def test_missing_root_unknown_symbol_and_bad_settings(parquet_source: Make, write_bars: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        parquet_source(tmp_path / "nowhere").history()
    with pytest.raises(DataError, match="an empty folder"):
        parquet_source(tmp_path).history()
    for name in ("BTC", "ETH", "kPEPE"):
        write_bars(tmp_path / f"{name}.parquet", range(3))
    with pytest.raises(DataError, match=r"BTCC\.parquet.*nearest names are BTC"):
        parquet_source(tmp_path, ["ETH", "BTCC"]).history()
    with pytest.raises(DataError, match="nearest names are kPEPE"):
        parquet_source(tmp_path, "PEPE").history()
    with pytest.raises(DataError, match=r"\.\./BTC"):
        parquet_source(tmp_path, "../BTC").history()
    for symbols in ([], ["BTC", "BTC"]):
        with pytest.raises(ConfigError, match=r"data\.symbols"):
            parquet_source(tmp_path, symbols).history()
    for settings in ({"start": "yesterday"}, {"start": "2025-02-01", "end": "2025-02-01"}, {"funding": "zero"}):
        with pytest.raises(ConfigError, match=r"data\."):
            parquet_source(tmp_path, **settings)
    with pytest.raises(DataError, match="data from 2025-05-01T00:00:00Z to 2025-05-01T00:15:00Z"):
        parquet_source(tmp_path, start="2025-06-01").history()


def test_symbols_keep_the_order_asked_for(parquet_source: Make, write_bars: Write, tmp_path: Path) -> None:
    for name in ("B", "A", "C"):
        write_bars(tmp_path / f"{name}.parquet", range(3))
    assert parquet_source(tmp_path).history().symbols == ("A", "B", "C")
    assert parquet_source(tmp_path, ("C", "A")).history().symbols == ("C", "A")


def test_a_period_is_a_slice_of_the_whole_even_inside_a_hole(
    parquet_source: Make, write_bars: Write, tmp_path: Path
) -> None:
    write_bars(tmp_path / "A.parquet", [*range(10), *range(30, 40)])
    write_bars(tmp_path / "B.parquet", range(5, 40))
    source = parquet_source(tmp_path)
    whole, part = source.history(), source.history(START_MS + 12 * STEP_MS, START_MS + 35 * STEP_MS)
    assert part.ohlcv.tobytes() == whole.ohlcv[12:35].tobytes()
    assert part.state.tobytes() == whole.state[12:35].tobytes()
    assert part.state[:2, 0].tolist() == [BarState.FILLED] * 2
    bounded = parquet_source(tmp_path, start="2025-05-01T01:00:00", end="2025-05-01T02:55:00").history(0, 2**60)
    assert bounded.fingerprint() == part.fingerprint()


def test_funding_is_floored_aligned_and_cut(
    parquet_source: Make, write_bars: Write, write_funding: Write, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        write_bars(tmp_path / f"{name}.parquet", range(30))
    write_funding(
        tmp_path / "funding" / "A.parquet", [START_MS - HOUR_MS, START_MS + 31, START_MS + HOUR_MS + 999], [9, 1, 2]
    )
    write_funding(tmp_path / "funding" / "B.parquet", [START_MS + HOUR_MS, START_MS + 3 * HOUR_MS], [3, 9])
    funding = parquet_source(tmp_path).history().funding
    assert funding is not None
    assert funding.time_ms.tolist() == [START_MS, START_MS + HOUR_MS]
    np.testing.assert_array_equal(funding.rate, [[1.0, np.nan], [2.0, 3.0]])
    assert parquet_source(tmp_path, funding="off").history().funding is None


def test_a_bars_funding_is_what_fell_due_after_the_bar_before(
    parquet_source: Make, write_bars: Write, write_funding: Write, tmp_path: Path
) -> None:
    write_bars(tmp_path / "A.parquet", range(30))
    write_funding(tmp_path / "funding" / "A.parquet", [START_MS + HOUR_MS], [1])
    source, due = parquet_source(tmp_path), START_MS + HOUR_MS
    for start_ms, n_stamps in ((due - STEP_MS, 0), (due, 1), (due + STEP_MS, 0)):
        funding = source.history(start_ms, start_ms + STEP_MS).funding
        assert funding is not None
        assert len(funding.time_ms) == n_stamps


def test_funding_is_never_silently_incomplete(
    parquet_source: Make, write_bars: Write, write_funding: Write, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        write_bars(tmp_path / f"{name}.parquet", range(30))
    assert parquet_source(tmp_path).history().funding is None
    write_funding(tmp_path / "funding" / "A.parquet", [START_MS], [1])
    with pytest.raises(DataError, match=r"none for B\. Add the files"):
        parquet_source(tmp_path).history()
    partial = parquet_source(tmp_path, funding="partial").history()
    assert partial.funding is not None
    assert np.isnan(partial.funding.rate[:, 1]).all()
    assert "B: has no funding rates" in coverage(partial).findings()
    assert parquet_source(tmp_path, "A").history().funding is not None


def test_a_rate_that_is_not_sound_is_missing_and_named(
    parquet_source: Make, write_bars: Write, write_funding: Write, tmp_path: Path
) -> None:
    """-1000 was charged once, and turned 10,000 USD into 598,782."""
    write_bars(tmp_path / "A.parquet", range(60))
    stamps = START_MS + HOUR_MS * np.arange(5)
    write_funding(tmp_path / "funding" / "A.parquet", stamps, [0.05, -1000.0, np.inf, np.nan, -0.0085])
    source = parquet_source(tmp_path, largest_funding_rate=0.05)
    funding = source.history().funding
    assert funding is not None
    assert funding.time_ms.tolist() == [START_MS, START_MS + 4 * HOUR_MS]
    np.testing.assert_array_equal(funding.rate, [[0.05], [-0.0085]])
    says = "3 funding rates are refused and count as missing: not finite, or larger than 0.05 (A 3)"
    assert source.data_notes() == (says,)
    assert parquet_source(tmp_path, largest_funding_rate=1000.0).data_notes()[0].startswith("2 funding rates")
    assert parquet_source(tmp_path, funding="off").data_notes() == ()


@pytest.mark.parametrize(
    ("stamp", "hour"), [(-10, 0), (12, 0), (-60_000, 0), (-60_001, -1), (0, 0), (HOUR_MS - 60_001, 0)]
)
def test_a_stamp_belongs_to_the_hour_that_it_misses_by_milliseconds(stamp: int, hour: int) -> None:
    """07:59:59.990 was charged at 07:00 once."""
    charged = floor_to_hour(np.array([START_MS + stamp]), "a file")
    assert charged.tolist() == [START_MS + hour * HOUR_MS]


@pytest.mark.parametrize(
    ("stamps", "rates", "says"),
    [
        ([START_MS, START_MS + 16], [1.0, 1.0], "one funding rate an hour in A.parquet; found 1 more"),
        ([START_MS + HOUR_MS, START_MS], [1.0, 1.0], "time order"),
    ],
)
def test_bad_funding_is_refused(
    parquet_source: Make, write_bars: Write, write_funding: Write, tmp_path: Path, stamps: Any, rates: Any, says: str
) -> None:
    write_bars(tmp_path / "A.parquet", range(3))
    write_funding(tmp_path / "funding" / "A.parquet", stamps, rates)
    with pytest.raises(DataError, match=says):
        parquet_source(tmp_path).history()
    assert len(parquet_source(tmp_path).problems()) == 1


def test_stream_is_the_history(
    parquet_source: Make,
    write_bars: Write,
    write_funding: Write,
    tmp_path: Path,
    assert_same_stream: Callable[..., None],
) -> None:
    write_bars(tmp_path / "A.parquet", [*range(20), *range(50, 90)])
    write_bars(tmp_path / "B.parquet", range(30, 70), volume=np.arange(40.0) % 3)
    for name in ("A", "B"):
        write_funding(tmp_path / "funding" / f"{name}.parquet", START_MS + HOUR_MS * np.arange(6) + 40, np.arange(6.0))
    source = parquet_source(tmp_path)
    assert_same_stream(source.history(), source.stream())
    bounds = (START_MS + 25 * STEP_MS, START_MS + 60 * STEP_MS)
    assert_same_stream(source.history(*bounds), source.stream(*bounds))
    with pytest.raises(DataError, match="inside the data"):
        source.stream(2**50, 2**51)


def test_real_bars_equal_the_file(perps_5m: Path, parquet_source: Make) -> None:
    bars = parquet_source(perps_5m, ["BTC", "kPEPE"]).history()
    table = pq.read_table(perps_5m / "kPEPE.parquet").to_pandas()
    np.testing.assert_array_equal(bars.ohlcv[:, 1], table[["open", "high", "low", "close", "volume"]].to_numpy())
    assert bars.interval_ms == STEP_MS
    assert bars.n_bars == 26_208
    rates = pq.read_table(perps_5m / "funding" / "kPEPE.parquet").to_pandas()
    assert bars.funding is not None
    assert bars.funding.time_ms.tolist() == [parse_utc("2025-03-16") + HOUR_MS * k for k in range(2184)]
    np.testing.assert_array_equal(bars.funding.rate[:, 1], rates["funding_rate"].to_numpy())


def test_real_gaps_and_the_venue_stop_are_found_exactly(perps_5m: Path, parquet_source: Make) -> None:
    with (perps_5m / "gaps.csv").open() as file:
        known = list(csv.DictReader(file))
    names = ["BTC", "ETH", *(row["symbol"] for row in known)]
    bars = parquet_source(perps_5m, names).history()
    report = coverage(bars)
    found = [
        {
            "symbol": symbol,
            "last_before": gap.last_before_ms,
            "first_after": gap.first_after_ms,
            "missing_bars": gap.missing_bars,
        }
        for symbol, quality in report.symbols.items()
        for gap in quality.gaps
    ]
    assert found == [
        {
            "symbol": row["symbol"],
            "last_before": parse_utc(row["last_before"]),
            "first_after": parse_utc(row["first_after"]),
            "missing_bars": int(row["missing_bars"]),
        }
        for row in known
    ]
    assert int((bars.state == BarState.FILLED).sum()) == 5
    stop = next(run for run in report.venue_stops if run.bars == 8)
    assert stop.first_ms == parse_utc("2025-06-08T09:45:00")
    row = (stop.first_ms - int(bars.open_time_ms[0])) // STEP_MS
    assert (bars.state[row : row + 8] == BarState.ZERO_VOLUME).all()
    assert not bars.tradable[row : row + 8].any()


def test_ragged_symbols_are_aligned(perps_5m: Path, parquet_source: Make) -> None:
    names = ["BTC", "SOPH", "AI", "BABY"]
    bars = parquet_source(perps_5m, names, folders=["ragged"], funding="partial").history()
    assert bars.n_bars == 26_208
    for s, name in enumerate(names[1:], start=1):
        table = pq.read_table(perps_5m / "ragged" / f"{name}.parquet")
        times = table["timestamp"].cast(pa.int64()).to_numpy()
        rows = (times - bars.open_time_ms[0]) // STEP_MS
        np.testing.assert_array_equal(bars.close[rows, s], table["close"].to_numpy())
        assert (bars.state[: rows[0], s] == BarState.ABSENT).all()
        after = bars.state[rows[-1] + 1 :, s]
        assert after.tolist() == [BarState.FILLED] * min(12, len(after)) + [BarState.ABSENT] * max(0, len(after) - 12)
    with pytest.raises(DataError, match=r"SOPH\.parquet"):
        parquet_source(perps_5m, names).history()


def test_one_symbol_in_two_folders_is_refused(parquet_source: Make, write_bars: Write, tmp_path: Path) -> None:
    write_bars(tmp_path / "A.parquet", range(3))
    write_bars(tmp_path / "more" / "A.parquet", range(3))
    assert parquet_source(tmp_path).history().symbols == ("A",)
    with pytest.raises(DataError, match="one file for A"):
        parquet_source(tmp_path, folders=["more"]).history()
