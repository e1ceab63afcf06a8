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
from quantlab.core.market import Bars
from quantlab.data import ParquetSource, coverage
from quantlab.data.quality.suspects import find_suspects
from quantlab.data.series.live_checks import check_live

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


ROW = [100.0, 101.0, 99.0, 100.0, 5.0]
OTHER = [100.0, 101.0, 99.0, 100.5, 5.0]


@pytest.mark.parametrize(
    ("stamps", "rows", "late_ms", "says"),
    [
        ([START_MS // 1000], [ROW], 0, "between 2009 and 2100 in BTC; found 1970"),
        ([START_MS * 1000], [ROW], 0, "between 2009 and 2100"),
        ([START_MS - 1], [ROW], 1000, "looks like the bars' closing times"),
        ([START_MS + 60_000], [ROW], 60_000, "multiples of 5m"),
        ([START_MS, START_MS], [ROW, OTHER], 0, "0 exact repeats and 1 with other values"),
        ([START_MS - STEP_MS, START_MS], [ROW, OTHER], -1, "one that closes 1 ms from now by the exchange's clock"),
        ([START_MS, START_MS + STEP_MS], [ROW, OTHER], 0, "if it has closed, the feed stamps bars with their close"),
    ],
)
def test_live_bars_are_held_against_the_grid_and_the_clock(
    stamps: list[int], rows: list[list[float]], late_ms: int, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        check_live((np.array(stamps), np.array(rows)), STEP_MS, START_MS + STEP_MS + late_ms, "BTC")


def test_sound_live_bars_pass_and_an_exact_repeat_is_dropped() -> None:
    stamps, rows = np.array([START_MS - STEP_MS, START_MS, START_MS]), np.array([OTHER, ROW, ROW])
    time_ms, values = check_live((stamps, rows), STEP_MS, START_MS + STEP_MS, "BTC")
    assert time_ms.tolist() == stamps[:2].tolist()
    assert values.tolist() == [OTHER, ROW]
    nothing = (np.empty(0, np.int64), np.empty((0, 5)))
    assert len(check_live(nothing, STEP_MS, START_MS, "BTC")[0]) == 0
