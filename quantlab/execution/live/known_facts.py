"""Facts of a venue that the journal already holds: the point from which the venue is asked for more."""

from __future__ import annotations

from typing import Any

from quantlab.core.events import Event
from quantlab.execution.live.venue_facts import Fill, venue_fact

#: Newest trades of a symbol that are recognised when they are seen again; a venue lists later ones only.
_RECOGNISED = 64


class KnownFacts:
    """A fold of the journal's entries; after a restart it stands where it stood.

    Parameters
    ----------
    began_ms : int
        Venue time at which the session began; nothing older is asked for.
    overlap_ms : int
        How late the venue may show a payment: payments so far back are asked for again each time.
    """

    def __init__(self, began_ms: int, overlap_ms: int) -> None:
        self.began_ms, self._overlap_ms = began_ms, overlap_ms
        self._trades: dict[str, list[str]] = {}
        self._payments: dict[tuple[str, str], int] = {}
        self._last_payment_ms = began_ms
        #: Position by the trades, whole lots with their sign; symbols that are flat are left out.
        self.lots: dict[str, int] = {}
        #: Reason of the fill that opened each position.
        self.openers: dict[str, str] = {}

    @property
    def payments_since_ms(self) -> int:
        """Venue time from which payments are asked for."""
        return max(self.began_ms, self._last_payment_ms - self._overlap_ms)

    def last_trade(self, symbol: str) -> str | None:
        """Number of the last trade of a symbol; None before the first."""
        known = self._trades.get(symbol)
        return known[-1] if known else None

    def has_trade(self, symbol: str, trade_id: str) -> bool:
        """Tell whether a trade was journalled, if it is one of the newest."""
        return trade_id in self._trades.get(symbol, ())

    def has_payment(self, kind: str, payment_id: str) -> bool:
        """Tell whether a payment was journalled, by the venue's word for its type and its number."""
        return (kind, payment_id) in self._payments

    def take(self, event: Event) -> bool:
        """Count an entry of the journal; returns False for other kinds and for facts that were counted, which change nothing."""
        fact = venue_fact(event)
        if fact is None:
            return False
        if isinstance(fact, Fill):
            return self._take_fill(fact)
        if self.has_payment(fact.type, fact.payment_id):
            return False
        self._payments[fact.type, fact.payment_id] = fact.time_ms
        self._last_payment_ms = max(self._last_payment_ms, fact.time_ms)
        since = self.payments_since_ms
        self._payments = {key: time_ms for key, time_ms in self._payments.items() if time_ms >= since}
        return True

    def state(self) -> dict[str, Any]:
        """Return everything that is known as strict JSON."""
        return {
            "began_ms": self.began_ms,
            "trades": self._trades,
            "payments": [[*key, time_ms] for key, time_ms in self._payments.items()],
            "last_payment_ms": self._last_payment_ms,
            "lots": self.lots,
            "openers": self.openers,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where :meth:`state` was taken."""
        self.began_ms, self._last_payment_ms = state["began_ms"], state["last_payment_ms"]
        self._trades = {symbol: list(known) for symbol, known in state["trades"].items()}
        self._payments = {(kind, payment_id): time_ms for kind, payment_id, time_ms in state["payments"]}
        self.lots, self.openers = dict(state["lots"]), dict(state["openers"])

    def _take_fill(self, fill: Fill) -> bool:
        if self.has_trade(fill.symbol, fill.trade_id):
            return False
        self._trades[fill.symbol] = [*self._trades.get(fill.symbol, ()), fill.trade_id][-_RECOGNISED:]
        before = self.lots.get(fill.symbol, 0)
        held = before + fill.side * fill.lots
        if held == 0:
            self.lots.pop(fill.symbol, None)
            self.openers.pop(fill.symbol, None)
            return True
        self.lots[fill.symbol] = held
        if before == 0 or (before > 0) != (held > 0):
            self.openers[fill.symbol] = fill.reason
        return True
