"""The gate against its rules written a second time in plain Python, and against itself cut into pieces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import DataError
from quantlab.core.market import Bars, BarState, Instrument
from quantlab.data import MAX_FILLED, QualityGate

START_MS, STEP_MS = 1_746_057_600_000, 300_000
TRADED, ZERO_VOLUME, FILLED, ABSENT, _ = BarState
RULES = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)


def gate_of(n_symbols: int) -> QualityGate:
    return QualityGate(tuple(f"S{s}" for s in range(n_symbols)), (RULES,) * n_symbols, STEP_MS)


def times(n_bars: int) -> np.ndarray:
    return START_MS + STEP_MS * np.arange(n_bars, dtype=np.int64)


def raw_bars(present: np.ndarray, quiet: np.ndarray | None = None) -> Float64Array:
    """Sound bars where `present` (T, S), NaN elsewhere; no volume where `quiet`."""
    close = 100.0 + np.arange(present.size, dtype=float).reshape(present.shape)
    volume = np.where(np.zeros_like(present) if quiet is None else quiet, 0.0, 3.0)
    raw = np.stack([close - 0.25, close + 1.0, close - 1.0, close, volume], axis=-1)
    raw[~present] = np.nan
    return raw


def run(raw: Float64Array) -> Bars:
    gate = gate_of(raw.shape[1])
    return gate.run(gate.begin(), raw, times(len(raw)))[1]


def reference(raw: Float64Array) -> tuple[list[list[tuple[float, ...]]], list[list[int]]]:
    """FEATURES.md, "Holes", one symbol at a time, by remembering the last printed bar's row."""
    cells, states = [], []
    for s in range(raw.shape[1]):
        column, marks, printed = [], [], None
        for t in range(len(raw)):
            bar = tuple(raw[t, s])
            if bar[0] == bar[0]:
                printed = t
                column.append(bar)
                marks.append(int(TRADED if bar[4] > 0 else ZERO_VOLUME))
            elif printed is not None and t - printed <= 12:
                close = raw[printed, s, 3]
                column.append((close, close, close, close, 0.0))
                marks.append(int(FILLED))
            else:
                column.append((np.nan,) * 5)
                marks.append(int(ABSENT))
        cells.append(column)
        states.append(marks)
    return cells, states


def test_the_number_of_filled_bars_is_the_designs() -> None:
    assert MAX_FILLED == 12


@pytest.mark.parametrize("length", [1, 11, 12, 13, 40])
def test_a_hole_is_filled_for_twelve_bars_and_absent_from_the_thirteenth(length: int) -> None:
    present = np.ones((60, 1), dtype=bool)
    present[5 : 5 + length] = False
    bars = run(raw_bars(present))
    filled = min(length, 12)
    assert bars.state[5 : 5 + length, 0].tolist() == [FILLED] * filled + [ABSENT] * (length - filled)
    assert bars.ohlcv[5 : 5 + filled, 0].tolist() == [[104.0, 104.0, 104.0, 104.0, 0.0]] * filled
    assert np.isnan(bars.ohlcv[5 + filled : 5 + length, 0]).all()
    assert bars.state[5 + length, 0] == TRADED
    assert bars.ohlcv[5 + length, 0, 3] == 105.0 + length
    assert not bars.tradable[5 : 5 + length].any()


def test_every_hole_is_counted_anew_and_nothing_precedes_the_listing() -> None:
    present = np.ones((60, 1), dtype=bool)
    present[:10] = present[15:25] = present[26:36] = False
    state = run(raw_bars(present)).state[:, 0]
    assert (state[:10] == ABSENT).all()
    assert (state[15:25] == FILLED).all()
    assert state[25] == TRADED
    assert (state[26:36] == FILLED).all()


def test_a_delisting_is_a_hole_without_an_end() -> None:
    present = np.arange(40)[:, None] < 20
    state = run(raw_bars(present)).state[:, 0]
    assert (state[20:32] == FILLED).all()
    assert (state[32:] == ABSENT).all()


def test_a_printed_bar_without_volume_is_kept_and_not_tradable() -> None:
    present = np.ones((4, 1), dtype=bool)
    bars = run(raw_bars(present, quiet=np.array([[False], [True], [True], [False]])))
    assert bars.state[:, 0].tolist() == [TRADED, ZERO_VOLUME, ZERO_VOLUME, TRADED]
    assert bars.ohlcv[1, 0].tolist() == [100.75, 102.0, 100.0, 101.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_bars=st.integers(1, 120), missing=st.sampled_from([0.05, 0.5, 0.9, 0.97]))
def test_history_stream_blocks_and_the_reference_agree_bit_for_bit(seed: int, n_bars: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    raw = raw_bars(rng.random((n_bars, 3)) >= missing, rng.random((n_bars, 3)) < 0.2)
    before = raw.copy()
    gate, stamps = gate_of(3), times(n_bars)
    end, history = gate.run(gate.begin(), raw, stamps)
    assert raw.tobytes() == before.tobytes()

    cells, states = reference(raw)
    np.testing.assert_array_equal(history.ohlcv, np.swapaxes(np.array(cells), 0, 1))
    np.testing.assert_array_equal(history.state, np.array(states).T)

    state, rows = gate.begin(), []
    for t in range(n_bars):
        state, row = gate.update(state, raw[t], int(stamps[t]))
        rows.append(row)
    cut = int(rng.integers(n_bars)) + 1
    middle, head = gate.run(gate.begin(), raw[:cut], stamps[:cut])
    pieces = [head, gate.run(middle, raw[cut:], stamps[cut:])[1]] if cut < n_bars else [head]
    for parts in (rows, pieces):
        assert np.concatenate([part.ohlcv for part in parts]).tobytes() == history.ohlcv.tobytes()
        assert np.concatenate([part.state for part in parts]).tobytes() == history.state.tobytes()
    assert state.last_close.tobytes() == end.last_close.tobytes()
    assert state.missing.tolist() == end.missing.tolist()
    assert state.open_time_ms == end.open_time_ms


def test_the_future_does_not_reach_back() -> None:
    rng = np.random.default_rng(3)
    present = rng.random((80, 2)) > 0.6
    other = present.copy()
    other[40:] = ~other[40:]
    one, two = run(raw_bars(present)), run(raw_bars(other))
    assert one.ohlcv[:40].tobytes() == two.ohlcv[:40].tobytes()
    assert one.state[:40].tobytes() == two.state[:40].tobytes()
    assert one.state[40:].tobytes() != two.state[40:].tobytes()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (0, np.nan, "missing or infinite open"),
        (4, np.nan, "missing or infinite volume"),
        (1, np.inf, "missing or infinite high"),
        (3, 0.0, "not positive"),
        (2, -1.0, "not positive"),
        (4, -1.0, "negative volume"),
        (1, 100.5, "do not enclose"),
        (2, 101.5, "do not enclose"),
    ],
)
def test_an_unsound_bar_is_refused_by_name_and_time(field: int, value: float, says: str) -> None:
    raw = raw_bars(np.ones((3, 2), dtype=bool))
    raw[1, 1] = [101.0, 102.0, 100.0, 101.0, 3.0]
    raw[1, 1, field] = value
    with pytest.raises(DataError, match=rf"S1 at 2025-05-01T00:05:00Z.*{says}"):
        run(raw)


@pytest.mark.parametrize("bar", [[5.0, 5.0, 5.0, 5.0, 0.0], [5.0, 6.0, 4.0, 4.0, 1.0], [5.0, 6.0, 5.0, 6.0, 1e-100]])
def test_touching_extremes_and_flat_bars_are_sound(bar: list[float]) -> None:
    assert run(np.array([[bar]])).ohlcv[0, 0].tolist() == bar


def test_bars_that_a_stream_jumped_over_come_out_as_missing() -> None:
    gate, raw = gate_of(2), raw_bars(np.ones((20, 2), dtype=bool))
    state, _ = gate.update(gate.begin(), raw[0], START_MS)
    state, bars = gate.update(state, raw[16], START_MS + 16 * STEP_MS)
    assert bars.n_bars == 16
    assert bars.state[:, 0].tolist() == [FILLED] * 12 + [ABSENT] * 3 + [TRADED]
    assert state.open_time_ms == START_MS + 16 * STEP_MS


@pytest.mark.parametrize("later_ms", [0, -STEP_MS, STEP_MS + 1, 10_001 * STEP_MS, 1000 * START_MS])
def test_a_stream_refuses_stamps_that_cannot_follow(later_ms: int) -> None:
    gate, raw = gate_of(1), raw_bars(np.ones((1, 1), dtype=bool))
    state, _ = gate.update(gate.begin(), raw[0], START_MS)
    with pytest.raises(DataError, match="after 2025-05-01T00:00:00Z"):
        gate.update(state, raw[0], START_MS + later_ms)


def test_blocks_must_follow_each_other_and_lie_on_the_clock() -> None:
    gate, raw = gate_of(1), raw_bars(np.ones((2, 1), dtype=bool))
    state, _ = gate.run(gate.begin(), raw, times(2))
    with pytest.raises(DataError, match="in order"):
        gate.run(state, raw, times(2))
    with pytest.raises(DataError, match="multiples of 5m"):
        gate.run(gate.begin(), raw, times(2) + 1000)


def test_the_gate_leaves_good_bars_alone(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(seed=1, n_bars=200)
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    passed = gate.run(gate.begin(), bars.ohlcv, bars.open_time_ms)[1]
    assert passed.fingerprint() == bars.fingerprint()
