"""Polling: everything that a venue did to the account since the last time, as facts for the journal.

A stream only says that a look is worth while; what it says is never booked. So a stream that dies, lies or repeats
itself costs time, not money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from quantlab.core.ports import Venue
from quantlab.core.results import OrderReason
from quantlab.core.venue.answers import Payment, PaymentKind, VenueTrade
from quantlab.execution.live.known_facts import KnownFacts
from quantlab.execution.live.venue_facts import CashMoved, Fill, FundingPaid

#: Beginnings of client ids that the venue itself gives, and the reason that they stand for.
VENUE_REASONS = {
    "autoclose-": OrderReason.LIQUIDATION,
    "adl_autoclose": OrderReason.ADL,
    "settlement_autoclose-": OrderReason.DELISTED,
}
#: Returns the reason of an order of ours by its client id; None for an order that is not ours.
OwnReason = Callable[[str], OrderReason | None]
#: Returns the client id of an order by symbol and the venue's number, where an answer has told it.
KnownId = Callable[[str, str], str | None]


async def new_fills(
    venue: Venue, known: KnownFacts, symbols: Iterable[str], known_id: KnownId, own_reason: OwnReason
) -> list[Fill]:
    """Ask for the trades of some symbols after the last ones known.

    Parameters
    ----------
    venue : Venue
    known : KnownFacts
    symbols : iterable of str
    known_id, own_reason : callable

    Returns
    -------
    list of Fill
        In the order of time, then of symbols as they were given, then the venue's own.

    Raises
    ------
    DataError
        If the venue has no whole answer; nothing is known then that was not known before.
    """
    found: list[Fill] = []
    for symbol in symbols:
        trades = await venue.trades(symbol, known.last_trade(symbol), known.began_ms)
        seen: set[str] = set()
        for trade in trades:
            if known.has_trade(symbol, trade.trade_id) or trade.trade_id in seen:
                continue
            seen.add(trade.trade_id)
            client_id = known_id(symbol, trade.venue_id) or await venue.client_id_of(symbol, trade.venue_id)
            found.append(_fill(trade, client_id, _reason(client_id, own_reason)))
    return sorted(found, key=lambda fill: fill.time_ms)


async def new_payments(venue: Venue, known: KnownFacts) -> list[FundingPaid | CashMoved]:
    """Ask for payments that are not known yet; gains and fees of trades are left out, because their fills say them.

    Raises
    ------
    DataError
        If the venue has no whole answer.
    """
    found = [
        payment
        for payment in await venue.payments(known.payments_since_ms)
        if payment.kind is not PaymentKind.OF_TRADES and not known.has_payment(payment.type, payment.payment_id)
    ]
    unique = {(payment.type, payment.payment_id): payment for payment in found}
    return [_payment(payment) for payment in sorted(unique.values(), key=lambda payment: payment.time_ms)]


def _reason(client_id: str | None, own_reason: OwnReason) -> OrderReason:
    if client_id is None:
        return OrderReason.EXTERNAL
    for beginning, reason in VENUE_REASONS.items():
        if client_id.startswith(beginning):
            return reason
    own = own_reason(client_id)
    return OrderReason.EXTERNAL if own is None else own  # SIGNAL is 0


def _fill(trade: VenueTrade, client_id: str | None, reason: OrderReason) -> Fill:
    return Fill(
        trade.symbol,
        trade.trade_id,
        trade.venue_id,
        client_id,
        trade.side,
        trade.lots,
        trade.price_ticks,
        trade.fee,
        trade.fee_asset,
        trade.maker,
        trade.time_ms,
        reason.name,
    )


def _payment(payment: Payment) -> FundingPaid | CashMoved:
    if payment.kind is PaymentKind.FUNDING and payment.symbol is not None:
        return FundingPaid(payment.symbol, payment.payment_id, payment.type, payment.amount, payment.time_ms)
    return CashMoved(payment.payment_id, payment.type, payment.amount, payment.time_ms)
