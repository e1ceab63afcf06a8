"""The plain book: LIMIT and MARKET orders, placed, matched against the running price, amended, cancelled."""

from __future__ import annotations

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.checks import (
    check_client_id,
    check_life,
    check_lots,
    check_margin,
    check_notional,
    check_price,
    check_symbol,
    cut_reduce_only,
)
from quantlab.simulator.engine.events import Execution
from quantlab.simulator.engine.fills import end_order, fill
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.matching import Quote, budget_lots, quote_at, take_budget
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.requests import Author, OrderRequest, Placed
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.valuation import mark_of
from quantlab.simulator.engine.values import Order, OrderStatus, OrderType, Side, TimeInForce

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def place(state: VenueState, account: Account, request: OrderRequest, author: Author) -> Placed | Refused:
    """Check an order, take it, and match it at once against the running price.

    Parameters
    ----------
    state : VenueState
    account : Account
    request : OrderRequest
    author : Author
    """
    refused = check_symbol(state, request.symbol)
    if refused is not None:
        return refused
    listing = state.listings[request.symbol]
    quote = _quote(state, listing)
    lots = _check_listed(state, account, listing, request, quote)
    if isinstance(lots, Refused):
        return lots
    before = len(account.trades)
    return _answer(account, match(state, _open(state, account, request, lots, author), quote), before)


def check(state: VenueState, account: Account, request: OrderRequest) -> int | Refused:
    """Check an order as :meth:`~quantlab.simulator.engine.venue.Venue.place` does, and change nothing.

    Parameters
    ----------
    state : VenueState
    account : Account
    request : OrderRequest

    Returns
    -------
    int or Refused
        The lots that would be taken.
    """
    refused = check_symbol(state, request.symbol)
    if refused is not None:
        return refused
    listing = state.listings[request.symbol]
    return _check_listed(state, account, listing, request, _quote(state, listing))


def _check_listed(
    state: VenueState, account: Account, listing: Listing, request: OrderRequest, quote: Quote
) -> int | Refused:
    """Check an order in a symbol that trades."""
    lots = request.lots
    refused = check_lots(state, account, listing, lots, request.reduce_only) or _check_kind(
        state, listing, request, quote
    )
    if refused is not None:
        return refused
    ticks = request.price_ticks if request.type is OrderType.LIMIT else quote.taken_by(request.side)
    refused = (
        check_notional(listing, lots, ticks, request.reduce_only)
        or check_client_id(account, request)
        or check_life(state, request.good_till_ms)
    )
    if refused is not None:
        return refused
    if (
        len(account.open_orders) >= state.rules.max_orders
        and len(account.resting(request.symbol)) >= state.rules.max_orders
    ):
        return refuse(-2025)
    if request.reduce_only:
        checked = cut_reduce_only(state, account, request.symbol, request.side, lots)
    else:
        checked = check_margin(state, account, listing, request.side, lots, ticks) or lots
    if isinstance(checked, int) and request.type is OrderType.LIMIT and request.time_in_force is TimeInForce.FOK:
        crosses = quote.is_crossed_by(request.side, request.price_ticks)
        return checked if crosses and budget_lots(state, account, listing) >= checked else refuse(-5021)
    return checked


def _check_kind(state: VenueState, listing: Listing, request: OrderRequest, quote: Quote) -> Refused | None:
    """Check what only limit orders, or only market orders, have to keep."""
    if request.type is OrderType.LIMIT:
        refused = check_price(state, listing, request.side, request.price_ticks)
        if refused is not None:
            return refused
        would_take = quote.is_crossed_by(request.side, request.price_ticks)
        return refuse(-5022) if request.time_in_force is TimeInForce.GTX and would_take else None
    far, mark = state.rules.percent_price, mark_of(state, listing.symbol)
    if far is None or mark == 0:
        return None
    share = listing.grid.price(quote.taken_by(request.side)) / mark - 1
    return refuse(-4131) if int(request.side) * share > exact(far) else None


def _quote(state: VenueState, listing: Listing) -> Quote:
    price = running_price(state, listing)
    return Quote(0, 0) if price is None else quote_at(state, listing, price)


def _open(state: VenueState, account: Account, request: OrderRequest, lots: int, author: Author) -> Order:
    """Give an order its id, and write it down as new."""
    state.counters.order += 1
    number = state.counters.order
    market = request.type is OrderType.MARKET
    order = Order(
        order_id=number,
        client_id=request.client_id or f"{author.prefix}{number}",
        account=account.name,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        time_in_force=TimeInForce.GTC if market else request.time_in_force,
        lots=lots,
        price_ticks=0 if market else request.price_ticks,
        reduce_only=request.reduce_only,
        close_position=False,
        status=OrderStatus.NEW,
        filled_lots=0,
        filled_value=0,
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        good_till_ms=request.good_till_ms,
        origin=author.origin,
        algo_id=0,
        asked_type=request.type,
    )
    return open_order(state, order)


def open_order(state: VenueState, order: Order) -> Order:
    """Write a new order down, in the ledger and for its account."""
    state.note(
        "order",
        order.account,
        order_id=order.order_id,
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side.name,
        type=order.type.value,
        time_in_force=order.time_in_force.value,
        lots=order.lots,
        price_ticks=order.price_ticks,
        reduce_only=order.reduce_only,
        origin=order.origin.value,
        algo_id=order.algo_id,
    )
    return state.keep_order(order, Execution.NEW)


def match(state: VenueState, order: Order, quote: Quote) -> Order:
    """Let a new or amended order take what it may of the running bar's budget; what cannot rest expires.

    An amended reduce-only order may meet a position that has shrunk: it is cut to it, or expires.

    Parameters
    ----------
    state : VenueState
    order : Order
    quote : Quote
        Where the market stands now.
    """
    account, listing = state.accounts[order.account], state.listings[order.symbol]
    market = order.type is OrderType.MARKET
    wanted = min(order.left, reducible(account, order.symbol, order.side)) if order.reduce_only else order.left
    lots = min(wanted, budget_lots(state, account, listing))
    crosses = market or quote.is_crossed_by(order.side, order.price_ticks)
    if crosses and (order.time_in_force is not TimeInForce.FOK or lots == order.left) and lots > 0:
        take_budget(account, listing, lots)
        order = fill(state, listing, order, lots, quote.taken_by(order.side), maker=False)
    done = order.reduce_only and crosses and reducible(account, order.symbol, order.side) == 0
    if order.status.is_open and (market or done or order.time_in_force in _AT_ONCE):
        order = end_order(state, order, OrderStatus.EXPIRED)
    return order


def fill_passed(state: VenueState, order: Order, ticks: int) -> Order:
    """Fill a resting order whose price the market went beyond, as a maker and within the budget.

    A reduce-only order is cut to the position, and expires where there is nothing left to reduce.

    Parameters
    ----------
    state : VenueState
    order : Order
    ticks : int
        Price of the fill.
    """
    account, listing = state.accounts[order.account], state.listings[order.symbol]
    lots = order.left
    if order.reduce_only:
        lots = min(lots, reducible(account, order.symbol, order.side))
        if lots == 0:
            return end_order(state, order, OrderStatus.EXPIRED)
    lots = min(lots, budget_lots(state, account, listing))
    if lots == 0:
        return order
    take_budget(account, listing, lots)
    order = fill(state, listing, order, lots, ticks, maker=True)
    if order.status.is_open and order.reduce_only and not reducible(account, order.symbol, order.side):
        return end_order(state, order, OrderStatus.EXPIRED)
    return order


def reducible(account: Account, symbol: str, side: Side) -> int:
    """Lots that an order of this side can take off the position."""
    return max(-int(side) * account.lots(symbol), 0)


def amend(state: VenueState, account: Account, order: Order, lots: int, price_ticks: int) -> Placed | Refused:
    """Give an open limit order another size and price; it is matched anew.

    Parameters
    ----------
    state : VenueState
    account : Account
    order : Order
    lots, price_ticks : int
        A size that is filled already cancels the rest.
    """
    if order.type is not OrderType.LIMIT:
        return refuse(-5025)
    if not order.status.is_open:
        return refuse(-2013)
    if (lots, price_ticks) == (order.lots, order.price_ticks):
        return refuse(-5027)
    listing = state.listings[order.symbol]
    refused = (
        check_lots(state, account, listing, lots, order.reduce_only)
        or check_price(state, listing, order.side, price_ticks)
        or check_notional(listing, lots, price_ticks, order.reduce_only)
    )
    if refused is not None:
        return refuse(-5029, refused.message) if refused.code == -4164 else refused
    quote = _quote(state, listing)
    if order.time_in_force is TimeInForce.GTX and quote.is_crossed_by(order.side, price_ticks):
        return refuse(-5022)
    if (
        order.reduce_only
        and lots > order.lots
        and lots - order.filled_lots > reducible(account, order.symbol, order.side)
    ):
        return refuse(-2022)
    if not order.reduce_only and lots > order.lots:
        refused = check_margin(state, account, listing, order.side, lots - order.lots, price_ticks)
        if refused is not None:
            return refused
    if lots <= order.filled_lots:
        return Placed(end_order(state, order, OrderStatus.CANCELED))
    before = len(account.trades)
    changed = order._replace(lots=lots, price_ticks=price_ticks, updated_ms=state.now_ms)
    state.note("amend", account.name, order_id=order.order_id, symbol=order.symbol, lots=lots, price_ticks=price_ticks)
    return _answer(account, match(state, state.keep_order(changed, Execution.AMENDMENT), quote), before)


def _answer(account: Account, order: Order, before: int) -> Placed:
    """The order with what it traded since the account had `before` trades."""
    return Placed(order, tuple(account.trades[before:]))
