"""Archives, csv and freqtrade files: the same rows, whichever way they come."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from binance_server import DAY_MS, EPOCH_MS, FUNDING_MS, HOUR_MS, STEP_MS, FakeBinance, kline
from import_files import BARS, MARCH_MS, TIMES, archive, run_import, source_of, write_csv

from quantlab.core.errors import ConfigError, DataError
from quantlab.data.collect.csv import CsvImport
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store

Read = Callable[..., CollectedSource]


@pytest.mark.parametrize(("head", "micro"), [(False, False), (True, False), (False, True), (True, True)])
def test_archives_with_and_without_headings_in_both_units(
    repository: Path, collected_source: Read, tmp_path: Path, head: bool, micro: bool
) -> None:
    archive(tmp_path / "in" / "monthly", "BTCUSDT-5m-2025-05", slice(None), head=head, micro=micro, checksum=True)
    market = "spot" if micro else "linear"
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in", market=market))
    assert (outcome.rows, outcome.repeated, outcome.refused) == (len(BARS), 0, {})
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_array_equal(bars.open_time_ms, TIMES)
    np.testing.assert_array_equal(bars.ohlcv[:, 0], BARS)
    covered = read_manifest(tmp_path / "out").symbols["BTCUSDT"].covered
    assert covered == {"bars": ((EPOCH_MS, MARCH_MS),)}


def test_months_days_repeats_and_funding_come_together(
    repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    for day in (1, 2, 4):
        archive(folder / "daily", f"BTCUSDT-5m-2025-05-{day:02d}", slice((day - 1) * 288, day * 288), head=day == 2)
    archive(folder, "BTCUSDT-1h-2025-05", slice(0, 10))
    stamps = EPOCH_MS + FUNDING_MS * np.arange(93) + 3
    text = "calc_time,funding_interval_hours,last_funding_rate\n" + "\n".join(f"{t},8,0.00010000" for t in stamps)
    with zipfile.ZipFile(folder / "BTCUSDT-fundingRate-2025-05.zip", "w") as file:
        file.writestr("BTCUSDT-fundingRate-2025-05.csv", text)
    source = source_of(repository, "archives", folder)
    outcome = run_import(tmp_path / "out", source)
    assert outcome.notes == ("left out: bars of 1h, not 5m (job.source.timeframe): 1 file (BTCUSDT-1h-2025-05.zip)",)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.symbols["BTCUSDT"].covered["bars"] == (
        (EPOCH_MS, EPOCH_MS + 2 * DAY_MS),
        (EPOCH_MS + 3 * DAY_MS, EPOCH_MS + 4 * DAY_MS),
    )
    assert (manifest.gaps or {})["BTCUSDT"]["missing"] == 0  # the third day was never asked for
    again = run_import(tmp_path / "out", source)
    assert (again.rows, again.repeated) == (0, 3 * 288 + 93)
    assert read_manifest(tmp_path / "out") == manifest
    bars = collected_source(tmp_path / "out").history()
    assert bars.funding is not None
    np.testing.assert_array_equal(bars.funding.time_ms, (stamps - 3)[(stamps - 3) < EPOCH_MS + 4 * DAY_MS])


@pytest.mark.parametrize(
    ("fix", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "a whole zip file"),
        (lambda path: path.write_bytes(b""), "a whole zip file"),
        (lambda path: path.with_name(path.name + ".CHECKSUM").write_text("0" * 64), "sha256 of its CHECKSUM"),
        (lambda path: path.rename(path.with_name("BTCUSDT-5m-2025-06.zip")), "rows of the period in the name"),
        (lambda path: path.rename(path.with_name("BTCUSDT-5m-2025-13.zip")), "a date in the name"),
    ],
)
def test_damaged_and_misnamed_archives_are_refused_and_others_go_on(
    repository: Path, tmp_path: Path, fix: Callable[[Path], object], says: str
) -> None:
    fix(archive(tmp_path / "in", "BTCUSDT-5m-2025-05", slice(0, 600)))
    archive(tmp_path / "in", "ETHUSDT-5m-2025-05", slice(0, 600))
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in"))
    assert len(outcome.refused) == 1
    assert says in str(next(iter(outcome.refused.values())))
    assert list(read_manifest(tmp_path / "out").symbols) == ["ETHUSDT"]


def test_hourly_bars_in_an_archive_named_5m_are_refused(repository: Path, tmp_path: Path) -> None:
    row = kline(EPOCH_MS, BARS[0], closed=True)
    row[6] = EPOCH_MS + HOUR_MS - 1
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "BTCUSDT-5m-2025-05.zip", "w") as file:
        file.writestr("x.csv", ",".join(map(str, row)))
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in"))
    assert "bars that close 3600 s after" in str(next(iter(outcome.refused.values())))


@pytest.mark.parametrize(
    ("unit", "stamps", "settings"),
    [
        ("ms", lambda t: t, {}),
        ("s", lambda t: t // 1000, {}),
        ("us", lambda t: t * 1000, {}),
        ("text", lambda t: f"{np.datetime64(int(t), 'ms')}Z", {}),
        ("text", lambda t: f"{np.datetime64(int(t), 'ms')}".replace("T", " "), {"zone": "UTC"}),
        ("text", lambda t: f"{np.datetime64(int(t) + 2 * HOUR_MS, 'ms')}", {"zone": "Europe/Berlin"}),
        ("ms", lambda t: t + STEP_MS, {"stamp": "close"}),
    ],
)
def test_csv_files_in_every_unit_and_zone(
    repository: Path, collected_source: Read, tmp_path: Path, unit: str, stamps: Any, settings: dict[str, str]
) -> None:
    write_csv(tmp_path / "in" / "AAA.csv", [stamps(t) for t in TIMES[:600]], slice(0, 600), close="Last")
    columns = {"close": "Last"}
    source = source_of(repository, "csv", tmp_path / "in", unit=unit, columns=columns, **settings)
    assert run_import(tmp_path / "out", source).refused == {}
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_array_equal(bars.open_time_ms, TIMES[:600])
    np.testing.assert_array_equal(bars.ohlcv[:, 0], BARS[:600])


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("08_naive_string_timestamps", {"unit": "text", "timeframe": "1m"}, "a time zone with every timestamp.*none"),
        ("09_milliseconds_as_seconds", {"unit": "s", "columns": {"timestamp": "timestamp_s"}}, "2009 and 2100.*57"),
        (
            "12_wrong_columns",
            {"columns": {"timestamp": "Open time"}},
            "wrong or missing: open, high, low, close, volume",
        ),
    ],
)
def test_real_defects_of_csv_files_are_refused(
    market_data: Path, repository: Path, tmp_path: Path, name: str, settings: dict[str, Any], says: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{name}.csv").write_bytes((market_data / "dirty" / f"{name}.csv").read_bytes())
    outcome = run_import(tmp_path / "out", source_of(repository, "csv", folder, **settings))
    error = str(next(iter(outcome.refused.values())))
    assert np.all([word in error for word in says.split(".*")]), error


def test_impossible_csv_settings_are_refused(repository: Path, tmp_path: Path) -> None:
    for settings in ({"unit": "minutes"}, {"stamp": "middle"}, {"zone": "Mars/Olympus"}, {"columns": {"price": "p"}}):
        with pytest.raises(ConfigError):
            source_of(repository, "csv", tmp_path, **settings)
    with pytest.raises(DataError, match=r"files named <SYMBOL>\.csv"):
        run_import(tmp_path / "out", source_of(repository, "csv", tmp_path))
    assert isinstance(source_of(repository, "csv", tmp_path), CsvImport)


def test_freqtrade_files_with_funding(repository: Path, collected_source: Read, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "futures"
    folder.mkdir(parents=True)
    stamps = pa.array(TIMES[:600]).cast(pa.timestamp("ms", tz="UTC"))
    names = ("open", "high", "low", "close", "volume")
    table = {"date": stamps, **{name: BARS[:600, k] for k, name in enumerate(names)}}
    pyarrow.feather.write_feather(pa.table(table), folder / "1000PEPE_USDT_USDT-5m-futures.feather")
    pyarrow.feather.write_feather(pa.table(table), folder / "1000PEPE_USDT_USDT-1h-futures.feather")
    paid = pa.array(EPOCH_MS + FUNDING_MS * np.arange(6)).cast(pa.timestamp("ms", tz="UTC"))
    rates = pa.table({"date": paid, "open": np.full(6, 1e-4), "high": np.zeros(6)})
    pyarrow.feather.write_feather(rates, folder / "1000PEPE_USDT_USDT-8h-funding_rate.feather")
    (folder / "BTC_USDT_USDT-5m-futures.feather").write_bytes(b"")
    outcome = run_import(tmp_path / "out", source_of(repository, "freqtrade", tmp_path / "in"))
    assert list(outcome.refused) == ["BTCUSDT (BTC_USDT_USDT-5m-futures.feather)"]
    assert "found an empty file" in str(next(iter(outcome.refused.values())))
    bars = collected_source(tmp_path / "out").history()
    assert bars.symbols == ("1000PEPEUSDT",)
    np.testing.assert_array_equal(bars.ohlcv[:, 0], BARS[:600])
    assert bars.funding is not None
    np.testing.assert_array_equal(bars.funding.rate, np.full((6, 1), 1e-4))


def test_an_import_is_completed_by_the_exchange_and_a_contradiction_is_refused(
    binance: Callable[..., FakeBinance], exchange_source: Callable[..., Any], repository: Path, tmp_path: Path
) -> None:
    server = binance()
    server._paths["BTCUSDT"] = BARS[: server.bars].copy()
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05-02", slice(288, 576))
    both, alone = tmp_path / "both", tmp_path / "alone"
    run_import(both, source_of(repository, "archives", tmp_path / "in"))
    before = len(server.requests)
    run_import(both, exchange_source(server))
    asked = [q for path, q in server.requests[before:] if path.endswith("klines") and q["symbol"] == "BTCUSDT"]
    second = EPOCH_MS + DAY_MS
    assert not any(second <= int(query["startTime"]) < second + DAY_MS for query in asked)
    run_import(alone, exchange_source(server))
    names = {path.relative_to(alone) for path in alone.rglob("*.parquet")}
    assert {path.relative_to(both) for path in both.rglob("*.parquet")} == names

    changed = archive(tmp_path / "other", "BTCUSDT-5m-2025-05-02", slice(288, 575))
    with zipfile.ZipFile(changed, "w") as file:
        file.writestr("x.csv", ",".join(map(str, kline(second, BARS[5], closed=True))))
    archive(tmp_path / "other", "ETHUSDT-5m-2025-05-31", slice(30 * 288, 31 * 288))
    outcome = run_import(both, source_of(repository, "archives", tmp_path / "other"))
    says = "new rows of BTCUSDT on 2025-05-02 that agree with the stored ones; found 0 exact repeats and 1 with other"
    assert list(outcome.refused) == ["BTCUSDT"]
    assert says in str(outcome.refused["BTCUSDT"])
    assert (outcome.rows, outcome.repeated) == (288, 0)
    added = {path.relative_to(both) for path in both.rglob("*.parquet")} - names
    assert [str(path)[:15] for path in added] == ["bars/2025-05-31"]
    with open_store(both, "binanceusdm", STEP_MS) as store:
        assert store.damaged_parts() == ()


def test_two_files_that_contradict_each_other_keep_no_third_out(
    repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05", slice(0, 600))
    changed = archive(tmp_path / "in", "BTCUSDT-5m-2025-05-01", slice(0, 288))
    with zipfile.ZipFile(changed, "w") as file:
        file.writestr("x.csv", ",".join(map(str, kline(EPOCH_MS, BARS[5], closed=True))))
    archive(tmp_path / "in", "ETHUSDT-5m-2025-05", slice(0, 600))
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in"))
    assert "1 with other values" in str(outcome.refused["BTCUSDT"])
    assert (list(outcome.refused), outcome.rows) == (["BTCUSDT"], 600)
    assert collected_source(tmp_path / "out").history().symbols == ("ETHUSDT",)


@pytest.mark.parametrize("place", [80, 200, 900])
def test_a_flipped_byte_in_a_packed_archive_is_one_sentence(repository: Path, tmp_path: Path, place: int) -> None:
    path = archive(tmp_path / "in", "BTCUSDT-5m-2025-05", slice(0, 600))
    with zipfile.ZipFile(path) as file:
        text = file.read("BTCUSDT-5m-2025-05.csv")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("BTCUSDT-5m-2025-05.csv", text)
    data = bytearray(path.read_bytes())
    data[place : place + 2] = bytes(byte ^ 0xFF for byte in data[place : place + 2])
    path.write_bytes(data)
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in"))
    assert "a whole zip file BTCUSDT-5m-2025-05.zip" in str(next(iter(outcome.refused.values())))
