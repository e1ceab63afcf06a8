"""Trading rules per symbol from a file: what is empty, what is dated, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Instrument
from quantlab.core.rule_spans import rule_spans
from quantlab.data import ParquetSource
from quantlab.data.store.day_files import BARS
from quantlab.data.store.manifest import SymbolFacts
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import Batch, open_store

START_MS, STEP_MS = 1_746_057_600_000, 300_000  # 2025-05-01
DEFAULT = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
HEADING = "symbol,from,tick,lot,min_notional,maintenance_margin_rate,maker_fee_bps,taker_fee_bps"


@pytest.fixture
def parquet(tmp_path: Path, write_bars: Callable[..., Path], parquet_source: Callable[..., ParquetSource]) -> Any:
    for symbol in ("A", "B", "C"):
        write_bars(tmp_path / "data" / f"{symbol}.parquet", range(0 if symbol == "A" else 40, 800))
    return lambda **settings: parquet_source(tmp_path / "data", **settings)


def table(tmp_path: Path, *rows: str, heading: str = HEADING) -> Path:
    path = tmp_path / "instruments.csv"
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def test_an_empty_cell_a_left_out_column_and_a_symbol_without_a_row_are_the_configured_rules(
    parquet: Any, tmp_path: Path
) -> None:
    path = table(tmp_path, "B,0.5,,0", "A,,2,", heading="symbol,tick,lot,taker_fee_bps")
    source = parquet(instruments=path)
    bars = source.history()
    a, b = dataclasses.replace(DEFAULT, lot=2.0), dataclasses.replace(DEFAULT, tick=0.5, taker_fee_bps=0.0)
    assert bars.instruments == (a, b, DEFAULT)
    assert bars.rule_changes == ()
    (note,) = source.data_notes()
    assert note.startswith("1 of 3 symbols have no row in instruments.csv")
    assert note.endswith("(C)")
    assert parquet().history().instruments == (DEFAULT,) * 3
    assert parquet().data_notes() == ()
    assert bars.fingerprint() != parquet().history().fingerprint()


def test_dated_rows_hold_from_the_first_bar_at_or_after_their_time(parquet: Any, tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "A,2025-05-02T00:01:00Z,0.2,,,,,",  # between two bars
        "A,,0.1,,,,,9",
        "A,2025-05-02T12:00:00+02:00,,1,,,,",
        "B,2025-05-02,0.7,,,,,",
        "C,2024-01-01,0.9,,,,,",
        "C,2030-01-01,1.1,,,,,",
    )
    source = parquet(instruments=path)
    bars = source.history()
    undated = dataclasses.replace(DEFAULT, tick=0.1, taker_fee_bps=9.0)
    dated = dataclasses.replace(DEFAULT, tick=0.2)  # an empty cell is the configured value, not the row before
    last, b = dataclasses.replace(DEFAULT, lot=1.0), dataclasses.replace(DEFAULT, tick=0.7)
    c = dataclasses.replace(DEFAULT, tick=0.9)
    day = 288  # 2 May
    assert [(span.first, span.stop, span.instruments) for span in rule_spans(bars)] == [
        (0, day, (undated, DEFAULT, c)),
        (day, day + 1, (undated, b, c)),
        (day + 1, day + 120, (dated, b, c)),
        (day + 120, 800, (last, b, c)),
    ]
    assert bars.rule_changes[-1].instrument.tick == 1.1  # known, and after the last bar
    assert source.data_notes() == (
        "trading rules are dated: instruments.csv changes those of C, B, A, rows with a time: 5",
    )


def test_parts_and_the_stream_carry_the_rules_of_their_own_bars(
    parquet: Any, tmp_path: Path, assert_same_stream: Callable[..., None]
) -> None:
    source = parquet(instruments=table(tmp_path, "A,2025-05-02T00:01:00Z,0.2,,,,,", "B,2025-05-01T20:00:00Z,,5,,,,"))
    whole = source.history()
    stream = list(source.stream())
    assert_same_stream(whole, iter(stream))
    for span in rule_spans(whole):
        assert {bar.instruments for bar in stream[span.first : span.stop]} == {span.instruments}
    for first, last in ((0, 100), (100, 300), (289, 800), (300, 301)):
        part = source.history(START_MS + first * STEP_MS, START_MS + last * STEP_MS)
        cut = whole.rows(first, last)
        assert (part.instruments, part.rule_changes) == (cut.instruments, cut.rule_changes)
        assert list(rule_spans(part)) == list(rule_spans(cut))
    assert np.array_equal(whole.ohlcv, parquet().history().ohlcv, equal_nan=True)


def test_a_collected_dataset_keeps_the_exchanges_rules_where_the_file_says_nothing(
    tmp_path: Path, collected_source: Callable[..., CollectedSource], random_bars: Callable[..., Any]
) -> None:
    bars = random_bars(seed=1, n_bars=700, n_symbols=2, start_ms=START_MS)
    series = {symbol: (bars.open_time_ms, np.ascontiguousarray(bars.ohlcv[:, s])) for s, symbol in enumerate("AB")}
    span = ((START_MS, START_MS + 700 * STEP_MS),)
    root = tmp_path / "data"
    root.mkdir()
    with open_store(root, "test", STEP_MS) as store:
        facts = {"A": SymbolFacts("A/USDT:USDT", {"tick": 0.5, "taker_fee_bps": 9.0})}
        store.add(Batch(BARS, series, {"A": span, "B": span}, facts))
    path = table(tmp_path, "A,,,3,,0.02,,", "A,2025-05-02,0.25,,,0.05,,")
    source = collected_source(root, instruments=path)
    stated = dataclasses.replace(DEFAULT, tick=0.5, taker_fee_bps=9.0)
    before = dataclasses.replace(stated, lot=3.0, maintenance_margin_rate=0.02)
    after = dataclasses.replace(stated, tick=0.25, maintenance_margin_rate=0.05)
    spans = [(one.first, one.instruments) for one in rule_spans(source.history())]
    assert spans == [(0, (before, DEFAULT)), (288, (after, DEFAULT))]
    late = source.history(START_MS + 400 * STEP_MS)
    assert (late.instruments, late.rule_changes) == ((after, DEFAULT), ())
    assert [bar.instruments for bar in source.stream()][287:289] == [(before, DEFAULT), (after, DEFAULT)]
    notes = source.data_notes()
    assert any("no maintenance margin of 1 of 2 symbols (B)" in note for note in notes)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            ["A,,1,,,,,", "X,,1,,,,,"],
            r"symbol of the data in row 2 of instruments.csv; found X, of which there are no bars",
        ),
        (["A,,1,,,,,", "A,,2,,,,,"], r"one row per symbol and time in row 2.*A without a time also in row 1"),
        (
            ["A,2025-05-02,1,,,,,", "A,2025-05-02T00:00:00Z,2,,,,,"],
            r"in row 2.*A from 2025-05-02T00:00:00Z also in row 1",
        ),
        (["A,,-1,,,,,"], r"tick as a finite number >= 0 in row 1.*'-1'"),
        (["A,,,,,,,inf"], r"taker_fee_bps as a finite number >= 0 in row 1.*'inf'"),
        (['A,,,"0,5",,,,'], r"lot as a finite number >= 0 in row 1.*'0,5'"),
        (["A,soon,1,,,,,"], r"from as an ISO 8601 time in row 1.*'soon'"),
        (["A,,,,,2.5,,"], r"maintenance_margin_rate from 0 to 0\.99 in row 1.*'2.5'"),
        (["A,,,,,,,1000", "B,,,,,,,4500"], r"taker_fee_bps from 0 to 1000 in row 2.*'4500'"),
        (["A,,,,,,1001,"], r"maker_fee_bps from 0 to 1000 in row 1"),
        (["A,2025-05-02T21:20:07Z,1,,,,,"], r"from as a whole minute in row 1.*21:20:07Z"),
        ([",,1,,,,,"], r"a symbol in row 1 of instruments.csv; found an empty cell"),
    ],
)
def test_rows_are_refused_with_their_number(parquet: Any, tmp_path: Path, rows: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        parquet(instruments=table(tmp_path, *rows)).history()


@pytest.mark.parametrize("heading", ["tick", "symbol,ticks", "symbol,tick,tick", "symbol,leverage"])
def test_columns_are_never_guessed(parquet: Any, tmp_path: Path, heading: str) -> None:
    row = ",".join(["A", "1", "1"][: heading.count(",") + 1])
    with pytest.raises(DataError, match=r"columns symbol and any of from, tick, lot, .*wrong, missing or there twice"):
        parquet(instruments=table(tmp_path, row, heading=heading)).history()


def test_a_name_that_is_none_is_refused(parquet: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.instruments as a file"):
        parquet(instruments="")
