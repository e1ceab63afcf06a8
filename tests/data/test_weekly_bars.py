"""Weekly bars open on Mondays, though the epoch was a Thursday: in files, the dataset, an exchange and a session."""

from __future__ import annotations

import asyncio
import itertools
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from binance_server import CountingProgress
from import_files import BARS, run_import, source_of, write_csv

from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK, FakeClock, ceil_to_open, floor_to_open, parse_utc, past_open
from quantlab.core.durations import duration_ms, duration_text
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Bars
from quantlab.core.types import CollectOutcome
from quantlab.data import QualityGate
from quantlab.data.collect.collection import Collection, Paging, answered_spans, plan_windows
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.series.alignment import Series
from quantlab.data.series.live_checks import check_live
from quantlab.data.series.timeframes import timeframe_ms
from quantlab.data.store.manifest import SymbolFacts, read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import raw_bar
from quantlab.features.pipeline import FeaturePipeline

Read = Callable[..., CollectedSource]
MONDAY_MS = parse_utc("2025-01-06")
WEEKS = MONDAY_MS + MS_PER_WEEK * np.arange(78, dtype=np.int64)  # to the end of June 2026


def test_weeks_open_on_mondays_and_other_bars_at_multiples_of_their_interval() -> None:
    for time in range(0, 40 * MS_PER_DAY, 7 * 3_600_000):
        opened = floor_to_open(time, MS_PER_WEEK)
        assert datetime.fromtimestamp(opened / 1000, UTC).weekday() == 0
        assert opened <= time < opened + MS_PER_WEEK
        assert ceil_to_open(time, MS_PER_WEEK) in (opened, opened + MS_PER_WEEK)
        for step in (300_000, MS_PER_DAY):
            assert (floor_to_open(time, step), ceil_to_open(time, step)) == (
                time // step * step,
                -(-time // step) * step,
            )
    assert np.all(past_open(WEEKS, MS_PER_WEEK) == 0)
    assert np.all(WEEKS % MS_PER_WEEK == 4 * MS_PER_DAY)


def test_timeframes_there_and_back() -> None:
    for text in ("1s", "1m", "5m", "1h", "4h", "1d", "1w"):
        assert duration_text(timeframe_ms(text)) == text
    for text in ("2w", "3d", "1mo", "w"):
        with pytest.raises(ConfigError, match="divides a day"):
            timeframe_ms(text)


def test_lengths_of_time_there_and_back() -> None:
    rng = np.random.default_rng(3)
    for ms in [1, 999, 86_100_000, 604_500_000, 5_400_000, *rng.integers(1, 3 * MS_PER_WEEK, 300).tolist()]:
        assert duration_ms("x", duration_text(ms)) == ms
    assert [duration_text(minutes * 60_000) for minutes in (1435, 10075, 90, 120)] == [
        "23h55m",
        "6d23h55m",
        "90m",
        "2h",
    ]


@pytest.mark.parametrize("rule", ["W", "W-SUN"])
def test_weeks_of_another_day_say_how_to_make_weeks_of_mondays(repository: Path, tmp_path: Path, rule: str) -> None:
    days = pd.DataFrame(BARS[:70], columns=["open", "high", "low", "close", "volume"])
    days.index = pd.date_range("2025-01-06", periods=70, tz="UTC")
    days[["high", "low"]] = [days.max(axis=None), days.iloc[:, :4].min(axis=None)]
    sides = {} if rule == "W" else {"closed": "left", "label": "left"}
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}

    def imported(bars: pd.DataFrame, name: str) -> CollectOutcome:
        (tmp_path / name).mkdir()
        bars.rename_axis("timestamp").to_csv(tmp_path / name / "BTCUSDT.csv")
        source = source_of(repository, "csv", tmp_path / name, timeframe="1w", unit="text")
        return run_import(tmp_path / f"{name}-out", source)

    (error,) = imported(days.resample(rule, **sides).agg(how), "wrong").refused.values()
    assert error.fix.startswith("weeks begin on Mondays here")
    advice = error.fix.split("in pandas ")[1].split(", and leave out")[0]
    mended = eval(advice, {"bars": days})  # noqa: S307 - the line that a user is told to run
    outcome = imported(mended, "right")
    assert (outcome.rows, outcome.refused) == (10, {})


def archive(folder: Path, month: str, opens: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for time in opens:
        o, h, low, c, volume = BARS[(time - MONDAY_MS) // MS_PER_WEEK].tolist()
        rows.append(f"{time},{o},{h},{low},{c},{volume},{time + MS_PER_WEEK - 1},1,1,1,1,0")
    with zipfile.ZipFile(folder / f"BTCUSDT-1w-{month}.zip", "w") as file:
        file.writestr("x.csv", "\n".join(rows))


def month_of(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m")


def test_weekly_archives_are_read_counted_and_cut_to_periods(
    repository: Path, collected_source: Read, tmp_path: Path
) -> None:
    months = {month: list(times) for month, times in itertools.groupby(WEEKS.tolist(), key=month_of)}
    del months["2025-06"]
    for month, opens in months.items():
        archive(tmp_path / "in", month, [time for time in opens if time != WEEKS[5]])
    outcome = run_import(tmp_path / "out", source_of(repository, "archives", tmp_path / "in", timeframe="1w"))
    june = [time for time in WEEKS.tolist() if month_of(time) == "2025-06"]
    assert (outcome.refused, outcome.rows) == ({}, 78 - 1 - len(june))
    gaps = (read_manifest(tmp_path / "out").gaps or {})["BTCUSDT"]
    assert (gaps["missing"], gaps["longest"]) == (1, [["2025-02-10T00:00:00Z", 1]])  # June was never asked for
    bars = collected_source(tmp_path / "out").history()
    np.testing.assert_array_equal(bars.open_time_ms, WEEKS)
    printed = bars.printed[:, 0]
    np.testing.assert_array_equal(bars.ohlcv[printed, 0], BARS[:78][printed])
    for start, end in (("2025-03-03", "2025-05-05"), ("2025-02-26", "2025-05-01")):  # Mondays, Wednesdays
        part = collected_source(tmp_path / "out", start=start, end=end).history()
        assert [int(part.open_time_ms[k]) for k in (0, -1)] == [parse_utc("2025-03-03"), parse_utc("2025-04-28")]


def test_weekly_csv_and_parquet_files_and_weeks_of_other_days(
    repository: Path, parquet_source: Any, write_bars: Any, tmp_path: Path
) -> None:
    write_csv(tmp_path / "in" / "AAA.csv", WEEKS.tolist(), slice(0, 78))
    assert run_import(tmp_path / "out", source_of(repository, "csv", tmp_path / "in", timeframe="1w")).rows == 78
    write_csv(tmp_path / "in" / "AAA.csv", (WEEKS + 3 * MS_PER_DAY).tolist(), slice(0, 78))
    outcome = run_import(tmp_path / "thursday", source_of(repository, "csv", tmp_path / "in", timeframe="1w"))
    assert "that open on Mondays at 00:00 UTC; found 78 of 78" in str(next(iter(outcome.refused.values())))
    write_bars(tmp_path / "p" / "A.parquet", range(78), timestamp=pa.array(WEEKS).cast(pa.timestamp("ms", tz="UTC")))
    bars = parquet_source(tmp_path / "p").history()
    assert (bars.interval_ms, bars.n_bars) == (MS_PER_WEEK, 78)


class WeeklyExchange:
    """Answers with weekly bars, at most `most` of them, the newest or the oldest of what was asked."""

    def __init__(self, now_ms: int, *, newest: bool) -> None:
        self.now_ms, self.newest = now_ms, newest
        self.timeframes: set[str] = set()

    async def bars(self, market: str, timeframe: str, start: int, end: int, limit: int) -> Series:
        self.timeframes.add(timeframe)
        rows = np.flatnonzero((start <= WEEKS) & (end > WEEKS) & (self.now_ms >= WEEKS + MS_PER_WEEK))
        rows = rows[-limit:] if self.newest else rows[:limit]
        return WEEKS[rows], BARS[rows]

    async def funding(self, market: str, start: int, end: int, limit: int) -> Series:
        return np.empty(0, np.int64), np.empty((0, 1))


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("now", ["2025-07-07T00:20", "2025-07-09T11:00", "2025-07-13T23:59"])
def test_an_exchange_gives_weeks_up_to_the_last_closed_one(
    exchange_source: Callable[..., ExchangeSource], tmp_path: Path, newest: bool, now: str
) -> None:
    class Server:
        url = "http://nowhere"

    now_ms = parse_utc(now)
    source = exchange_source(Server(), timeframe="1w", start="2025-01-08")  # type: ignore[arg-type]
    period = source._period(now_ms)
    assert period == (parse_utc("2025-01-13"), parse_utc("2025-07-07"))
    exchange: Any = WeeklyExchange(now_ms, newest=newest)
    paging = Paging("binanceusdm", "1w", MS_PER_WEEK, 7, 50, 2, 0.05)
    for rows in (25, 0):  # the second run finds nothing left to ask for
        with open_store(tmp_path, "binanceusdm", MS_PER_WEEK) as store:
            facts = {"BTCUSDT": SymbolFacts("BTC/USDT:USDT")}
            collection = Collection(exchange, store, CountingProgress(), paging, facts, now_ms)
            plans = plan_windows(("BTCUSDT",), store, period, paging)
            assert (not any(plans["bars"].values())) == (rows == 0)
            asyncio.run(collection.collect({"bars": plans["bars"]}))
            store.finish()
            assert (collection.rows, collection.refused, store.manifest.gaps["BTCUSDT"]["missing"]) == (rows, {}, 0)  # type: ignore[index]


@pytest.mark.parametrize(("now", "known"), [("2025-07-14T00:05", "2025-07-07"), ("2025-07-14T00:20", "2025-07-14")])
def test_a_week_that_may_still_come_is_asked_for_again(now: str, known: str) -> None:
    start, end = parse_utc("2025-06-02"), parse_utc("2025-07-14")
    last = np.array([parse_utc("2025-06-30")])  # the week of 2025-07-07 closed at midnight
    found = answered_spans([(start, end)], last, MS_PER_WEEK, parse_utc(now), known_after_ms=MS_PER_WEEK)
    assert found == ((start, parse_utc(known)),)


def weekly(bars: Bars) -> Bars:
    opens = WEEKS[0] + MS_PER_WEEK * np.arange(bars.n_bars, dtype=np.int64)
    return Bars(bars.ohlcv, opens, MS_PER_WEEK, bars.state, bars.symbols, bars.instruments, None)


def test_a_feed_polls_weeks_and_the_gate_takes_them(random_bars: Callable[..., Bars]) -> None:
    bars = weekly(random_bars(n_bars=30))

    class Venue:
        def fetch(self, start_ms: int, end_ms: int) -> list[Any]:
            assert past_open(start_ms, MS_PER_WEEK) == past_open(end_ms, MS_PER_WEEK) == 0
            return [raw_bar(bars, t) for t in range(bars.n_bars) if start_ms <= bars.open_time_ms[t] < end_ms]

        def close(self) -> None:
            """There is no connection."""

    clock = FakeClock(int(bars.open_time_ms[4]) + 3 * MS_PER_DAY)
    feed = PolledFeed(
        Venue(), interval_ms=MS_PER_WEEK, delay_ms=3_000, retry_ms=2_000, most_bars=5, skip_after_ms=10**12,
        clock=clock, sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )  # fmt: skip
    gate = QualityGate(bars.symbols, bars.instruments, MS_PER_WEEK)
    state, got = gate.begin(), []
    for raw in feed.bars(None):
        if raw is None:
            continue
        state, bar = gate.update(state, raw.ohlcv, raw.open_time_ms)
        assert raw.open_time_ms + MS_PER_WEEK + 3_000 <= clock.now_ms()
        got.append(int(bar.open_time_ms[0]))
        if len(got) == 10:
            break
    assert got == bars.open_time_ms[4:14].tolist()


def test_live_weeks_are_held_against_mondays_and_the_clock() -> None:
    values = np.ones((3, 5))
    check_live((WEEKS[:3], values), MS_PER_WEEK, int(WEEKS[3]), "BTCUSDT")
    with pytest.raises(DataError, match="open on Mondays"):
        check_live((WEEKS[:3] + MS_PER_DAY, values), MS_PER_WEEK, int(WEEKS[5]), "BTCUSDT")
    with pytest.raises(DataError, match="closed bars"):
        check_live((WEEKS[:3], values), MS_PER_WEEK, int(WEEKS[3]) - 1, "BTCUSDT")


def test_features_of_weeks_are_the_same_in_history_and_stream(random_bars: Callable[..., Bars]) -> None:
    bars = weekly(random_bars(n_bars=1_600, n_symbols=2))
    pipeline = FeaturePipeline(interval_ms=MS_PER_WEEK, threads=1, extra=())
    history = pipeline.transform(bars)
    stream = pipeline.stream(bars.symbols, MS_PER_WEEK)
    rows = [stream.update(bars.rows(t, t + 1)).values[0] for t in range(bars.n_bars)]
    assert history.ready[-1].all()
    np.testing.assert_array_equal(np.stack(rows)[history.ready], history.values[history.ready])
