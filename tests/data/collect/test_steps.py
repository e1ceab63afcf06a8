"""The step of a file is its usual step; what departs from it is named with its row and its time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from binance_server import EPOCH_MS, STEP_MS, kline
from import_files import BARS, TIMES, run_import, source_of, write_csv

from quantlab.core.arrays import Int64Array
from quantlab.core.durations import usual_step
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.types import CollectOutcome
from quantlab.data.series.alignment import Series, common_interval
from quantlab.data.series.steps import check_one_step
from quantlab.data.store.source import CollectedSource

Read = Callable[..., CollectedSource]
MINUTE = 60_000
JANUARY_MS = 1_735_689_600_000


def changing(fine: int, coarse: int) -> Int64Array:
    """Stamps one minute apart, then five."""
    first = EPOCH_MS + MINUTE * np.arange(fine)
    return np.concatenate([first, EPOCH_MS + MINUTE * fine + STEP_MS * np.arange(coarse)]).astype(np.int64)


def write(kind: str, folder: Path, stamps: Int64Array) -> None:
    """A file of BTCUSDT with these stamps, as archive, csv or freqtrade file."""
    folder.mkdir(parents=True, exist_ok=True)
    bars = BARS[: len(stamps)]
    if kind == "csv":
        write_csv(folder / "BTCUSDT.csv", stamps.tolist(), slice(0, len(stamps)))
    elif kind == "freqtrade":
        columns = {name: bars[:, k] for k, name in enumerate(("open", "high", "low", "close", "volume"))}
        table = {"date": pa.array(stamps).cast(pa.timestamp("ms", tz="UTC")), **columns}
        pyarrow.feather.write_feather(pa.table(table), folder / "BTC_USDT_USDT-5m-futures.feather")
    else:
        rows = [kline(int(time), bar, closed=True) for time, bar in zip(stamps, bars, strict=True)]
        with zipfile.ZipFile(folder / "BTCUSDT-5m-2025-05.zip", "w") as file:
            file.writestr("x.csv", "\n".join(",".join(map(str, row)) for row in rows))


def refusal(outcome: CollectOutcome) -> str:
    (error,) = outcome.refused.values()
    return str(error)


def test_a_bar_that_an_outage_cut_short_is_taken_and_counted(
    cases: Path, repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    outcome = run_import(tmp_path, source_of(repository, "archives", cases / "partial_close_archive"))
    assert (outcome.rows, outcome.refused) == (288, {})
    assert outcome.notes == (
        "BTCUSDT-5m-2025-01-01.zip: 1 bar closes early, as in an outage, and is taken, the first in row 100 "
        "(2025-01-01T08:20:00Z, after 120 s)",
    )
    bars = collected_source(tmp_path).history()
    assert int(bars.open_time_ms[100]) == JANUARY_MS + 100 * STEP_MS
    assert bars.close[100, 0] == 100.02


@pytest.mark.parametrize(("length", "says"), [(STEP_MS + 5_000, "305 s"), (-10, "-0.009 s")])
def test_a_bar_without_a_possible_close_is_named(repository: Path, tmp_path: Path, length: int, says: str) -> None:
    rows = [kline(int(time), bar, closed=True) for time, bar in zip(TIMES[:50], BARS[:50], strict=True)]
    rows[7][6] = rows[7][0] + length - 1 * (length > 0)
    with zipfile.ZipFile(tmp_path / "BTCUSDT-5m-2025-05.zip", "w") as file:
        file.writestr("x.csv", "\n".join(",".join(map(str, row)) for row in rows))
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path))
    assert f"found row 7 (2025-05-01T00:35:00Z), which closes {says} after it opens" in refusal(outcome)


@pytest.mark.parametrize("kind", ["archives", "csv", "freqtrade"])
@pytest.mark.parametrize(("late_ms", "shown"), [(1_000, "00:50:01Z"), (1, "00:50:00.001Z")])
def test_one_stray_stamp_is_named_in_every_kind_of_file(
    repository: Path, tmp_path: Path, kind: str, late_ms: int, shown: str
) -> None:
    stamps = TIMES[:600].copy()
    stamps[10] += late_ms
    write(kind, tmp_path / "in", stamps)
    says = refusal(run_import(tmp_path / "out", source_of(repository, kind, tmp_path / "in")))
    assert f"open at multiples of 5m; found one that does not, in row 10 (2025-05-01T{shown})" in says


@pytest.mark.parametrize("kind", ["csv", "freqtrade"])
@pytest.mark.parametrize(("timeframe", "says"), [
    ("1m", "steps of 5m from row 120 (2025-05-01T02:00:00Z) to row 219 (2025-05-01T10:15:00Z)"),
    ("5m", "steps of 1m from row 0 (2025-05-01T00:00:00Z) to row 120 (2025-05-01T02:00:00Z)"),
])  # fmt: skip
def test_a_change_of_step_is_named_in_every_kind_of_file(
    repository: Path, tmp_path: Path, kind: str, timeframe: str, says: str
) -> None:
    write(kind, tmp_path / "in", changing(120, 100))
    for path in (tmp_path / "in").glob("*-5m-*"):
        path.rename(path.with_name(path.name.replace("5m", timeframe)))
    outcome = run_import(tmp_path / "out", source_of(repository, kind, tmp_path / "in", timeframe=timeframe))
    assert says in refusal(outcome)


@pytest.mark.parametrize("kind", ["archives", "csv"])
def test_a_file_of_another_interval_is_refused_also_if_it_is_short(repository: Path, tmp_path: Path, kind: str) -> None:
    write(kind, tmp_path / "in", TIMES[0:36:12])
    says = refusal(run_import(tmp_path / "out", source_of(repository, kind, tmp_path / "in")))
    assert "steps of 1h from row 0 (2025-05-01T00:00:00Z) to row 2 (2025-05-01T02:00:00Z)" in says


def months(count: int) -> Int64Array:
    return (
        np.arange("2020-01", f"{2020 + count // 12}-01", dtype="datetime64[M]")
        .astype("datetime64[ms]")
        .astype(np.int64)
    )


HOURS = TIMES[::12]


@pytest.mark.parametrize(
    ("stamps", "timeframe", "says"),
    [
        (
            months(60),
            "1d",
            "0 of 59 neighbouring rows, from row 0 (2020-01-01T00:00:00Z) on; half of the steps are 31d",
        ),
        (months(60), "5m", "steps of 1d and more from row 0 (2020-01-01T00:00:00Z) to row 59 (2024-12-01T00:00:00Z)"),
        (
            np.sort(np.random.default_rng(1).choice(HOURS, 300, replace=False)),
            "5m",
            "steps of 1h and more from row 0 (",
        ),
        (
            np.concatenate([HOURS[:15], TIMES[14 * 12 + 1 : 4000]]),
            "5m",
            "steps of 1h from row 0 (2025-05-01T00:00:00Z) to row 14 (",
        ),
        (
            np.concatenate([TIMES[:100], TIMES[102:1122:2], TIMES[1122:]]),
            "5m",
            "steps of 10m from row 100 (2025-05-01T08:30:00Z) to row 610 (",
        ),
    ],
    ids=["months as days", "months as 5m", "half the hours", "hours, then 5m", "every other bar for days"],
)
def test_bars_of_another_interval_are_refused_be_their_steps_equal_or_not(
    repository: Path, tmp_path: Path, stamps: Int64Array, timeframe: str, says: str
) -> None:
    write("csv", tmp_path / "in", stamps)
    outcome = run_import(tmp_path / "out", source_of(repository, "csv", tmp_path / "in", timeframe=timeframe))
    assert says in refusal(outcome)


def test_holes_of_sound_files_are_no_other_interval() -> None:
    rng = np.random.default_rng(5)
    grid = np.arange(20_000)
    for keep in (
        grid % 7 < 5,  # daily bars of weekdays
        grid % 3 != 2,  # one step and two steps, in turn
        np.isin(grid // 40 % 3, (0, 1)),  # a hole after every eighty bars
        (grid < 50) | (grid > 19_000),
        np.isin(grid, [0, 1, 19_000]),
        np.isin(grid, [0, 19_000]),
        *(rng.random(20_000) < share for share in (0.05, 0.2, 0.5, 0.95)),
    ):
        check_one_step(EPOCH_MS + STEP_MS * np.flatnonzero(keep), STEP_MS, "A")


# ---- parquet: the interval is found in the data ----


def test_the_one_stray_stamp_of_a_file_is_named_and_no_good_row_blamed(cases: Path, parquet_source: Any) -> None:
    with pytest.raises(DataError) as error:
        parquet_source(cases / "one_stray_stamp").history()
    assert error.value.found == "one that does not, in row 300 (2025-01-02T01:00:01Z)"
    assert "multiples of 5m" in error.value.expected


def test_the_usual_step_is_the_interval_and_holes_are_no_change_of_it(
    parquet_source: Any, write_bars: Any, tmp_path: Path
) -> None:
    rows = sorted({*range(900), *range(2000, 2030)} - {*range(100, 500, 3), *range(700, 720, 2)})
    write_bars(tmp_path / "A.parquet", rows)
    write_bars(tmp_path / "B.parquet", [0, 1, 3, 5, 7, 9])  # every other bar but the first
    bars = parquet_source(tmp_path).history()
    assert bars.interval_ms == STEP_MS


@pytest.mark.parametrize(("fine", "coarse", "says"), [
    (300, 100, "one step of 1m between the bars of A; found steps of 5m from row 300 (2025-05-01T05:00:00Z) to row 399"),
    (100, 300, "one step of 5m between the bars of A; found steps of 1m from row 0 (2025-05-01T00:00:00Z) to row 100"),
])  # fmt: skip
def test_a_change_of_step_in_a_parquet_file_is_named(
    parquet_source: Any, write_bars: Any, tmp_path: Path, fine: int, coarse: int, says: str
) -> None:
    stamps = pa.array(changing(fine, coarse)).cast(pa.timestamp("ms", tz="UTC"))
    write_bars(tmp_path / "A.parquet", range(fine + coarse), timestamp=stamps)
    with pytest.raises(DataError) as error:
        parquet_source(tmp_path).history()
    assert says in str(error.value)


@pytest.mark.parametrize("share", [0.03, 0.08, 0.15, 0.3])
def test_a_file_of_few_bars_takes_the_interval_of_the_others_or_says_that_it_cannot_be_told(share: float) -> None:
    dense = EPOCH_MS + STEP_MS * np.arange(2000)
    for seed in range(40):
        kept = np.random.default_rng(seed).choice(2000, int(2000 * share), replace=False)
        sparse = EPOCH_MS + STEP_MS * np.sort(kept)
        series = {"A": (sparse, np.zeros((len(sparse), 5)))}
        single = int((np.diff(sparse) == STEP_MS).sum())
        if single:  # of the sixty bars of 3 %, a few draws have no two neighbours
            assert common_interval({"B": (dense, np.zeros((2000, 5))), **series}) == STEP_MS
            assert common_interval(series, STEP_MS) == STEP_MS
        told = found_or_refused(series)
        assert told == STEP_MS or (share < 0.1 and "data.interval=5m" in str(told))


def found_or_refused(series: dict[str, Series]) -> int | DataError:
    try:
        return common_interval(series)
    except DataError as error:
        return error


def test_the_interval_of_a_parquet_source_can_be_said(parquet_source: Any, write_bars: Any, tmp_path: Path) -> None:
    write_bars(tmp_path / "A.parquet", [0, 1, 5, 12, 20, 23])
    assert parquet_source(tmp_path, interval="5m").history().interval_ms == STEP_MS
    with pytest.raises(
        DataError, match=r"bars of A one step of 1m apart; found 0 of 5.*folder of its own \(data.root\)"
    ):
        parquet_source(tmp_path, interval="1m").history()
    with pytest.raises(ConfigError, match="a timeframe that divides a day"):
        parquet_source(tmp_path, interval="7m")
    write_bars(tmp_path / "A.parquet", [0, 3, 8, 12, 20, 23])
    with pytest.raises(DataError, match=r"data\.interval=5m"):
        parquet_source(tmp_path).history()


@pytest.mark.parametrize("name", ["A (1)", "A copy"])
def test_a_copy_in_a_parquet_folder_is_named(parquet_source: Any, write_bars: Any, tmp_path: Path, name: str) -> None:
    write_bars(tmp_path / "A.PARQUET", range(5))
    assert parquet_source(tmp_path).history().symbols == ("A",)
    write_bars(tmp_path / f"{name}.parquet", range(5))
    with pytest.raises(DataError, match="a copy, A"):
        parquet_source(tmp_path).history()


def test_an_archive_that_changes_its_interval_half_way_is_named_by_row_and_time(
    repository: Path, tmp_path: Path
) -> None:
    rows = [kline(int(time), bar, closed=True) for time, bar in zip(TIMES[:144], BARS[:144], strict=True)]
    start = int(TIMES[144])
    for k in range(144):
        rows.append(kline(start + k * MINUTE, BARS[144 + k], closed=True))
        rows[-1][6] = start + (k + 1) * MINUTE - 1
    with zipfile.ZipFile(tmp_path / "BTCUSDT-5m-2025-05-01.zip", "w") as file:
        file.writestr("x.csv", "\n".join(",".join(map(str, row)) for row in rows))
    says = refusal(run_import(tmp_path / "out", source_of(repository, "archives", tmp_path)))
    assert "close 60 s after they open, as 144 of 288 do, the first in row 144 (2025-05-01T12:00:00Z)" in says


def test_an_hourly_file_with_one_stray_bar_is_hourly() -> None:
    stamps = np.sort(np.append(EPOCH_MS + 12 * STEP_MS * np.arange(200), EPOCH_MS + 100 * 12 * STEP_MS + STEP_MS))
    with pytest.raises(DataError, match=r"found one that does not, in row 101 \(2025-05-05T04:05:00Z\)"):
        common_interval({"A": (stamps, np.zeros((201, 5)))})
    fine = EPOCH_MS + STEP_MS * np.arange(2400)
    with pytest.raises(DataError, match="one step of 5m between the bars of A; found steps of 1h from row 0"):
        common_interval({"A": (stamps, np.zeros((201, 5))), "B": (fine, np.zeros((2400, 5)))})


def test_markets_that_rarely_trade_do_not_change_their_step() -> None:
    rng = np.random.default_rng(11)
    for share in (0.2, 0.5, 0.8):
        stamps = EPOCH_MS + STEP_MS * np.flatnonzero(rng.random(100_000) < share)
        check_one_step(stamps, STEP_MS, "A")
        assert usual_step(stamps) == STEP_MS


def test_a_stamp_between_two_milliseconds_is_named(parquet_source: Any, write_bars: Any, tmp_path: Path) -> None:
    stamps = EPOCH_MS * 1000 + STEP_MS * 1000 * np.arange(50)
    stamps[20] += 1
    write_bars(tmp_path / "A.parquet", range(50), timestamp=pa.array(stamps).cast(pa.timestamp("us", tz="UTC")))
    with pytest.raises(DataError, match=r"1 with fractions, the first in row 20 \(2025-05-01T01:40:00.000001Z\)"):
        parquet_source(tmp_path).history()
