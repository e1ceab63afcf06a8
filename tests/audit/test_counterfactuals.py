"""Other futures: the past stays, the rest is another possible market."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future, another_inside, another_signal, delisted
from quantlab.audit.differences import differs, first_difference
from quantlab.audit.draws import cuts
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, BarState, Funding
from quantlab.core.types import Signal

MakeBars = Callable[..., Bars]


@pytest.mark.parametrize("row", [1, 57, 399])
def test_the_past_stays_and_everything_after_it_changes(random_bars: MakeBars, row: int) -> None:
    bars = random_bars()
    other = another_future(bars, row, 3)
    assert np.array_equal(other.ohlcv[:row], bars.ohlcv[:row])
    assert (other.ohlcv[row:, :, CLOSE] != bars.ohlcv[row:, :, CLOSE]).all()
    assert (other.ohlcv[row:, :, VOLUME] != bars.ohlcv[row:, :, VOLUME]).all()
    assert np.array_equal(other.state, bars.state)
    assert other.symbols == bars.symbols
    assert np.array_equal(another_future(bars, row, 3).ohlcv, other.ohlcv)


def test_every_bar_of_another_future_is_a_possible_bar(random_bars: MakeBars) -> None:
    ohlcv = another_future(random_bars(), 50, 1).ohlcv[50:]
    assert (ohlcv[:, :, LOW] <= np.minimum(ohlcv[:, :, OPEN], ohlcv[:, :, CLOSE])).all()
    assert (ohlcv[:, :, HIGH] >= np.maximum(ohlcv[:, :, OPEN], ohlcv[:, :, CLOSE])).all()
    assert (ohlcv > 0.0).all()


def test_a_mirror_turns_a_rise_into_a_fall(random_bars: MakeBars) -> None:
    bars = random_bars()
    other = another_future(bars, 50, 1)
    rose, falls = (np.sign(np.log(one.close[50:] / bars.close[49])) for one in (bars, other))
    assert np.array_equal(rose, -falls)


def test_holes_stay_holes_and_a_later_listing_has_a_market_too(random_bars: MakeBars) -> None:
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:200, 1], state[:200, 1] = np.nan, BarState.ABSENT
    late = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    other = another_future(late, 100, 1)
    assert np.array_equal(np.isnan(other.ohlcv), np.isnan(ohlcv))
    assert (other.close[201:, 1] != late.close[201:, 1]).all()


def test_funding_changes_from_the_first_bar_that_it_is_charged_on(random_bars: MakeBars) -> None:
    bars = random_bars()
    stamps = bars.open_time_ms[[48, 49, 50, 51]]
    paid = dataclasses.replace(bars, funding=Funding(stamps, np.full((4, 3), 1e-4)))
    funding = another_future(paid, 50, 1).funding
    assert funding is not None
    assert funding.rate[:, 0].tolist() == [1e-4, 1e-4, -2e-4, -2e-4]


def test_a_delisted_symbol_is_gone_and_the_others_are_not(random_bars: MakeBars) -> None:
    bars = random_bars(n_symbols=4)
    gone = (delisted(bars, 100, 0).state[100:] == BarState.ABSENT).all(axis=0)
    assert gone.sum() == 2
    assert np.array_equal(delisted(bars, 100, 0).ohlcv[:100], bars.ohlcv[:100])
    assert np.array_equal(delisted(bars, 100, 0).ohlcv[:, ~gone], bars.ohlcv[:, ~gone])


def test_inside_a_bar_only_open_and_volume_stay(random_bars: MakeBars) -> None:
    bars = random_bars()
    bar, was = another_inside(bars, 60, 1).ohlcv[60], bars.ohlcv[60]
    assert np.array_equal(bar[:, [OPEN, VOLUME]], was[:, [OPEN, VOLUME]])
    assert (bar[:, [HIGH, LOW, CLOSE]] != was[:, [HIGH, LOW, CLOSE]]).all()
    assert (bar[:, LOW] <= bar[:, [OPEN, CLOSE]].min(axis=1)).all()
    assert (bar[:, HIGH] >= bar[:, [OPEN, CLOSE]].max(axis=1)).all()


def test_another_signal_leaves_the_past_alone(random_bars: MakeBars) -> None:
    n = (10, 2)
    rng = np.random.default_rng(0)
    signal = Signal(
        side=rng.choice(np.array([-1, 1], np.int8), n),
        proba=rng.dirichlet([1, 1, 1], n),
        confidence=rng.random(n),
        consensus=rng.random(n),
        live_members=np.ones(n, np.int8),
        atr=rng.random(n),
        target=rng.random(n),
    )
    other = another_signal(signal, 4)
    for name in ("side", "proba", "confidence", "atr", "target"):
        assert np.array_equal(getattr(other, name)[:4], getattr(signal, name)[:4])
        assert (getattr(other, name)[4:] != getattr(signal, name)[4:]).any()
    assert other.stop_distance is None


def test_futures_begin_inside_hours_and_inside_the_range(random_bars: MakeBars) -> None:
    bars = random_bars(n_bars=2_000)
    rows = cuts(bars, 100, 1_900, 12, 0)
    assert len(rows) == 12
    assert 100 <= min(rows) < max(rows) < 1_900
    assert all(bars.open_time_ms[row] % 3_600_000 for row in rows)
    assert cuts(bars, 5, 5, 3, 0) == []
    assert cuts(bars, 100, 1_900, 12, 1) != rows == cuts(bars, 100, 1_900, 12, 0)


def test_values_differ_bit_for_bit_and_nan_is_nan(random_bars: MakeBars) -> None:
    a = np.array([[1.0, np.nan], [0.1 + 0.2, 2.0]])
    b = np.array([[1.0, np.nan], [0.3, 2.0]])
    assert differs(a, b).tolist() == [[False, False], [True, False]]
    assert differs(a, b[:1]).all()
    assert differs(None, a).all()
    assert not differs(None, None).any()
    assert "row 8 " in first_difference(random_bars(), differs(a, b), 7)
