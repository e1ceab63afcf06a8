"""The conditional book: stops, take-profits and trailing stops that become plain orders when they fire."""

from __future__ import annotations

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.checks import (
    check_life,
    check_lots,
    check_margin,
    check_price,
    check_symbol,
    cut_reduce_only,
)
from quantlab.simulator.engine.events import TriggerRejected
from quantlab.simulator.engine.fills import end_order, fill
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.matching import UNLIMITED, budget_lots, quote_at, take_budget, to_price
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.plain_book import open_order, reducible
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.requests import Author, ConditionalRequest, PlacedConditional
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.triggers import GAIN_TYPES, follow, is_trailing, would_fire
from quantlab.simulator.engine.values import (
    AlgoOrder,
    AlgoStatus,
    Order,
    OrderStatus,
    OrderType,
    Origin,
    TimeInForce,
    WorkingType,
)

_LIMITS = (OrderType.STOP, OrderType.TAKE_PROFIT)


def place_conditional(
    state: VenueState, account: Account, request: ConditionalRequest, author: Author
) -> PlacedConditional | Refused:
    """Check a conditional order, and let it rest.

    Parameters
    ----------
    state : VenueState
    account : Account
    request : ConditionalRequest
    author : Author
    """
    refused = check_symbol(state, request.symbol) or _check(state, account, state.listings[request.symbol], request)
    if refused is not None:
        return refused
    state.counters.algo += 1
    number = state.counters.algo
    order = AlgoOrder(
        algo_id=number,
        client_id=request.client_id or f"{author.prefix}algo_{number}",
        account=account.name,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force,
        lots=0 if request.close_position else request.lots,
        price_ticks=request.price_ticks if request.type in _LIMITS else 0,
        trigger_ticks=0 if is_trailing(request.type) else request.trigger_ticks,
        working_type=request.working_type,
        reduce_only=request.reduce_only,
        close_position=request.close_position,
        activate_ticks=request.activate_ticks,
        callback=request.callback,
        extreme_ticks=0,
        good_till_ms=request.good_till_ms,
        status=AlgoStatus.NEW,
        order_id=0,
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        triggered_ms=0,
        origin=author.origin,
    )
    listing = state.listings[request.symbol]
    price = _working_price(state, listing, request.working_type)
    if price is not None and is_trailing(request.type):
        order = follow(listing, order, price, price, state.now_ms)
    state.note(
        "algo",
        account.name,
        algo_id=number,
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side.name,
        type=order.type.value,
        lots=order.lots,
        price_ticks=order.price_ticks,
        trigger_ticks=order.trigger_ticks,
        working_type=order.working_type.value,
        reduce_only=order.reduce_only,
        close_position=order.close_position,
        origin=order.origin.value,
    )
    return PlacedConditional(state.keep_algo(order, is_open=True))


def _check(state: VenueState, account: Account, listing: Listing, request: ConditionalRequest) -> Refused | None:
    """Check everything but the symbol."""
    waiting = account.waiting(request.symbol)
    if any(order.client_id == request.client_id for order in account.waiting() if request.client_id):
        return refuse(-4116)
    if len(waiting) >= state.rules.max_conditional:
        return refuse(-4045)
    if not request.close_position:
        refused = check_lots(state, account, listing, request.lots, request.reduce_only)
        if refused is not None:
            return refused
    if request.type in _LIMITS and (request.price_ticks <= 0 or request.price_ticks % listing.tick_step):
        return refuse(-4014)
    refused = check_life(state, request.good_till_ms) or _check_trigger(state, listing, request)
    if refused is not None:
        return refused
    if request.close_position and not state.rules.second_close_position:
        gains = request.type in GAIN_TYPES
        for order in waiting:
            if order.close_position and order.side is request.side and (order.type in GAIN_TYPES) == gains:
                return refuse(-4130)
    return None


def _check_trigger(state: VenueState, listing: Listing, request: ConditionalRequest) -> Refused | None:
    """Check the price that an order waits for; a trailing stop waits for its activation, where the market gains."""
    trailing = is_trailing(request.type)
    ticks = request.activate_ticks if trailing else request.trigger_ticks
    if trailing and not ticks:
        return None
    refused = check_price(state, listing, request.side, ticks)
    if refused is not None:
        return refused
    price = _working_price(state, listing, request.working_type)
    kind = OrderType.TAKE_PROFIT_MARKET if trailing else request.type
    fires = price is not None and would_fire(kind, request.side, price, to_price(listing, ticks))
    return refuse(-2021) if fires else None


def _working_price(state: VenueState, listing: Listing, working_type: WorkingType) -> float | None:
    """The price that a trigger looks at now."""
    if working_type is WorkingType.MARK_PRICE:
        return state.marks.get(listing.symbol)
    return running_price(state, listing)


def end_algo(state: VenueState, order: AlgoOrder, status: AlgoStatus, reason: str = "") -> AlgoOrder:
    """Take a conditional order out of its book.

    Parameters
    ----------
    state : VenueState
    order : AlgoOrder
    status : AlgoStatus
    reason : str
        For its account.
    """
    ended = order._replace(status=status, updated_ms=state.now_ms)
    state.note("algo_end", order.account, algo_id=order.algo_id, symbol=order.symbol, status=status.value)
    return state.keep_algo(ended, is_open=False, reason=reason)


def fire(state: VenueState, order: AlgoOrder, price: float) -> None:
    """Turn a conditional order into a plain one, where the market is at `price`, and match that.

    What reduces fills whole, as the house's stops do, beyond the bar's budget too; what opens keeps to the budget.

    Parameters
    ----------
    state : VenueState
    order : AlgoOrder
    price : float
        At which it fired.
    """
    account, listing = state.accounts[order.account], state.listings[order.symbol]
    quote = quote_at(state, listing, price)
    limit = order.type in _LIMITS
    ticks = order.price_ticks if limit else quote.taken_by(order.side)
    crosses = not limit or quote.is_crossed_by(order.side, order.price_ticks)
    reduces = order.close_position or order.reduce_only
    room = UNLIMITED if reduces else budget_lots(state, account, listing)
    lots = _lots_on_trigger(state, account, listing, order, ticks)
    if limit and not isinstance(lots, Refused):
        lots = _check_life(order.time_in_force, crosses=crosses, fills_whole=crosses and room >= lots) or lots
    if isinstance(lots, Refused):
        state.events.append(TriggerRejected(account.name, state.now_ms, order, lots.code, lots.message))
        end_algo(state, order, AlgoStatus.REJECTED, lots.message)
        return
    state.counters.order += 1
    number = state.counters.order
    triggered = order._replace(
        status=AlgoStatus.TRIGGERED, order_id=number, updated_ms=state.now_ms, triggered_ms=state.now_ms
    )
    state.note("algo_trigger", account.name, algo_id=order.algo_id, order_id=number, symbol=order.symbol)
    plain = open_order(state, _plain(state, triggered, lots))
    state.keep_algo(triggered, is_open=False)
    take = min(lots, room) if crosses else 0
    if take > 0:
        if not reduces:
            take_budget(account, listing, take)
        plain = fill(state, listing, plain, take, quote.taken_by(order.side), maker=False)
    if plain.status.is_open and (not limit or plain.time_in_force is TimeInForce.IOC):
        end_order(state, plain, OrderStatus.EXPIRED)


def _check_life(life: TimeInForce, *, crosses: bool, fills_whole: bool) -> Refused | None:
    """-5021 for a fill-or-kill order that does not fill whole, -5022 for a post-only one that would take."""
    if life is TimeInForce.FOK and not fills_whole:
        return refuse(-5021)
    return refuse(-5022) if life is TimeInForce.GTX and crosses else None


def _lots_on_trigger(
    state: VenueState, account: Account, listing: Listing, order: AlgoOrder, ticks: int
) -> int | Refused:
    """Lots of the plain order, by the position as it is now."""
    if order.close_position:
        return reducible(account, order.symbol, order.side) or refuse(-2022)
    if order.reduce_only:
        return cut_reduce_only(state, account, order.symbol, order.side, order.lots)
    return check_margin(state, account, listing, order.side, order.lots, ticks) or order.lots


def _plain(state: VenueState, order: AlgoOrder, lots: int) -> Order:
    """The plain order that a conditional one becomes; it keeps the client id."""
    limit = order.type in _LIMITS
    return Order(
        order_id=order.order_id,
        client_id=order.client_id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        type=OrderType.LIMIT if limit else OrderType.MARKET,
        time_in_force=order.time_in_force if limit else TimeInForce.GTC,
        lots=lots,
        price_ticks=order.price_ticks,
        reduce_only=order.reduce_only or order.close_position,
        close_position=order.close_position,
        status=OrderStatus.NEW,
        filled_lots=0,
        filled_value=0,
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        good_till_ms=order.good_till_ms,
        origin=Origin.TRIGGER,
        algo_id=order.algo_id,
        asked_type=order.type,
    )
