"""The moment at which an intent may leave: now, later or never."""

from __future__ import annotations

from enum import StrEnum

from quantlab.core.venue.requests import OrderKind
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.states import IntentState


class Departure(StrEnum):
    """Words on an intent that is durable and has not left."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


def departure(intent: Intent, orders: OpenOrders, now_ms: int, refusal: str | None) -> tuple[Departure, str]:
    """Decide on an intent.

    An entry does not wait for a doubt in its symbol to end: it was sized without the order in doubt. Only the doubt
    about the closing leg of its own flip is waited for.

    Parameters
    ----------
    intent : Intent
    orders : OpenOrders
    now_ms : int
        Venue time.
    refusal : str or None
        The broker's reason why nothing may increase in the symbol.

    Returns
    -------
    (Departure, str)
        The reason, for one that never leaves.
    """
    if intent.kind is not OrderKind.ENTRY:
        return Departure.NOW, ""
    closing = [view for order_id in intent.after for view in orders.attempts(order_id)]
    is_closed = all(_is_filled(order_id, orders) for order_id in intent.after)
    if intent.send_by_ms is not None and now_ms > intent.send_by_ms:
        return Departure.NEVER, "late" if is_closed else "flip"
    if refusal is not None:
        return Departure.NEVER, refusal
    if any(view not in closing for view in orders.unknown(intent.symbol)):
        return Departure.NEVER, "unknown"
    if is_closed:
        return (Departure.LATER, "") if orders.refuses_increase(intent.symbol) else (Departure.NOW, "")
    if any(not view.state.is_over for view in closing):
        return Departure.LATER, ""
    return Departure.NEVER, "flip"


def _is_filled(order_id: str, orders: OpenOrders) -> bool:
    """Tell whether a leg has filled whole, in one attempt or in several, none of them in doubt."""
    attempts = orders.attempts(order_id)
    if not attempts or any(view.state is IntentState.UNKNOWN for view in attempts):
        return False
    wanted = attempts[0].intent.request.lots or 0
    return sum(view.filled_lots for view in attempts) >= wanted
