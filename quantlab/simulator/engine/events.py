"""Events of accounts, for the user streams; the surface gives them the wire's shape."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from quantlab.simulator.engine.values import AlgoOrder, Order, Position, Trade


class Execution(StrEnum):
    """Kind of an order's change (the wire's ``x``)."""

    NEW = "NEW"
    TRADE = "TRADE"
    CALCULATED = "CALCULATED"  # a trade of a liquidation or of ADL
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    AMENDMENT = "AMENDMENT"


class AccountReason(StrEnum):
    """Cause of an account update (the wire's ``m``)."""

    ORDER = "ORDER"
    FUNDING_FEE = "FUNDING_FEE"
    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"


class OrderUpdate(NamedTuple):
    """ORDER_TRADE_UPDATE: a plain order as it stands after a change, with the trade that changed it."""

    account: str
    time_ms: int
    execution: Execution
    order: Order
    trade: Trade | None


class AlgoUpdate(NamedTuple):
    """ALGO_UPDATE: a conditional order as it stands after a change.

    Parameters
    ----------
    account : str
    time_ms : int
    order : AlgoOrder
    reason : str
        Why one was not taken on trigger.
    became : Order or None
        The plain order that came of it, as it stands.
    """

    account: str
    time_ms: int
    order: AlgoOrder
    reason: str
    became: Order | None


class TriggerRejected(NamedTuple):
    """CONDITIONAL_ORDER_TRIGGER_REJECT: a triggered order that the plain book refused."""

    account: str
    time_ms: int
    order: AlgoOrder
    code: int
    message: str


class AccountUpdate(NamedTuple):
    """ACCOUNT_UPDATE: the wallet and the positions that changed.

    Parameters
    ----------
    account : str
    time_ms : int
    reason : AccountReason
    wallet, change : Decimal
        USD; `change` leaves out profits and fees of trades, as the wire's ``bc`` does.
    positions : tuple of Position
    """

    account: str
    time_ms: int
    reason: AccountReason
    wallet: Decimal
    change: Decimal
    positions: tuple[Position, ...]


class LeverageUpdate(NamedTuple):
    """ACCOUNT_CONFIG_UPDATE: a symbol's leverage."""

    account: str
    time_ms: int
    symbol: str
    leverage: int


class CalledPosition(NamedTuple):
    """A position of a margin call, the price at which it was judged, and its maintenance margin there (USD)."""

    position: Position
    price: Decimal
    maintenance: Decimal


class MarginCall(NamedTuple):
    """MARGIN_CALL: the account's margin is nearly used up, or it is liquidated."""

    account: str
    time_ms: int
    wallet: Decimal
    positions: tuple[CalledPosition, ...]


Event = OrderUpdate | AlgoUpdate | TriggerRejected | AccountUpdate | LeverageUpdate | MarginCall
