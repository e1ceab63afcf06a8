"""Endpoints of the conditional book: place, cancel, look up, list."""

from __future__ import annotations

from typing import Any

from quantlab.simulator.engine.queries import OrderRef
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.values import AlgoOrder
from quantlab.simulator.surface.call import Call, Route, by_symbol, routes, taken
from quantlab.simulator.surface.order_reading import read_conditional
from quantlab.simulator.surface.order_shapes import algo_row, algo_status_row
from quantlab.simulator.surface.spans import read_page, recent
from quantlab.simulator.wire.messages import RefusedError
from quantlab.simulator.wire.parameters import Parameters
from quantlab.simulator.wire.signing import Security


def new_algo_order(call: Call) -> dict[str, Any]:
    """``POST algoOrder``."""
    listing = call.listing()
    request = read_conditional(call.parameters, listing)
    call.parameters.require_all_read()
    placed = taken(call.venue.place_conditional(call.account, request, call.now.market_ms))
    return algo_row(placed.order, call.scale(listing.symbol))


def cancel_algo_order(call: Call) -> dict[str, Any]:
    """``DELETE algoOrder``."""
    call.optional_listing()
    ref = _read_ref(call.parameters)
    call.parameters.require_all_read()
    cancelled = taken(call.venue.cancel_conditional(call.account, ref, call.now.market_ms))
    return {"algoId": cancelled.algo_id, "clientAlgoId": cancelled.client_id, "code": "200", "msg": "success"}


def cancel_all_algo_orders(call: Call) -> dict[str, Any]:
    """``DELETE algoOpenOrders`` of a symbol; plain orders stay."""
    listing = call.listing()
    call.parameters.require_all_read()
    call.venue.cancel_all_conditional(call.account, listing.symbol, call.now.market_ms)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def find_algo_order(call: Call) -> dict[str, Any]:
    """``GET algoOrder``."""
    call.optional_listing()
    ref = _read_ref(call.parameters)
    call.parameters.require_all_read()
    return _row(call, taken(call.venue.conditional(call.account, ref, call.now.market_ms)))


def open_algo_orders(call: Call) -> list[dict[str, Any]]:
    """``GET openAlgoOrders`` of one symbol or all."""
    parameters, listing = call.parameters, call.optional_listing()
    parameters.choice("algoType", ("CONDITIONAL",), -1130, "Data sent for parameter 'algoType' is not valid.")
    algo_id = parameters.whole("algoId")
    parameters.require_all_read()
    symbol = None if listing is None else listing.symbol
    found = call.venue.open_conditional(call.account, symbol, call.now.market_ms)
    return [_row(call, algo) for algo in found if algo_id is None or algo.algo_id == algo_id]


def all_algo_orders(call: Call) -> list[dict[str, Any]]:
    """``GET allAlgoOrders`` of a symbol."""
    listing = call.listing()
    page = read_page(call.parameters, call.now.market_ms, ids="algoId", limit=500, largest=1_000)
    call.parameters.whole("page")
    call.parameters.require_all_read()
    found = call.venue.all_conditional(call.account, listing.symbol, page, call.now.market_ms)
    return [_row(call, algo) for algo in recent(found, page, lambda algo: algo.created_ms)]


def _read_ref(parameters: Parameters) -> OrderRef:
    algo_id, client_id = parameters.whole("algoId"), parameters.optional("clientAlgoId")
    if algo_id is None and client_id is None:
        raise RefusedError(-1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!")
    return OrderRef(algo_id or 0, client_id or "")


def _row(call: Call, algo: AlgoOrder) -> dict[str, Any]:
    ref = OrderRef(algo.order_id)
    became = call.venue.order(call.account, algo.symbol, ref, call.now.market_ms) if algo.order_id else None
    return algo_status_row(algo, None if isinstance(became, Refused) else became, call.scale(algo.symbol))


_READ, _TRADE = Security.READ, Security.TRADE
ALGO_ROUTES = routes(
    {
        ("POST", "/fapi/v1/algoOrder"): Route(new_algo_order, 0, _TRADE, orders=1),
        ("DELETE", "/fapi/v1/algoOrder"): Route(cancel_algo_order, 1, _TRADE),
        ("GET", "/fapi/v1/algoOrder"): Route(find_algo_order, 1, _READ),
        ("GET", "/fapi/v1/openAlgoOrders"): Route(open_algo_orders, by_symbol(1, 40), _READ),
        ("GET", "/fapi/v1/allAlgoOrders"): Route(all_algo_orders, 5, _READ),
        ("DELETE", "/fapi/v1/algoOpenOrders"): Route(cancel_all_algo_orders, 1, _TRADE),
    }
)
