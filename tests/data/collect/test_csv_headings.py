"""Tables as download tools write them: read with the setting that their refusal names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from import_files import BARS, TIMES, run_import, source_of, write_csv

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ConfigError, DataError
from quantlab.data.store.source import CollectedSource

Read = Callable[..., CollectedSource]
START_MS = 1_735_689_600_000
#: As yfinance writes a table of one coin: three lines of headings, the stamps below "Price".
YFINANCE = """Price,Close,High,Low,Open,Volume
Ticker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD
Date,,,,,
2025-01-01,94419.7,95176.5,92788.1,93425.1,24519888919
2025-01-02,96886.8,97739.8,94201.5,94416.2,46009564411
2025-01-03,98107.4,98976.9,96031.6,96881.7,35611391163
"""
YFINANCE_COLUMNS = {
    "timestamp": "Price",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "Volume",
}
#: As cryptodatadownload writes it: an address above the headings, the newest row first.
CRYPTODATADOWNLOAD = """https://www.CryptoDataDownload.com
Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount
1735862400000,2025-01-03,BTCUSDT,96881.7,98976.9,96031.6,98107.4,21.5,2109000,3
1735776000000,2025-01-02,BTCUSDT,94416.2,97739.8,94201.5,96886.8,22.5,2179000,2
1735689600000,2025-01-01,BTCUSDT,93425.1,95176.5,92788.1,94419.7,23.5,2218000,1
"""
CRYPTODATADOWNLOAD_COLUMNS = {
    "timestamp": "Unix", "open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume BTC",
}  # fmt: skip


def source(repository: Path, folder: Path, text: str, **settings: Any) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "BTCUSD.csv").write_text(text)
    return source_of(repository, "csv", folder, timeframe="1d", **settings)


def refused_fix(repository: Path, tmp_path: Path, text: str, **settings: Any) -> str:
    outcome = run_import(tmp_path / "refused", source(repository, tmp_path / "in", text, **settings))
    (error,) = outcome.refused.values()
    return error.fix


@pytest.mark.parametrize("columns", [{}, YFINANCE_COLUMNS])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_several_lines_of_headings_are_refused_with_the_lines_to_skip(
    repository: Path, tmp_path: Path, columns: dict[str, str], start: str
) -> None:
    fix = refused_fix(repository, tmp_path, start + YFINANCE, unit="text", columns=columns)
    assert fix.startswith(
        "set job.source.skip_lines=[2,3]: line 1 holds the headings (Price, Close, High, Low, Open, Volume) "
        "and line 4 the first row (2025-01-01, 94419.7, ...)"
    )
    assert ("set job.source.columns" in fix) == (not columns)


def test_the_lines_named_and_the_headings_read_the_table(
    repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    settings = {"unit": "text", "zone": "UTC", "columns": YFINANCE_COLUMNS, "skip_lines": [2, 3]}
    outcome = run_import(tmp_path / "out", source(repository, tmp_path / "in", YFINANCE, **settings))
    assert (outcome.rows, outcome.refused, outcome.notes) == (3, {}, ())
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_array_equal(bars.open_time_ms, START_MS + MS_PER_DAY * np.arange(3))
    np.testing.assert_array_equal(bars.ohlcv[0, 0], [93425.1, 95176.5, 92788.1, 94419.7, 24519888919])


def test_an_address_above_the_headings_and_the_newest_row_first(
    repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    columns = CRYPTODATADOWNLOAD_COLUMNS
    fix = refused_fix(repository, tmp_path, CRYPTODATADOWNLOAD, columns=columns)
    assert fix.startswith("set job.source.skip_lines=[1]: line 2 holds the headings (Unix, Date, Symbol, Open")
    settings = {"columns": columns, "skip_lines": [1]}
    outcome = run_import(tmp_path / "out", source(repository, tmp_path / "in", CRYPTODATADOWNLOAD, **settings))
    assert outcome.notes == ("BTCUSD.csv is newest first: its rows are counted from the last",)
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_array_equal(bars.close[:, 0], [94419.7, 96886.8, 98107.4])
    np.testing.assert_array_equal(bars.open_time_ms, START_MS + MS_PER_DAY * np.arange(3))


def test_rows_that_are_neither_oldest_nor_newest_first_are_refused(repository: Path, tmp_path: Path) -> None:
    lines = CRYPTODATADOWNLOAD.splitlines()
    text = "\n".join([*lines[1:3], lines[4], lines[3]])
    fix = refused_fix(repository, tmp_path, text, columns=CRYPTODATADOWNLOAD_COLUMNS)
    assert "ort the file by timestamp" in fix


def test_skip_lines_are_numbers_from_one(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="skip_lines"):
        source(repository, tmp_path / "in", YFINANCE, skip_lines=[0])


@pytest.mark.parametrize("digits", ["", ".0", ".000", ".000000", ".000000000", ".000000000000"])
@pytest.mark.parametrize(("zone", "settings"), [("Z", {}), ("+00:00", {}), ("", {"zone": "UTC"})])
def test_whole_milliseconds_in_any_number_of_digits(
    repository: Path, collected_source: Read, tmp_path: Path, digits: str, zone: str, settings: dict[str, str]
) -> None:
    stamps = [f"{np.datetime64(int(time), 's')}{digits}{zone}".replace("T", " ") for time in TIMES[:30] // 1000]
    write_csv(tmp_path / "in" / "AAA.csv", stamps, slice(0, 30))
    outcome = run_import(tmp_path / "out", source_of(repository, "csv", tmp_path / "in", unit="text", **settings))
    assert outcome.refused == {}
    np.testing.assert_array_equal(collected_source(tmp_path / "out").history().open_time_ms, TIMES[:30])


def test_a_fraction_of_a_millisecond_is_named(repository: Path, tmp_path: Path) -> None:
    stamps = [f"{np.datetime64(int(time), 'ms')}Z" for time in TIMES[:30]]
    stamps[4] = "2025-05-01T00:20:00.0000010Z"
    write_csv(tmp_path / "in" / "AAA.csv", stamps, slice(0, 30))
    outcome = run_import(tmp_path / "out", source_of(repository, "csv", tmp_path / "in", unit="text"))
    (error,) = outcome.refused.values()
    assert error.found == "1 with fractions, the first in row 4 (2025-05-01T00:20:00.000001000Z)"


def test_a_parquet_file_of_stacked_headings_says_the_way_out(
    parquet_source: Any, write_bars: Any, tmp_path: Path
) -> None:
    nothing = dict.fromkeys(("open", "high", "low", "close", "volume"))
    stacked = {f"('{name.title()}', 'BTC-USD')": BARS[:5, 0] for name in nothing}
    write_bars(tmp_path / "BTC.parquet", range(5), **nothing, **stacked)
    with pytest.raises(DataError, match=r"several rows of headings.*get_level_values\(0\)"):
        parquet_source(tmp_path).history()
