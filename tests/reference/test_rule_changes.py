"""Trading rules that change at a date, in a few bars by hand, in product and reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plain_markets import MIDNIGHT_MS
from plain_scenes import FREE, KEEP, NO_COSTS, Play, Rows, flat_bars, still

from quantlab.core.market import VOLUME, Bars, Instrument, RuleChange
from quantlab.core.results import OrderReason

STEP_MS = 300_000


def changing(bars: Bars, *changes: tuple[float, Instrument], symbol: str = "S0") -> Bars:
    """`bars` with new rules from the bar on whose number goes before them; half a bar is between two opens."""
    dated = (RuleChange(MIDNIGHT_MS + round(row * STEP_MS), symbol, instrument) for row, instrument in changes)
    return dataclasses.replace(bars, rule_changes=tuple(dated))


def rules(**changes: Any) -> Instrument:
    return dataclasses.replace(FREE, **changes)


@pytest.mark.parametrize(
    ("at", "prices"), [(1.0, [101.0, 100.0]), (1.5, [100.5, 100.0]), (2.0, [100.5, 100.0]), (3.0, [100.5, 100.5])]
)
def test_fills_have_the_tick_of_their_own_bar(play: Play, at: float, prices: list[float]) -> None:
    """Bought in bar 1 and sold in bar 2, at an open of 100.5."""
    bars = changing(flat_bars([still(100.5, 3)], rules(tick=0.5)), (at, rules(tick=1.0)))
    result = play(bars, [[0.1, 0.0, KEEP]], dataclasses.replace(NO_COSTS, coarsest_tick=1.0))
    assert result.orders["price"].tolist() == prices


def test_fees_change_with_the_rules(play: Play) -> None:
    bars = changing(flat_bars([still(100.0, 3)], rules(taker_fee_bps=5.0)), (2, rules(taker_fee_bps=20.0)))
    result = play(bars, [[0.1, 0.0, KEEP]])
    assert result.orders["fees"].tolist() == [pytest.approx(0.5), pytest.approx(2.0)]


def test_a_decision_has_the_rules_of_its_bar(play: Play) -> None:
    """Decided at the close of bar 1, in lots of three; filled in bar 2, where a lot is seven."""
    bars = changing(flat_bars([still(100.0, 4)], FREE), (1, rules(lot=3.0)), (2, rules(lot=7.0)))
    assert play(bars, [[KEEP, 0.1, KEEP, KEEP]]).units.tolist() == [9.0]
    assert play(bars, [[KEEP, KEEP, 0.1, KEEP]]).units.tolist() == [7.0]
    assert play(bars, [[0.1, KEEP, KEEP, KEEP]]).units.tolist() == [10.0]


def test_a_budget_has_the_lot_of_its_bar(play: Play) -> None:
    bars = changing(flat_bars([still(100.0, 3)], FREE), (1, rules(lot=3.0)))
    ohlcv = bars.ohlcv.copy()
    ohlcv[1, 0, VOLUME] = 50.0
    costs = dataclasses.replace(NO_COSTS, participation=0.1)
    assert play(dataclasses.replace(bars, ohlcv=ohlcv), [[0.1, KEEP, KEEP]], costs).units.tolist() == [3.0]


def test_a_smallest_order_binds_from_its_date_on(play: Play) -> None:
    bars = changing(flat_bars([still(100.0, 4)], FREE), (2, rules(min_notional=600.0)))
    assert len(play(bars, [[KEEP, 0.05, KEEP, KEEP]]).orders) == 1
    assert len(play(bars, [[KEEP, KEEP, 0.05, KEEP]]).orders) == 0


def test_levels_that_stand_keep_their_prices(play: Play) -> None:
    """A stop at 95.1 on a grid of 0.1; then the tick is 1. It is reached at 95.1, and the fill is rounded to 95."""
    rows: Rows = [*still(100.0, 2), (100.0, 100.0, 95.2, 100.0), (100.0, 100.0, 95.1, 100.0)]
    bars = changing(flat_bars([rows], rules(tick=0.1)), (2, rules(tick=1.0)))
    costs = dataclasses.replace(NO_COSTS, coarsest_tick=1.0)
    result = play(bars, [[0.1, KEEP, KEEP, KEEP]], costs, stop_distance=[[4.9] * 4])
    assert result.orders["idx"].tolist() == [1, 3]
    assert result.orders["price"].tolist() == [100.0, 95.0]


def test_the_maintenance_rate_is_the_one_of_the_bar(play: Play) -> None:
    bars = changing(flat_bars([still(100.0, 4)], FREE), (2, rules(maintenance_margin_rate=0.5)))
    result = play(bars, [[3.0, KEEP, KEEP, KEEP]])
    assert result.orders["idx"].tolist() == [1, 2]
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.LIQUIDATION]


def test_a_delisting_pays_the_fee_of_its_bar(play: Play) -> None:
    rows: Rows = [*still(100.0, 2), *[(float("nan"),) * 4] * 2]
    bars = changing(flat_bars([rows], FREE), (3, rules(taker_fee_bps=30.0)))
    result = play(bars, [[0.1, KEEP, KEEP, KEEP]], dataclasses.replace(NO_COSTS, delisted_after_bars=2))
    assert result.orders["fees"].tolist() == [0.0, pytest.approx(3.0)]


def test_only_the_named_symbol_changes(play: Play) -> None:
    bars = changing(flat_bars([still(100.5, 2), still(100.5, 2)], FREE), (1, rules(tick=1.0)), symbol="S1")
    result = play(bars, [[0.1, KEEP], [0.1, KEEP]], dataclasses.replace(NO_COSTS, coarsest_tick=1.0))
    assert result.orders["price"].tolist() == [100.5, 101.0]


def test_a_slice_has_the_rules_of_its_own_first_row(play: Play) -> None:
    whole = changing(flat_bars([still(100.5, 6)], FREE), (2, rules(tick=1.0)), (4, rules(tick=0.2)))
    costs = dataclasses.replace(NO_COSTS, coarsest_tick=1.0)
    for start, prices in ((1, [101.0, 101.0]), (2, [101.0, 100.6]), (3, [100.6, 100.6])):
        part = whole.rows(start, start + 3)
        result = play(part, [[0.1, 0.2, KEEP]], costs)
        assert result.orders["price"].tolist() == pytest.approx(prices), start
