"""Facts that a venue told, as the journal keeps them: fills, funding, and other movements of cash.

They are written before anything is done with them, and a restart reads them instead of asking again. Sizes and prices are whole
lots and ticks; money is decimal text, exactly as the venue sent it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self

from quantlab.core.events import Event


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade of the account.

    Parameters
    ----------
    symbol : str
    trade_id : str
        With `symbol` its identity: booked once, however often it is seen.
    venue_id : str
        The venue's number of the plain order that traded.
    client_id : str or None
        Of that order; None where nobody gave it one, or the venue has forgotten it.
    side : int
        +1 bought, -1 sold.
    lots, price_ticks : int
    fee : Decimal
        In `fee_asset`; > 0 is paid.
    fee_asset : str
    maker : bool
    time_ms : int
        Venue time.
    reason : str
        Name of an :class:`~quantlab.core.results.OrderReason`.
    """

    KIND: ClassVar[str] = "fill"

    symbol: str
    trade_id: str
    venue_id: str
    client_id: str | None
    side: int
    lots: int
    price_ticks: int
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ms: int
    reason: str

    def event(self) -> Event:
        """The journal's entry; its key for `client_id` is ``cid``, as in all entries about orders."""
        facts = dict(_event(self).facts)
        return Event(self.KIND, {"cid": facts.pop("client_id"), **facts})

    @classmethod
    def of(cls, event: Event) -> Self:
        """Read an entry of the journal."""
        facts = dict(event.facts)
        client_id = facts.pop("cid")
        return cls(**{**facts, "fee": Decimal(facts["fee"]), "client_id": client_id})


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """A funding payment; the venue's amount, never computed.

    Parameters
    ----------
    symbol : str
    payment_id : str
        With `type` its identity.
    type : str
        The venue's word.
    amount : Decimal
        USD; < 0 was paid by us.
    time_ms : int
        Venue time.
    """

    KIND: ClassVar[str] = "funding"

    symbol: str
    payment_id: str
    type: str
    amount: Decimal
    time_ms: int

    def event(self) -> Event:
        """The journal's entry."""
        return _event(self)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Read an entry of the journal."""
        return cls(**{**event.facts, "amount": Decimal(event.facts["amount"])})


@dataclass(frozen=True, slots=True)
class CashMoved:
    """A movement of cash that is neither gain, fee nor funding: a transfer, a rebate, an insurance payment.

    Parameters
    ----------
    payment_id : str
        With `type` its identity.
    type : str
        The venue's word.
    amount : Decimal
        USD; < 0 left the account.
    time_ms : int
        Venue time.
    """

    KIND: ClassVar[str] = "cash_moved"

    payment_id: str
    type: str
    amount: Decimal
    time_ms: int

    def event(self) -> Event:
        """The journal's entry."""
        return _event(self)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Read an entry of the journal."""
        return cls(**{**event.facts, "amount": Decimal(event.facts["amount"])})


VenueFact = Fill | FundingPaid | CashMoved
_CLASSES: dict[str, type[Fill] | type[FundingPaid] | type[CashMoved]] = {
    Fill.KIND: Fill,
    FundingPaid.KIND: FundingPaid,
    CashMoved.KIND: CashMoved,
}


def venue_fact(event: Event) -> VenueFact | None:
    """Return what an entry of the journal says of the venue; None for an entry of another kind."""
    known = _CLASSES.get(event.kind)
    return None if known is None else known.of(event)


def _event(fact: VenueFact) -> Event:
    facts: dict[str, Any] = {
        field.name: str(value) if isinstance(value := getattr(fact, field.name), Decimal) else value
        for field in dataclasses.fields(fact)
    }
    return Event(fact.KIND, facts)
