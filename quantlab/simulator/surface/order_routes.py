"""Endpoints of the plain book: place, amend, cancel, look up, list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from quantlab.simulator.engine.queries import OrderRef
from quantlab.simulator.surface.call import Call, Route, by_symbol, done, routes, taken
from quantlab.simulator.surface.order_reading import (
    missing,
    price_ticks,
    read_lots,
    read_order,
    read_price_match,
    read_side,
)
from quantlab.simulator.surface.order_shapes import order_acknowledgement, order_result, order_row
from quantlab.simulator.surface.spans import read_page, recent
from quantlab.simulator.wire.messages import RefusedError, read_json
from quantlab.simulator.wire.parameters import Parameters
from quantlab.simulator.wire.signing import Security

#: Orders in one batch.
LARGEST_BATCH = 5
_CANCELLED_BATCH = 10


def new_order(call: Call) -> dict[str, Any]:
    """``POST order``."""
    listing = call.listing()
    request, response = read_order(call.parameters, listing)
    call.parameters.require_all_read()
    placed = taken(call.venue.place(call.account, request, call.now.market_ms))
    shape = order_result if response == "RESULT" else order_acknowledgement
    return shape(placed.order, call.scale(listing.symbol))


def test_order(call: Call) -> dict[str, Any]:
    """``POST order/test``: all checks, no order."""
    listing = call.listing()
    request, _ = read_order(call.parameters, listing)
    call.parameters.require_all_read()
    done(call.venue.check(call.account, request, call.now.market_ms))
    return {}


def amend_order(call: Call) -> dict[str, Any]:
    """``PUT order``: another size and price for an open limit order."""
    listing, parameters = call.listing(), call.parameters
    ref = read_ref(parameters)
    side, lots = read_side(parameters), read_lots(parameters, listing)
    price = price_ticks(parameters.decimal("price"), "price", listing)
    read_price_match(parameters)
    parameters.require_all_read()
    if taken(call.venue.order(call.account, listing.symbol, ref, call.now.market_ms)).side != side:
        raise RefusedError(-1117, "Invalid side.")
    amended = taken(call.venue.amend(call.account, listing.symbol, ref, lots, price, call.now.market_ms))
    return {**order_result(amended.order, call.scale(listing.symbol)), "modifyId": amended.order.updated_ms}


def cancel_order(call: Call) -> dict[str, Any]:
    """``DELETE order``."""
    listing = call.listing()
    ref = read_ref(call.parameters)
    call.parameters.require_all_read()
    cancelled = taken(call.venue.cancel(call.account, listing.symbol, ref, call.now.market_ms))
    return order_result(cancelled, call.scale(listing.symbol))


def cancel_all(call: Call) -> dict[str, Any]:
    """``DELETE allOpenOrders`` of a symbol; conditional orders stay."""
    listing = call.listing()
    call.parameters.require_all_read()
    call.venue.cancel_all(call.account, listing.symbol, call.now.market_ms)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def find_order(call: Call) -> dict[str, Any]:
    """``GET order``."""
    listing = call.listing()
    ref = read_ref(call.parameters)
    call.parameters.require_all_read()
    order = taken(call.venue.order(call.account, listing.symbol, ref, call.now.market_ms))
    return order_row(order, call.scale(listing.symbol))


def find_open_order(call: Call) -> dict[str, Any]:
    """``GET openOrder``: -2013 for one that is over."""
    listing = call.listing()
    ref = read_ref(call.parameters)
    call.parameters.require_all_read()
    order = taken(call.venue.order(call.account, listing.symbol, ref, call.now.market_ms))
    if not order.status.is_open:
        raise RefusedError(-2013, "Order does not exist.")
    return order_row(order, call.scale(listing.symbol))


def open_orders(call: Call) -> list[dict[str, Any]]:
    """``GET openOrders`` of one symbol or all."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    orders = call.venue.open_orders(call.account, None if listing is None else listing.symbol, call.now.market_ms)
    return [order_row(order, call.scale(order.symbol)) for order in orders]


def all_orders(call: Call) -> list[dict[str, Any]]:
    """``GET allOrders`` of a symbol."""
    listing = call.listing()
    page = read_page(call.parameters, call.now.market_ms, ids="orderId", limit=500, largest=1_000)
    call.parameters.require_all_read()
    orders = call.venue.all_orders(call.account, listing.symbol, page, call.now.market_ms)
    scale = call.scale(listing.symbol)
    return [order_row(order, scale) for order in recent(orders, page, lambda order: order.created_ms)]


def new_batch(call: Call) -> list[dict[str, Any]]:
    """``POST batchOrders``: up to five, each taken or refused on its own."""
    batch = _read_batch(call)
    return [_alone(new_order, call, pairs) for pairs in batch]


def amend_batch(call: Call) -> list[dict[str, Any]]:
    """``PUT batchOrders``."""
    batch = _read_batch(call)
    return [_alone(amend_order, call, pairs) for pairs in batch]


def cancel_batch(call: Call) -> list[dict[str, Any]]:
    """``DELETE batchOrders``: up to ten of one symbol, by ids or client ids."""
    symbol = call.listing().symbol
    ids = _read_list(call.parameters, "orderIdList") or _read_list(call.parameters, "orderidlist")
    names = _read_list(call.parameters, "origClientOrderIdList") or _read_list(call.parameters, "origclientorderidlist")
    call.parameters.require_all_read()
    wanted = [{"symbol": symbol, "orderId": str(one)} for one in ids]
    wanted += [{"symbol": symbol, "origClientOrderId": str(one)} for one in names]
    if not wanted:
        raise missing("orderIdList")
    if len(wanted) > _CANCELLED_BATCH:
        raise RefusedError(-4032, "Exceed maximum cancel order size.")
    return [_alone(cancel_order, call, pairs) for pairs in wanted]


def countdown(call: Call) -> dict[str, Any]:
    """``POST countdownCancelAll``: cancel a symbol's orders unless it is called again in time; 0 ends the countdown."""
    listing, length = call.listing(), call.parameters.whole("countdownTime")
    call.parameters.require_all_read()
    if length is None:
        raise missing("countdownTime")
    call.venue.countdown(call.account, listing.symbol, length, call.now.market_ms)
    return {"symbol": listing.symbol, "countdownTime": str(length)}


def read_ref(parameters: Parameters) -> OrderRef:
    """An order by the venue's id or the client's; one must be there.

    Raises
    ------
    RefusedError
        -1102 without either.
    """
    order_id, client_id = parameters.whole("orderId"), parameters.optional("origClientOrderId")
    if order_id is None and client_id is None:
        raise RefusedError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return OrderRef(order_id or 0, client_id or "")


def _read_batch(call: Call) -> list[dict[str, str]]:
    orders = _read_list(call.parameters, "batchOrders")
    call.parameters.require_all_read()
    if not orders or not all(isinstance(one, dict) for one in orders):
        raise missing("batchOrders")
    if len(orders) > LARGEST_BATCH:
        raise RefusedError(-4082, "Invalid number of batch place orders.")
    return [{name: _as_text(value) for name, value in one.items()} for one in orders]


def _as_text(value: Any) -> str:
    """A value of a batch as a parameter's text; no parameter is a list or an object."""
    if isinstance(value, str):
        return value
    return "[]" if isinstance(value, list | dict) else json.dumps(value)


def _read_list(parameters: Parameters, name: str) -> list[Any]:
    text = parameters.optional(name)
    if text is None:
        return []
    try:
        rows = read_json(text)
    except ValueError:
        raise RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.") from None
    return rows if isinstance(rows, list) else []


def _alone(handler: Callable[[Call], dict[str, Any]], call: Call, pairs: dict[str, str]) -> dict[str, Any]:
    """One order of a batch; its refusal is a row of the answer."""
    try:
        return handler(call.with_parameters(pairs))
    except RefusedError as refusal:
        return {"code": refusal.code, "msg": refusal.message}


_READ, _TRADE = Security.READ, Security.TRADE
ORDER_ROUTES = routes(
    {
        ("POST", "/fapi/v1/order"): Route(new_order, 0, _TRADE, orders=1),
        ("PUT", "/fapi/v1/order"): Route(amend_order, 0, _TRADE, orders=1),
        ("DELETE", "/fapi/v1/order"): Route(cancel_order, 1, _TRADE),
        ("GET", "/fapi/v1/order"): Route(find_order, 1, _READ),
        ("POST", "/fapi/v1/order/test"): Route(test_order, 0, _TRADE),
        ("POST", "/fapi/v1/batchOrders"): Route(new_batch, 5, _TRADE, orders=5),
        ("PUT", "/fapi/v1/batchOrders"): Route(amend_batch, 5, _TRADE, orders=5),
        ("DELETE", "/fapi/v1/batchOrders"): Route(cancel_batch, 1, _TRADE),
        ("GET", "/fapi/v1/openOrder"): Route(find_open_order, 1, _READ),
        ("GET", "/fapi/v1/openOrders"): Route(open_orders, by_symbol(1, 40), _READ),
        ("GET", "/fapi/v1/allOrders"): Route(all_orders, 5, _READ),
        ("DELETE", "/fapi/v1/allOpenOrders"): Route(cancel_all, 1, _TRADE),
        ("POST", "/fapi/v1/countdownCancelAll"): Route(countdown, 10, _TRADE),
    }
)
