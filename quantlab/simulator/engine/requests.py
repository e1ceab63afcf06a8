"""Requests to the venue: the surface has parsed the text, turned it into whole lots and ticks, and checked formats and permissions."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from quantlab.simulator.engine.values import (
    ZERO,
    AlgoOrder,
    Order,
    OrderType,
    Origin,
    Side,
    TimeInForce,
    Trade,
    WorkingType,
)


class OrderRequest(NamedTuple):
    """A plain order, LIMIT or MARKET; other types on the plain route are the surface's -4120.

    Parameters
    ----------
    symbol : str
        As on the wire, e.g. ``BTCUSDT``.
    side : Side
    type : OrderType
        LIMIT or MARKET.
    lots : int
        Grid lots.
    price_ticks : int
        Grid ticks; 0 for MARKET.
    time_in_force : TimeInForce
    reduce_only : bool
    client_id : str
        Empty: the venue makes one.
    good_till_ms : int
        GTD's end, venue time.
    """

    symbol: str
    side: Side
    type: OrderType
    lots: int
    price_ticks: int = 0
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    client_id: str = ""
    good_till_ms: int = 0


class ConditionalRequest(NamedTuple):
    """A conditional order (the wire's ``algoOrder``).

    Parameters
    ----------
    symbol : str
    side : Side
    type : OrderType
        Any but LIMIT and MARKET.
    trigger_ticks : int
        0 for a trailing stop.
    lots : int
        0 with `close_position`.
    price_ticks : int
        Limit price of STOP and TAKE_PROFIT.
    time_in_force : TimeInForce
        Of the limit order that STOP and TAKE_PROFIT become.
    working_type : WorkingType
    reduce_only, close_position : bool
    activate_ticks : int
        Of a trailing stop; 0: follows at once.
    callback : Decimal
        Of a trailing stop, as a share: 0.01 is 1 %.
    client_id : str
    good_till_ms : int
    """

    symbol: str
    side: Side
    type: OrderType
    trigger_ticks: int
    lots: int = 0
    price_ticks: int = 0
    time_in_force: TimeInForce = TimeInForce.GTC
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    reduce_only: bool = False
    close_position: bool = False
    activate_ticks: int = 0
    callback: Decimal = ZERO
    client_id: str = ""
    good_till_ms: int = 0


class Placed(NamedTuple):
    """A request that was taken: the order as it stands now, and what it traded at once."""

    order: Order
    trades: tuple[Trade, ...] = ()


class PlacedConditional(NamedTuple):
    """A conditional request that was taken."""

    order: AlgoOrder


class Author(NamedTuple):
    """Author of a request, and the client id's prefix where the venue makes one."""

    origin: Origin = Origin.CLIENT
    prefix: str = "auto_"


CLIENT = Author()
HUMAN = Author(Origin.HUMAN, "web_")
