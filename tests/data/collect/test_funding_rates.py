"""Funding rates that no venue could have paid, collected, imported and read: refused, counted and said."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from binance_server import DAY_MS, EPOCH_MS, FUNDING_MS, CountingProgress, FakeBinance, Listing
from rich.console import Console

from quantlab.core.types import CollectOutcome
from quantlab.data.collect.binance_archives import ArchiveImport
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store
from quantlab.jobs.data.collect import _table

Start = Callable[..., FakeBinance]
Make = Callable[..., ExchangeSource]
Read = Callable[..., CollectedSource]


class WrongRates(FakeBinance):
    """Answers with other rates, by their number since the epoch, and with all stamps moved."""

    wrong: dict[int, Any]
    shift_ms: int

    def rates(self, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        stamps, rates = super().rates(symbol)
        return stamps + self.shift_ms, rates

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        status, rows = super().answer(path, query)
        if path.endswith("fundingRate"):
            for row in rows:
                number = (row["fundingTime"] + 1000 - EPOCH_MS) // FUNDING_MS
                row["fundingRate"] = self.wrong.get(number, row["fundingRate"])
        return status, rows


def serve(binance: Start, **settings: Any) -> WrongRates:
    server = binance({"BTCUSDT": Listing(1)})
    server.__class__ = WrongRates
    assert isinstance(server, WrongRates)
    server.wrong, server.shift_ms = settings.get("wrong", {}), settings.get("shift_ms", 0)
    return server


def collect(root: Path, source: Any) -> CollectOutcome:
    with open_store(root, source.exchange, source.interval_ms) as store:
        outcome: CollectOutcome = source.fill(store, CountingProgress())
        store.finish()
    return outcome


def test_unsound_rates_of_an_exchange_are_left_out_and_counted(
    binance: Start, exchange_source: Make, collected_source: Read, tmp_path: Path
) -> None:
    server = serve(binance, wrong={2: "-1000", 4: "Infinity", 5: None, 7: "0.05"})
    outcome = collect(tmp_path, exchange_source(server))
    assert outcome.refused == {}
    assert outcome.refused_rates == {"BTCUSDT": 3}
    assert "3 funding rates are refused and count as missing" in outcome.notes[-1]
    console = Console(width=200, record=True)
    console.print(_table(read_manifest(tmp_path), outcome))
    assert console.export_text().split()[-1] == "3"
    narrow = Console(width=80, record=True)
    narrow.print(_table(read_manifest(tmp_path), outcome))
    told = narrow.export_text()
    assert "…" not in told
    assert {"BTCUSDT", "a", "bar", "every", "5m", "2025-05-01"} <= set(told.split())
    funding = collected_source(tmp_path).history().funding
    assert funding is not None
    numbers = (funding.time_ms - EPOCH_MS) // FUNDING_MS
    assert set(range(12)) - set(numbers.tolist()) == {2, 4, 5}
    assert float(funding.rate[numbers == 7, 0][0]) == 0.05


def test_the_cap_is_a_setting_of_collecting_and_of_reading(
    binance: Start, exchange_source: Make, collected_source: Read, tmp_path: Path
) -> None:
    server = serve(binance, wrong={2: "0.9"})
    assert collect(tmp_path, exchange_source(server, largest_funding_rate=1.0)).refused_rates == {"BTCUSDT": 0}
    wide, narrow = collected_source(tmp_path, largest_funding_rate=1.0), collected_source(tmp_path)
    assert not [note for note in wide.data_notes() if "refused" in note]
    assert narrow.data_notes()[-1].startswith("1 funding rates are refused")
    rates = [source.history().funding for source in (wide, narrow)]
    assert rates[0] is not None
    assert rates[1] is not None
    assert (float(rates[0].rate.max()), len(rates[0].rate) - len(rates[1].rate)) == (0.9, 1)


def test_early_stamps_are_charged_at_their_hour(
    binance: Start, exchange_source: Make, collected_source: Read, tmp_path: Path
) -> None:
    """A stamp of 23:59:59.990 lies in the file of the day before and falls due at midnight."""
    server = serve(binance, shift_ms=-17)
    collect(tmp_path, exchange_source(server))
    funding = collected_source(tmp_path).history(EPOCH_MS + DAY_MS).funding
    assert funding is not None
    assert funding.time_ms.tolist() == [EPOCH_MS + FUNDING_MS * k for k in range(3, 12)]


@pytest.mark.parametrize(("rates", "left"), [(("0.0001", "-1000", "nan"), 1), (("9", "inf", "-inf"), 0)])
def test_imported_rates_are_held_against_the_same_cap(rates: tuple[str, ...], left: int, tmp_path: Path) -> None:
    stamps = EPOCH_MS + FUNDING_MS * np.arange(3) - 5  # the first in the month before, by its stamp
    lines = [f"{stamp},8,{rate}" for stamp, rate in zip(stamps, rates, strict=True)]
    with zipfile.ZipFile(tmp_path / "BTCUSDT-fundingRate-2025-05.zip", "w") as file:
        file.writestr("x.csv", "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines]))
    outcome = collect(tmp_path / "out", ArchiveImport(tmp_path, "binanceusdm", "5m", "linear", 0.05, 0.2, ("USDT",)))
    assert outcome.refused == {}
    assert (outcome.rows, outcome.refused_rates) == (left, {"BTCUSDT": 3 - left})
    assert "larger than 0.05" in outcome.notes[-1]
