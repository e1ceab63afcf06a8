"""States of one order of ours, and the steps between them; a step that cannot be is refused.

::

    INTENDED ──┬── shown ────────> OPEN ──> PARTLY ──> FILLED | CANCELLED | EXPIRED | REFUSED | TRIGGERED
               ├── refused ──────> REFUSED
               ├── not sent ─────> ABSENT
               └── no evidence ──> UNKNOWN ──┬── found ───> OPEN
                                             └── absent ──> ABSENT
    ABSENT, REFUSED ── it traded all the same ──> OPEN
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from quantlab.core.errors import ArtifactError
from quantlab.core.venue.answers import OrderStatus
from quantlab.core.venue.requests import Book, OrderKind, OrderType
from quantlab.execution.orders.facts import Acknowledged, Fact, How, OrderEnd, Refused, Resolved, Unknown
from quantlab.execution.orders.intent import Intent


class IntentState(StrEnum):
    """The state of an order of ours, as far as the evidence goes."""

    INTENDED = "intended"
    OPEN = "open"
    PARTLY = "partly filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUSED = "refused"
    #: A conditional order that fired; what it became trades in the plain book.
    TRIGGERED = "triggered"
    UNKNOWN = "unknown"
    ABSENT = "absent"

    @property
    def is_over(self) -> bool:
        """True where nothing more is expected to happen."""
        return self not in (IntentState.INTENDED, IntentState.OPEN, IntentState.PARTLY, IntentState.UNKNOWN)

    @property
    def is_shown(self) -> bool:
        """True where the venue has shown it, and it rests or is being filled."""
        return self in (IntentState.OPEN, IntentState.PARTLY)


_ENDS: Mapping[OrderStatus, IntentState] = MappingProxyType(
    {
        OrderStatus.FILLED: IntentState.FILLED,
        OrderStatus.CANCELLED: IntentState.CANCELLED,
        OrderStatus.EXPIRED: IntentState.EXPIRED,
        OrderStatus.REJECTED: IntentState.REFUSED,
        OrderStatus.TRIGGERED: IntentState.TRIGGERED,
    }
)
_AT_ONCE = (OrderType.MARKET, OrderType.IOC)


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order of ours.

    Parameters
    ----------
    intent : Intent
    state : IntentState
    venue_id : str or None
        Once the venue has shown it.
    book : Book or None
        In which it was seen.
    filled_lots : int
        As the venue showed it, or by its trades, whichever is more.
    traded_lots : int
        Of its trades that are known.
    became : str or None
        Venue's number of the plain order that a conditional one became.
    unknown : Unknown or None
        The doubt, while there is one.
    refused : Refused or None
    why : str
        Of an order that was not sent or is gone.
    end_ms : int or None
        Venue time of its end.
    """

    intent: Intent
    state: IntentState = IntentState.INTENDED
    venue_id: str | None = None
    book: Book | None = None
    filled_lots: int = 0
    traded_lots: int = 0
    became: str | None = None
    unknown: Unknown | None = None
    refused: Refused | None = None
    why: str = ""
    end_ms: int | None = None

    @property
    def ends_at_once(self) -> bool:
        """True for an order that never rests: an answer that calls it open is not its last word."""
        return self.intent.request.type in _AT_ONCE

    @property
    def plain_ids(self) -> tuple[str, ...]:
        """Numbers under which its trades are listed: those of plain orders."""
        own = self.venue_id if self.book is Book.PLAIN else None
        return tuple(number for number in (own, self.became) if number is not None)

    @property
    def left_lots(self) -> int | None:
        """Lots not yet filled; None where it closes the whole position."""
        lots = self.intent.request.lots
        return None if lots is None else lots - self.filled_lots

    @property
    def missed(self) -> str | None:
        """The reason why an entry that is over opened nothing; None for other orders, and where anything filled."""
        if self.intent.kind is not OrderKind.ENTRY or not self.state.is_over or self.filled_lots > 0:
            return None
        if self.state is IntentState.ABSENT:
            return self.why
        return "refused" if self.state is IntentState.REFUSED else "bound"


def next_view(view: OrderView, fact: Fact) -> OrderView:
    """Return the order after one more fact about it.

    Parameters
    ----------
    view : OrderView
    fact : Fact
        Of the same client id, and no second intent.

    Raises
    ------
    ArtifactError
        If the fact cannot follow: the journal was not written by this protocol.
    """
    state = view.state
    if isinstance(fact, Acknowledged) and not state.is_over:
        return _shown(view, fact)
    if isinstance(fact, OrderEnd) and state.is_shown:
        filled = max(view.filled_lots, fact.filled_lots)
        end = _ENDS.get(fact.status)
        if end is not None:
            return replace(view, state=end, filled_lots=filled, became=fact.became, end_ms=fact.at_ms)
    if isinstance(fact, Refused) and state is IntentState.INTENDED:
        return replace(view, state=IntentState.REFUSED, refused=fact, end_ms=fact.at_ms)
    if isinstance(fact, Unknown) and state is IntentState.INTENDED:
        return replace(view, state=IntentState.UNKNOWN, unknown=fact)
    if isinstance(fact, Resolved) and state in _RESOLVABLE[fact.how]:
        if fact.how in (How.FOUND, How.TRADE):
            return replace(view, state=IntentState.OPEN, unknown=None, why="", end_ms=None)
        return replace(view, state=IntentState.ABSENT, unknown=None, why=fact.why, end_ms=fact.at_ms)
    raise ArtifactError(
        f"a fact that can follow the state '{state.value}' of {view.intent.client_id}",
        found=f"{fact.KIND} {fact.to_facts()}"[:200],
        fix="keep the journal, and report this: an order's facts contradict each other",
    )


def is_news(view: OrderView, fact: Fact) -> bool:
    """Tell whether a fact from an answer still says something: answers overtake each other.

    Parameters
    ----------
    view : OrderView
        As it is now.
    fact : Fact
        Of the same client id.
    """
    if isinstance(fact, Acknowledged):
        is_same = (view.venue_id, view.book) == (fact.venue_id, fact.book) and fact.filled_lots <= view.filled_lots
        return not view.state.is_over and not (view.state.is_shown and is_same)
    if isinstance(fact, OrderEnd):
        return not view.state.is_over
    if isinstance(fact, Refused | Unknown):
        return view.state is IntentState.INTENDED
    return not isinstance(fact, Resolved) or view.state in _RESOLVABLE[fact.how]


def after_trade(view: OrderView, lots: int) -> OrderView:
    """Return the order after a trade of it.

    Parameters
    ----------
    view : OrderView
    lots : int
        > 0.
    """
    traded = view.traded_lots + lots
    state = IntentState.PARTLY if view.state is IntentState.OPEN else view.state
    return replace(view, state=state, traded_lots=traded, filled_lots=max(view.filled_lots, traded))


_RESOLVABLE: Mapping[How, tuple[IntentState, ...]] = MappingProxyType(
    {
        How.FOUND: (IntentState.UNKNOWN,),
        How.ABSENT: (IntentState.UNKNOWN,),
        How.UNSENT: (IntentState.INTENDED,),
        How.TRADE: (IntentState.ABSENT, IntentState.REFUSED),
    }
)


def _shown(view: OrderView, fact: Acknowledged) -> OrderView:
    filled = max(view.filled_lots, fact.filled_lots)
    state = IntentState.PARTLY if filled > 0 else IntentState.OPEN
    return replace(
        view, state=state, venue_id=fact.venue_id, book=fact.book, filled_lots=filled, unknown=None, why="", end_ms=None
    )
