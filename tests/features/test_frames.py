"""Bars of a longer frame: pandas as the oracle, and the stream bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.market import Bars, BarState
from quantlab.data import ParquetSource
from quantlab.features import BigBarStream
from quantlab.features.frames import Frame, big_bars_of
from quantlab.research import big_bars

MINUTE = 60_000
FRAMES = {"15m": 15, "1h": 60, "4h": 240, "1d": 1_440, "1w": 10_080}


def ragged(bars: Bars, seed: int) -> Bars:
    """The same bars with holes, late listings and ends of symbols."""
    rng = np.random.default_rng(seed)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    for s in range(bars.n_symbols):
        gone = np.zeros(bars.n_bars, dtype=bool)
        gone[: rng.integers(0, bars.n_bars // 3) if s % 3 else 0] = True
        for start in rng.integers(0, bars.n_bars, 4):
            gone[start : start + rng.integers(1, 60)] = True
        if s % 4 == 3:
            gone[-rng.integers(1, bars.n_bars // 4) :] = True
        ohlcv[gone, s], state[gone, s] = np.nan, BarState.ABSENT
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


def by_pandas(bars: Bars, minutes: int) -> pd.DataFrame:
    """``resample`` of each symbol on its own, whole buckets only, shifted to when they are known."""
    rule, parts = f"{minutes}min", {}
    origin = pd.Timestamp("1970-01-05", tz="UTC")  # a Monday
    index = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
    for s, symbol in enumerate(bars.symbols):
        frame = pd.DataFrame(bars.ohlcv[:, s], index=index, columns=["open", "high", "low", "close", "volume"])
        sampled = frame.resample(rule, origin=origin)
        kinds = {"open": "first", "high": "max", "low": "min", "close": "last"}
        big = sampled.agg(kinds)
        big["volume"] = sampled["volume"].apply(lambda v: sum(v.tolist(), 0.0))  # oldest first
        whole = sampled["close"].count() == minutes * MINUTE // bars.interval_ms
        big = big[whole]
        big.index = big.index + pd.Timedelta(rule)
        parts[symbol] = big
    return pd.concat(parts, names=["symbol", "known_at"])


def same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert ours.index.tolist() == theirs.index.tolist()
    assert np.abs(ours.to_numpy() - theirs.to_numpy()).max(initial=0.0) == 0.0


@pytest.mark.parametrize("frame", FRAMES)
def test_pandas_gives_the_same_bars(frame, random_bars):
    bars = ragged(random_bars(seed=5, n_bars=6_000, n_symbols=6), 1).rows(7, 6_000)  # begins within a bucket
    ours = big_bars(bars, frame)
    same(ours, by_pandas(bars, FRAMES[frame]))
    assert len(ours) >= (2 if frame == "1w" else 20)


@pytest.mark.parametrize("frame", ["1h", "1d"])
def test_pandas_gives_the_same_bars_on_real_symbols(frame, perps_5m, random_bars):
    """Two that list late as they are; the others with holes, late listings and ends cut into them."""
    late = ["BABY", "SOPH"]
    real = ParquetSource(
        root=perps_5m,
        largest_funding_rate=0.05,
        symbols=["BTC", "OM", *late],
        instrument=random_bars(n_bars=1).instruments[0],
        start="2025-05-20",
        end="2025-06-14",
        funding="off",
        folders=["ragged"],
    ).history()
    ours = big_bars(real, frame)
    same(ours, by_pandas(real, FRAMES[frame]))
    assert 0 < len(ours.loc["SOPH"]) < len(ours.loc["BTC"])
    cut = ragged(real, 2)
    same(big_bars(cut, frame), by_pandas(cut, FRAMES[frame]))


@pytest.mark.parametrize("frame", FRAMES)
def test_the_stream_is_the_history(frame, random_bars):
    """Every bit and every close, begun anywhere, with the state taken over between any two bars."""
    bars, rng = ragged(random_bars(seed=6, n_bars=5_000, n_symbols=4), 3), np.random.default_rng(0)
    start = int(rng.integers(0, 300))
    bars = bars.rows(start, bars.n_bars)
    ohlcv, known_at = big_bars_of(bars, FRAMES[frame] * MINUTE)
    stream = BigBarStream(bars.symbols, bars.interval_ms, FRAMES[frame] * MINUTE)
    rows, closes = [], []
    for t in range(bars.n_bars):
        if rng.random() < 0.02:
            state = stream.state()
            stream = BigBarStream(bars.symbols, bars.interval_ms, FRAMES[frame] * MINUTE)
            stream.restore(state)
        row = stream.update(bars.rows(t, t + 1))
        if row is not None:
            rows.append(row)
            closes.append(int(bars.close_time_ms[t]))
    assert np.stack(rows).tobytes() == ohlcv.tobytes()
    assert closes == known_at.tolist()


def test_the_future_moves_nothing(random_bars):
    bars = random_bars(n_bars=500)
    other = dataclasses.replace(bars, ohlcv=np.vstack([bars.ohlcv[:300], 2.0 * bars.ohlcv[300:]]))
    ours, theirs = (big_bars(one, "1h") for one in (bars, other))
    known = ours.index.get_level_values("known_at") <= pd.Timestamp(bars.open_time_ms[300], unit="ms", tz="UTC")
    pd.testing.assert_frame_equal(ours[known], theirs[known], check_exact=True)
    assert not ours.equals(theirs)


def test_days_begin_at_midnight_and_weeks_on_monday(random_bars):
    bars = random_bars(n_bars=24 * 15, interval_ms=3_600_000, start_ms=1_742_083_200_000 + 5 * 3_600_000)
    known = {one: big_bars(bars, one).xs("S00").index for one in ("1d", "1w")}
    assert (known["1d"] == known["1d"].normalize()).all()
    assert [str(day.day_name()) for day in known["1w"]] == ["Monday", "Monday"]


def test_weekly_bars_are_their_own_weeks(random_bars):
    week = 7 * 86_400_000
    bars = random_bars(n_bars=5, interval_ms=week, start_ms=4 * 86_400_000 + 2_800 * week)
    ohlcv, known_at = big_bars_of(bars, week)
    assert ohlcv.tobytes() == bars.ohlcv.tobytes()
    assert known_at.tolist() == bars.close_time_ms.tolist()


@pytest.mark.parametrize(
    ("frame", "said"),
    [("7m", "divides a day, or 1w; found 7m"), ("1m", "multiple of the 5m bars; found 1m"), ("hour", "length of time")],
)
def test_other_frames_are_refused(frame, said, random_bars):
    with pytest.raises(ConfigError, match=said):
        big_bars(random_bars(n_bars=20), frame)


def test_a_stream_refuses_what_is_not_the_next_bar_and_keeps_its_state(random_bars):
    bars = random_bars(n_bars=30)
    stream = BigBarStream(bars.symbols, bars.interval_ms, 15 * MINUTE)
    stream.update(bars.rows(0, 1))
    before = stream.state()
    for bad in (bars.rows(2, 3), bars.rows(0, 1), bars.rows(1, 3), bars.first_symbols(2).rows(1, 2)):
        with pytest.raises(ContractError, match="the next bar"):
            stream.update(bad)
    assert stream.state() == before
    with pytest.raises(ArtifactError):
        stream.restore(before[:-1])
    with pytest.raises(ContractError, match="frame_ms"):
        BigBarStream(bars.symbols, bars.interval_ms, 60 * MINUTE).restore(before)
    with pytest.raises(ContractError, match="UTC grid"):
        Frame(15 * MINUTE, 300_000).places(bars.open_time_ms + 60_000)
