"""Facts about orders, as the journal keeps them: each kind of entry is a frozen class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from quantlab.core.errors import ArtifactError
from quantlab.core.events import Event
from quantlab.core.venue.answers import OrderStatus
from quantlab.core.venue.requests import Book
from quantlab.execution.orders.intent import Intent


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The venue has shown an order: first, or with more of it filled.

    Parameters
    ----------
    client_id, venue_id : str
    book : Book
        In which it was seen.
    status : OrderStatus
    filled_lots : int
    at_ms : int
        Venue time of the answer.
    """

    KIND: ClassVar[str] = "ack"

    client_id: str
    venue_id: str
    book: Book
    status: OrderStatus
    filled_lots: int
    at_ms: int

    def to_facts(self) -> dict[str, Any]:
        """The acknowledgement as strict JSON."""
        return {
            "cid": self.client_id,
            "venue_id": self.venue_id,
            "book": self.book.value,
            "status": self.status.value,
            "filled_lots": self.filled_lots,
            "at_ms": self.at_ms,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Acknowledged:
        """Read what :meth:`to_facts` wrote."""
        book, status = Book(facts["book"]), OrderStatus(facts["status"])
        return cls(facts["cid"], facts["venue_id"], book, status, facts["filled_lots"], facts["at_ms"])


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue said for certain that it did not take an order.

    Parameters
    ----------
    client_id : str
    status, code : int or None
        Of HTTP, and the venue's own.
    message : str
    halts : bool
        The key or its rights were refused: nothing may increase until a person has looked.
    at_ms : int
    """

    KIND: ClassVar[str] = "refused"

    client_id: str
    status: int | None
    code: int | None
    message: str
    halts: bool
    at_ms: int

    def to_facts(self) -> dict[str, Any]:
        """The refusal as strict JSON."""
        return {
            "cid": self.client_id,
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "halts": self.halts,
            "at_ms": self.at_ms,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Refused:
        """Read what :meth:`to_facts` wrote."""
        return cls(facts["cid"], facts["status"], facts["code"], facts["message"], facts["halts"], facts["at_ms"])


@dataclass(frozen=True, slots=True)
class Unknown:
    """A doubt whether the venue took an order: the answer is missing, or says nothing.

    Parameters
    ----------
    client_id : str
    what : str
        Status, code and words of the answer, or ``restart``.
    sent_ms : int
        Venue time; the request left at it or before.
    at_ms : int
    """

    KIND: ClassVar[str] = "unknown"

    client_id: str
    what: str
    sent_ms: int
    at_ms: int

    def to_facts(self) -> dict[str, Any]:
        """The entry as strict JSON."""
        return {"cid": self.client_id, "what": self.what, "sent_ms": self.sent_ms, "at_ms": self.at_ms}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Unknown:
        """Read what :meth:`to_facts` wrote."""
        return cls(facts["cid"], facts["what"], facts["sent_ms"], facts["at_ms"])


class How(StrEnum):
    """The evidence that ended a doubt."""

    #: The venue showed the order by its client id.
    FOUND = "found"
    #: Both books said "not there", asked later than it could have arrived and been hidden.
    ABSENT = "absent"
    #: An order that was said to be over traded all the same.
    TRADE = "trade"
    #: The request never left this process.
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The end of a doubt about an order.

    Parameters
    ----------
    client_id : str
    how : How
    why : str
        For an order that was not sent or is gone: ``lost``, ``late``, ``flip``, ``superseded`` or a reason of the broker.
    asked : int
        Questions that were put.
    after_ms : int
        Time since the doubt began.
    at_ms : int
    """

    KIND: ClassVar[str] = "resolved"

    client_id: str
    how: How
    why: str
    asked: int
    after_ms: int
    at_ms: int

    def to_facts(self) -> dict[str, Any]:
        """The entry as strict JSON."""
        return {
            "cid": self.client_id,
            "how": self.how.value,
            "why": self.why,
            "asked": self.asked,
            "ms": self.after_ms,
            "at_ms": self.at_ms,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Resolved:
        """Read what :meth:`to_facts` wrote."""
        return cls(facts["cid"], How(facts["how"]), facts["why"], facts["asked"], facts["ms"], facts["at_ms"])


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """The end of an order: nothing more will happen to it.

    Its mean price is that of its fills, which are facts of their own.

    Parameters
    ----------
    client_id : str
    status : OrderStatus
        A final one.
    filled_lots : int
    became : str or None
        Venue's number of the plain order that a conditional one became.
    at_ms : int
    """

    KIND: ClassVar[str] = "order_end"

    client_id: str
    status: OrderStatus
    filled_lots: int
    became: str | None
    at_ms: int

    def to_facts(self) -> dict[str, Any]:
        """The end as strict JSON."""
        return {
            "cid": self.client_id,
            "status": self.status.value,
            "filled_lots": self.filled_lots,
            "became": self.became,
            "at_ms": self.at_ms,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> OrderEnd:
        """Read what :meth:`to_facts` wrote."""
        return cls(facts["cid"], OrderStatus(facts["status"]), facts["filled_lots"], facts["became"], facts["at_ms"])


Fact = Intent | Acknowledged | Refused | Unknown | Resolved | OrderEnd
_CLASSES: Mapping[str, type[Fact]] = MappingProxyType(
    {cls.KIND: cls for cls in (Intent, Acknowledged, Refused, Unknown, Resolved, OrderEnd)}
)
#: Kinds of entries that this module reads and writes.
KINDS = tuple(_CLASSES)


def event_of(fact: Fact) -> Event:
    """Make the journal entry of a fact."""
    return Event(fact.KIND, fact.to_facts())


def fact_of(event: Event) -> Fact | None:
    """Read a journal entry; None for one of another kind.

    Raises
    ------
    ArtifactError
        If a field is missing or is no such value.
    """
    cls = _CLASSES.get(event.kind)
    if cls is None:
        return None
    try:
        return cls.from_facts(event.facts)
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"an entry '{event.kind}' with the fields of this version",
            found=f"{type(error).__name__}: {error} in entry {event.seq}",
            fix="go on with the version that wrote this session",
        ) from error
