"""From legs of a decision to orders in whole lots and ticks, and to the next attempt at one.

=================  ==============================================================================================
leg                order
=================  ==============================================================================================
opening, adding    a limit at the close, worse by `bound_bps` and rounded to the tick against us, the rest of which
                   is cancelled at once; or a market order
reducing, closing  market, reduce-only, in parts of the venue's largest market order: it cannot flip
=================  ==============================================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from decimal import Decimal

from quantlab.core.errors import ContractError
from quantlab.core.events import Decision, Leg
from quantlab.core.venue.facts import ListedSymbol
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.execution.orders.client_ids import make_client_id
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.settings import MARKET, OrderSettings

#: Distance from a whole number of lots that a float's rounding can make; a real difference is some tenths of a lot.
_LARGEST_FRACTION = 1e-3
_BASIS_POINTS = 10_000


@dataclasses.dataclass(frozen=True)
class IntentMaker:
    """Intents of one session at one venue.

    Parameters
    ----------
    session : str
        Part of every client id: two sessions never make the same.
    listed : mapping of str to ListedSymbol
        By the session's names.
    settings : OrderSettings
    """

    session: str
    listed: Mapping[str, ListedSymbol]
    settings: OrderSettings

    def of_decision(
        self, decision: Decision, decided_ms: int, closes: Mapping[str, float], now_ms: int
    ) -> tuple[Intent, ...]:
        """Return the intents of all legs, reducing ones first.

        Parameters
        ----------
        decision : Decision
        decided_ms : int
            Close of its bar.
        closes : mapping of symbol to float
            USD, of the same bar.
        now_ms : int
            Venue time.

        Raises
        ------
        ContractError
            If a leg is not of whole lots.
        """
        reducing = [leg for leg in decision.legs if leg.reduce_only]
        increasing = [leg for leg in decision.legs if not leg.reduce_only]
        closing = {leg.symbol: self._part_ids(leg) for leg in reducing}
        intents = [intent for leg in reducing for intent in self._reducing(leg, decided_ms, now_ms)]
        for leg in increasing:
            after = closing.get(leg.symbol, ())
            intents += self._increasing(leg, decided_ms, closes[leg.symbol], now_ms, after)
        return tuple(intents)

    def make(self, request: OrderRequest, order_id: str, attempt: int, now_ms: int) -> Intent:
        """Return the intent of an order that can only reduce, e.g. one of protection; its client id is set here.

        Parameters
        ----------
        request : OrderRequest
            Its `client_id` and `valid_for_ms` are not looked at.
        order_id : str
        attempt : int
        now_ms : int
            Venue time.
        """
        named = self._named(request, order_id, attempt)
        return Intent(named, order_id, attempt, now_ms, now_ms)

    def again(self, intent: Intent, now_ms: int) -> Intent:
        """Return the next attempt at an order; an entry has none.

        Parameters
        ----------
        intent : Intent
        now_ms : int

        Raises
        ------
        ContractError
            For an entry.
        """
        attempt = intent.attempt + 1
        request = self._named(intent.request, intent.order_id, attempt)
        return dataclasses.replace(intent, request=request, attempt=attempt, at_ms=now_ms)

    def _reducing(self, leg: Leg, decided_ms: int, now_ms: int) -> list[Intent]:
        parts = self._parts(leg)
        return [
            Intent(
                self._named(
                    OrderRequest("", OrderKind.REDUCE, leg.symbol, leg.side, OrderType.MARKET, lots, reduce_only=True),
                    order_id,
                    0,
                ),
                order_id,
                0,
                decided_ms,
                now_ms,
            )
            for order_id, lots in zip(self._part_ids(leg), parts, strict=True)
        ]

    def _increasing(self, leg: Leg, decided_ms: int, close: float, now_ms: int, after: tuple[str, ...]) -> list[Intent]:
        entry, listed = self.settings.entry, self.listed[leg.symbol]
        market = entry.style == MARKET
        kind = OrderType.MARKET if market else OrderType.IOC
        price = None if market else bound_ticks(leg.side, close, entry.bound_bps, listed.grid.tick)
        return [
            Intent(
                self._named(
                    OrderRequest("", OrderKind.ENTRY, leg.symbol, leg.side, kind, lots, price_ticks=price), order_id, 0
                ),
                order_id,
                0,
                decided_ms,
                now_ms,
                send_by_ms=decided_ms + entry.valid_ms,
                after=after,
            )
            for order_id, lots in zip(self._part_ids(leg), self._parts(leg), strict=True)
        ]

    def _parts(self, leg: Leg) -> list[int]:
        """Lots of the orders that a leg needs."""
        listed = self.listed[leg.symbol]
        market = leg.reduce_only or self.settings.entry.style == MARKET
        return parts_of(whole_lots(leg, listed), listed.max_market_lots if market else listed.max_limit_lots)

    def _part_ids(self, leg: Leg) -> tuple[str, ...]:
        """Order ids of the orders that a leg needs: the leg's own, and numbered ones for further parts."""
        count = len(self._parts(leg))
        return (leg.order_id, *(f"{leg.order_id}-part{k}" for k in range(1, count)))

    def _named(self, request: OrderRequest, order_id: str, attempt: int) -> OrderRequest:
        client_id = make_client_id(self.session, request.kind, order_id, attempt)
        return dataclasses.replace(request, client_id=client_id, valid_for_ms=self.settings.valid_for_ms)


def whole_lots(leg: Leg, listed: ListedSymbol) -> int:
    """Return the lots of a leg.

    Parameters
    ----------
    leg : Leg
    listed : ListedSymbol

    Raises
    ------
    ContractError
        If its units are not a whole number of them, at least one.
    """
    lots = listed.grid.nearest_lots(leg.units)
    if lots < 1 or abs(leg.units / float(listed.grid.lot) - lots) > _LARGEST_FRACTION:
        raise ContractError(
            f"a size of {leg.symbol} in whole lots of {listed.grid.lot}",
            found=f"{leg.units!r} in {leg.order_id}",
            fix="trade with the lot of the strategy's test; preflight compares it with the venue's",
        )
    return lots


def bound_ticks(side: int, close: float, bound_bps: float, tick: Decimal) -> int:
    """Return the worst price of an entry in whole ticks: a fraction of a tick is rounded against us.

    Parameters
    ----------
    side : int
        +1 buy, -1 sell.
    close : float
        USD.
    bound_bps : float
        Basis points of the close.
    tick : Decimal

    Examples
    --------
    >>> bound_ticks(1, 100.0, 100.0, Decimal("0.3")), bound_ticks(-1, 100.0, 100.0, Decimal("0.3"))
    (337, 330)
    """
    price = Decimal(repr(close)) * (1 + side * Decimal(repr(bound_bps)) / _BASIS_POINTS) / tick
    return max(1, math.ceil(price) if side > 0 else math.floor(price))


def parts_of(lots: int, largest: int | None) -> list[int]:
    """Cut an order into as few and as even parts as the venue takes: a small rest could be below its smallest order.

    Parameters
    ----------
    lots : int
    largest : int or None
        Of one order; None = no limit.

    Examples
    --------
    >>> parts_of(25, 10), parts_of(25, None)
    ([9, 8, 8], [25])
    """
    if largest is None or lots <= largest:
        return [lots]
    count = -(-lots // largest)
    least, more = divmod(lots, count)
    return [least + 1] * more + [least] * (count - more)
