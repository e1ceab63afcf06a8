"""Tables as download tools write them: read with the setting that their refusal names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    return source_of(repository, "csv", folder, **{"timeframe": "1d", **settings})


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


# ---- hundreds of rows, as the tools write them ----

HOURS = 400
ROWS = np.column_stack([BARS[:HOURS, :4], 1000.0 * BARS[:HOURS, 4]])
STAMPS = np.datetime64("2025-01-10T00:00:00") + np.timedelta64(1, "h") * np.arange(HOURS)
OWN = {name: name for name in ("timestamp", "open", "high", "low", "close", "volume")}


def lines(*order: int, between: str = ",") -> list[str]:
    """Rows with the columns of open, high, low, close and volume in `order`."""
    rows = zip(STAMPS, ROWS[:, order].tolist(), strict=True)
    return [between.join([str(date), *map(str, row)]) for date, row in rows]


def yfinance() -> str:
    return "\n".join([*YFINANCE.splitlines()[:3], *lines(3, 1, 2, 0, 4), ""])


def cryptodatadownload() -> str:
    stamps = STAMPS.astype("datetime64[ms]").astype(int)
    rows = zip(stamps, STAMPS, ROWS.tolist(), strict=True)
    texts = [",".join(map(str, (stamp, date, "BTCUSDT", *row, 1.0, 7))) for stamp, date, row in rows]
    return "\r\n".join([*CRYPTODATADOWNLOAD.splitlines()[:2], *reversed(texts), ""])


def plain(*, above: str = "", below: str = "", between: str = "") -> str:
    rows = lines(0, 1, 2, 3, 4)
    rows[200:200] = [between] if between else []
    return "\n".join([above + ",".join(OWN), *rows, below])


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (yfinance(), {"unit": "text", "zone": "UTC", "columns": YFINANCE_COLUMNS, "skip_lines": [2, 3]}),
        (cryptodatadownload(), {"columns": CRYPTODATADOWNLOAD_COLUMNS, "skip_lines": [1]}),
        (plain(above="\n\n"), {"unit": "text", "zone": "UTC"}),
        (plain(above="\n" * 40), {"unit": "text", "zone": "UTC"}),
        (plain().replace("\n", "\r"), {"unit": "text", "zone": "UTC"}),
        (plain().replace(",", "\t"), {"unit": "text", "zone": "UTC", "delimiter": "tab"}),
        (plain(below="# from a tool"), {"unit": "text", "zone": "UTC", "skip_lines": [HOURS + 2]}),
        (plain(between=",".join(OWN)), {"unit": "text", "zone": "UTC", "skip_lines": [202]}),
    ],
    ids=["yfinance", "cryptodatadownload", "blank", "many blank", "old line ends", "tabs", "footer", "headings again"],
)
def test_files_of_hundreds_of_rows(
    repository: Path, collected_source: Read, tmp_path: Path, text: str, settings: dict[str, Any]
) -> None:
    outcome = run_import(tmp_path / "out", source(repository, tmp_path / "in", text, timeframe="1h", **settings))
    assert (outcome.rows, outcome.refused) == (HOURS, {})
    np.testing.assert_array_equal(collected_source(tmp_path / "out").history().ohlcv[:, 0], ROWS)


def test_a_file_whose_lines_cannot_be_told_apart_keeps_no_other_out(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "AAA.csv").write_text("time\rstamp,open\n1,2\n")
    (tmp_path / "in" / "BBB.csv").write_bytes("timestamp,open\n1,2\n".encode("utf-16"))
    outcome = run_import(
        tmp_path / "out", source(repository, tmp_path / "in", plain(), timeframe="1h", unit="text", zone="UTC")
    )
    assert (outcome.rows, sorted(outcome.refused)) == (HOURS, ["AAA (AAA.csv)", "BBB (BBB.csv)"])
    assert "line 1 of AAA.csv" in str(outcome.refused["AAA (AAA.csv)"])


# ---- other tables: each is read, or refused with the line and the way out ----


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (plain(below="# from a tool"), "line 402 (# from a tool): 1 field where the headings have 6. "
         "Set job.source.skip_lines=[402], which leaves out what is no row."),
        (plain(between=",".join(OWN)), "line 202 (timestamp,open,high,low,close,volume): open is 'open'. "
         "Set job.source.skip_lines=[202],"),
        (plain(below="2025-06-01,1.0,1."), "line 402 (2025-06-01,1.0,1.): 3 fields where the headings have 6. "
         "Fetch the file again, it may have been cut off"),
        (plain().replace(",", ";"), "Set job.source.delimiter=semicolon"),
        ("\n".join(lines(0, 1, 2, 3, 4)), "This file has no headings, line 1 is a row: write a line of headings"),
        ("timestamp,open,high,low,close\n2024-01-01,1,1,1,1", "Bars need a volume"),
        ("snapped_at,price,market_cap,total_volume\n2024-01-01,1,1,1", "fetch a table that does, e.g. klines"),
        ("Price,Close,Close\nTicker,A,B\nDate,,\n2024-01-01,1,2", "one file each, e.g. in pandas: t = pd.read_csv"),
        (plain(between="1735689600000,1,1,1,1,1"), "'1735689600000' in row 200 (line 202). Set job.source.unit=ms"),
        (plain(between="12/01/2024,1,1,1,1,1"), "'12/01/2024' in row 200 (line 202)"),
    ],
)  # fmt: skip
def test_other_tables_are_refused_with_their_line_and_the_way_out(
    repository: Path, tmp_path: Path, text: str, says: str
) -> None:
    outcome = run_import(
        tmp_path / "out", source(repository, tmp_path / "in", text, timeframe="1h", unit="text", zone="UTC")
    )
    (error,) = outcome.refused.values()
    assert says in str(error)


@pytest.mark.parametrize(("write", "stamps"), [
    (lambda date: str(date).replace("T", " ") + " UTC", {"unit": "text"}),
    (lambda date: '"' + str(date).replace("T", " ") + ',000"', {"unit": "text", "zone": "UTC"}),
    (lambda date: f"{date.astype('datetime64[ms]').astype(int)}.0", {"unit": "ms"}),
])  # fmt: skip
def test_other_words_for_the_same_moment(
    repository: Path, collected_source: Read, tmp_path: Path, write: Any, stamps: dict[str, str]
) -> None:
    rows = [f"{write(date)},{row.split(',', 1)[1]}" for date, row in zip(STAMPS, lines(0, 1, 2, 3, 4), strict=True)]
    text = "\n".join([",".join(OWN), *rows])
    assert (
        run_import(tmp_path / "out", source(repository, tmp_path / "in", text, timeframe="1h", **stamps)).refused == {}
    )
    np.testing.assert_array_equal(
        collected_source(tmp_path / "out").history().open_time_ms, STAMPS.astype("datetime64[ms]").astype(int)
    )


@pytest.mark.parametrize("form", ["%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d %B %Y %H:%M"])
def test_the_pandas_lines_of_a_refusal_write_a_table_that_is_read(
    repository: Path, collected_source: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    rows = []
    for date, row in zip(STAMPS[::-1], ROWS[::-1], strict=True):
        prices = [f"{100 * price:,.4f}" for price in row[:4]]
        cells = [f"{pd.Timestamp(date):{form}}", *prices, f"{row[4] / 1e3:.4f}K", "-0.1%"]
        rows.append(",".join(f'"{cell}"' for cell in cells))
    text = "\n".join(['"Date","Open","High","Low","Price","Vol.","Change %"', *rows])
    columns = {"timestamp": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Price", "volume": "Vol."}
    fix = refused_fix(repository, tmp_path, "\ufeff" + text, unit="text", columns=columns)
    script = fix.split("in pandas: ")[1].split(", and import it")[0]
    monkeypatch.chdir(tmp_path / "in")
    (tmp_path / "in" / "clean").mkdir()
    exec(script, {"pd": pd})  # noqa: S102 - the line that a user is told to run
    clean = source_of(repository, "csv", tmp_path / "in" / "clean", timeframe="1h", unit="text", columns=columns)
    assert run_import(tmp_path / "out", clean).refused == {}
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_allclose(bars.ohlcv[:, 0, :4], 100 * ROWS[:, :4], atol=1e-4)
    np.testing.assert_allclose(bars.ohlcv[:, 0, 4], ROWS[:, 4], atol=0.1)
