"""Positions that were settled for want of bars are reported as what the bars show."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars, BarState
from quantlab.data import coverage
from quantlab.jobs.research.settled_positions import settled_notes
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy, signal_of

Hole = tuple[int, int, slice]


@pytest.fixture
def notes_of(random_bars: Callable[..., Bars]) -> Callable[..., tuple[tuple[str, ...], Bars]]:
    """``notes_of(holes, n_symbols)``: what is said of a book that is held through holes (first, stop, columns)."""

    def make(holes: Sequence[Hole], n_symbols: int = 3) -> tuple[tuple[str, ...], Bars]:
        bars = random_bars(0, 120, n_symbols)
        ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
        for first, stop, columns in holes:
            ohlcv[first:stop, columns], state[first:stop, columns] = np.nan, BarState.ABSENT
        bars = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
        limits = Limits(None, False, None, None, None, None, 1.0)
        costs = Costs(0.0, None, 0.0, delisted_after_bars=9)
        strategy = Strategy(None, FromSignals(rebalance=False), FixedFraction(0.1), limits, costs)  # type: ignore[arg-type]
        target = np.full((120, n_symbols), np.nan)
        target[10] = 0.1
        return settled_notes(Scan(10_000.0).run(bars, signal_of(target=target), strategy, limits_on=False), bars), bars

    return make


def test_a_symbol_that_ends_alone(notes_of: Callable[..., tuple[tuple[str, ...], Bars]]) -> None:
    (note,), _ = notes_of([(60, 120, slice(1, 2))])
    assert note == (
        "1 positions were settled at their last mark, because their symbol had no bars for 9 bars in a row: S01"
    )


def test_a_symbol_that_comes_back_had_not_ended(notes_of: Callable[..., tuple[tuple[str, ...], Bars]]) -> None:
    (_, back), _ = notes_of([(60, 80, slice(1, 2)), (90, 120, slice(2, 3))])
    assert back == "Of these, 1 had bars again later, so their market had not ended: S01"


def test_a_hole_in_every_symbol_is_no_end_of_a_market(notes_of: Callable[..., tuple[tuple[str, ...], Bars]]) -> None:
    (settled, back, hole), bars = notes_of([(60, 80, slice(None))])
    assert settled.startswith("3 positions were settled")
    assert back.endswith("S00, S01, S02")
    assert hole.startswith("In 3 of these, no symbol of the data had a bar in that time, which is a hole in the data")
    found = f"no symbol has a bar for 20 bars from {iso_utc(int(bars.open_time_ms[60]))}: a hole in the data"
    assert any(text.startswith(found) for text in coverage(bars).findings())


def test_one_symbol_alone_cannot_be_told(notes_of: Callable[..., tuple[tuple[str, ...], Bars]]) -> None:
    assert notes_of([])[0] == ()
    assert "cannot be told from its end" in notes_of([(60, 80, slice(None))], 1)[0][2]
