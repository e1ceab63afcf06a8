"""Answers of a venue: one to each request, orders as they stand, positions, trades, payments.

They carry what came, without a judgement: its meaning for an order is decided by the rules of the execution.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from quantlab.core.venue.requests import Book


class OrderStatus(StrEnum):
    """The state of an order at the venue."""

    OPEN = "open"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    #: A conditional order that fired; `became` names the plain order that it became.
    TRIGGERED = "triggered"

    @property
    def is_final(self) -> bool:
        """True where nothing more will happen to it."""
        return self not in (OrderStatus.OPEN, OrderStatus.PARTLY_FILLED)


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as the venue shows it.

    Parameters
    ----------
    symbol : str
    client_id : str
        Of whoever sent it; not only ours.
    venue_id : str
        The venue's number of it, unique within its book.
    book : Book
    side : int
        +1 buy, -1 sell.
    status : OrderStatus
    lots : int or None
        None where it closes the whole position.
    filled_lots : int
    price_ticks, trigger_ticks : int or None
    reduce_only, close_position : bool
    updated_ms : int
        Venue time.
    became : str or None
        `venue_id` of the plain order that a conditional one became.
    """

    symbol: str
    client_id: str
    venue_id: str
    book: Book
    side: int
    status: OrderStatus
    lots: int | None
    filled_lots: int
    price_ticks: int | None
    trigger_ticks: int | None
    reduce_only: bool
    close_position: bool
    updated_ms: int
    became: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Whatever came back for one request; nothing is decided here.

    Parameters
    ----------
    status : int or None
        Of HTTP; None where there was no answer.
    code : int or None
        The venue's own, e.g. -2011; None where it sent none.
    message : str
        The venue's words, or what went wrong on the way; without keys and signatures.
    order : OrderState or None
        The order in it; None unless the answer is whole and can be read.
    sent_ms, received_ms : int
        Venue time, as far as it is known.
    retry_after_ms : int or None
        The wait that the venue asked for.
    """

    status: int | None
    code: int | None
    message: str
    order: OrderState | None
    sent_ms: int
    received_ms: int
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PositionState:
    """A position as the venue shows it.

    Parameters
    ----------
    symbol : str
    lots : int
        With its sign; not 0.
    entry_price : Decimal
        USD, mean of its fills.
    updated_ms : int
        Venue time of its last change.
    """

    symbol: str
    lots: int
    entry_price: Decimal
    updated_ms: int


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """Positions, both lists of open orders and the wallet, read together.

    Parameters
    ----------
    positions : tuple of PositionState
    orders : tuple of OrderState
        All open ones of both books, foreign ones too.
    wallet : Decimal
        USD of the margin asset, without the gain of open positions.
    asked_ms, answered_ms : int
        Venue time of the first request and of the last answer.
    """

    positions: tuple[PositionState, ...]
    orders: tuple[OrderState, ...]
    wallet: Decimal
    asked_ms: int
    answered_ms: int


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """One fill as the venue lists it.

    Parameters
    ----------
    symbol : str
    trade_id : str
        Unique within the symbol; the venue lists trades in its order.
    venue_id : str
        Of the plain order that traded.
    side : int
        +1 bought, -1 sold.
    lots, price_ticks : int
        > 0.
    fee : Decimal
        In `fee_asset`; > 0 is paid.
    fee_asset : str
    maker : bool
    time_ms : int
        Venue time.
    """

    symbol: str
    trade_id: str
    venue_id: str
    side: int
    lots: int
    price_ticks: int
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ms: int


class PaymentKind(StrEnum):
    """Payments beside fills: what moved the wallet."""

    FUNDING = "funding"
    TRANSFER = "transfer"
    #: Realised gain and fee of trades: known from the trades already.
    OF_TRADES = "of_trades"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Payment:
    """One line of the venue's list of income.

    Parameters
    ----------
    kind : PaymentKind
    type : str
        The venue's own word.
    payment_id : str
        Unique within `type`.
    symbol : str or None
    amount : Decimal
        In `asset`; < 0 was paid by us.
    asset : str
    time_ms : int
        Venue time.
    """

    kind: PaymentKind
    type: str
    payment_id: str
    symbol: str | None
    amount: Decimal
    asset: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Hint:
    """A word of a stream that makes a look at the venue due at once; it may lie, repeat itself or never come.

    Parameters
    ----------
    symbol : str or None
        None = all of them.
    what : str
        E.g. ``order``, ``account``, ``stream opened``.
    """

    symbol: str | None
    what: str
