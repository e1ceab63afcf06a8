"""Ticks, lots and smallest orders that are too coarse for a price, in a few bars by hand, in product and reference."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable

import pytest
from plain_markets import Case, random_case
from plain_scenes import FREE, HOLE, KEEP, NO_COSTS, Play, Rows, flat_bars, still
from plain_unknown import told

from quantlab.core.market import VOLUME
from quantlab.core.results import OrderReason, Simulation
from quantlab.evaluation.statistics.unknown_rules import unknown_rules

#: A tick that is exactly this share of 128 is known there, and unknown below.
EIGHTH = dataclasses.replace(FREE, tick=0.125)
SHARE = dataclasses.replace(NO_COSTS, coarsest_tick=1.0 / 1024.0)
DEAR = dataclasses.replace(FREE, lot=10.0)


def test_a_short_at_a_thousandth_of_a_tick_fills_at_its_price(play: Play) -> None:
    """Once it filled at one tick of 0.01, and 10,000 USD became a million."""
    bars = flat_bars([still(1e-5, 4)], dataclasses.replace(FREE, tick=0.01))
    result = play(bars, [[-0.1, KEEP, 0.0, KEEP]])
    assert result.orders["price"].tolist() == [1e-5, 1e-5]
    assert result.equity.tolist() == pytest.approx([10_000.0] * 4)


@pytest.mark.parametrize(
    ("open_", "bought", "sold"), [(128.05, 128.125, 128.0), (128.0, 128.0, 128.0), (127.95, 127.95, 127.95)]
)
def test_a_tick_is_known_up_to_its_share_of_the_price(play: Play, open_: float, bought: float, sold: float) -> None:
    bars = flat_bars([still(open_, 3)], EIGHTH)
    result = play(bars, [[0.1, 0.0, KEEP]], SHARE)
    assert result.orders["price"].tolist() == [bought, sold]


def test_the_slipped_price_is_judged(play: Play) -> None:
    """127.95 slipped by ten basis points is 128.07795 for a buy, which has a tick, and 127.82205 for a sell."""
    bars = flat_bars([still(127.95, 3)], EIGHTH)
    result = play(bars, [[0.1, 0.0, KEEP]], dataclasses.replace(SHARE, slippage_bps=10.0))
    assert result.orders["price"].tolist() == [128.125, 127.95 * (1.0 - 10.0 / 10_000.0)]


def test_one_is_the_coarsest_share(play: Play) -> None:
    """A tick of the whole price is known; a larger one is not."""
    for tick, price in ((3.0, 3.0), (4.0, 3.5)):
        bars = flat_bars([still(3.5, 3)], dataclasses.replace(FREE, tick=tick))
        result = play(bars, [[KEEP, 0.1, KEEP]], dataclasses.replace(NO_COSTS, coarsest_tick=1.0))
        assert result.orders["price"].tolist() == [6.0 if price == 3.0 else 3.5]


def test_each_level_is_judged_by_itself(play: Play) -> None:
    """Bought at 128.125: the stop at 118.095 lies where the tick is unknown, the take-profit at 138.155 does not."""
    start: Rows = still(128.05, 2)
    distances = {"stop_distance": [[10.03] * 3], "take_distance": [[10.03] * 3]}
    down = play(flat_bars([[*start, (120.0, 120.0, 110.0, 110.0)]], EIGHTH), [[0.1, KEEP, KEEP]], SHARE, **distances)
    assert down.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.STOP]
    assert down.orders["price"].tolist() == [128.125, 128.125 - 10.03]
    up = play(flat_bars([[*start, (130.0, 140.0, 130.0, 140.0)]], EIGHTH), [[0.1, KEEP, KEEP]], SHARE, **distances)
    assert up.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.TAKE_PROFIT]
    assert up.orders["price"].tolist() == [128.125, 138.25]


@pytest.mark.parametrize(("distance", "stop"), [(1.03, 131.875), (10.03, 133.0 - 10.03)])
def test_a_trailing_stop_is_judged_where_it_moves_to(play: Play, distance: float, stop: float) -> None:
    """From a high of 133: 131.97 has a tick, 122.97 has none."""
    rows: Rows = [
        *still(128.0, 1),
        (128.0, 128.0, 128.0, 128.0),
        (132.0, 133.0, 132.0, 132.5),
        (132.5, 132.5, 120.0, 120.0),
    ]
    result = play(flat_bars([rows], EIGHTH), [[0.1, *[KEEP] * 3]], SHARE, trail_distance=[[distance] * 4])
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.STOP]
    assert result.orders["price"].tolist() == [128.0, stop]


def test_a_break_even_trigger_has_a_tick_where_its_stop_has_none(play: Play) -> None:
    """A long from 127.95, off the grid: the trigger at 128.97 becomes 129, and the stop stays at 127.95."""
    rows: Rows = [*still(127.95, 2), (128.0, 128.98, 128.0, 128.0), (128.0, 128.0, 127.0, 128.0)]
    rows += [(128.0, 129.0, 128.0, 129.0), (129.0, 129.0, 127.0, 127.0)]
    result = play(flat_bars([rows], EIGHTH), [[0.1, *[KEEP] * 5]], SHARE, break_even_distance=[[1.02] * 6])
    assert result.orders["idx"].tolist() == [1, 5]
    assert result.orders["price"].tolist() == [127.95, 127.95]


@pytest.mark.parametrize(("price", "units"), [(100.0, 10.0), (101.0, 1_230.0 / 101.0)])
def test_a_lot_is_known_up_to_what_it_is_worth(play: Play, price: float, units: float) -> None:
    result = play(flat_bars([still(price, 3)], DEAR), [[0.123, KEEP, KEEP]])
    assert result.units.tolist() == [pytest.approx(units)]


@pytest.mark.parametrize(("mark", "units"), [(100.0, 30.0), (101.0, 50.0 - (50.0 - 0.25 * 10_050.0 / 101.0))])
def test_without_a_close_the_mark_judges_the_lot(play: Play, mark: float, units: float) -> None:
    """Of 50 units a quarter of the equity is to stay: 25 less of them, or 20 in lots of ten."""
    rows: Rows = [*still(100.0, 1), (100.0, mark, 100.0, mark), HOLE, (mark,) * 4]
    result = play(flat_bars([rows], DEAR), [[0.5, KEEP, 0.25, KEEP]])
    assert result.units.tolist() == [pytest.approx(units)]


@pytest.mark.parametrize(("open_", "units"), [(100.0, 10.0), (100.5, 12.3)])
def test_the_open_judges_the_lot_of_a_budget(play: Play, open_: float, units: float) -> None:
    """A tenth of 123 units; the order of 50 was decided at a close of 100, in whole lots."""
    bars = flat_bars([[*still(100.0, 1), (open_, 101.0, 100.0, 101.0)]], DEAR)
    ohlcv = bars.ohlcv.copy()
    ohlcv[1, 0, VOLUME] = 123.0
    costs = dataclasses.replace(NO_COSTS, participation=0.1)
    result = play(dataclasses.replace(bars, ohlcv=ohlcv), [[0.5, KEEP]], costs)
    assert result.units.tolist() == [pytest.approx(units)]


@pytest.mark.parametrize(("coarsest", "fills"), [(999.0, 1), (1_000.0, 0)])
def test_a_smallest_order_above_the_largest_possible_one_is_unknown(play: Play, coarsest: float, fills: int) -> None:
    bars = flat_bars([still(100.0, 3)], dataclasses.replace(FREE, min_notional=1_000.0))
    result = play(bars, [[0.05, KEEP, KEEP]], dataclasses.replace(NO_COSTS, coarsest_order_usd=coarsest))
    assert len(result.orders) == fills
    assert result.cuts["min_notional"] == 1 - fills


def test_a_liquidation_has_the_tick_of_its_price(play: Play) -> None:
    """Three times the equity falls to 68.03, where a tick of 0.5 is unknown: the book is closed there, not at 68."""
    bars = flat_bars([[*still(100.0, 2), (100.0, 100.0, 68.03, 75.0)]], dataclasses.replace(FREE, tick=0.5))
    costs = dataclasses.replace(NO_COSTS, coarsest_tick=0.005)
    result = play(bars, [[3.0, KEEP, KEEP]], costs, stop_distance=[[math.inf] * 3])
    assert result.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.LIQUIDATION]
    assert result.orders["price"].tolist() == [100.0, 68.03]


def test_what_was_unknown_is_told(run_product: Callable[[Case], Simulation]) -> None:
    """Every traded bar, fill and symbol that the plain count finds, in markets whose rules change too."""
    totals: Counter[str] = Counter()
    for seed in range(150):
        case = random_case(seed)
        costs, result = case.strategy.costs, run_product(case)
        found = unknown_rules(
            result, case.bars, coarsest_tick=costs.coarsest_tick, coarsest_order_usd=costs.coarsest_order_usd
        )
        expected = told(case.bars, costs, result.orders[["idx", "col", "price"]].tolist())
        assert {name: (rule.bars, rule.fills, rule.symbols) for name, rule in found.items()} == {
            name: (rule.bars, rule.fills, rule.symbols) for name, rule in expected.items()
        }
        for name, rule in expected.items():
            totals.update({f"{name} bars": rule.bars, f"{name} fills": rule.fills})
    assert min(totals.values()) >= 100, totals
