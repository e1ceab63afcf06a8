"""Booking of fills: trades, fees, realised profit, position, wallet.

``cost`` of a position is its signed units times its average entry. A fill of ``q`` at ``p`` that realises ``r`` leaves
``cost + q p + r``, so ``wallet + units x mark - cost`` changes by nothing but the fee and ``q (mark - p)``, whatever the rounding of ``r``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.events import AccountReason, AccountUpdate, Execution
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import MONEY, ZERO, IncomeType, Order, OrderStatus, Origin, Position, Trade

_FORCED = (Origin.LIQUIDATION, Origin.ADL)


def money(amount: Decimal) -> Decimal:
    """`amount` with the last decimal that the venue has."""
    return amount.quantize(MONEY, ROUND_HALF_EVEN)


def moved(position: Position, lots: int, value: Decimal, now_ms: int) -> tuple[Position, Decimal]:
    """A position after a fill, and the profit that it realised.

    Parameters
    ----------
    position : Position
    lots : int
        Signed, not 0.
    value : Decimal
        Signed USD: units x price.
    now_ms : int

    Returns
    -------
    (Position, Decimal)
        A fill beyond flat opens the rest at its own price.
    """
    held = position.lots
    if held == 0 or (held > 0) == (lots > 0):
        return position._replace(lots=held + lots, cost=position.cost + value, updated_ms=now_ms), ZERO
    closing = max(-abs(held), -abs(lots)) * (1 if held > 0 else -1)
    paid = value * closing / lots  # what the closing part was traded at
    freed = position.cost * -closing / held
    realised = money(-paid - freed)
    left = held + lots
    if left == 0:
        cost = ZERO
    elif (left > 0) == (held > 0):
        cost = position.cost + paid + realised
    else:
        cost = value - paid
    return Position(position.symbol, left, cost, now_ms, position.realised + realised), realised


def fill(state: VenueState, listing: Listing, order: Order, lots: int, ticks: int, *, maker: bool) -> Order:
    """Trade `lots` of an open order at `ticks`, in as many slices as the rules say.

    Parameters
    ----------
    state : VenueState
    listing : Listing
    order : Order
    lots : int
        1 to what the order has left.
    ticks : int
    maker : bool

    Returns
    -------
    Order
        As it stands after the last trade.
    """
    account = state.accounts[order.account]
    slices = min(state.rules.slices, lots)
    for k in range(slices):
        part = lots * (k + 1) // slices - lots * k // slices
        order = _trade(state, listing, account, order, part, ticks, maker)
    position = account.positions[order.symbol]
    state.events.append(
        AccountUpdate(account.name, state.now_ms, AccountReason.ORDER, account.wallet, ZERO, (position,))
    )
    return order


def _trade(
    state: VenueState, listing: Listing, account: Account, order: Order, lots: int, ticks: int, maker: bool
) -> Order:
    """Book one trade."""
    signed = lots * int(order.side)
    value = listing.grid.value(signed * ticks)
    before = account.positions.get(order.symbol) or Position(order.symbol, 0, ZERO, state.now_ms)
    account.positions[order.symbol], realised = moved(before, signed, value, state.now_ms)
    rate = listing.maker_fee if maker else listing.taker_fee
    fee = ZERO if order.origin in _FORCED else money(abs(value) * rate)
    state.counters.trade += 1
    trade = Trade(
        trade_id=state.counters.trade,
        order_id=order.order_id,
        account=account.name,
        symbol=order.symbol,
        side=order.side,
        lots=lots,
        price_ticks=ticks,
        fee=fee,
        realised=realised,
        maker=maker,
        time_ms=state.now_ms,
    )
    account.trades.append(trade)
    state.pay(account, order.symbol, IncomeType.REALIZED_PNL, realised, trade.trade_id)
    state.pay(account, order.symbol, IncomeType.COMMISSION, -fee, trade.trade_id)
    filled = order.filled_lots + lots
    order = order._replace(
        filled_lots=filled,
        filled_value=order.filled_value + lots * ticks,
        status=OrderStatus.FILLED if filled == order.lots else OrderStatus.PARTIALLY_FILLED,
        updated_ms=state.now_ms,
    )
    state.note(
        "trade",
        account.name,
        trade_id=trade.trade_id,
        order_id=order.order_id,
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side.name,
        lots=lots,
        price_ticks=ticks,
        fee=fee,
        realised=realised,
        maker=maker,
        origin=order.origin.value,
    )
    if order.status is OrderStatus.FILLED:
        state.note("order_end", account.name, order_id=order.order_id, symbol=order.symbol, status=order.status.value)
    return state.keep_order(order, Execution.CALCULATED if order.origin in _FORCED else Execution.TRADE, trade)


def end_order(state: VenueState, order: Order, status: OrderStatus) -> Order:
    """Take an order out of the book without a trade: CANCELED or EXPIRED."""
    ended = order._replace(status=status, updated_ms=state.now_ms)
    state.note("order_end", order.account, order_id=order.order_id, symbol=order.symbol, status=status.value)
    return state.keep_order(ended, Execution(status.value))
