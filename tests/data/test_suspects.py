"""What looks wrong in sound bars is found where it was planted, and hardly anywhere in real ones."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import DataError
from quantlab.core.types import Bars, Instrument
from quantlab.data import ParquetSource, QualityGate, coverage
from quantlab.data.live import check_bar, check_live_stamp
from quantlab.data.suspects import find_suspects

MakeBars = Callable[..., Bars]
START_MS, STEP_MS = 1_746_057_600_000, 300_000


def planted(bars: Bars, change: Callable[[Any], object]) -> Bars:
    ohlcv = bars.ohlcv.copy()
    change(ohlcv)
    return dataclasses.replace(bars, ohlcv=ohlcv)


def spike(ohlcv: Any) -> None:
    ohlcv[200, 1, 1:4] *= [1.3, 1.0, 1.3]


def wick(ohlcv: Any) -> None:
    ohlcv[200, 1, 2] *= 0.5


def volume(ohlcv: Any) -> None:
    ohlcv[200, 1, 4] = ohlcv[:, 1, 4].max() * 1e4


def frozen(ohlcv: Any) -> None:
    ohlcv[176:240, 1, :4] = ohlcv[175, 1, 3]


@pytest.mark.parametrize("kind", [spike, wick, volume, frozen])
def test_a_planted_defect_is_found_alone(random_bars: MakeBars, kind: Callable[[Any], object]) -> None:
    calm = random_bars(seed=3, n_bars=400)
    assert find_suspects(calm) == ()
    found = find_suspects(planted(calm, kind))
    assert [(suspect.kind, suspect.symbol) for suspect in found] == [(kind.__name__, "S01")]
    # A frozen run is told when it is long enough to be one: 24 bars after its first.
    row = 199 if kind is frozen else 200
    assert found[0].time_ms == calm.open_time_ms[row]
    assert f"S01: {found[0].sentence()}" in coverage(planted(calm, kind)).findings()


def test_a_crash_that_stays_is_no_spike(random_bars: MakeBars) -> None:
    def crash(ohlcv: Any) -> None:
        ohlcv[200:, 1, :4] *= 0.5
        ohlcv[200, 1, 0] = ohlcv[200, 1, 1] = ohlcv[199, 1, 3]

    assert [suspect.kind for suspect in find_suspects(planted(random_bars(seed=3), crash))] == ["wick"] * 0


@pytest.mark.parametrize(("by", "side"), [(1, "after"), (-1, "before")])
def test_a_symbol_stamped_by_its_closes_is_told_by_the_others(
    perps_5m: Path, parquet_source: Callable[..., ParquetSource], by: int, side: str
) -> None:
    bars = parquet_source(perps_5m, ["BTC", "ETH", "SOL", "DOGE"], end="2025-04-01", funding="off").history()
    assert find_suspects(bars) == ()

    def shift(ohlcv: Any) -> None:
        ohlcv[:, 2] = np.roll(ohlcv[:, 2], by, axis=0)

    found = find_suspects(planted(bars, shift))
    assert [(suspect.kind, suspect.symbol) for suspect in found] == [("shifted", "SOL")]
    assert f"moves one bar {side} the other symbols" in found[0].sentence()


@pytest.mark.slow
def test_real_bars_are_hardly_suspected(perps_5m: Path, parquet_source: Callable[..., ParquetSource]) -> None:
    """2.6 M real bars: six false prints and one wick, four of the seven in two wild days of OM and MANTA."""
    found = find_suspects(parquet_source(perps_5m).history())
    assert Counter(suspect.kind for suspect in found) == {"spike": 6, "wick": 1}
    assert {suspect.symbol for suspect in found} == {"ANIME", "BIO", "GMX", "MANTA", "MOODENG", "OM"}


@pytest.mark.parametrize(
    ("open_ms", "now_ms", "says"),
    [
        (START_MS // 1000, START_MS + STEP_MS, "heck the feed's unit"),
        (START_MS * 1000, START_MS + STEP_MS, "heck the feed's unit"),
        (START_MS + 1, START_MS + STEP_MS + 1, "multiple of 300000 ms"),
        (START_MS, START_MS + STEP_MS - 1, "a closed bar; found one that closes 1 ms from now"),
        (START_MS, START_MS + STEP_MS + 10_001, "at most 10000 ms ago; found one that closed 10001 ms"),
    ],
)
def test_a_live_stamp_is_held_against_the_clock(open_ms: int, now_ms: int, says: str) -> None:
    with pytest.raises(DataError, match=says):
        check_live_stamp(open_ms, STEP_MS, now_ms, 10_000)


def test_a_live_bar_passes_the_same_gate_as_history(random_bars: MakeBars) -> None:
    bars = random_bars(n_bars=30, start_ms=START_MS)
    gate = QualityGate(bars.symbols, (Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5),) * 3, STEP_MS)
    state, rows = gate.begin(), []
    for t in range(30):
        open_ms = int(bars.open_time_ms[t])
        state, row = check_bar(gate, state, bars.ohlcv[t], open_ms, now_ms=open_ms + STEP_MS + 900, late_ms=60_000)
        rows.append(row.ohlcv)
    assert np.concatenate(rows).tobytes() == bars.ohlcv.tobytes()
    bad = bars.ohlcv[29].copy()
    bad[0, 1] = 0.0
    with pytest.raises(DataError, match="a sound bar of S00"):
        check_bar(gate, state, bad, START_MS + 30 * STEP_MS, now_ms=START_MS + 31 * STEP_MS, late_ms=1)
