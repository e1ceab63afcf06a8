"""The suspects' look at live bars sees what the look at the whole history sees, bar by bar, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import CLOSE, HIGH, LOW, VOLUME, Bars, BarState
from quantlab.data import SyntheticSource
from quantlab.data.quality.live_suspects import LiveSuspects
from quantlab.data.quality.suspects import Suspect, find_suspects


def bars_of(quiet: Bars, change: Callable[[np.ndarray], None]) -> Bars:
    ohlcv = quiet.ohlcv.copy()
    change(ohlcv)
    return Bars(ohlcv, quiet.open_time_ms, quiet.interval_ms, quiet.state, quiet.symbols, quiet.instruments)


@pytest.fixture(scope="module")
def quiet(synthetic_source: Callable[..., SyntheticSource]) -> Bars:
    """Two days without holes, in which nothing is suspicious."""
    bars = synthetic_source(days=12, n_symbols=4, late_listings=0).history()
    start = next(t for t in range(0, 3000, 50) if (bars.state[t : t + 400] == BarState.TRADED).all())
    return bars.rows(start, start + 400)


def seen(bars: Bars, *, warm: int = 0) -> list[Suspect]:
    look = LiveSuspects(bars.symbols)
    if warm:
        look.remember(bars.rows(0, warm))
    return [found for t in range(warm, bars.n_bars) for found in look.update(bars.rows(t, t + 1))]


def spike(ohlcv: np.ndarray) -> None:
    ohlcv[300, 1, [HIGH, CLOSE]] *= 1.5
    ohlcv[301, 1, HIGH] = ohlcv[300, 1, HIGH]


def wick(ohlcv: np.ndarray) -> None:
    ohlcv[310, 2, LOW] *= 0.5


def volume(ohlcv: np.ndarray) -> None:
    ohlcv[320, 0, VOLUME] = 1e3 * ohlcv[:, 0, VOLUME].max()


def frozen(ohlcv: np.ndarray) -> None:
    ohlcv[330:360, 3, :VOLUME] = ohlcv[329, 3, CLOSE]


CASES: list[tuple[Any, str, int, int]] = [
    (spike, "spike", 300, 1),
    (wick, "wick", 310, 2),
    (volume, "volume", 320, 0),
    (frozen, "frozen", 354, 3),  # the 24th bar of one price behind a close at that price
]


@pytest.mark.parametrize(("change", "kind", "row", "column"), CASES)
@pytest.mark.parametrize("warm", [0, 299])
def test_every_kind_is_seen_when_it_comes_and_once(
    quiet: Bars, change: Any, kind: str, row: int, column: int, warm: int
) -> None:
    bars = bars_of(quiet, change)
    assert kind in {one.kind for one in find_suspects(bars)}
    found = [one for one in seen(bars, warm=warm) if one.kind == kind]
    assert [(one.symbol, one.count) for one in found] == [(bars.symbols[column], 1)]
    assert found[0].time_ms == bars.open_time_ms[row - (kind == "frozen")]


def test_nothing_is_seen_where_there_is_nothing(quiet: Bars) -> None:
    assert find_suspects(quiet) == ()
    assert seen(quiet) == []


def test_a_jump_is_told_at_once_and_a_spike_a_bar_later(quiet: Bars) -> None:
    bars = bars_of(quiet, spike)
    look, when = LiveSuspects(bars.symbols), {}
    for t in range(bars.n_bars):
        for one in look.update(bars.rows(t, t + 1)):
            when.setdefault(one.kind, t)
    assert (when["jump"], when["spike"]) == (300, 301)


def test_a_window_that_slides_forgets_only_what_is_old(quiet: Bars) -> None:
    """The same bars come round and round, longer than any window: it always holds the last 576."""
    look = LiveSuspects(quiet.symbols)
    for _ in range(4):
        for t in range(quiet.n_bars):
            look.update(quiet.rows(t, t + 1))
    expected = np.concatenate([quiet.ohlcv, quiet.ohlcv])[-576:]
    assert look._ohlcv.tobytes() == expected.tobytes()


def test_real_falls_are_told_on_real_bars(market_data: Any, parquet_source: Any) -> None:
    """OM's fall of 2025-04-13: every large bar of it, and hardly anything of the other symbols."""
    source = parquet_source(market_data / "perps_5m", ["BTC", "ETH", "OM"], start="2025-04-12", end="2025-04-15")
    found = seen(source.history())
    assert {one.symbol for one in found} == {"OM"}
    assert max(one.worst for one in found if one.kind == "jump") == pytest.approx(0.7156, abs=1e-4)  # 72 % in one bar
    assert sum(one.kind == "jump" for one in found) > 10
