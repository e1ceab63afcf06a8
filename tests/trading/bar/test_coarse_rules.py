"""Steps of price and size that are too coarse for the price or the order at hand: they count as unknown.

Venues change their rules as prices change. docs/simulation.md, "Today's rules on yesterday's prices".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import OrderReason, RiskEvent, Simulation
from quantlab.trading.account.matching import (
    budget,
    fill_price,
    stop_level,
    take_level,
    usable_lot,
    usable_notional,
    usable_tick,
)

NAN, INF = float("nan"), float("inf")
SHIPPED = {"coarsest_tick": 0.001, "coarsest_order_usd": 1000.0}
FLAT = (100.0, 100.0, 100.0, 100.0, 1e9)

Play = Callable[..., Simulation]
Market = Callable[..., Bars]
Free = Callable[..., Instrument]


def at(price: float, low: float = 1.0, high: float = 1.0) -> tuple[float, ...]:
    """A bar that opens and closes at a price; low and high as multiples of it."""
    return (price, price * high, price * low, price, 1e12)


def test_a_tick_counts_up_to_a_share_of_the_price_that_it_rounds() -> None:
    assert usable_tick(0.1, 100.0, 0.001) == 0.1
    assert usable_tick(0.1, np.nextafter(100.0, 0.0), 0.001) == 0.0
    assert usable_tick(1.0, 1.0, 1.0) == 1.0
    for no_price in (0.0, -5.0, NAN, -INF):
        assert usable_tick(0.1, no_price, 0.001) == 0.0
    assert usable_tick(0.1, INF, 0.001) == 0.1


def test_a_lot_counts_up_to_what_it_is_worth_and_a_smallest_notional_up_to_itself() -> None:
    assert usable_lot(10.0, 100.0, 1000.0) == 10.0
    assert usable_lot(10.0, np.nextafter(100.0, 101.0), 1000.0) == 0.0
    assert usable_lot(10.0, NAN, 1000.0) == 0.0
    assert usable_notional(1000.0, 1000.0) == 1000.0
    assert usable_notional(np.nextafter(1000.0, 1001.0), 1000.0) == 0.0


def test_a_fill_is_judged_after_its_slippage() -> None:
    # 100 x 0.9998 = 99.98: a tick of 0.09999 is more than 0.1 % of it, and less than 0.1 % of 100
    assert fill_price(-1.0, 100.0, 0.0002, 0.09999, 0.001) == 100.0 * (1.0 - 0.0002)
    assert fill_price(-1.0, 100.0, 0.0, 0.09999, 0.001) == 1000 * 0.09999
    # 99.99 x 1.0002 = 100.01: a tick of 0.1 is within 0.1 % of it, and not of 99.99
    assert fill_price(1.0, 99.99, 0.0002, 0.1, 0.001) == 1001 * 0.1
    assert fill_price(1.0, 99.99, 0.0, 0.1, 0.001) == 99.99


def test_a_level_is_judged_after_its_distance() -> None:
    assert stop_level(1.0, 101.0, 0.95, 0.1, 0.001) == 1000 * 0.1  # 100.05, down
    assert stop_level(1.0, 101.0, 1.05, 0.1, 0.001) == 101.0 - 1.05
    assert stop_level(-1.0, 99.0, 1.05, 0.1, 0.001) == 1001 * 0.1  # 100.05, up
    assert stop_level(-1.0, 99.0, 0.95, 0.1, 0.001) == 99.0 + 0.95
    assert take_level(1.0, 99.0, 1.05, 0.1, 0.001) == 1001 * 0.1
    assert take_level(-1.0, 101.0, 1.05, 0.1, 0.001) == 101.0 - 1.05
    assert stop_level(1.0, 1.0, 3.0, 0.1, 1.0) == -2.0  # no price, so no step of prices either
    assert stop_level(1.0, 1.0, INF, 0.1, 1.0) == -INF


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_todays_tick_makes_no_fortune_of_yesterdays_prices(market: Market, play: Play, free: Free, side: float) -> None:
    """A tick of 0.01 at a price of 1e-5: a sell at one tick took a thousand times the price."""
    rows = [at(1e-5 * (1.0 + 0.001 * (i % 3)), 0.999, 1.001) for i in range(12)]
    found = play(
        market(rows, instrument=free(tick=0.01, lot=0.001, min_notional=5.0)),
        target=[0.1 * side, 0.0] * 6,
        stop_distance=INF,
        take_distance=INF,
        costs={**SHIPPED, "slippage_bps": 2.0},
    )
    assert len(found.orders) == 11
    slipped = np.where(found.orders["side"] == 0, 1.0002, 0.9998)
    opens = np.array(rows)[found.orders["idx"], 0]
    assert found.orders["price"].tolist() == pytest.approx((opens * slipped).tolist(), rel=1e-15)
    assert 9_950.0 < found.equity[-1] < 10_050.0


@pytest.mark.parametrize(
    ("tick", "buy", "sell"),
    [(0.0997, 1006 * 0.0997, 1000 * 0.0997), (0.1, 1003 * 0.1, 99.75), (0.11, 100.25, 99.75)],
)
def test_a_tick_just_within_and_beyond_its_share(
    market: Market, play: Play, free: Free, tick: float, buy: float, sell: float
) -> None:
    """Slipped by 25 bps a buy is at 100.25 and a sell at 99.75, of which 0.1 is more than a thousandth: each is judged by itself."""
    found = play(
        market([FLAT] * 4, instrument=free(tick=tick)),
        target=[0.1, 0.0, NAN, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs={**SHIPPED, "slippage_bps": 25.0},
    )
    assert found.orders["price"].tolist() == pytest.approx([buy, sell], rel=1e-15)


LEVELS: dict[str, tuple[dict[str, Any], list[tuple[float, ...]], str, float]] = {
    # of a long from 100; tick 0.3 is unknown at each of these prices
    "stop": ({"stop_distance": 2.17}, [(100.0, 100.0, 97.0, 99.0, 1e9)], "STOP", 100.0 - 2.17),
    "take-profit": ({"take_distance": 4.17}, [(100.0, 105.0, 100.0, 104.0, 1e9)], "TAKE_PROFIT", 100.0 + 4.17),
    "trailing stop": (
        {"trail_distance": 2.17},
        [(100.0, 103.01, 100.0, 103.0, 1e9), (103.0, 103.0, 100.0, 101.0, 1e9)],
        "STOP",
        103.01 - 2.17,
    ),
    "break-even trigger": (  # 101.17; to the tick it would be 101.4
        {"break_even_distance": 1.17},
        [(100.0, 101.2, 100.0, 101.0, 1e9), (101.0, 101.0, 99.0, 100.0, 1e9)],
        "STOP",
        100.0,
    ),
}


@pytest.mark.parametrize("case", LEVELS)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_level_is_not_rounded_to_an_unknown_tick(
    market: Market, play: Play, free: Free, case: str, side: float
) -> None:
    distances, rows, reason, price = LEVELS[case]
    rows = [FLAT, FLAT, *rows]
    if side < 0.0:
        rows = [(200.0 - o, 200.0 - low, 200.0 - high, 200.0 - c, v) for o, high, low, c, v in rows]
        price = 200.0 - price
    found = play(
        market(rows, instrument=free(tick=0.3)),
        target=[0.1 * side, *[NAN] * (len(rows) - 1)],
        **{"stop_distance": INF, "take_distance": INF, **distances},
        costs=SHIPPED,
    )
    assert [OrderReason(r).name for r in found.reasons] == ["SIGNAL", reason]
    assert found.orders["price"][1] == pytest.approx(price, rel=1e-15)


def test_a_break_even_stop_is_not_rounded_to_an_unknown_tick(market: Market, play: Play, free: Free) -> None:
    entry = 100.13
    rows = [
        at(entry),
        at(entry),
        (entry, 103.0, entry, 102.0, 1e9),
        (102.0, 102.0, 99.0, 100.0, 1e9),
    ]
    given = {"target": [0.1, NAN, NAN, NAN], "stop_distance": INF, "take_distance": INF, "break_even_distance": 1.0}
    prices = [
        play(market(rows, instrument=free(tick=0.3)), costs={"coarsest_tick": share}, **given).orders["price"][1]
        for share in (0.001, 0.01)
    ]
    assert prices == [entry, 334 * 0.3]  # bought at 334 ticks where the tick is known


def test_a_liquidation_is_not_rounded_to_an_unknown_tick(market: Market, play: Play, free: Free) -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 50.17, 60.0, 1e9)]
    found = play(
        market(rows, instrument=free(tick=0.3, maintenance_margin_rate=0.03)),
        target=[2.0, NAN, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs=SHIPPED,
    )
    assert found.events["kind"].tolist() == [RiskEvent.LIQUIDATION]
    assert found.orders["price"].tolist() == [100.0, 50.17]


@pytest.mark.parametrize(("lot", "size"), [(10.0, 20.0), (10.1, 25.5)])
def test_an_order_is_not_rounded_to_a_lot_that_is_worth_too_much(
    market: Market, play: Play, free: Free, lot: float, size: float
) -> None:
    """25.5 units are wanted at 100; ten of them are worth just 1,000 USD."""
    found = play(
        market([FLAT, FLAT], instrument=free(lot=lot)),
        target=[0.255, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs=SHIPPED,
    )
    assert found.orders["size"].tolist() == [size]
    assert found.cuts["lot"] == 0


@pytest.mark.parametrize(("close", "size"), [(100.0, 6.0), (100.01, 6.0 - 500.0 / 100.01)])
def test_a_reduction_uses_the_lot_that_its_mark_knows(
    market: Market, play: Play, free: Free, close: float, size: float
) -> None:
    """The bar of the decision has no close: the position is reduced at its mark."""
    gone = (NAN, NAN, NAN, NAN, NAN)
    known = market([FLAT, FLAT, (100.0, max(close, 100.0), 100.0, close, 1e9), gone, FLAT], instrument=free(lot=10.0))
    found = play(
        known,
        target=[0.10, NAN, NAN, 0.05, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs=SHIPPED,
    )
    kept = 10.0 - found.orders["size"][1:].sum()
    worth = 10_000.0 + 10.0 * (close - 100.0)
    if close == 100.0:  # 5 units are less than one lot: nothing happens
        assert (kept, found.cuts["lot"]) == (10.0, 1)
    else:
        assert (kept, found.cuts["lot"]) == (pytest.approx(0.05 * worth / close), 0)


@pytest.mark.parametrize(("open_", "filled"), [(100.0, [20.0]), (101.0, [25.0])])
def test_the_budget_uses_the_lot_that_its_open_knows(
    market: Market, play: Play, free: Free, open_: float, filled: list[float]
) -> None:
    thin = (open_, 101.0, 100.0, 100.0, 100.0)  # a quarter of its volume: 25
    found = play(
        market([FLAT, FLAT, thin], instrument=free(lot=10.0)),
        target=[0.4, 0.0, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs={**SHIPPED, "participation": 0.25},
    )
    assert found.orders["size"].tolist() == [40.0, *filled]
    assert found.cuts["participation"] == 1


def test_a_position_can_close_where_its_lot_is_unknown(market: Market, play: Play, free: Free) -> None:
    """A lot of 1,000 units at 1.20 USD: a known one would leave no bar of 900 units any budget at all."""
    rows = [(1.0, 1.0, 1.0, 1.0, 1e9), (1.0, 1.0, 1.0, 1.0, 1e9), *[(1.2, 1.2, 1.2, 1.2, 900.0)] * 4]
    costs = {"participation": 1.0}
    given = {"target": [0.2, 0.0, *[NAN] * 4], "stop_distance": INF, "take_distance": INF}
    bars = market(rows, instrument=free(lot=1000.0))
    stuck = play(bars, costs={**costs, "coarsest_order_usd": 1e6}, **given)
    assert stuck.units[0] == 2000.0
    found = play(bars, costs={**costs, **SHIPPED}, **given)
    assert found.orders["size"].tolist() == [2000.0, 900.0, 900.0, 200.0]
    assert found.units[0] == 0.0


@pytest.mark.parametrize(("smallest", "orders", "cuts"), [(1000.0, 0, 1), (1000.01, 1, 0)])
def test_a_smallest_notional_that_is_too_large_is_none(
    market: Market, play: Play, free: Free, smallest: float, orders: int, cuts: int
) -> None:
    found = play(
        market([FLAT, FLAT], instrument=free(min_notional=smallest)),
        target=[0.05, NAN],
        stop_distance=INF,
        take_distance=INF,
        costs=SHIPPED,
    )
    assert (len(found.orders), found.cuts["min_notional"]) == (orders, cuts)


def test_what_cannot_be_a_share_or_an_amount_is_refused(strategy: Callable[..., Any]) -> None:
    for wrong in ({"coarsest_tick": 0.0}, {"coarsest_tick": 1.1}, {"coarsest_order_usd": 0.0}, {"coarsest_tick": NAN}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            strategy(costs=wrong)


def test_the_lot_of_the_budget_by_hand() -> None:
    assert budget(0.25, 100.0, 0.0, usable_lot(10.0, 100.0, 1000.0)) == 20.0
    assert budget(0.25, 100.0, 0.0, usable_lot(10.0, 100.1, 1000.0)) == 25.0
