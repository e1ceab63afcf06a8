"""Orders as they are sent to a venue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quantlab.core.errors import ContractError


class Book(StrEnum):
    """The two lists of a venue's open orders: a stop rests in the conditional one."""

    PLAIN = "plain"
    CONDITIONAL = "conditional"


class OrderKind(StrEnum):
    """The purpose of an order; the letter is part of its client id."""

    ENTRY = "e"
    REDUCE = "r"
    STOP = "s"
    TAKE = "t"
    EMERGENCY = "x"


class OrderType(StrEnum):
    """Forms of an order that every venue of the port knows.

    ``MARKET``; ``IOC``: a limit, the rest of which is cancelled at once; ``LIMIT``: a limit that rests; ``POST_ONLY``:
    a limit that is refused where it would trade at once; ``STOP_MARKET``: a market order that waits in the conditional
    book for its trigger.
    """

    MARKET = "market"
    IOC = "ioc"
    LIMIT = "limit"
    POST_ONLY = "post_only"
    STOP_MARKET = "stop_market"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order of ours, in whole lots and ticks.

    Parameters
    ----------
    client_id : str
        27 letters and digits.
    kind : OrderKind
    symbol : str
        The session's name of it.
    side : int
        +1 buy, -1 sell.
    type : OrderType
    lots : int or None
        > 0; None for an order that closes the whole position.
    price_ticks : int or None
        Of a limit.
    trigger_ticks : int or None
        Of a stop.
    reduce_only : bool
        It can only make the position smaller.
    close_position : bool
        It closes whatever the position is when it fires.
    valid_for_ms : int
        The venue refuses the request when it arrives later than so long after it was sent.

    Raises
    ------
    ContractError
        If the parts do not fit each other.
    """

    client_id: str
    kind: OrderKind
    symbol: str
    side: int
    type: OrderType
    lots: int | None
    price_ticks: int | None = None
    trigger_ticks: int | None = None
    reduce_only: bool = False
    close_position: bool = False
    valid_for_ms: int = 5_000

    def __post_init__(self) -> None:
        limit = self.type in (OrderType.IOC, OrderType.LIMIT, OrderType.POST_ONLY)
        wrong = (
            "side other than +1 and -1"
            if self.side not in (1, -1)
            else "both or neither of lots and close_position"
            if (self.lots is None) != self.close_position
            else f"{self.lots} lots"
            if self.lots is not None and self.lots <= 0
            else f"{self.type} with price {self.price_ticks}"
            if limit != (self.price_ticks is not None)
            else f"{self.type} with trigger {self.trigger_ticks}"
            if (self.type is OrderType.STOP_MARKET) != (self.trigger_ticks is not None)
            else f"a {self.kind.name} that may increase a position"
            if self.kind is not OrderKind.ENTRY and not self.can_only_reduce
            else None
        )
        if wrong is not None:
            raise ContractError("an order whose parts fit each other", found=wrong, fix="mend the code that made it")

    @property
    def can_only_reduce(self) -> bool:
        """True for an order that may be sent twice: it cannot make a position larger."""
        return self.reduce_only or self.close_position

    @property
    def book(self) -> Book:
        """The list in which it rests."""
        return Book.CONDITIONAL if self.type is OrderType.STOP_MARKET else Book.PLAIN

    @property
    def ref(self) -> OrderRef:
        """The way to find or cancel it."""
        return OrderRef(self.symbol, self.client_id, self.book)


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order of ours at the venue.

    Parameters
    ----------
    symbol, client_id : str
    book : Book
        The list that it was sent to.
    """

    symbol: str
    client_id: str
    book: Book
