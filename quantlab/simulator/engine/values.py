"""Frozen records that the venue hands out: orders of both books, trades, income, positions.

Sizes are whole grid lots and prices whole grid ticks (``int``); :class:`~quantlab.simulator.engine.listing.Listing` says what one is
worth. Money is ``Decimal`` USD, rounded to :data:`MONEY` once, where it arises, so that what the wire shows adds up exactly.

They are named tuples: an order is copied at each change, which takes a frozen dataclass four times as long.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import NamedTuple

#: The last decimal of every amount of money.
MONEY = Decimal("0.00000001")
ZERO = Decimal(0)
MARGIN_ASSET = "USDT"


class Side(IntEnum):
    """Side of an order; its value is the sign of what it does to a position."""

    BUY = 1
    SELL = -1


class OrderType(StrEnum):
    """Kind of an order; all but the first two live in the conditional book."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"


class TimeInForce(StrEnum):
    """Life of a limit order."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"  # post only
    GTD = "GTD"


class WorkingType(StrEnum):
    """Price that a trigger looks at."""

    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


class OrderStatus(StrEnum):
    """State of a plain order; the last three and FILLED are final."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class AlgoStatus(StrEnum):
    """State of a conditional order; NEW rests, TRIGGERED has become a plain order that is not final yet."""

    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Origin(StrEnum):
    """Author of an order."""

    CLIENT = "client"
    HUMAN = "human"  # the account's owner, by hand
    TRIGGER = "trigger"  # a conditional order that fired
    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"  # the end of a symbol


class Order(NamedTuple):
    """A plain order as it stands; a change makes a new record.

    Parameters
    ----------
    order_id : int
        One counter for all orders of the venue, rising.
    client_id : str
    account, symbol : str
    side, type, time_in_force : enums
        GTC for MARKET.
    lots : int
        Asked for, > 0, after a reduce-only order was cut.
    price_ticks : int
        0 for MARKET.
    reduce_only, close_position : bool
        The latter on what a close-position stop became.
    status : OrderStatus
    filled_lots : int
    filled_value : int
        Sum of lots x ticks of its trades; divided by `filled_lots` the mean price in ticks.
    created_ms, updated_ms : int
        Venue time.
    good_till_ms : int
        For GTD, else 0.
    origin : Origin
    algo_id : int
        The conditional order that it comes from, else 0.
    asked_type : OrderType
        Type of that order (the wire's ``origType``), else `type`.
    """

    order_id: int
    client_id: str
    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    lots: int
    price_ticks: int
    reduce_only: bool
    close_position: bool
    status: OrderStatus
    filled_lots: int
    filled_value: int
    created_ms: int
    updated_ms: int
    good_till_ms: int
    origin: Origin
    algo_id: int
    asked_type: OrderType

    @property
    def left(self) -> int:
        """Lots that are not filled."""
        return self.lots - self.filled_lots


class AlgoOrder(NamedTuple):
    """A conditional order as it stands; a change makes a new record.

    Parameters
    ----------
    algo_id : int
        A counter of its own, rising, beyond all ids of the plain book.
    client_id : str
        The wire's ``clientAlgoId``.
    account, symbol : str
    side, type, time_in_force : enums
    lots : int
        0 for `close_position`.
    price_ticks : int
        Limit price of STOP and TAKE_PROFIT, else 0.
    trigger_ticks : int
        Of a trailing stop: the level that follows, 0 until it is active.
    working_type : WorkingType
    reduce_only, close_position : bool
    activate_ticks : int
        A trailing stop begins to follow there; 0: at once.
    callback : Decimal
        Distance of a trailing stop as a share of the extreme, else 0.
    extreme_ticks : int
        Best price since a trailing stop is active, else 0.
    good_till_ms : int
    status : AlgoStatus
    order_id : int
        The plain order that it became (the wire's ``ai``), else 0.
    created_ms, updated_ms, triggered_ms : int
    origin : Origin
    """

    algo_id: int
    client_id: str
    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    lots: int
    price_ticks: int
    trigger_ticks: int
    working_type: WorkingType
    reduce_only: bool
    close_position: bool
    activate_ticks: int
    callback: Decimal
    extreme_ticks: int
    good_till_ms: int
    status: AlgoStatus
    order_id: int
    created_ms: int
    updated_ms: int
    triggered_ms: int
    origin: Origin


class Trade(NamedTuple):
    """One fill of one order.

    Parameters
    ----------
    trade_id : int
        One counter for all trades of the venue, rising; so it rises within a symbol, too.
    order_id : int
    account, symbol : str
    side : Side
    lots, price_ticks : int
    fee, realised : Decimal
        USD; a fee is paid, realised profit is received.
    maker : bool
    time_ms : int
    """

    trade_id: int
    order_id: int
    account: str
    symbol: str
    side: Side
    lots: int
    price_ticks: int
    fee: Decimal
    realised: Decimal
    maker: bool
    time_ms: int


class IncomeType(StrEnum):
    """Cause of a change of the wallet."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"  # the fee of a liquidation


class Income(NamedTuple):
    """One change of the wallet; all of them add up to it.

    Parameters
    ----------
    tran_id : int
        One counter, rising.
    account : str
    symbol : str
        Empty for a transfer.
    type : IncomeType
    amount : Decimal
        USD, received is positive.
    time_ms : int
    trade_id : int
        0 where no trade caused it.
    """

    tran_id: int
    account: str
    symbol: str
    type: IncomeType
    amount: Decimal
    time_ms: int
    trade_id: int


class Position(NamedTuple):
    """A position; flat is `lots` 0.

    Parameters
    ----------
    symbol : str
    lots : int
        Signed.
    cost : Decimal
        Signed USD: units x average entry price. Exact but for the rounding of realised profits.
    updated_ms : int
    realised : Decimal
        USD: sum of all profits of the symbol, before fees.
    """

    symbol: str
    lots: int
    cost: Decimal
    updated_ms: int
    realised: Decimal = ZERO


class PositionView(NamedTuple):
    """A position valued at the mark; all amounts USD or USD per unit.

    Parameters
    ----------
    symbol : str
    lots : int
    entry_price, mark_price : Decimal
        Entry is 0 when flat.
    unrealised, notional : Decimal
        `notional` is signed.
    leverage : int
    initial_margin, order_margin, maintenance_margin : Decimal
        Of the position, and what open orders may add to it.
    liquidation_price : Decimal
        At which the account, all other marks as they are, is liquidated; 0 where there is none.
    updated_ms : int
    """

    symbol: str
    lots: int
    entry_price: Decimal
    mark_price: Decimal
    unrealised: Decimal
    notional: Decimal
    leverage: int
    initial_margin: Decimal
    order_margin: Decimal
    maintenance_margin: Decimal
    liquidation_price: Decimal
    updated_ms: int


class WalletView(NamedTuple):
    """An account's money, USD.

    Parameters
    ----------
    wallet : Decimal
        Sum of all incomes.
    unrealised : Decimal
        At the marks.
    margin_balance : Decimal
        `wallet` + `unrealised`: the equity.
    position_margin, order_margin : Decimal
        Initial margins.
    maintenance_margin : Decimal
    available : Decimal
        For new orders, at least 0.
    updated_ms : int
    """

    wallet: Decimal
    unrealised: Decimal
    margin_balance: Decimal
    position_margin: Decimal
    order_margin: Decimal
    maintenance_margin: Decimal
    available: Decimal
    updated_ms: int

    @property
    def withdrawable(self) -> Decimal:
        """The part that may leave the wallet: profits that are not realised stay."""
        return max(min(self.available, self.wallet), ZERO)
