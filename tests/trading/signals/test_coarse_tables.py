"""Tables of a longer step than the bars: refused by name, or placed where their rows are known."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError, DataError, QuantlabError
from quantlab.core.market import Bars
from quantlab.evaluation.statistics.metrics import daily_returns, sharpe_ratio
from quantlab.research import big_bars, values_of
from quantlab.trading import FileSignal, FromSignals, signal_of
from quantlab.trading.signals.table_step import coarse_steps

HOUR = 12  # bars


@pytest.fixture(scope="module")
def walk(random_bars) -> Bars:
    """Twelve days of a random walk of one symbol: nothing in it can be foretold."""
    return random_bars(seed=11, n_bars=12 * 288, n_symbols=1)


@pytest.fixture(scope="module")
def hourly(walk: Bars) -> pd.DataFrame:
    """Long in an hour that rises, short in one that falls, as pandas makes it: stamped with the hour's open."""
    frame = pd.Series(walk.close[:, 0], index=pd.to_datetime(walk.open_time_ms, unit="ms", utc=True))
    hours = frame.resample("1h").agg(["first", "last"])
    return pd.DataFrame({"S00": 0.5 * np.sign(hours["last"] - hours["first"])})


def as_file(table: pd.DataFrame, path, **options: Any) -> FileSignal:
    """The same table as a file, without its empty cells."""
    long = table.stack().rename("target").reset_index()
    long.columns = ["timestamp", "symbol", "target"]
    stamps = pa.array(long["timestamp"].dt.as_unit("ms"), pa.timestamp("ms", tz="UTC"))
    names = pa.array(long["symbol"], pa.string())
    pq.write_table(pa.table({"timestamp": stamps, "symbol": names, "target": long["target"].to_numpy()}), path)
    return FileSignal(str(path), None, **options)


def sharpe(bars: Bars, target: np.ndarray, strategy) -> float:
    played = Scan(10_000.0).run(bars, signal_of(target=target), strategy(policy=FromSignals(True)))
    return float(sharpe_ratio(daily_returns(played.equity, bars.open_time_ms, 10_000.0)))


def test_the_trap_is_refused_and_the_way_out_is_an_ordinary_strategy(walk, hourly, strategy, tmp_path):
    """The absurd number of a random walk, then the refusal, then what the same table is worth where it is known."""
    absurd = sharpe(walk, values_of(walk, hourly, known_after="5m"), strategy)
    assert absurd > 50.0
    said = r"the rows of column {}S00 come only every 1h, while the bars are 5m .* traded 55m before it is known.*known_after={}"
    with pytest.raises(ContractError, match=said.format("", "'1h'")):
        values_of(walk, hourly)
    with pytest.raises(DataError, match=said.format("target of ", "1h")):
        as_file(hourly, tmp_path / "hourly.parquet").signal(walk)
    ordinary = sharpe(walk, values_of(walk, hourly, known_after="1h"), strategy)
    assert abs(ordinary) < 12.0  # twelve days: its standard error is 5.5


def test_a_row_lands_on_the_bar_that_closes_when_it_is_known(walk, hourly):
    """Hour by hour, by hand: its last bar has the value, the bars between have none, or the one before."""
    bare, held = (values_of(walk, hourly, known_after="1h", hold=hold)[:, 0] for hold in (False, True))
    expected = np.full(walk.n_bars, np.nan)
    expected[HOUR - 1 :: HOUR] = hourly["S00"].to_numpy()
    np.testing.assert_array_equal(bare, expected)
    np.testing.assert_array_equal(held[HOUR - 1 :], np.repeat(hourly["S00"].to_numpy(), HOUR)[: walk.n_bars - HOUR + 1])
    assert np.isnan(held[: HOUR - 1]).all()
    later = walk.rows(HOUR + 5, 100)  # a hold reaches into bars that begin later: the past is known
    np.testing.assert_array_equal(values_of(later, hourly, known_after="1h", hold=True)[:, 0], held[HOUR + 5 : 100])
    known_at = hourly.set_index(hourly.index + pd.Timedelta("1h"))
    np.testing.assert_array_equal(values_of(walk, known_at, known_after=0)[:, 0], expected)


def test_a_hold_passes_over_empty_cells(walk):
    table = pd.DataFrame(
        {"S00": [1.0, np.nan, 3.0]}, index=pd.to_datetime(walk.open_time_ms[[0, 2, 4]], unit="ms", utc=True)
    )
    np.testing.assert_array_equal(values_of(walk.rows(0, 6), table, hold=True)[:, 0], [1, 1, 1, 1, 3, 3])


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("known_after", ["1h", "5m", 0, "3h"])
def test_a_file_is_the_table_and_its_stream_is_its_history(walk, hourly, tmp_path, known_after, hold):
    """Every bit, with the state taken over in the middle."""
    source = as_file(hourly.iloc[:20], tmp_path / "hourly.parquet", known_after=known_after, hold=hold)
    bars = walk.rows(HOUR + 3, 22 * HOUR)
    batch = source.signal(bars)
    np.testing.assert_array_equal(batch.target, values_of(bars, hourly.iloc[:20], known_after=known_after, hold=hold))
    stream = source.stream(bars.symbols, bars.interval_ms)
    for t in range(bars.n_bars):
        if t == 100:
            state = stream.state()
            stream = source.stream(bars.symbols, bars.interval_ms)
            stream.restore(state)
        row = stream.update(bars.rows(t, t + 1))
        for name in ("target", "side", "confidence"):
            assert getattr(row, name).tobytes() == getattr(batch, name)[t : t + 1].tobytes(), t
    with pytest.raises(ContractError, match="other options"):
        dataclasses.replace(source, known_after="2h").stream(bars.symbols, bars.interval_ms).restore(state)


def test_options_change_the_fingerprint_and_their_absence_does_not(hourly, tmp_path):
    plain = as_file(hourly, tmp_path / "hourly.parquet")
    made = [
        dataclasses.replace(plain, **o)
        for o in ({"hold": False}, {"hold": True}, {"known_after": "1h"}, {"known_after": 0})
    ]
    prints = [one.fingerprint for one in made]
    assert prints[0] == plain.fingerprint
    assert len(set(prints)) == 4
    assert dataclasses.replace(plain, known_after="60m").fingerprint == prints[2]


def on_the_grid(bars: Bars, hourly: pd.DataFrame) -> pd.DataFrame:
    return hourly.reindex(pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))


def noise(bars: Bars, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=bars.n_bars)


DISGUISES = {
    "reindexed": (lambda b, h: on_the_grid(b, h), "rows of column S00 come only every 1h"),
    "filled with zeros": (lambda b, h: on_the_grid(b, h).fillna(0.0), "rows of column S00 that are not 0 come only every 1h"),
    "filled forward": (
        lambda b, h: on_the_grid(b, h * np.arange(1.0, len(h) + 1)[:, None]).ffill(),
        "the value of column S00 changes only every 1h",
    ),
    "some hours": (lambda b, h: h[np.random.default_rng(0).random(len(h)) < 0.3], "S00 come only every 1h"),
    "daily": (lambda b, h: h.iloc[::24], "rows of column S00 come only every 1d, .* 23h 55m before"),
    "one stray": (lambda b, h: pd.concat([h, h.iloc[5:6].shift(35, "min")]), "S00 come every 1h .the first other row: 2025-03-16T05:35"),
    "half past": (lambda b, h: h.shift(30, "min"), "S00 come only every 1h"),
}  # fmt: skip


@pytest.mark.parametrize("case", DISGUISES)
def test_a_coarse_table_is_seen_through_its_disguise(case, walk, hourly):
    make, said = DISGUISES[case]
    with pytest.raises(ContractError, match=said):
        values_of(walk, make(walk, hourly))
    values_of(walk, make(walk, hourly), known_after="5m")  # declared: taken as it is


def test_a_coarse_column_beside_fine_ones_is_named(random_bars, hourly):
    bars = random_bars(n_bars=12 * 288, n_symbols=2)
    table = on_the_grid(bars, hourly).assign(S01=noise(bars, 3))
    with pytest.raises(ContractError, match="rows of column S00 come only every 1h"):
        values_of(bars, table)


def test_short_columns_are_judged_together(random_bars):
    """Fifty symbols with three daily rows each, of other days: none of them says enough, all together do."""
    bars = random_bars(n_bars=12 * 288, n_symbols=50)
    days = pd.to_datetime(bars.open_time_ms[::288], unit="ms", utc=True)
    table = pd.DataFrame(np.nan, index=days, columns=list(bars.symbols))
    for i, name in enumerate(bars.symbols):
        table.loc[days[[i % 10, i % 10 + 1, i % 10 + 2]], name] = 0.1
    with pytest.raises(ContractError, match="rows of all columns together come only every 1d"):
        values_of(bars, table)


def sparse(bars: Bars, count: int, seed: int) -> pd.DataFrame:
    """Entries at any bar, each left again after a quarter of an hour, with zeros or nothing between."""
    rng = np.random.default_rng(seed)
    rows = np.unique(rng.integers(0, bars.n_bars - 3, count))
    table = pd.DataFrame({"S00": np.nan}, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))
    table.iloc[rows, 0] = rng.normal(size=len(rows))
    table.iloc[rows + 3, 0] = 0.0
    return table.fillna(0.0) if seed % 2 else table


def test_sparse_events_are_not_accused(walk):
    """Three hundred tables of 1 to 100 entries; and dense ones."""
    for seed in range(300):
        values_of(walk, sparse(walk, 1 + seed % 100, seed))
    for one in (
        np.sign(noise(walk, 1)),
        noise(walk, 2),
        np.zeros(walk.n_bars),
        np.where(noise(walk, 3) > 2.5, 1.0, 0.0),
    ):
        values_of(walk, pd.DataFrame({"S00": one}, index=pd.to_datetime(walk.open_time_ms, unit="ms", utc=True)))


def test_the_line_between_chance_and_a_coarse_step():
    """One in a million: 8 hourly rows or 5 daily ones on 5-minute bars, 22 rows of every other bar."""
    for step, rows in ((12, 8), (288, 5), (2, 22)):
        time_ms, values = 300_000 * step * np.arange(rows), np.arange(1.0, rows + 1)
        found = coarse_steps([("A", time_ms, values)], 300_000)
        assert {one.step_ms for one in found} == {300_000 * step}
        assert coarse_steps([("A", time_ms[1:], values[1:])], 300_000) == ()


WRONG_STEPS = {
    "7min": "rows 7m apart, no multiple of the 5m bars",
    "1min": "rows 1m apart, finer than the 5m bars",
    "150s": "rows 150s apart, finer",
}


@pytest.mark.parametrize("step", WRONG_STEPS)
def test_other_steps_are_refused_with_the_reason(step, walk, hourly, tmp_path):
    index = pd.date_range(pd.Timestamp(walk.open_time_ms[0], unit="ms", tz="UTC"), periods=50, freq=step)
    table = pd.DataFrame({"S00": np.linspace(0.1, 0.2, 50)}, index=index)
    makers = (lambda: values_of(walk, table), lambda: as_file(table, tmp_path / "x.parquet").signal(walk))
    for make, kind in zip(makers, (ContractError, DataError), strict=True):
        with pytest.raises(kind, match=WRONG_STEPS[step]):
            make()


def test_options_that_are_none_are_refused(walk, hourly):
    for known_after in ("1 hour", 3_600_000, True, "0h", 1.5, "-1h"):
        with pytest.raises(ConfigError, match="known_after as a length of time"):
            values_of(walk, hourly, known_after=known_after)
    with pytest.raises(ConfigError, match="hold as true or false"):
        values_of(walk, hourly, known_after="1h", hold="yes")  # type: ignore[arg-type]
    with pytest.raises(QuantlabError, match=re.escape("set known_after to 0 or a multiple of 5m")):
        values_of(walk, hourly, known_after="7m")


def test_a_value_of_big_bars_comes_back_where_it_is_known(walk):
    """The way that the page shows: a daily trend of hourly closes, against a loop over the bars."""
    closes = big_bars(walk, "1h")["close"].unstack("symbol")
    trend = values_of(walk, closes - closes.rolling(24).mean(), known_after=0, hold=True)[:, 0]
    close = walk.close[:, 0]
    for t in (23 * HOUR, 24 * HOUR - 2, 24 * HOUR - 1, 24 * HOUR, 1000, walk.n_bars - 1):
        hours = (t + 1) // HOUR
        known = close[HOUR - 1 : hours * HOUR : HOUR]
        expected = known[-1] - known[-24:].mean() if hours >= 24 else np.nan
        np.testing.assert_allclose(trend[t], expected, rtol=1e-9)
