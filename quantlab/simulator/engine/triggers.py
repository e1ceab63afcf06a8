"""Conditions of conditional orders: pure functions of an order and of prices.

A stop fires on a touch of its level from the side where it loses, a take-profit on a touch from the side where it gains.
"""

from __future__ import annotations

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.matching import to_price
from quantlab.simulator.engine.values import AlgoOrder, OrderType, Side
from quantlab.trading.account.matching import round_down, round_up, stop_touched

STOP_TYPES = (OrderType.STOP, OrderType.STOP_MARKET, OrderType.TRAILING_STOP_MARKET)
GAIN_TYPES = (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_MARKET)


def is_trailing(kind: OrderType) -> bool:
    """Tell whether the trigger follows the price."""
    return kind is OrderType.TRAILING_STOP_MARKET


def fires_falling(kind: OrderType, side: Side) -> bool:
    """Tell whether an order fires at or below its level: stops that sell and take-profits that buy."""
    return (kind in STOP_TYPES) == (side is Side.SELL)


def would_fire(kind: OrderType, side: Side, price: float, level: float) -> bool:
    """Tell whether `price` is at the level or beyond it (-2021 for a new order).

    Parameters
    ----------
    kind : OrderType
    side : Side
    price, level : float
    """
    return is_touched(kind, side, price, price, level)


def is_touched(kind: OrderType, side: Side, low: float, high: float, level: float) -> bool:
    """Tell whether a range of prices reaches the level.

    Parameters
    ----------
    kind : OrderType
    side : Side
    low, high, level : float
    """
    return bool(stop_touched(1.0 if fires_falling(kind, side) else -1.0, low, high, level))


def price_when_fired(order: AlgoOrder, start: float, level: float) -> float:
    """The market's price when an order fires: its level, or the price at which the range began where that is beyond.

    For a stop the worse of the two, for a take-profit the better one.
    """
    return min(start, level) if fires_falling(order.type, order.side) else max(start, level)


def trails_at(listing: Listing, side: Side, extreme: float, callback: float) -> int:
    """Level of a trailing stop, rounded to the tick away from the market."""
    tick = float(listing.grid.tick) * listing.tick_step
    level = extreme * (1.0 - callback) if side is Side.SELL else extreme * (1.0 + callback)
    rounded = round_down(level, tick) if side is Side.SELL else round_up(level, tick)
    return round(float(rounded) / float(listing.grid.tick))


def follow(listing: Listing, order: AlgoOrder, low: float, high: float, now_ms: int) -> AlgoOrder:
    """A trailing stop after a range of prices: active once its activation price is touched, then after the best price.

    The best price is the last whole tick that was reached, so a range and its parts leave the same level.

    Parameters
    ----------
    listing : Listing
    order : AlgoOrder
        A trailing stop.
    low, high : float
    now_ms : int
    """
    selling = order.side is Side.SELL
    best = high if selling else low
    if order.extreme_ticks == 0 and order.activate_ticks:
        begins = to_price(listing, order.activate_ticks)
        if not (best >= begins if selling else best <= begins):
            return order
    tick = float(listing.grid.tick)
    extreme = round(float(round_down(best, tick) if selling else round_up(best, tick)) / tick)
    if order.extreme_ticks:
        extreme = max(extreme, order.extreme_ticks) if selling else min(extreme, order.extreme_ticks)
    if extreme == order.extreme_ticks:
        return order
    level = trails_at(listing, order.side, to_price(listing, extreme), float(order.callback))
    return order._replace(extreme_ticks=extreme, trigger_ticks=level, updated_ms=now_ms)
