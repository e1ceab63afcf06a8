"""Triple-barrier labels against a plain reference, hand-made markets and the arrow of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.types import BUY, HOLD, NO_LABEL, SELL, Labels
from quantlab.learning.samples.triple_barrier import NEVER_MS, TripleBarrier

MakeBars = Callable[..., Bars]
INTERVAL = 300_000
INSTRUMENT = Instrument(
    tick=0.0, lot=0.0, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
)


def bars_of(ohlcv: np.ndarray, state: np.ndarray | None = None) -> Bars:
    t, s, _ = ohlcv.shape
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv, dtype=np.float64),
        open_time_ms=1_700_000_100_000 + INTERVAL * np.arange(t, dtype=np.int64),
        interval_ms=INTERVAL,
        state=np.zeros((t, s), np.uint8) if state is None else state,
        symbols=tuple(f"S{i}" for i in range(s)),
        instruments=(INSTRUMENT,) * s,
    )


def market(*rows: tuple[float, float, float]) -> Bars:
    """One symbol; each row is (open, high, low), the close is the open, volume 1."""
    return bars_of(np.array([[(o, h, low, o, 1.0)] for o, h, low in rows]))


def rough_market(seed: int, n_bars: int = 160, n_symbols: int = 3) -> tuple[Bars, np.ndarray]:
    """Prices on a coarse grid, so that levels are met exactly; filled, silent and absent bars; warm-up."""
    rng = np.random.default_rng(seed)
    close = 100.0 + np.cumsum(rng.integers(-2, 3, (n_bars, n_symbols)), axis=0).astype(float)
    open_ = close - rng.integers(-1, 2, close.shape)
    high = np.maximum(open_, close) + rng.integers(0, 3, close.shape)
    low = np.minimum(open_, close) - rng.integers(0, 3, close.shape)
    volume = rng.integers(1, 9, close.shape).astype(float)
    state = rng.choice([0, 1, 2, 3], close.shape, p=[0.94, 0.03, 0.02, 0.01]).astype(np.uint8)
    volume[state != BarState.TRADED] = 0.0
    ohlcv = np.stack([open_, high, low, close, volume], axis=-1)
    ohlcv[state == BarState.ABSENT] = np.nan
    atr = rng.choice([1.0, 1.5, 2.0, 2.5], close.shape)
    atr[:5] = np.nan
    atr[state == BarState.ABSENT] = np.nan
    return bars_of(ohlcv, state), atr


def reference(bars: Bars, atr: np.ndarray, tp: float, sl: float, horizon: int) -> tuple[np.ndarray, ...]:
    """Plain Python, one row at a time, the two races run one after the other."""
    n_bars, n_symbols = bars.state.shape
    label = np.full((n_bars, n_symbols), NO_LABEL)
    known = np.full((n_bars, n_symbols), NEVER_MS)
    spans: dict[tuple[int, int], range] = {}
    for s in range(n_symbols):
        for t in range(n_bars - 1):
            a = atr[t, s]
            if np.isnan(a) or a <= 0 or bars.state[t, s] in (BarState.FILLED, BarState.ABSENT):
                continue
            if bars.state[t + 1, s] != BarState.TRADED or bars.ohlcv[t + 1, s, 4] == 0:
                continue
            path = []
            for j in range(t + 1, min(t + horizon + 1, n_bars)):
                if bars.state[j, s] == BarState.ABSENT:
                    break
                path.append(j)
            whole = len(path) == horizon
            entry = bars.ohlcv[t + 1, s, 0]
            outcomes = {}
            for sign in (1, -1):
                outcomes[sign] = ("open", None)
                for j in path:
                    if bars.ohlcv[j, s, 4] == 0:
                        continue
                    best, worst = (1, 2) if sign == 1 else (2, 1)
                    if sign * bars.ohlcv[j, s, worst] <= sign * (entry - sign * sl * a):
                        outcomes[sign] = ("lost", j)
                        break
                    if sign * bars.ohlcv[j, s, best] > sign * (entry + sign * tp * a):
                        outcomes[sign] = ("won", j)
                        break
            (long, long_at), (short, short_at) = outcomes[1], outcomes[-1]
            end = path[-1]
            if long == "won":
                label[t, s], end = BUY, long_at
            elif short == "won":
                label[t, s], end = SELL, short_at
            elif long == short == "lost":
                label[t, s], end = HOLD, max(long_at, short_at)
            elif whole:
                label[t, s] = HOLD
            spans[t, s] = range(t + 1, end + 1)
            if label[t, s] != NO_LABEL:
                known[t, s] = bars.open_time_ms[end] + INTERVAL
    concurrency = np.zeros((n_bars, n_symbols))
    for (_, s), span in spans.items():
        concurrency[span.start : span.stop, s] += 1
    weight = np.zeros((n_bars, n_symbols))
    for (t, s), span in spans.items():
        if label[t, s] != NO_LABEL:
            weight[t, s] = np.mean([1.0 / concurrency[j, s] for j in span])
    return label, known, weight


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("tp", "sl", "horizon"), [(2.0, 1.2, 12), (2.0, 2.0, 5), (3.0, 1.0, 1)])
def test_labels_equal_the_plain_reference(seed: int, tp: float, sl: float, horizon: int) -> None:
    bars, atr = rough_market(seed)
    got = TripleBarrier(tp, sl, horizon).label(bars, atr)
    label, known, weight = reference(bars, atr, tp, sl, horizon)
    np.testing.assert_array_equal(got.label, label)
    np.testing.assert_array_equal(got.known_at_ms, known)
    np.testing.assert_allclose(got.weight, weight, rtol=1e-6)


def test_the_rough_markets_hold_every_case() -> None:
    counts = dict.fromkeys((SELL, HOLD, BUY, NO_LABEL), 0)
    for seed in range(12):
        bars, atr = rough_market(seed)
        label = TripleBarrier(2.0, 1.2, 12).label(bars, atr).label
        for kind in counts:
            counts[kind] += int((label == kind).sum())
    assert min(counts.values()) > 100, counts


ATR_1 = 1.0
QUIET = (100.0, 100.5, 99.5)


@pytest.mark.parametrize(
    ("path", "label", "settled"),
    [
        ([(100.0, 102.0, 99.5), QUIET, QUIET], HOLD, 3),  # a touch of the take-profit is not a pass
        ([(100.0, 102.01, 99.5), QUIET, QUIET], BUY, 1),
        ([(100.0, 102.01, 98.8), QUIET, QUIET], HOLD, 1),  # stop touched in the same bar: both races lost
        ([(100.0, 102.01, 98.81), QUIET, QUIET], BUY, 1),
        ([(100.0, 100.0, 98.0), QUIET, QUIET], HOLD, 3),
        ([(100.0, 100.0, 97.99), QUIET, QUIET], SELL, 1),
        ([(100.0, 101.2, 97.99), QUIET, QUIET], HOLD, 1),
        ([QUIET, (100.0, 101.2, 99.0), (100.0, 100.0, 98.8)], HOLD, 3),  # lost one after the other
        ([QUIET, (100.0, 101.2, 98.8), (100.0, 110.0, 90.0)], HOLD, 2),  # settled before the end
        ([QUIET, QUIET, (103.0, 103.0, 103.0)], BUY, 3),  # the last bar of the horizon counts
    ],
)
def test_hand_made_paths(path: list[tuple[float, float, float]], label: int, settled: int) -> None:
    bars = market(QUIET, *path, (100.0, 200.0, 1.0))
    got = TripleBarrier(2.0, 1.2, 3).label(bars, np.full((5, 1), ATR_1))
    assert got.label[0, 0] == label
    assert got.known_at_ms[0, 0] == bars.close_time_ms[settled]


def test_entry_is_the_next_open_not_the_close() -> None:
    bars = market((100.0, 100.5, 99.5), (101.0, 102.9, 100.9), (101.0, 101.0, 101.0))
    assert TripleBarrier(2.0, 1.2, 1).label(bars, np.ones((3, 1))).label[0, 0] == HOLD
    bars = market((100.0, 100.5, 99.5), (101.0, 103.1, 100.9), (101.0, 101.0, 101.0))
    assert TripleBarrier(2.0, 1.2, 1).label(bars, np.ones((3, 1))).label[0, 0] == BUY


def test_average_uniqueness_by_hand() -> None:
    """Horizon 2, nothing ever settles early: rows 0..2 span bars (1,2), (2,3), (3,4); row 3 is cut off."""
    bars = market(*[QUIET] * 5)
    got = TripleBarrier(2.0, 1.2, 2).label(bars, np.ones((5, 1)))
    assert got.label[:, 0].tolist() == [HOLD, HOLD, HOLD, NO_LABEL, NO_LABEL]
    # Races open in bars 1..4: 1, 2, 2, 2 (the race of row 3 is open in bar 4).
    np.testing.assert_allclose(got.weight[:, 0], [(1 + 1 / 2) / 2, 1 / 2, 1 / 2, 0, 0])


@pytest.mark.parametrize("seed", range(4))
def test_weights_share_out_every_bar_once(random_bars: MakeBars, seed: int) -> None:
    """Sum of weight x span = number of bars in which a race was open, when nothing is cut short."""
    bars = random_bars(seed, 400, 3)
    atr = np.full((400, 3), 0.4)
    atr[380:] = np.nan  # the last races end before the data do
    got = TripleBarrier(2.0, 1.2, 12).label(bars, atr)
    row = np.arange(400)[:, None]
    settled = (got.known_at_ms - bars.open_time_ms[0]) // bars.interval_ms - 1
    labelled = got.label != NO_LABEL
    np.testing.assert_array_equal(labelled, (row < 380) & np.ones((1, 3), bool))
    for s in range(3):
        covered = np.zeros(400, bool)
        for t in np.flatnonzero(labelled[:, s]):
            covered[t + 1 : settled[t, s] + 1] = True
        spans = (settled - row)[labelled[:, s], s]
        assert np.sum(got.weight[labelled[:, s], s].astype(float) * spans) == pytest.approx(covered.sum(), rel=1e-6)
    assert got.weight[labelled].min() > 0
    assert got.weight.max() <= 1


def with_cell(bars: Bars, t: int, s: int, state: BarState) -> Bars:
    states, ohlcv = bars.state.copy(), bars.ohlcv.copy()
    states[t, s] = state
    if state != BarState.TRADED:
        ohlcv[t, s, 4] = 0.0
    if state == BarState.ABSENT:
        ohlcv[t, s] = np.nan
    return dataclasses.replace(bars, ohlcv=ohlcv, state=states)


@pytest.mark.parametrize("state", list(BarState))
def test_what_a_hole_takes_away(random_bars: MakeBars, state: BarState) -> None:
    bars = with_cell(random_bars(1, 60, 2), 30, 0, state)
    atr = np.full((60, 2), 50.0)  # far barriers: every race lasts the whole horizon
    label = TripleBarrier(2.0, 1.2, 4).label(bars, atr).label
    gone = {
        BarState.TRADED: [],
        BarState.ZERO_VOLUME: [29],  # no entry there
        BarState.FILLED: [29, 30],  # nor is the row itself real
        BarState.ABSENT: [26, 27, 28, 29, 30],  # nor can a race be followed through it
        BarState.OUTSIDE: [29],  # nothing is entered outside the universe; what runs goes on
    }[state]
    assert np.flatnonzero(label[:56, 0] == NO_LABEL).tolist() == gone
    assert np.all(label[:56, 1] == HOLD)
    assert np.all(label[56:] == NO_LABEL)


def test_a_race_settled_before_the_hole_keeps_its_label() -> None:
    bars = market(QUIET, (100.0, 103.0, 99.5), QUIET, QUIET)
    bars = with_cell(bars, 2, 0, BarState.ABSENT)
    assert TripleBarrier(2.0, 1.2, 3).label(bars, np.ones((4, 1))).label[0, 0] == BUY


def test_a_bar_without_volume_settles_nothing() -> None:
    bars = with_cell(market(QUIET, QUIET, (100.0, 110.0, 99.5), QUIET, QUIET), 2, 0, BarState.ZERO_VOLUME)
    assert TripleBarrier(2.0, 1.2, 3).label(bars, np.ones((5, 1))).label[0, 0] == HOLD


@pytest.mark.parametrize("atr", [np.nan, 0.0, -1.0])
def test_no_distance_no_label(random_bars: MakeBars, atr: float) -> None:
    bars = random_bars(0, 50, 1)
    distances = np.full((50, 1), 0.3)
    distances[7] = atr
    got = TripleBarrier(2.0, 1.2, 12).label(bars, distances)
    assert got.label[7, 0] == NO_LABEL
    assert got.weight[7, 0] == 0
    assert got.known_at_ms[7, 0] == NEVER_MS
    assert np.all(got.label[:7] != NO_LABEL)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(20, 140))
def test_nothing_after_known_at_changes_a_row(seed: int, cut: int) -> None:
    """Label, weight and known_at of rows known at the close of bar `cut - 1` ignore all later bars."""
    bars, atr = rough_market(seed)
    other_bars, other_atr = rough_market(seed + 1)
    barrier = TripleBarrier(2.0, 1.2, 12)
    spliced = dataclasses.replace(
        bars,
        ohlcv=np.concatenate([bars.ohlcv[:cut], other_bars.ohlcv[cut:]]),
        state=np.concatenate([bars.state[:cut], other_bars.state[cut:]]),
    )
    whole = barrier.label(bars, atr)
    changed = barrier.label(spliced, np.concatenate([atr[:cut], other_atr[cut:]]))
    ended = barrier.label(bars.rows(0, cut), np.ascontiguousarray(atr[:cut]))
    known = whole.known_at_ms <= bars.close_time_ms[cut - 1]
    for name in ("label", "weight", "known_at_ms"):
        np.testing.assert_array_equal(getattr(whole, name)[known], getattr(changed, name)[known])
        np.testing.assert_array_equal(getattr(whole, name)[:cut][known[:cut]], getattr(ended, name)[known[:cut]])
    assert np.all(ended.label[~known[:cut]] == NO_LABEL)


def test_the_settling_bar_itself_matters(random_bars: MakeBars) -> None:
    """known_at is not later than needed: flattening the settling bar changes a label that was won in it."""
    bars = random_bars(3, 200, 1)
    barrier, atr = TripleBarrier(2.0, 1.2, 12), np.full((200, 1), 0.25)
    whole = barrier.label(bars, atr)
    won = np.flatnonzero((whole.label[:, 0] == BUY) | (whole.label[:, 0] == SELL))
    assert len(won) > 20
    for t in won:
        settled = int((whole.known_at_ms[t, 0] - bars.open_time_ms[0]) // bars.interval_ms) - 1
        ohlcv = bars.ohlcv.copy()
        ohlcv[settled, 0, :4] = ohlcv[t + 1, 0, 0]
        again = barrier.label(dataclasses.replace(bars, ohlcv=ohlcv), atr)
        moved = again.label[t, 0] != whole.label[t, 0] or again.known_at_ms[t, 0] != whole.known_at_ms[t, 0]
        assert moved


def test_mirrored_prices_mirror_labels(random_bars: MakeBars) -> None:
    bars = random_bars(5, 300, 2)
    mirror = 200.0 - bars.ohlcv[:, :, [0, 2, 1, 3, 4]]
    mirror[:, :, 4] = bars.ohlcv[:, :, 4]
    barrier, atr = TripleBarrier(2.0, 1.2, 12), np.full((300, 2), 0.3)
    one = barrier.label(bars, atr)
    other = barrier.label(dataclasses.replace(bars, ohlcv=np.ascontiguousarray(mirror)), atr)
    labelled = one.label != NO_LABEL
    np.testing.assert_array_equal(other.label[labelled], 2 - one.label[labelled])
    np.testing.assert_array_equal(other.known_at_ms, one.known_at_ms)


def test_symbols_do_not_see_each_other(random_bars: MakeBars) -> None:
    bars = random_bars(6, 200, 3)
    barrier, atr = TripleBarrier(2.0, 1.2, 12), np.full((200, 3), 0.3)
    together = barrier.label(bars, atr)
    alone = barrier.label(bars_of(bars.ohlcv[:, 1:2]), np.ascontiguousarray(atr[:, 1:2]))
    np.testing.assert_array_equal(together.label[:, 1:2], alone.label)
    np.testing.assert_array_equal(together.weight[:, 1:2], alone.weight)


@pytest.mark.parametrize(
    ("tp", "sl", "horizon"), [(1.0, 1.2, 12), (2.0, 0.0, 12), (2.0, 1.2, 0), (2.0, 1.2, 1.5), (np.nan, 1.2, 12)]
)
def test_impossible_barriers_are_refused(tp: float, sl: float, horizon: int) -> None:
    with pytest.raises(ConfigError):
        TripleBarrier(tp, sl, horizon)


def test_atr_of_another_shape_or_type_is_refused(random_bars: MakeBars) -> None:
    barrier, bars = TripleBarrier(2.0, 1.2, 12), random_bars(0, 50, 2)
    for atr in (np.ones((50, 1)), np.ones((50, 2), np.float32)):
        with pytest.raises(ContractError, match="atr"):
            barrier.label(bars, atr)


def test_labels_must_fit_each_other() -> None:
    with pytest.raises(ContractError, match=r"labels\.weight"):
        Labels(np.zeros((3, 2), np.int8), np.zeros((3, 1), np.float32), np.zeros((3, 2), np.int64))


def test_class_shares_on_real_bars(perps_5m: Path) -> None:
    """About .31 / .37 / .32 for SELL / HOLD / BUY."""
    columns = ["open", "high", "low", "close", "volume"]
    frames = [pd.read_parquet(perps_5m / f"{name}.parquet")[columns].to_numpy() for name in ("BTC", "ETH", "SOL")]
    n_bars = min(map(len, frames))
    ohlcv = np.stack([frame[:n_bars] for frame in frames], axis=1).astype(np.float64)
    _, high, low, close = (ohlcv[:, :, i] for i in range(4))
    before = np.vstack([close[:1], close[:-1]])
    true_range = np.maximum(high - low, np.maximum(np.abs(high - before), np.abs(low - before)))
    atr = pd.DataFrame(true_range).ewm(alpha=1 / 14, adjust=False).mean().to_numpy(copy=True)
    atr[:1536] = np.nan
    state = np.where(ohlcv[:, :, 4] > 0, BarState.TRADED, BarState.ZERO_VOLUME).astype(np.uint8)
    label = TripleBarrier(2.0, 1.2, 12).label(bars_of(ohlcv, state), np.ascontiguousarray(atr)).label
    shares = np.bincount(label[label != NO_LABEL], minlength=3) / np.sum(label != NO_LABEL)
    np.testing.assert_allclose(shares, [0.31, 0.37, 0.32], atol=0.03)
