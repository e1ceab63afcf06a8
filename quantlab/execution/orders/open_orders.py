"""All orders of ours as a fold of the journal: the same object at run time and in recovery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ContractError
from quantlab.core.events import Event
from quantlab.execution.orders.facts import Fact, Refused, fact_of
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.order_memory import pack_order, unpack_order
from quantlab.execution.orders.states import IntentState, OrderView, after_trade, next_view

#: Ended orders are forgotten so long after their decision: a trade or a question about them comes within minutes.
_KEPT_MS = 2 * MS_PER_DAY
_CLEAN_EVERY_MS = 3_600_000


class OpenOrders:
    """Every order of ours that has not ended, and those that ended lately.

    It changes by :meth:`take` alone, so that a restart that reads the same entries knows the same orders.
    """

    def __init__(self) -> None:
        self._views: dict[str, OrderView] = {}
        self._live: dict[str, dict[str, OrderView]] = {}
        self._attempts: dict[str, list[str]] = {}
        self._by_venue_id: dict[tuple[str, str], str] = {}
        self._missed: Counter[str] = Counter()
        self._halting: Refused | None = None
        self._cleaned_ms = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> OpenOrders:
        """Fold a journal's entries, oldest first."""
        orders = cls()
        for event in events:
            orders.take(event)
        return orders

    def take(self, event: Event) -> None:
        """Fold one entry: the kinds of this room, `fill` and `released`; others change nothing.

        Raises
        ------
        ArtifactError
            If it cannot follow the entries before it.
        ContractError
            If an intent is there already, or a fact comes before its intent.
        """
        fact = fact_of(event)
        if fact is not None:
            self._keep(self.after(fact))
            if isinstance(fact, Refused) and fact.halts:
                self._halting = fact
        elif event.kind == "fill":
            view = self._views.get(event.facts["cid"] or "")
            if view is not None:
                self._keep(after_trade(view, int(event.facts["lots"])))
        elif event.kind == "released" and event.facts.get("name") == "venue":
            self._halting = None

    def state(self) -> dict[str, Any]:
        """Return everything that is known as strict JSON; attempts and numbers follow from it."""
        halting = None if self._halting is None else self._halting.to_facts()
        views = [pack_order(view) for view in self._views.values()]
        return {"views": views, "missed": dict(self._missed), "halting": halting, "cleaned_ms": self._cleaned_ms}

    def restore(self, state: dict[str, Any]) -> None:
        """Know what :meth:`state` knew; whatever was known before is forgotten.

        Raises
        ------
        KeyError, ValueError, TypeError
            If it is of another version.
        """
        for known in (self._views, self._live, self._attempts, self._by_venue_id):
            known.clear()
        self._cleaned_ms = state["cleaned_ms"]
        for packed in state["views"]:
            self._keep(unpack_order(packed))
        self._missed = Counter(state["missed"])
        self._halting = None if state["halting"] is None else Refused.from_facts(state["halting"])

    def after(self, fact: Fact, staged: Mapping[str, OrderView] | None = None) -> OrderView:
        """Return the order of a fact as it is after it, and change nothing.

        Parameters
        ----------
        fact : Fact
        staged : mapping of client id to OrderView or None
            Orders after facts that are not folded yet.

        Raises
        ------
        ArtifactError
            If the fact cannot follow.
        ContractError
            If an intent is there already: a client id is used once.
        """
        client_id = fact.client_id
        known = (staged or {}).get(client_id) or self._views.get(client_id)
        if not isinstance(fact, Intent):
            if known is None:
                raise ContractError(
                    "an intent before any other fact about an order", found=client_id, fix="write the intent first"
                )
            return next_view(known, fact)
        if known is not None:
            raise ContractError(
                "one intent for each client id", found=f"{client_id} twice", fix="never send an order again"
            )
        return OrderView(fact)

    def _keep(self, view: OrderView) -> None:
        """Put an order in the place of its earlier self."""
        intent, client_id = view.intent, view.intent.client_id
        before = self._views.get(client_id)
        self._views[client_id] = view
        live = self._live.setdefault(intent.symbol, {})
        if view.state.is_over:
            live.pop(client_id, None)
        else:
            live[client_id] = view
        for number in view.plain_ids:
            self._by_venue_id[intent.symbol, number] = client_id
        if before is None:
            self._attempts.setdefault(intent.order_id, []).append(client_id)
            self._forget(intent.at_ms)
        for missed, count in ((None if before is None else before.missed, -1), (view.missed, 1)):
            if missed is not None:
                self._missed[missed] += count

    def _forget(self, now_ms: int) -> None:
        """Drop orders that ended long ago; looked for once an hour of intents."""
        if now_ms - self._cleaned_ms < _CLEAN_EVERY_MS:
            return
        self._cleaned_ms = now_ms
        for view in [v for v in self._views.values() if v.end_ms is not None and v.end_ms < now_ms - _KEPT_MS]:
            intent = view.intent
            del self._views[intent.client_id]
            attempts = self._attempts[intent.order_id]
            attempts.remove(intent.client_id)
            if not attempts:
                del self._attempts[intent.order_id]
            for number in view.plain_ids:
                self._by_venue_id.pop((intent.symbol, number), None)

    # -- questions ---------------------------------------------------------------------------------------------------

    def view(self, client_id: str) -> OrderView | None:
        """An order by its client id; None for one that is not ours, or was over long ago."""
        return self._views.get(client_id)

    def live(self, symbol: str | None = None) -> tuple[OrderView, ...]:
        """Orders that have not ended, of a symbol or of all, in no order that could be relied on."""
        symbols = self._live.values() if symbol is None else (self._live.get(symbol, {}),)
        return tuple(view for orders in symbols for view in orders.values())

    def unknown(self, symbol: str | None = None) -> tuple[OrderView, ...]:
        """Orders whose fate is unknown, of a symbol or of all."""
        return tuple(view for view in self.live(symbol) if view.state is IntentState.UNKNOWN)

    def attempts(self, order_id: str) -> tuple[OrderView, ...]:
        """All attempts at an order, oldest first."""
        return tuple(self._views[client_id] for client_id in self._attempts.get(order_id, ()))

    def of_trade(self, symbol: str, venue_id: str) -> OrderView | None:
        """The order that a trade belongs to, by the plain order's number; None for a stranger's."""
        return self._views.get(self._by_venue_id.get((symbol, venue_id), ""))

    def refuses_increase(self, symbol: str) -> bool:
        """Tell whether an order of unknown fate forbids to increase in a symbol."""
        return bool(self.unknown(symbol))

    def halt(self, now_ms: int, halt_after_ms: int) -> str | None:
        """Return why nothing may increase anywhere; None where nothing speaks against it.

        Parameters
        ----------
        now_ms : int
            Venue time.
        halt_after_ms : int
            Age of a doubt that is too old.
        """
        if self._halting is not None:
            return f"the venue refused the key: code {self._halting.code}, {self._halting.message}"
        for view in self.unknown():
            if view.unknown is not None and now_ms - view.unknown.at_ms > halt_after_ms:
                return f"order {view.intent.client_id} in {view.intent.symbol} is unknown for too long"
        return None

    @property
    def missed(self) -> dict[str, int]:
        """Entries that opened nothing, by reason."""
        return {why: count for why, count in sorted(self._missed.items()) if count}
