"""Orders as strict JSON, for a session's snapshot: what a restart knows without reading the journal from its beginning."""

from __future__ import annotations

from typing import Any

from quantlab.core.venue.requests import Book
from quantlab.execution.orders.facts import Refused, Unknown
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.states import IntentState, OrderView


def pack_order(view: OrderView) -> dict[str, Any]:
    """Return an order as strict JSON."""
    return {
        "intent": view.intent.to_facts(),
        "state": view.state.value,
        "venue_id": view.venue_id,
        "book": None if view.book is None else view.book.value,
        "filled_lots": view.filled_lots,
        "traded_lots": view.traded_lots,
        "became": view.became,
        "unknown": None if view.unknown is None else view.unknown.to_facts(),
        "refused": None if view.refused is None else view.refused.to_facts(),
        "why": view.why,
        "end_ms": view.end_ms,
    }


def unpack_order(packed: dict[str, Any]) -> OrderView:
    """Return the order that :func:`pack_order` was given.

    Raises
    ------
    KeyError, ValueError, TypeError
        If it is of another version.
    """
    return OrderView(
        Intent.from_facts(packed["intent"]),
        IntentState(packed["state"]),
        packed["venue_id"],
        None if packed["book"] is None else Book(packed["book"]),
        packed["filled_lots"],
        packed["traded_lots"],
        packed["became"],
        None if packed["unknown"] is None else Unknown.from_facts(packed["unknown"]),
        None if packed["refused"] is None else Refused.from_facts(packed["refused"]),
        packed["why"],
        packed["end_ms"],
    )
