"""A few bars for each point that `docs/simulation.md` lists under "one more word", in the product and in the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from plain_scenes import FREE, KEEP, Play, Rows, flat_bars, still

from quantlab.core.market import VOLUME, BarState
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading.strategy.policies import BuyAndHold
from quantlab.trading.strategy.strategy import Costs


def test_basis_points_are_divided_once_and_then_multiplied(play: Play) -> None:
    taxed = dataclasses.replace(FREE, taker_fee_bps=4.7)
    bars = flat_bars([still(97.3, 3)], taxed)
    order = play(bars, [[0.3, KEEP, KEEP]], Costs(slippage_bps=2.3, participation=None, liquidation_fee_bps=0.0)).orders
    price = 97.3 * (1.0 + 2.3 / 10_000.0)
    assert order["price"].tolist() == [price]
    assert order["fees"].tolist() == [order["size"][0] * price * (4.7 / 10_000.0)]


def test_a_liquidation_fee_is_divided_likewise(play: Play) -> None:
    bars = flat_bars([[*still(100.0, 2), (100.0, 100.0, 68.1, 68.1)]], FREE)
    costs = Costs(slippage_bps=0.0, participation=None, liquidation_fee_bps=127.0)
    result = play(bars, [[3.0, KEEP, KEEP]], costs, stop_distance=[[np.inf] * 3], take_distance=[[np.inf] * 3])
    assert result.reasons.tolist()[-1] == OrderReason.LIQUIDATION
    assert result.liquidation_fees[-1] == 300.0 * 68.1 * (127.0 / 10_000.0), "300 units were held"


def test_without_a_close_the_last_one_marks(play: Play) -> None:
    hole = (np.nan,) * 4
    bars = flat_bars([[(100.0,) * 4, (100.0, 100.0, 90.0, 90.0), hole, (80.0,) * 4]], FREE)
    ohlcv = bars.ohlcv.copy()
    ohlcv[2, 0, VOLUME] = np.nan
    result = play(dataclasses.replace(bars, ohlcv=ohlcv), [[0.5, KEEP, 0.2, KEEP]])
    assert result.equity.tolist() == [10_000.0, 9_500.0, 9_500.0, 9_000.0]
    # asked in the hole: 0.2 of 9,500 USD at the last close of 90
    assert result.orders["size"].tolist() == [50.0, pytest.approx(50.0 - 0.2 * 9_500.0 / 90.0)]
    assert result.stale_marks == 1


def test_an_increase_without_a_close_is_refused(play: Play) -> None:
    bars = flat_bars([[(100.0,) * 4, (np.nan,) * 4, (100.0,) * 4]], FREE)
    ohlcv = bars.ohlcv.copy()
    ohlcv[1, 0, VOLUME] = np.nan
    result = play(dataclasses.replace(bars, ohlcv=ohlcv), [[KEEP, 0.5, KEEP]])
    assert len(result.orders) == 0
    assert result.cuts["not_finite"] == 1


@pytest.mark.parametrize(("stop", "trail", "filled_at"), [(3.0, 2.0, 98.0), (2.0, 3.0, 98.0), (np.inf, 2.0, 98.0)])
def test_a_trailing_stop_starts_at_the_nearer_distance(play: Play, stop: float, trail: float, filled_at: float) -> None:
    bars = flat_bars([[(100.0,) * 4, (100.0, 100.0, 97.5, 99.0)]], FREE)
    distances = {"stop_distance": [[stop] * 2], "trail_distance": [[trail] * 2]}
    result = play(bars, [[0.5, KEEP]], **distances)
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.STOP]
    assert result.orders["price"][1] == filled_at


def test_break_even_is_at_the_average_entry_and_only_once(play: Play) -> None:
    """Opened at 100, doubled at 104: the trigger of 106 moves the stop to 102. The add at 108 leaves it there."""
    prices: Rows = [(100.0,) * 4, (100.0,) * 4, (104.0,) * 4, (104.0, 106.0, 104.0, 106.0)]
    prices += [(108.0,) * 4, (106.0, 106.0, 101.0, 101.0)]
    target = [[0.2, 0.4, KEEP, 0.6, KEEP, KEEP]]
    result = play(flat_bars([prices], FREE), target, break_even_distance=[[6.0] * 6], stop_distance=[[np.inf] * 6])
    assert result.reasons.tolist()[-1] == OrderReason.STOP
    size = result.orders["size"]
    assert result.orders["price"][-1] == pytest.approx((size[0] * 100.0 + size[1] * 104.0) / (size[0] + size[1]))
    assert result.orders["price"][-1] < 105.0  # the third fill at 108 moved the average, not the stop


def test_gross_leverage_scales_the_change_and_leaves_the_holding(play: Play) -> None:
    """50 units are held; 50 more are wanted of each symbol, and there is room for 50 in all."""
    bars = flat_bars([still(100.0, 3), still(100.0, 3)], FREE)
    result = play(bars, [[0.5, 1.0, KEEP], [KEEP, 0.5, KEEP]], max_gross_leverage=1.0)
    assert result.units.tolist() == [75.0, 25.0]
    assert result.cuts["max_gross_leverage"] == 2


def test_gross_leverage_scales_only_the_opening_leg_of_a_flip(play: Play) -> None:
    bars = flat_bars([still(100.0, 3)], FREE)
    result = play(bars, [[0.5, -2.0, KEEP]], max_gross_leverage=1.0)
    assert result.orders["size"].tolist() == [50.0, 50.0, 100.0]
    assert result.units.tolist() == [-100.0]


def test_a_book_over_its_limit_takes_the_excess_off_every_opening_leg(play: Play) -> None:
    """Two shorts of 50 units at 110 are worth 11,000 of an equity of 9,000: 2,000 too much.

    Both flip to 0.6 of equity and a third symbol opens. An opening leg may be worth 5,500 - 2,000, so that
    with the other short still whole, for want of any volume, 9,000 are held.
    """
    risen: Rows = [*still(100.0, 2), *still(110.0, 2)]
    bars = flat_bars([risen, risen, still(100.0, 4)], FREE)
    ohlcv = bars.ohlcv.copy()
    ohlcv[3, 0, VOLUME] = 0.0
    targets = [[-0.5, KEEP, 0.6, KEEP], [-0.5, KEEP, 0.6, KEEP], [KEEP, KEEP, 0.1, KEEP]]
    result = play(dataclasses.replace(bars, ohlcv=ohlcv), targets, max_gross_leverage=1.0)
    assert result.units.tolist() == [-50.0, pytest.approx(3_500.0 / 110.0), 0.0]
    assert result.gross[3] == pytest.approx(9_000.0)
    assert result.cuts["max_gross_leverage"] == 3


@pytest.mark.parametrize(("second", "held"), [(0.8, 40.0), (0.45, 25.0), (1.0, 50.0)])
def test_rollout_multiplies_what_would_be_held(play: Play, second: float, held: float) -> None:
    """Half of 50 is opened; then half of what is asked is held, and never less than before."""
    bars = flat_bars([still(100.0, 3)], FREE)
    result = play(bars, [[0.5, second, KEEP]], rollout=0.5)
    assert result.units.tolist() == pytest.approx([held])


def test_an_empty_book_with_negative_equity_is_not_liquidated(play: Play) -> None:
    """A short of twice the equity closes at four times the price, before any bar could be liquidated."""
    prices: Rows = [(100.0,) * 4, (100.0,) * 4, (400.0,) * 4, (400.0,) * 4]
    result = play(flat_bars([prices], FREE), [[-2.0, 0.0, 0.5, KEEP]])
    assert result.equity.tolist() == [10_000.0, 10_000.0, -50_000.0, -50_000.0]
    assert RiskEvent.LIQUIDATION not in result.events["kind"].tolist()
    assert result.cuts["not_finite"] == 1


@pytest.mark.parametrize("state", [BarState.ZERO_VOLUME, BarState.FILLED])
def test_buy_and_hold_waits_for_a_traded_bar(play: Play, state: BarState) -> None:
    bars = flat_bars([still(100.0, 5)], FREE)
    ohlcv, states = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:2, 0, VOLUME], states[:2] = 0.0, state
    result = play(dataclasses.replace(bars, ohlcv=ohlcv, state=states), None, policy=BuyAndHold())
    assert result.orders["idx"].tolist() == [3]
    assert sum(result.cuts.values()) == 0
