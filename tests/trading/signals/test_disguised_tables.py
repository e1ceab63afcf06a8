"""Coarse tables behind filters, fills, months, file columns and bare arrays; and honest ones that are not accused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ContractError, DataError
from quantlab.core.market import Bars
from quantlab.evaluation.statistics.metrics import daily_returns, sharpe_ratio
from quantlab.jobs.notebook.user_parts import PrecomputedSignal
from quantlab.research import values_of
from quantlab.trading import FileSignal, FromSignals, signal_of

NAMES = ["S00", "S01"]


def frame(bars: Bars) -> pd.DataFrame:
    return pd.DataFrame(
        bars.close, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True), columns=list(bars.symbols)
    )


def direction(bars: Bars, rule: str) -> pd.DataFrame:
    """Long in a step that rises, short in one that falls, as pandas makes it: stamped with the step's first time."""
    steps = frame(bars).resample(rule)
    return 0.4 * np.sign(steps.last() - steps.first())


@pytest.fixture(scope="module")
def walk(random_bars) -> Bars:
    """Twelve days of a random walk of two symbols: nothing in it can be foretold."""
    return random_bars(seed=12, n_bars=12 * 288, n_symbols=2)


@pytest.fixture(scope="module")
def days(random_bars) -> Bars:
    """Six years of daily bars of a random walk."""
    return random_bars(
        seed=4,
        n_bars=2200,
        n_symbols=2,
        interval_ms=MS_PER_DAY,
        start_ms=int(pd.Timestamp("2019-01-01").timestamp() * 1e3),
    )


def sharpe(bars: Bars, target: np.ndarray, strategy) -> float:
    played = Scan(10_000.0).run(
        bars, signal_of(target=np.ascontiguousarray(target)), strategy(policy=FromSignals(True))
    )
    return float(sharpe_ratio(daily_returns(played.equity, bars.open_time_ms, 10_000.0)))


def grid(bars: Bars, table: pd.DataFrame) -> pd.DataFrame:
    return table.reindex(frame(bars).index)


# What a declared step must be


def test_known_after_is_at_least_the_longest_step_of_all_columns(walk, strategy):
    mixed = pd.concat([grid(walk, direction(walk, "1h")[["S00"]]), grid(walk, direction(walk, "4h")[["S01"]])], axis=1)
    with pytest.raises(ContractError, match=r"column S01 come only every 4h.*3h 55m before.*known_after='4h'"):
        values_of(walk, mixed)
    with pytest.raises(ContractError, match=r"at least 4h, .*known_after 1h, but .*S01 come only every 4h"):
        values_of(walk, mixed, known_after="1h")
    for known_after in ("4h", "6h"):
        values_of(walk, mixed, known_after=known_after)
    values_of(walk, mixed[["S00"]], known_after="1h")


def test_a_known_after_shorter_than_the_step_still_looks_ahead(walk, strategy):
    """The number that the refusal prevents, made by the declaration that an hour after is the stamp's own time."""
    four = direction(walk, "4h")
    assert sharpe(walk, values_of(walk, four.shift(1, freq="h"), known_after=0), strategy) > 20.0
    with pytest.raises(ContractError, match=r"at least 4h"):
        values_of(walk, four, known_after="1h")
    assert abs(sharpe(walk, values_of(walk, four, known_after="4h"), strategy)) < 14.0
    for declared in ("5m", 0):
        values_of(walk, four, known_after=declared)


def test_a_coarse_value_on_hourly_rows_is_judged_by_its_own_step(walk):
    """Hourly stamps that hold four-hourly values: known_after of an hour is too short; of a plain hourly value it is right."""
    four = direction(walk, "4h").reindex(direction(walk, "1h").index).ffill()
    with pytest.raises(ContractError, match=r"at least 4h"):
        values_of(walk, four, known_after="1h")
    for seed in range(40):
        hours = pd.DataFrame(
            np.sign(np.random.default_rng(seed).normal(size=(24, 2))),
            index=direction(walk, "1h").index[:24],
            columns=NAMES,
        )
        values_of(walk, hours, known_after="1h")
        values_of(walk, grid(walk, hours).ffill(), known_after="1h")


@pytest.mark.parametrize("limit", [None, 5])
def test_a_table_filled_backward_has_no_remedy_but_its_rows(limit, walk, strategy):
    hours = direction(walk, "1h")
    back = grid(walk, hours).bfill(limit=limit)
    absurd = back.shift(11, freq="5min").reindex(back.index).to_numpy()  # what known_after='1h' would make of it
    assert sharpe(walk, absurd, strategy) > 20.0
    for options in ({}, {"known_after": "1h"}, {"known_after": "1h", "hold": True}):
        with pytest.raises(
            ContractError, match=r"filled backward .bfill. or smoothed.*known_after does not help.*known_after='1h'"
        ):
            values_of(walk, back, **options)
    forward = grid(walk, hours).ffill(limit=limit)
    with pytest.raises(ContractError, match=r"traded 55m before.*known_after='1h'"):
        values_of(walk, forward)
    assert abs(sharpe(walk, values_of(walk, forward, known_after="1h"), strategy)) < 14.0
    values_of(walk, hours, known_after="1h", hold=True)


# Months


@pytest.mark.parametrize(("rule", "said"), [("MS", "months"), ("QS", "every 3 months"), ("YS", "every 12 months")])
def test_months_are_a_step(rule, said, days, strategy):
    months = direction(days, rule)
    filled = grid(days, months).ffill()
    for table in (months, filled):
        with pytest.raises(
            ContractError, match=rf"only on the first days of {said}, .*table.shift\(1, freq=.*known_after=0"
        ):
            values_of(days, table)
        with pytest.raises(ContractError, match=r"known_after of at least"):
            values_of(days, table, known_after="30d")
    with pytest.raises(ContractError, match=r"filled backward"):
        values_of(days, grid(days, months).bfill(), known_after="366d")
    number = {"MS": "MS", "QS": "3MS", "YS": "12MS"}[rule]
    right = values_of(days, months.shift(1, freq=number), known_after=0)
    values_of(days, filled, known_after="1d")
    if rule == "MS":
        assert sharpe(days, values_of(days, months, known_after="1d"), strategy) > 3.0
        assert abs(sharpe(days, right, strategy)) < 1.5
    PrecomputedSignal(signal_of(target=right)).signal(days)


@pytest.mark.parametrize("rule", ["ME", "QE", "YE", "BME"])
def test_a_row_on_the_last_day_of_a_month_is_honest_on_daily_bars(rule, days):
    """It is known at that day's close, where it is traded; the next value of its column comes a month later."""
    ends = frame(days).resample(rule).last().pct_change().iloc[:-1]
    values_of(days, ends)
    values_of(days, grid(days, ends).ffill())


def test_months_on_short_bars_are_months_and_their_ends_days(random_bars):
    bars = random_bars(n_bars=24 * 250, n_symbols=1, interval_ms=3_600_000)
    closes = frame(bars)
    with pytest.raises(ContractError, match=r"first days of months.*30d 23h before.*shift\(1, freq=\"MS\"\)"):
        values_of(bars, closes.resample("MS").last())
    with pytest.raises(ContractError, match=r"come only every 1d.*23h before.*known_after='1d'"):
        values_of(bars, closes.resample("ME").last().iloc[:-1])
    values_of(bars, closes.resample("ME").last().iloc[:-1], known_after="1d")


# Filters, scales and other disguises


def disguises(bars: Bars) -> dict[str, pd.DataFrame]:
    held = grid(bars, direction(bars, "1h")).ffill()
    move = frame(bars).pct_change()
    rng = np.random.default_rng(0)
    entries = direction(bars, "1h")
    mixed = grid(bars, entries.where(entries.diff() != 0.0))
    exits = (rng.random(mixed.shape) < 0.05) & mixed.isna()
    return {
        "kept where the bar moves": held.where(move.abs() > move.abs().median()),
        "kept on one bar of six": held.where(rng.random(held.shape) < 1 / 6),
        "zero where the bar goes along": held.where(np.sign(move) != np.sign(held), 0.0),
        "scaled by noise": held * (1.0 + 0.01 * rng.normal(size=held.shape)),
        "scaled by volatility": held * (0.001 / move.rolling(48).std()).clip(0.0, 1.0),
        "with as many exits at any bar": mixed.mask(exits, 0.0),
    }


DISGUISES = (
    "kept where the bar moves", "kept on one bar of six", "zero where the bar goes along", "scaled by noise",
    "scaled by volatility", "with as many exits at any bar",
)  # fmt: skip


@pytest.mark.parametrize("name", DISGUISES)
def test_an_hourly_direction_is_seen_behind_a_filter(name, walk):
    table = disguises(walk)[name]
    with pytest.raises(ContractError, match=r" every 1h"):
        values_of(walk, table)
    values_of(walk, table, known_after="5m")
    with pytest.raises(ContractError, match=r" every 1h.*known_at_close=True"):
        PrecomputedSignal(signal_of(target=table.to_numpy().copy())).signal(walk)


def test_a_rhythm_on_purpose_is_declared(walk):
    """Sides of 5-minute bars, taken at each full hour: the same picture as an hourly table, so the word must come from you."""
    rhythm = np.sign(frame(walk).pct_change()).iloc[12::12]
    with pytest.raises(ContractError, match=r"known_after='5m'.*in this rhythm on purpose"):
        values_of(walk, rhythm)
    values_of(walk, rhythm, known_after="5m")


# Honest tables


def honest(bars: Bars, seed: int) -> pd.DataFrame:
    """Events at any bar: left after a fixed time, after any time, or only turned round; as NaN, zeros or held."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(np.nan, index=frame(bars).index, columns=NAMES)
    for name in NAMES:
        rows = np.unique(rng.integers(0, bars.n_bars - 50, 3 + seed % 90))
        leave = (3, 12, 48, int(rng.integers(1, 40)))[seed % 4]
        table.iloc[np.minimum(rows + leave, bars.n_bars - 1), NAMES.index(name)] = 0.0
        table.iloc[rows, NAMES.index(name)] = np.sign(rng.normal(size=len(rows)))
    return (table, table.fillna(0.0), table.ffill())[seed % 3]


def test_events_at_any_bar_are_not_accused(walk):
    for seed in range(400):
        table = honest(walk, seed)
        values_of(walk, table)
        if seed % 4 == 0:
            PrecomputedSignal(signal_of(target=table.to_numpy().copy())).signal(walk)


def test_decisions_of_the_bars_own_are_not_accused(walk, days):
    for bars in (walk, days):
        closes = frame(bars)
        move = closes.pct_change()
        wide = move.abs() > 2.5 * move.rolling(288).std()
        for table in (
            np.sign(closes / closes.shift(48) - 1.0),
            np.sign(closes - closes.rolling(300).mean()),
            np.sign(move).where(wide),
            wide.astype(float),
            np.sign(move).where(wide).ffill(),
            1.0 / move.rolling(48).std(),
        ):
            values_of(bars, table)
            PrecomputedSignal(signal_of(target=table.to_numpy().copy())).signal(bars)


# Arrays and files


def test_arrays_of_a_coarse_table_are_refused_where_they_meet_the_bars(walk, strategy):
    hours = direction(walk, "1h")
    by_hand = grid(walk, hours).ffill().to_numpy().copy()
    assert sharpe(walk, by_hand, strategy) > 50.0
    signal = signal_of(target=by_hand)
    with pytest.raises(ContractError, match=r"target of S00 changes only every 1h.*55m before.*known_at_close=True"):
        PrecomputedSignal(signal).signal(walk)
    with pytest.raises(ContractError, match=r"side of S00 changes only every 1h"):
        PrecomputedSignal(signal_of(side=np.sign(by_hand).astype(np.int8))).signal(walk)
    assert PrecomputedSignal(signal, known_at_close=True).signal(walk) is signal
    for hold in (False, True):
        for known_after in ("1h", "3h"):
            placed = signal_of(target=values_of(walk, hours, known_after=known_after, hold=hold))
            PrecomputedSignal(placed).signal(walk)  # it changes on the bar that closes with the hour
    trend = values_of(walk, direction(walk, "4h"), known_after="4h", hold=True)
    own = np.sign(frame(walk).pct_change().to_numpy())
    PrecomputedSignal(signal_of(target=np.where(own == np.sign(trend), trend, 0.0))).signal(walk)


def test_arrays_of_several_days(days, random_bars):
    """By hand on daily bars, where any day may begin such a step; placed on hourly bars, where midnight tells."""
    for rule, said in (("3D", "every 3d"), ("7D", "every 1w"), ("W-MON", "every 1w"), ("14D", "every 2w")):
        steps = frame(days).resample(rule, closed="left", label="left")
        by_hand = grid(days, 0.4 * np.sign(steps.last() - steps.first())).ffill().to_numpy().copy()
        with pytest.raises(ContractError, match=said):
            PrecomputedSignal(signal_of(target=by_hand)).signal(days)
    hours = random_bars(n_bars=24 * 200, n_symbols=2, interval_ms=3_600_000, seed=8)
    for rule, known_after in (("3D", "3d"), ("7D", "7d"), ("W-MON", "7d")):
        steps = frame(hours).resample(rule, closed="left", label="left")
        table = (0.4 * np.sign(steps.last() - steps.first())).iloc[1:]
        for hold in (False, True):
            placed = values_of(hours, table, known_after=known_after, hold=hold)
            PrecomputedSignal(signal_of(target=placed)).signal(hours)
        with pytest.raises(ContractError, match=r"target of S0. "):
            PrecomputedSignal(signal_of(target=grid(hours, table).ffill().to_numpy().copy())).signal(hours)


def file_of(path, bars: Bars, **columns: Any) -> FileSignal:
    stamps = pa.array(np.tile(bars.open_time_ms, 2), pa.timestamp("ms", tz="UTC"))
    symbols = pa.array(np.repeat(NAMES, bars.n_bars).tolist(), pa.string())
    values = {name: np.concatenate([one[:, 0], one[:, 1]]) for name, one in columns.items()}
    pq.write_table(pa.table({"timestamp": stamps, "symbol": symbols, **values}), path)
    return FileSignal(str(path), None)


@pytest.mark.parametrize("name", ["confidence", "stop_distance"])
def test_every_column_of_a_file_is_judged(name, walk, tmp_path):
    """Always long, and the coming hour in the size."""
    steady = np.ones((walk.n_bars, 2), dtype=np.int8)
    ahead = 0.5 + grid(walk, direction(walk, "1h")).ffill().to_numpy()
    noise = np.random.default_rng(1).uniform(0.1, 0.9, ahead.shape)
    file_of(tmp_path / "fine.parquet", walk, side=steady, **{name: noise}).signal(walk)
    with pytest.raises(DataError, match=rf"column {name} of S00 changes only every 1h.*trading.signal.known_after=1h"):
        file_of(tmp_path / "ahead.parquet", walk, side=steady, **{name: ahead}).signal(walk)
    arrays = {"side": steady, name: ahead}
    with pytest.raises(ContractError, match=rf"{name} of S00 changes only every 1h"):
        PrecomputedSignal(signal_of(**arrays)).signal(walk)
