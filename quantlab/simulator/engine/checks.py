"""Checks of an order against filters, position, books and margin: each gives a refusal or None."""

from __future__ import annotations

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.requests import OrderRequest
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.valuation import exposed_lots, leverage_of, mark_of, wallet_view
from quantlab.simulator.engine.values import Side

#: The end of the year 9999: an order's own end must come before it.
LATEST_GOOD_TILL_MS = 253_402_300_799_000


def check_symbol(state: VenueState, symbol: str) -> Refused | None:
    """-1121 for a symbol that is not listed, -4108 for one that has not begun, was settled, or whose market is over."""
    if symbol not in state.listings:
        return refuse(-1121)
    listing = state.listings[symbol]
    begun = symbol in state.marks or (not state.ended and state.cell(listing).trades)
    if state.ended or symbol in state.closed or not begun:
        return refuse(-4108)
    return None


def check_lots(state: VenueState, account: Account, listing: Listing, lots: int, reduce_only: bool) -> Refused | None:
    """-4003, -4005, -4023; a reduce-only order may close a rest that is off the step."""
    if lots <= 0:
        return refuse(-4003)
    if state.rules.max_lots is not None and lots > state.rules.max_lots:
        return refuse(-4005)
    whole_rest = reduce_only and lots == abs(account.lots(listing.symbol))
    return refuse(-4023) if lots % listing.lot_step and not whole_rest else None


def check_price(state: VenueState, listing: Listing, side: Side, ticks: int) -> Refused | None:
    """-4014 off the tick; -4016 and -4024 too far on the side that pays more than the mark."""
    if ticks <= 0 or ticks % listing.tick_step:
        return refuse(-4014)
    mark, far = mark_of(state, listing.symbol), state.rules.percent_price
    if far is None or mark == 0:
        return None
    share = listing.grid.price(ticks) / mark - 1
    if side is Side.BUY and share > exact(far):
        return refuse(-4016)
    return refuse(-4024) if side is Side.SELL and -share > exact(far) else None


def check_notional(listing: Listing, lots: int, ticks: int, reduce_only: bool) -> Refused | None:
    """-4164, but for reduce-only orders."""
    if reduce_only or listing.grid.value(lots * ticks) >= listing.min_notional:
        return None
    return refuse(
        -4164, f"Order's notional must be no smaller than {listing.min_notional} (unless you choose reduce only)."
    )


def check_life(state: VenueState, good_till_ms: int) -> Refused | None:
    """-5040 for an end that is too near, or beyond all calendars; 0 is no end."""
    if good_till_ms and not state.now_ms + state.rules.shortest_gtd_ms < good_till_ms < LATEST_GOOD_TILL_MS:
        return refuse(-5040)
    return None


def cut_reduce_only(state: VenueState, account: Account, symbol: str, side: Side, lots: int) -> int | Refused:
    """Lots of a reduce-only order that may stand: -2022 where there is nothing to reduce, else as the rules say."""
    held = account.lots(symbol)
    room = abs(held) if held and (held > 0) != (side is Side.BUY) else 0
    if room == 0:
        return refuse(-2022)
    if state.rules.reduce_only == "count_open":
        return refuse(-4118) if account.reduce_only_lots(symbol, side) + lots > room else lots
    if lots > room:
        return refuse(-2022) if state.rules.reduce_only == "reject" else room
    return lots


def check_margin(
    state: VenueState, account: Account, listing: Listing, side: Side, lots: int, ticks: int
) -> Refused | None:
    """-2019 where what an order may add to the exposure needs more initial margin than is free."""
    held, orders = account.lots(listing.symbol), account.resting(listing.symbol)
    adding = [order for order in orders if not order.reduce_only and order.side == side]
    reach = int(side) * held + sum(order.left for order in adding) + lots
    added = reach - exposed_lots(held, orders)
    if added <= 0:
        return None
    needed = listing.grid.value(min(added, lots) * ticks) / leverage_of(state, account, listing)
    wallet = wallet_view(state, account)
    return refuse(-2019) if needed > wallet.available or wallet.margin_balance <= 0 else None


def check_client_id(account: Account, request: OrderRequest) -> Refused | None:
    """-4116 where an *open* order has the same client id; an id of the past may come again."""
    known = account.order_of_client(request.client_id)
    return refuse(-4116) if known is not None and known.status.is_open else None
