"""Suspect prints: the rule of docs/simulation.md, "Suspect prints", written a second time in plain Python."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars, Instrument, PrintFlag
from quantlab.data import ParquetSource, QualityGate
from quantlab.data.quality.gate import GateState
from quantlab.execution.session.bar_gate import gate_state_after

START_MS, STEP_MS = 1_746_057_600_000, 300_000
RULES = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
WINDOW, LEAST, LONGEST = 288, 20, 3


def times(n_bars: int) -> np.ndarray:
    return START_MS + STEP_MS * np.arange(n_bars, dtype=np.int64)


def gate_of(n_symbols: int) -> QualityGate:
    return QualityGate(tuple(f"S{s}" for s in range(n_symbols)), (RULES,) * n_symbols, STEP_MS)


def run(raw: Float64Array) -> Bars:
    gate = gate_of(raw.shape[1])
    return gate.run(gate.begin(), raw, times(len(raw)))[1]


def flags_of(bars: Bars) -> list[list[int]]:
    found = np.zeros(bars.state.shape, np.uint8) if bars.suspect is None else bars.suspect
    return [[int(flag) for flag in column] for column in found.T]


def reference(bars: Bars) -> list[list[int]]:
    """The page's rule for every symbol, cell by cell; all bars are looked at anew for every cell."""
    columns = []
    for s in range(bars.n_symbols):
        ohlcv, flags = bars.ohlcv[:, s], []
        traded = [bool(bars.printed[t, s] and ohlcv[t, 4] > 0.0) for t in range(bars.n_bars)]
        for t in range(bars.n_bars):
            trades = [u for u in range(t) if traded[u]]
            stands = bool(trades) and flags[trades[-1]] == 2
            if not traded[t]:
                flags.append(2 if stands and ohlcv[t, 3] == ohlcv[t, 3] else 0)
                continue
            flags.append(flag_of_traded(ohlcv, flags, trades, t, stands))
        columns.append(flags)
    return columns


def flag_of_traded(ohlcv: Float64Array, flags: list[int], trades: list[int], t: int, stands: bool) -> int:
    closes = [ohlcv[u, 3] for u in trades if u >= t - WINDOW and flags[u] != 2]
    moves = [abs(after / before - 1.0) for before, after in itertools.pairwise(closes)]
    if len(moves) < LEAST:
        return 0
    usual = median(moves)

    def far(price: float, of: float) -> bool:
        move = abs(price / of - 1.0)
        return bool(move > 0.08 and move > 25.0 * usual)

    _, high, low, close, _ = ohlcv[t]
    agreed = [u for u in trades if flags[u] != 2][-1]
    if not far(close, ohlcv[agreed, 3]):
        return int(far(high, ohlcv[agreed, 3]) or far(low, ohlcv[agreed, 3]))
    if stands and not far(close, ohlcv[trades[-1], 3]):
        return int(far(high, ohlcv[trades[-1], 3]) or far(low, ohlcv[trades[-1], 3]))
    if stands and len([u for u in trades if u > agreed]) == LONGEST:
        return 1
    return 2


def bars_of(closes: list[float], highs: dict[int, float] | None = None, quiet: frozenset[int] = frozenset()) -> Bars:
    """One symbol: forty calm bars around 100, then these closes."""
    calm = [100.0 + 0.1 * (t % 2) for t in range(40)]
    close = np.array(calm + closes)
    raw = np.stack([close, close, close, close, np.full(len(close), 5.0)], axis=-1)
    for at, high in (highs or {}).items():
        raw[40 + at, 1] = high
    for at in quiet:
        raw[40 + at, 4] = 0.0
    raw[np.isnan(close)] = np.nan
    return run(raw[:, None])


def newest(closes: list[float], **given: object) -> list[int]:
    return flags_of(bars_of(closes, **given))[0][40:]  # type: ignore[arg-type]


NAN = float("nan")


def test_a_print_that_is_taken_back_is_suspect_until_the_bar_after_it() -> None:
    assert newest([1_322.0, 100.0, 100.1]) == [2, 0, 0]


def test_a_crash_that_stays_is_agreed_by_the_next_traded_bar() -> None:
    assert newest([28.0, 28.1, 28.0]) == [2, 0, 0]


def test_prints_that_agree_with_nothing_end_after_three() -> None:
    assert newest([150.0, 200.0, 300.0, 400.0, 400.0]) == [2, 2, 2, 1, 0]


def test_a_far_high_flags_its_bar_alone() -> None:
    assert newest([100.0, 100.0], highs={0: 109.0}) == [1, 0]
    assert newest([100.0, 100.0], highs={0: 107.9}) == [0, 0]


def test_a_suspicion_stands_while_nothing_trades() -> None:
    assert newest([150.0, 150.0, NAN, 100.0], quiet=frozenset({1})) == [2, 2, 2, 0]
    assert newest([150.0, *[NAN] * 13, 100.0]) == [2, *[2] * 12, 0, 0]


def test_a_symbol_that_moves_much_is_not_suspect() -> None:
    close = 100.0 * np.cumprod(np.where(np.arange(60) % 2 == 0, 1.01, 1 / 1.01))
    close[-1] = close[-2] * 1.2  # far by itself, and 20 of its usual moves
    raw = np.stack([close, close, close, close, np.full(60, 5.0)], axis=-1)
    assert run(raw[:, None]).suspect is None


def test_fewer_than_twenty_moves_judge_nothing() -> None:
    close = np.array([100.0, 100.1] * 10 + [200.0])
    raw = np.stack([close, close, close, close, np.full(len(close), 5.0)], axis=-1)
    assert run(raw[:, None]).suspect is None  # 19 moves
    assert run(np.concatenate([raw[1:2], raw])[:, None]).suspect is not None  # 20


def jumpy(seed: int, n_bars: int, n_symbols: int = 2) -> Float64Array:
    """Random walks with false prints, crashes, holes and bars without volume."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, (n_bars, n_symbols)), axis=0))
    steps = rng.choice([1.0, 0.5, 1.15, 1.4], close.shape, p=[0.97, 0.01, 0.01, 0.01])
    close = close * np.cumprod(steps, axis=0)
    close = close * rng.choice([1.0, 0.3, 1.1, 3.0], close.shape, p=[0.94, 0.02, 0.02, 0.02])
    high = close * rng.choice([1.0, 1.2], close.shape, p=[0.97, 0.03])
    low = close * rng.choice([1.0, 0.8], close.shape, p=[0.97, 0.03])
    volume = rng.choice([0.0, 5.0], close.shape, p=[0.1, 0.9])
    raw = np.stack([close, high, low, close, volume], axis=-1)
    raw[rng.random(close.shape) < rng.choice([0.02, 0.3])] = np.nan
    hole = int(rng.integers(0, n_bars))
    raw[hole : hole + int(rng.integers(0, 40)), 0] = np.nan
    return raw


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_fold_gives_the_flags_of_the_page(seed: int) -> None:
    bars = run(jumpy(seed, 420))
    assert flags_of(bars) == reference(bars)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 899))
def test_bar_by_bar_and_after_a_history_the_flags_are_the_same(seed: int, cut: int) -> None:
    raw = jumpy(seed, 900)
    whole, gate = run(raw), gate_of(2)
    state, first = gate.run(gate.begin(), raw[:cut], times(cut))
    recent = first.rows(max(0, cut - 350), cut)  # longer than the window and than every hole
    for begin in (state, gate_state_after(first), gate_state_after(recent)):
        assert continued(gate, begin, raw, cut) == [column[cut:] for column in flags_of(whole)]


def continued(gate: QualityGate, state: GateState, raw: Float64Array, cut: int) -> list[list[int]]:
    rows = []
    for t in range(cut, len(raw)):
        state, bar = gate.update(state, raw[t], int(times(len(raw))[t]))
        rows.append([column[0] for column in flags_of(bar)])
    return [list(column) for column in zip(*rows, strict=True)]


def test_no_flag_depends_on_what_comes_later() -> None:
    raw = jumpy(3, 600)
    whole = flags_of(run(raw))
    for cut in (50, 311, 480):
        assert flags_of(run(raw[:cut])) == [column[:cut] for column in whole]


def test_flags_are_part_of_the_fingerprint_and_of_every_slice_where_there_are_any() -> None:
    bars = run(jumpy(5, 400))
    assert bars.suspect is not None
    without = Bars(bars.ohlcv, bars.open_time_ms, STEP_MS, bars.state, bars.symbols, bars.instruments)
    zeros = Bars(
        bars.ohlcv, bars.open_time_ms, STEP_MS, bars.state, bars.symbols, bars.instruments, None, 0 * bars.suspect
    )
    assert without.fingerprint() == zeros.fingerprint() != bars.fingerprint()
    part = bars.rows(100, 200).first_symbols(1)
    assert part.suspect is not None
    assert np.array_equal(part.suspect, bars.suspect[100:200, :1])


def test_calm_bars_carry_no_flags() -> None:
    assert bars_of([100.0]).suspect is None


@pytest.mark.slow
def test_the_reference_data_have_few_suspect_cells(perps_5m: Path) -> None:
    source = ParquetSource(
        root=str(perps_5m),
        symbols="all",
        start=None,
        end=None,
        largest_funding_rate=0.05,
        instrument=RULES,
        funding="off",
        folders=[],
    )
    bars = source.history()
    assert bars.suspect is not None
    within, stands = (int((bars.suspect == flag).sum()) for flag in (PrintFlag.WITHIN, PrintFlag.STANDS))
    message = f"{within} cells with a suspect print inside, {stands} where a suspicion stands, of {bars.state.size}"
    assert (within, stands) == (177, 78), message
