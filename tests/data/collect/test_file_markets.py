"""A file's market is part of its identity: no folder, name or content makes one series of two markets."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from binance_server import DAY_MS, STEP_MS, kline
from import_files import BARS, TIMES, archive, run_import, source_of, write_csv

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.file_markets import folder_market, symbol_market, word_market
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store
from quantlab.jobs.config.composition import compose
from quantlab.jobs.session import paper

Read = Callable[..., CollectedSource]
JANUARY_MS = 1_735_689_600_000


def zipped(path: Path, rows: list[list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.csv", "\n".join(",".join(map(str, row)) for row in rows))
    return path


def day_of_klines(day: int, *, times: float = 1.0, volume: float | None = None, count: int = 5) -> list[list[Any]]:
    """Klines of 2025-05-`day`, prices multiplied by `times`."""
    rows = []
    for open_ms, bar in zip(TIMES[(day - 1) * 288 : day * 288], BARS[(day - 1) * 288 : day * 288], strict=True):
        row = kline(int(open_ms), bar, closed=True)
        row[1:5] = [float(price) * times for price in row[1:5]]
        if volume is not None:
            row[5], row[8] = volume, count
        rows.append(row)
    return rows


def feather(path: Path, *, times: float = 1.0, rows: slice = slice(0, 300)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = pa.array(TIMES[rows]).cast(pa.timestamp("ms", tz="UTC"))
    prices = {name: BARS[rows, k] * times for k, name in enumerate(("open", "high", "low", "close"))}
    pyarrow.feather.write_feather(pa.table({"date": stamps, **prices, "volume": BARS[rows, 4]}), path)
    return path


def import_into(repository: Path, tmp_path: Path, name: str, **settings: Any) -> CollectOutcome:
    return run_import(tmp_path / "out", source_of(repository, name, tmp_path / "in", **settings))


def closes(read: Read, root: Path) -> Float64Array:
    close: Float64Array = read(root).history().close
    return close


# ---- the inputs that went wrong ----


def test_an_archive_tree_gives_the_klines_of_perpetuals_and_names_the_rest(
    cases: Path, repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    folder = cases / "mixed_markets_archives"
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", folder))
    assert (outcome.rows, outcome.refused) == (288, {})
    for kind, name in (
        ("mark-price klines", "futures/um/daily/markPriceKlines/BTCUSDT/5m/BTCUSDT-5m-2025-01-02.zip"),
        ("premium-index klines", "futures/um/daily/premiumIndexKlines/BTCUSDT/5m/BTCUSDT-5m-2025-01-03.zip"),
        ("spot", "spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01-04.zip"),
    ):
        assert f"left out: {kind}: 1 file ({name})" in outcome.notes
    bars = collected_source(tmp_path / "out").history()
    assert (bars.n_bars, int(bars.open_time_ms[0])) == (288, JANUARY_MS)
    np.testing.assert_allclose(bars.close, 100.0, atol=0.1)


def test_spot_of_the_same_tree_is_a_dataset_of_its_own_and_never_joins_the_other(
    cases: Path, repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    folder = cases / "mixed_markets_archives"
    spot = source_of(repository, "archives", folder, market="spot")
    assert run_import(tmp_path / "spot", spot).rows == 288
    assert read_manifest(tmp_path / "spot").market == "spot"
    np.testing.assert_allclose(closes(collected_source, tmp_path / "spot"), 130.0, atol=0.2)
    assert "these are bars of spot" in collected_source(tmp_path / "spot").data_notes()[0]
    run_import(tmp_path / "out", source_of(repository, "archives", folder))
    with pytest.raises(ConfigError, match=r"found a dataset of binanceusdm every 5m \(linear\)"):
        run_import(tmp_path / "out", spot)


@pytest.mark.parametrize(
    ("case", "name", "says"),
    [
        ("coinm_archive", "archives", r"coin-margined contracts: 1 file \(BTCUSD_PERP-5m-2025-01-01.zip\)"),
        ("freqtrade_inverse", "freqtrade", r"coin-margined contracts: 1 file \(futures/BTC_USD_BTC-5m-futures"),
    ],
)
def test_coin_margined_contracts_alone_end_the_job(
    cases: Path, repository: Path, tmp_path: Path, case: str, name: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        run_import(tmp_path / "out", source_of(repository, name, cases / case))


def test_freqtrade_futures_are_taken_and_spot_and_mark_prices_are_named(
    cases: Path, repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    outcome = run_import(tmp_path / "out", source_of(repository, "freqtrade", cases / "freqtrade_spot_and_futures"))
    assert (outcome.rows, outcome.refused) == (310, {})
    assert outcome.notes == (
        "left out: spot: 1 file (BTC_USDT-5m.feather)",
        "left out: mark-price klines: 1 file (futures/BTC_USDT_USDT-8h-mark.feather)",
    )
    np.testing.assert_array_equal(closes(collected_source, tmp_path / "out"), 100.0)


# ---- one flat folder of downloads ----


def test_what_rows_of_a_flat_folder_tell_is_told(repository: Path, collected_source: Read, tmp_path: Path) -> None:
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05-01", slice(0, 288))
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05-02", slice(288, 576), micro=True)
    zipped(tmp_path / "in" / "BTCUSDT-5m-2025-05-03.zip", day_of_klines(3, volume=0))
    zipped(tmp_path / "in" / "BTCUSDT-5m-2025-05-04.zip", day_of_klines(4, times=1e-6, volume=0))
    outcome = import_into(repository, tmp_path, "archives")
    told = {name.split("(")[1][8:-5]: error.found for name, error in outcome.refused.items()}
    assert told == {
        "5m-2025-05-02": "stamps in microseconds, which only archives of spot have",
        "5m-2025-05-03": "no volume in any row, as of mark prices or an index",
        "5m-2025-05-04": "no volume in any row, as of a premium index or a price below 0.05",
    }
    np.testing.assert_array_equal(closes(collected_source, tmp_path / "out")[:, 0], BARS[:288, 3])


def test_a_negative_premium_is_named_as_one(repository: Path, tmp_path: Path) -> None:
    zipped(tmp_path / "in" / "BTCUSDT-5m-2025-05-04.zip", day_of_klines(4, times=-1e-6, volume=0))
    outcome = import_into(repository, tmp_path, "archives")
    assert "a premium index" in str(next(iter(outcome.refused.values())))


def test_days_without_trades_are_taken_from_the_folders_of_the_archive_only(repository: Path, tmp_path: Path) -> None:
    rows = day_of_klines(1, volume=0, count=0)
    zipped(tmp_path / "in" / "futures" / "um" / "BTCUSDT-5m-2025-05-01.zip", rows)
    zipped(tmp_path / "in" / "ETHUSDT-5m-2025-05-01.zip", rows)
    outcome = import_into(repository, tmp_path, "archives")
    assert (outcome.rows, list(outcome.refused)) == (288, ["ETHUSDT (ETHUSDT-5m-2025-05-01.zip)"])
    # What counts updates and no volume is a price, wherever it lies.
    zipped(tmp_path / "in" / "futures" / "um" / "SOLUSDT-5m-2025-05-01.zip", day_of_klines(1, volume=0, count=9))
    assert "SOLUSDT (SOLUSDT-5m-2025-05-01.zip)" in import_into(repository, tmp_path, "archives").refused


def test_what_nothing_tells_is_said(repository: Path, tmp_path: Path) -> None:
    def year_before(row: list[Any]) -> list[Any]:
        return [row[0] - 365 * DAY_MS, *row[1:6], row[6] - 365 * DAY_MS, *row[7:]]

    rows = [year_before(row) for row in day_of_klines(1)]  # 2024-05-01
    zipped(tmp_path / "in" / "BTCUSDT-5m-2024-05-01.zip", rows)
    outcome = import_into(repository, tmp_path, "archives")
    assert outcome.notes == (
        "taken for linear perpetuals, which neither folder nor name says and the rows cannot: "
        "1 file (BTCUSDT-5m-2024-05-01.zip); keep the archive's own folders (futures/um, spot) to be sure",
    )
    (tmp_path / "in").rename(tmp_path / "um")
    source = source_of(repository, "archives", tmp_path / "um")
    assert run_import(tmp_path / "out", source).notes == ()


def test_the_same_name_twice_with_other_rows_is_refused_by_both_names(repository: Path, tmp_path: Path) -> None:
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05-01", slice(0, 288))
    zipped(tmp_path / "in" / "BTCUSDT-5m-2025-05-01 (1).zip", day_of_klines(1, times=1.0005))
    archive(tmp_path / "in", "ETHUSDT-5m-2025-05-01", slice(0, 288))
    archive(tmp_path / "in" / "again", "ETHUSDT-5m-2025-05-01", slice(0, 288))
    outcome = import_into(repository, tmp_path, "archives")
    assert (list(outcome.refused), outcome.rows, outcome.repeated) == (["BTCUSDT"], 288, 288)
    assert "2025-05-01 (1).zip and" in outcome.refused["BTCUSDT"].found
    assert "BTCUSDT-5m-2025-05-01.zip" in outcome.refused["BTCUSDT"].found


# ---- prices that do not go on ----


@pytest.mark.parametrize("runs", [1, 2])
def test_files_whose_prices_do_not_go_on_are_refused_in_one_run_and_over_two(
    repository: Path, collected_source: Read, tmp_path: Path, runs: int
) -> None:
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05-01", slice(0, 288))
    if runs == 2:
        assert import_into(repository, tmp_path, "archives").refused == {}
    zipped(tmp_path / "in" / "BTCUSDT-5m-2025-05-03.zip", day_of_klines(3, times=3.0))
    error = import_into(repository, tmp_path, "archives").refused["BTCUSDT"]
    assert "BTCUSDT-5m-2025-05-03.zip begins at" in error.found
    assert ("BTCUSDT-5m-2025-05-01.zip ends at" if runs == 1 else "ends at") in error.found
    assert len(read_manifest(tmp_path / "out").files) == runs - 1
    outcome = import_into(repository, tmp_path, "archives", largest_step=5.0)
    assert (outcome.refused, read_manifest(tmp_path / "out").files.keys() != set()) == ({}, True)


def test_files_of_one_market_always_go_on(repository: Path, tmp_path: Path) -> None:
    for day in (1, 2, 3, 9, 30):
        archive(tmp_path / "in", f"BTCUSDT-5m-2025-05-{day:02d}", slice((day - 1) * 288, day * 288))
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05", slice(None))
    outcome = import_into(repository, tmp_path, "archives")
    assert (outcome.refused, outcome.rows, outcome.repeated) == ({}, len(BARS), 5 * 288)


# ---- names ----


@pytest.mark.parametrize(
    "symbol", ["币安人生USDT", "1000SHIBUSDT", "btcusdt", "1INCHUSDC", "X.AI.2USDT", "ÀÉUSDT", "BTCDOMUSDT", "MARKUSDT"]
)
def test_symbols_in_any_script_are_taken(repository: Path, collected_source: Read, tmp_path: Path, symbol: str) -> None:
    archive(tmp_path / "in", f"{symbol}-5m-2025-05-01", slice(0, 20))
    feather(tmp_path / "ft" / f"{symbol[:-4]}_{symbol[-4:].upper()}_{symbol[-4:].upper()}-5m-futures.feather")
    write_csv(tmp_path / "csv" / f"{symbol}.csv", list(TIMES[:20]), slice(0, 20))
    for name, folder in (("archives", "in"), ("csv", "csv"), ("freqtrade", "ft")):
        outcome = run_import(tmp_path / name, source_of(repository, name, tmp_path / folder))
        assert (outcome.refused, outcome.notes) == ({}, ())
        found = collected_source(tmp_path / name).history().symbols[0]
        assert found == (symbol if name != "freqtrade" else symbol[:-4] + symbol[-4:].upper())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BTCUSDT_250328-5m-2025-01-01.zip", "contracts that expire"),
        ("BTCUSD_250328-5m-2025-01-01.zip", "contracts that expire"),
        ("BTCUSD_PERP-fundingRate-2025-01.zip", "coin-margined contracts"),
        ("BTC-250328-100000-C-5m-2025-01-01.zip", "options"),
        ("futures/cm/daily/klines/BTCUSDT-5m-2025-01-01.zip", "coin-margined contracts"),
        ("cm/BTCUSDT-5m-2025-01-01.zip", "coin-margined contracts"),
        ("futures/um/daily/indexPriceKlines/BTCUSDT-5m-2025-01-01.zip", "index-price klines"),
        ("BTCTRY-5m-2025-01-01.zip", "quoted in none of USDT, USDC, BUSD (job.source.quotes)"),
        ("BTCUSDT-aggTrades-2025-01-01.zip", "aggTrades, not 5m (job.source.timeframe)"),
        ("币安人生USDT-1h-2025-01-01.zip", "bars of 1h, not 5m (job.source.timeframe)"),
        ("my download.zip", "a name other than SYMBOL-INTERVAL-YYYY-MM.zip or SYMBOL-INTERVAL-YYYY-MM-DD.zip"),
        ("BTC_USDT_USDT-250328-5m-futures.feather", "contracts that expire"),
        ("BTC_USD_BTC-8h-funding_rate.feather", "coin-margined contracts"),
        ("BTC_USDT_USDT-5m-index.feather", "index-price klines"),
        ("BTC_USDT_USDT-5m-premiumIndex.feather", "premium-index klines"),
        ("BTC_USDT_ETH-5m-futures.feather", "contracts that settle in neither currency of their pair"),
        ("BTC_USDT-5m-futures.feather", "futures whose name does not say what they settle in (BASE_QUOTE_SETTLE)"),
        ("BTC_USDT-5m.feather", "spot"),
        ("ETH_BTC_BTC-5m-futures.feather", "quoted in none of USDT, USDC, BUSD, USD (job.source.quotes)"),
        ("BTC_USD_BTC.csv", "coin-margined contracts"),
        ("BTCUSDT_250328.csv", "contracts that expire"),
        ("BTCUSDT-mark.csv", "mark-price klines"),
        ("BTC-USD-SWAP.csv", "coin-margined contracts"),
        ("spot/BTCUSDT.csv", "spot"),
        ("binance spot/BTCUSDT-5m-2024-01-01.zip", "spot"),
        ("Spot_zips/BTCUSDT-5m-2024-01-01.zip", "spot"),
        ("coinbase-spot/BTCUSDT.csv", "spot"),
        ("mark/BTCUSDT.csv", "mark-price klines"),
        ("Mark Price/BTCUSDT.csv", "mark-price klines"),
        ("binance_index/BTCUSDT.csv", "index-price klines"),
        ("premium/BTCUSDT.csv", "premium-index klines"),
        ("inverse perps/BTCUSD.csv", "coin-margined contracts"),
        ("COIN-M/BTCUSD.csv", "coin-margined contracts"),
        ("delivery/BTCUSDT.csv", "contracts that expire"),
        ("BTC-27JUN25.csv", "contracts that expire"),
        ("BTC_USDC-27JUN25.csv", "contracts that expire"),
        ("BTC_USDT_20250627.csv", "contracts that expire"),
        ("XBTM25.csv", "contracts that expire"),
        ("BTCUSDH25.csv", "contracts that expire"),
        ("BTC-USDT-CW.csv", "contracts that expire"),
        ("BTC-27JUN25-100000-C.csv", "options"),
        ("XRP_USDC-27JUN25-0d5-P.csv", "options"),
        ("BTC-27JUN25-100000-C-USDT.csv", "options"),
        ("BTC-PERPETUAL.csv", "coin-margined contracts"),
        ("PI_XBTUSD.csv", "coin-margined contracts"),
        ("BTCUSD_DMCBL.csv", "coin-margined contracts"),
        ("BTCUSDT_SPBL.csv", "spot"),
        ("BTCUSDT_markprice.csv", "mark-price klines"),
        ("BTCUSDT-5m-2025-01.csv", "unpacked archives: their names are no symbols"),
    ],
)
def test_files_of_other_markets_are_left_out_by_name_and_reason(
    repository: Path, tmp_path: Path, name: str, reason: str
) -> None:
    kind = {".zip": "archives", ".feather": "freqtrade", ".csv": "csv"}[Path(name).suffix]
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(b"")
    source = source_of(repository, kind, tmp_path / "in")
    assert source.accept(tmp_path / "in" / name).reason == reason
    with pytest.raises(DataError) as error:
        run_import(tmp_path / "out", source)
    assert f"left out: {reason}: 1 file ({name})" in error.value.found


@pytest.mark.parametrize(
    "symbol",
    ["BTCUSDT", "PI_USDT", "PF_XBTUSD", "XBTUSDTM", "ETH_USDC-PERPETUAL", "BTC-USDT-SWAP", "BTCUSDTM15", "C98", "X2Y2",
     "MARKUSDT", "SPOT_USDT", "UM-USDT", "BTCUSDT.P", "BTCUSDT_UMCBL", "BTCUSDT_202412"],
)  # fmt: skip
def test_names_of_linear_perpetuals_and_of_coins_speak_of_no_other_market(symbol: str) -> None:
    assert word_market(symbol) is None


@pytest.mark.parametrize("folder", ["linear", "usd-m", "perps", "binance_usdm_perps"])
def test_folders_of_perpetuals_hold_no_spot(repository: Path, tmp_path: Path, folder: str) -> None:
    write_csv(tmp_path / "in" / folder / "BTCUSDT.csv", TIMES[:20].tolist(), slice(0, 20))
    assert import_into(repository, tmp_path, "csv").rows == 20
    spot = source_of(repository, "csv", tmp_path / "in", market="spot")
    with pytest.raises(DataError, match="left out: linear perpetuals"):
        run_import(tmp_path / "spot", spot)


@pytest.mark.parametrize(("name", "market", "fix"), [
    ("BTCUSD_PERP-5m-2025-01-01.zip", "linear", "contracts that expire, options and mark, index or premium prices are not"),
    ("spot/BTCUSDT-5m-2024-01-01.zip", "linear", "job.source.market=spot and another job.root"),
    ("futures/um/BTCUSDT-5m-2024-01-01.zip", "spot", "job.source.market=linear and another job.root"),
    ("BTCUSDT-1h-2024-01-01.zip", "linear", "Set job.source.timeframe to the one of your files"),
    ("BTCTRY-5m-2024-01-01.zip", "linear", "Add the currency to job.source.quotes"),
    ("BTCUSDT-5m-2024-01-01.csv", "linear", "import the csv files with job/source=csv"),
    ("BTCUSDT-5m-2024-01-01.zip.gz", "linear", "Unpack the files"),
])  # fmt: skip
def test_a_folder_of_which_nothing_can_be_imported_says_the_way_out(
    repository: Path, tmp_path: Path, name: str, market: str, fix: str
) -> None:
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(b"")
    with pytest.raises(DataError) as error:
        import_into(repository, tmp_path, "archives", market=market)
    assert fix in str(error.value)
    assert "rename" not in str(error.value)


def test_files_of_one_symbol_in_two_folders_are_named(repository: Path, tmp_path: Path) -> None:
    for folder, rows in (("binance", slice(0, 100)), ("bybit", slice(100, 200)), ("mark", slice(200, 300))):
        write_csv(tmp_path / "in" / folder / "BTCUSDT.csv", TIMES[rows].tolist(), rows)
    write_csv(tmp_path / "in" / "ETHUSDT.csv", TIMES[:100].tolist(), slice(0, 100))
    outcome = import_into(repository, tmp_path, "csv")
    assert outcome.notes == (
        "left out: mark-price klines: 1 file (mark/BTCUSDT.csv)",
        "taken for linear perpetuals of one exchange, one series a symbol: BTCUSDT in 2 files (binance/BTCUSDT.csv, "
        "bybit/BTCUSDT.csv)",
    )
    assert (outcome.rows, outcome.refused) == (300, {})


# ---- endings and copies ----


def test_endings_count_in_any_case_and_other_files_are_named(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    archive(folder, "BTCUSDT-5m-2025-05-01", slice(0, 288)).rename(folder / "BTCUSDT-5m-2025-05-01.ZIP")
    write_csv(folder / "ETHUSDT.CSV", TIMES[:20].tolist(), slice(0, 20))
    feather(folder / "SOL_USDT_USDT-5m-futures.Feather")
    for name in ("A.csv.gz", "B.txt", "C.json", "D.parquet", "README.txt", ".DS_Store", "BTC.zip.CHECKSUM", "E"):
        (folder / name).write_bytes(b"")
    found = {
        kind: run_import(tmp_path / kind, source_of(repository, kind, folder))
        for kind in ("archives", "csv", "freqtrade")
    }
    assert {kind: outcome.rows for kind, outcome in found.items()} == {"archives": 288, "csv": 20, "freqtrade": 300}
    assert found["csv"].notes == tuple(
        f"left out: {ending} where files of this kind end with .csv: 1 file ({name})"
        for ending, name in ((".csv.gz", "A.csv.gz"), (".txt", "B.txt"), (".ZIP", "BTCUSDT-5m-2025-05-01.ZIP"), (".json", "C.json"),
                             (".parquet", "D.parquet"), ("no ending", "E"), (".Feather", "SOL_USDT_USDT-5m-futures.Feather"))
    )  # fmt: skip


@pytest.mark.parametrize("copy", ["BTCUSDT (1)", "BTCUSDT(2)", "BTCUSDT copy", "BTCUSDT - Copy", "BTCUSDT copy 2"])
def test_a_second_copy_is_the_same_file(repository: Path, tmp_path: Path, copy: str) -> None:
    write_csv(tmp_path / "in" / "BTCUSDT.csv", TIMES[:20].tolist(), slice(0, 20))
    write_csv(tmp_path / "in" / f"{copy}.csv", TIMES[:20].tolist(), slice(0, 20))
    outcome = import_into(repository, tmp_path, "csv")
    assert (outcome.rows, outcome.repeated, outcome.refused) == (20, 20, {})
    assert f"BTCUSDT in 2 files ({', '.join(sorted([f'{copy}.csv', 'BTCUSDT.csv']))})" in outcome.notes[0]
    write_csv(tmp_path / "in" / f"{copy}.csv", TIMES[:20].tolist(), slice(1, 21))
    refused = import_into(repository, tmp_path, "csv").refused["BTCUSDT"]
    assert f"{copy}.csv" in refused.found


def test_two_exchanges_of_one_freqtrade_folder_never_meet(repository: Path, tmp_path: Path) -> None:
    feather(tmp_path / "in" / "binance" / "futures" / "BTC_USDT_USDT-5m-futures.feather")
    feather(tmp_path / "in" / "okx" / "futures" / "BTC_USDT_USDT-5m-futures.feather", rows=slice(300, 600))
    feather(tmp_path / "in" / "okx" / "futures" / "ETH_USDT_USDT-5m-futures.feather")
    outcome = import_into(repository, tmp_path, "freqtrade")
    assert (list(outcome.refused), outcome.rows) == (["BTCUSDT"], 300)
    assert "binance/futures" in outcome.refused["BTCUSDT"].found
    assert "okx/futures" in outcome.refused["BTCUSDT"].found


def test_spot_of_freqtrade_is_a_dataset_of_its_own(repository: Path, collected_source: Read, tmp_path: Path) -> None:
    feather(tmp_path / "in" / "BTC_USDT-5m.feather", times=0.9)
    feather(tmp_path / "in" / "futures" / "BTC_USDT_USDT-5m-futures.feather")
    outcome = import_into(repository, tmp_path, "freqtrade", market="spot")
    assert outcome.notes == ("left out: linear perpetuals: 1 file (futures/BTC_USDT_USDT-5m-futures.feather)",)
    np.testing.assert_array_equal(closes(collected_source, tmp_path / "out")[:, 0], BARS[:300, 3] * 0.9)


def test_a_dataset_without_a_word_on_its_market_holds_perpetuals(tmp_path: Path) -> None:
    with open_store(tmp_path, "binanceusdm", STEP_MS) as store:
        store.manifest.write(tmp_path)
    assert read_manifest(tmp_path).market == "linear"
    with pytest.raises(ConfigError, match="one market"), open_store(tmp_path, "binanceusdm", STEP_MS, "spot"):
        pass


def test_words_of_a_path_above_the_folder_count_only_as_the_layout_of_the_archive() -> None:
    file = "BTCUSDT-5m-2025-05-01.zip"
    assert folder_market(Path("/spot/cm/in"), Path("/spot/cm/in") / file) is None
    assert folder_market(Path("/data/futures/um/daily"), Path("/data/futures/um/daily/klines") / file) == "linear"
    assert folder_market(Path("/data/spot/daily/klines"), Path("/data/spot/daily/klines") / file) == "spot"
    assert (
        folder_market(Path("/x/futures/um/markPriceKlines/A"), Path("/x/futures/um/markPriceKlines/A") / file) == "mark"
    )
    assert (symbol_market("BTCUSDT_202412"), word_market("BTCUSDT_2024")) == (None, None)


def test_an_unknown_market_is_refused(repository: Path, tmp_path: Path) -> None:
    for settings in ({"market": "inverse"}, {"largest_step": -1.0}):
        with pytest.raises(ConfigError):
            source_of(repository, "archives", tmp_path, **settings)


def test_a_session_does_not_go_on_from_spot_with_perpetuals(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path / "in", "BTCUSDT-5m-2025-05", slice(0, 2_000), micro=True)
    import_into(repository, tmp_path, "archives", market="spot")
    monkeypatch.chdir(tmp_path)
    settings = ("experiment=baseline", "job=paper", "data=collected", "data.root=out", "execution/feed=live")
    with pytest.raises(ConfigError, match=r"a history of the feed's market, linear; found bars of spot"):
        paper.run(compose(*settings, "job.folder=session"))
