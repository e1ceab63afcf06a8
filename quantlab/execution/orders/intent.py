"""The intent: an order that is going to be sent, as the journal keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from quantlab.core.errors import ContractError
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType


@dataclass(frozen=True, slots=True)
class Intent:
    """An order that is going to be sent; it is durable before the request leaves.

    Parameters
    ----------
    request : OrderRequest
    order_id : str
        The same for the same decision in every process.
    attempt : int
        0, 1, 2, ...; an entry has no other attempt than 0.
    decided_ms : int
        Close of the bar that decided it, or the time at which protection did.
    at_ms : int
        Venue time at which it was written.
    send_by_ms : int or None
        Venue time beyond which it is not sent any more; None = always. An entry has one.
    after : tuple of str
        Order ids of the legs that must have filled before: a flip closes first.

    Raises
    ------
    ContractError
        If an entry is a second attempt, or may be sent at any time.
    """

    KIND: ClassVar[str] = "intent"

    request: OrderRequest
    order_id: str
    attempt: int
    decided_ms: int
    at_ms: int
    send_by_ms: int | None = None
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.request.kind is OrderKind.ENTRY and (self.attempt != 0 or self.send_by_ms is None):
            raise ContractError(
                "an entry as attempt 0 with a time by which it is sent",
                found=f"attempt {self.attempt}, send by {self.send_by_ms}",
                fix="never send an entry again: the next bar decides anew",
            )

    @property
    def client_id(self) -> str:
        return self.request.client_id

    @property
    def kind(self) -> OrderKind:
        return self.request.kind

    @property
    def symbol(self) -> str:
        return self.request.symbol

    def to_facts(self) -> dict[str, Any]:
        """The intent as strict JSON."""
        request = self.request
        return {
            "cid": request.client_id,
            "kind": request.kind.value,
            "order_id": self.order_id,
            "attempt": self.attempt,
            "symbol": request.symbol,
            "side": request.side,
            "type": request.type.value,
            "lots": request.lots,
            "price_ticks": request.price_ticks,
            "trigger_ticks": request.trigger_ticks,
            "reduce_only": request.reduce_only,
            "close_position": request.close_position,
            "valid_for_ms": request.valid_for_ms,
            "decided_ms": self.decided_ms,
            "at_ms": self.at_ms,
            "send_by_ms": self.send_by_ms,
            "after": list(self.after),
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Intent:
        """Read what :meth:`to_facts` wrote."""
        request = OrderRequest(
            client_id=facts["cid"],
            kind=OrderKind(facts["kind"]),
            symbol=facts["symbol"],
            side=facts["side"],
            type=OrderType(facts["type"]),
            lots=facts["lots"],
            price_ticks=facts["price_ticks"],
            trigger_ticks=facts["trigger_ticks"],
            reduce_only=facts["reduce_only"],
            close_position=facts["close_position"],
            valid_for_ms=facts["valid_for_ms"],
        )
        return cls(
            request,
            facts["order_id"],
            facts["attempt"],
            facts["decided_ms"],
            facts["at_ms"],
            facts["send_by_ms"],
            tuple(facts["after"]),
        )
