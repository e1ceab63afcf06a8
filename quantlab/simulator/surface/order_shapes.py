"""Orders of both books and trades, in the JSON shapes of the venue's documentation."""

from __future__ import annotations

from typing import Any

from quantlab.simulator.engine.values import MARGIN_ASSET, AlgoOrder, Order, Side, Trade
from quantlab.simulator.surface.scale import Scale, money

#: How the venue treats an account's orders that would trade with each other; nothing here does.
SELF_TRADE = "EXPIRE_MAKER"
ONE_WAY = "BOTH"


def order_result(order: Order, scale: Scale) -> dict[str, Any]:
    """Answer to a placed, amended or cancelled order."""
    filled = scale.size(order.filled_lots)
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "pair": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_id,
        "price": scale.price(order.price_ticks),
        "avgPrice": scale.mean_price(order.filled_value, order.filled_lots),
        "origQty": scale.size(order.lots),
        "executedQty": filled,
        "cumQty": filled,
        "cumQuote": scale.quote(order.filled_value),
        "activatePrice": "0",
        "priceRate": "0",
        **_terms(order),
        "updateTime": order.updated_ms,
    }


def order_acknowledgement(order: Order, scale: Scale) -> dict[str, Any]:
    """Answer of ``newOrderRespType=ACK``: the order as it was before anything of it traded."""
    nothing = {"status": "NEW", "avgPrice": scale.price(0), "executedQty": scale.size(0), "cumQty": scale.size(0)}
    return {**order_result(order, scale), **nothing, "cumQuote": scale.quote(0)}


def order_row(order: Order, scale: Scale) -> dict[str, Any]:
    """A row of order queries and lists."""
    return {
        "avgPrice": scale.mean_price(order.filled_value, order.filled_lots),
        "clientOrderId": order.client_id,
        "cumQuote": scale.quote(order.filled_value),
        "cumBase": scale.size(order.filled_lots),
        "executedQty": scale.size(order.filled_lots),
        "orderId": order.order_id,
        "origQty": scale.size(order.lots),
        "price": scale.price(order.price_ticks),
        "status": order.status.value,
        "symbol": order.symbol,
        "pair": order.symbol,
        "activatePrice": "0",
        "priceRate": "0",
        **_terms(order),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def _terms(order: Order) -> dict[str, Any]:
    return {
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "origType": order.asked_type.value,
        "side": order.side.name,
        "positionSide": ONE_WAY,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": SELF_TRADE,
        "goodTillDate": order.good_till_ms,
    }


def algo_row(algo: AlgoOrder, scale: Scale) -> dict[str, Any]:
    """A conditional order, as the answer to placing it shows it."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type.value,
        "symbol": algo.symbol,
        "side": algo.side.name,
        "positionSide": ONE_WAY,
        "timeInForce": algo.time_in_force.value,
        "quantity": scale.size(algo.lots),
        "algoStatus": algo.status.value,
        "triggerPrice": scale.price(algo.trigger_ticks),
        "price": scale.price(algo.price_ticks),
        "icebergQuantity": "0",
        "selfTradePreventionMode": SELF_TRADE,
        "workingType": algo.working_type.value,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": False,
        "reduceOnly": algo.reduce_only or algo.close_position,
        "activatePrice": scale.price(algo.activate_ticks),
        "callbackRate": str(algo.callback * 100),
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.triggered_ms,
        "goodTillDate": algo.good_till_ms,
    }


def algo_status_row(algo: AlgoOrder, became: Order | None, scale: Scale) -> dict[str, Any]:
    """A conditional order in queries and lists, with the plain order that it became."""
    return {
        **algo_row(algo, scale),
        "actualOrderId": str(algo.order_id) if algo.order_id else "",
        "actualPrice": scale.mean_price(became.filled_value, became.filled_lots) if became else "0",
        "actualType": became.type.value if became else "",
        "actualQty": scale.size(became.filled_lots) if became else "0",
        "tpTriggerPrice": "0",
        "tpPrice": "0",
        "slTriggerPrice": "0",
        "slPrice": "0",
        "tpOrderType": "",
    }


def trade_row(trade: Trade, scale: Scale) -> dict[str, Any]:
    """A row of the account's trade list."""
    return {
        "symbol": trade.symbol,
        "pair": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side.name,
        "price": scale.price(trade.price_ticks),
        "qty": scale.size(trade.lots),
        "baseQty": scale.size(trade.lots),
        "realizedPnl": money(trade.realised),
        "quoteQty": scale.quote(trade.lots * trade.price_ticks),
        "commission": money(trade.fee),
        "commissionAsset": MARGIN_ASSET,
        "marginAsset": MARGIN_ASSET,
        "time": trade.time_ms,
        "positionSide": ONE_WAY,
        "buyer": trade.side == Side.BUY,
        "maker": trade.maker,
    }
