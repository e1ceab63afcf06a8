"""Events of an account as frames of its user stream."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quantlab.simulator.engine.events import (
    AccountUpdate,
    AlgoUpdate,
    Event,
    LeverageUpdate,
    MarginCall,
    OrderUpdate,
    TriggerRejected,
)
from quantlab.simulator.engine.values import MARGIN_ASSET, Position, Trade
from quantlab.simulator.surface.order_shapes import ONE_WAY, SELF_TRADE
from quantlab.simulator.surface.scale import Scale, money, plain

#: Steps of a symbol, and its mark in USD.
ScaleOf = Callable[[str], Scale]
MarkOf = Callable[[str], Decimal]


def user_frame(event: Event, scale_of: ScaleOf, mark_of: MarkOf) -> dict[str, Any]:
    """One event in the shape of the venue's documentation.

    Parameters
    ----------
    event : Event
    scale_of : callable
        Steps of a symbol.
    mark_of : callable
        Mark price of a symbol, USD, for unrealised profits.
    """
    if isinstance(event, OrderUpdate):
        return _order_trade_update(event, scale_of(event.order.symbol))
    if isinstance(event, AlgoUpdate):
        return _algo_update(event, scale_of(event.order.symbol))
    if isinstance(event, AccountUpdate):
        return _account_update(event, scale_of, mark_of)
    if isinstance(event, TriggerRejected):
        reject = {"s": event.order.symbol, "i": event.order.algo_id, "r": f"{event.code} {event.message}"}
        return {**_head("CONDITIONAL_ORDER_TRIGGER_REJECT", event.time_ms), "or": reject}
    if isinstance(event, LeverageUpdate):
        config = {"s": event.symbol, "l": event.leverage}
        return {**_head("ACCOUNT_CONFIG_UPDATE", event.time_ms), "ac": config}
    return _margin_call(event, scale_of)


def listen_key_expired(listen_key: str, time_ms: int) -> dict[str, Any]:
    """The last frame of a user stream whose key has run out."""
    return {"e": "listenKeyExpired", "E": time_ms, "listenKey": listen_key}


def _head(name: str, time_ms: int) -> dict[str, Any]:
    return {"e": name, "E": time_ms, "T": time_ms}


def _order_trade_update(event: OrderUpdate, scale: Scale) -> dict[str, Any]:
    order = event.order
    shown: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side.name,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": scale.size(order.lots),
        "p": scale.price(order.price_ticks),
        "ap": scale.mean_price(order.filled_value, order.filled_lots),
        "sp": "0",
        "x": event.execution.value,
        "X": order.status.value,
        "i": order.order_id,
        **_last_trade(event.trade, scale),
        "z": scale.size(order.filled_lots),
        "T": event.time_ms,
        "b": "0",
        "a": "0",
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.asked_type.value,
        "ps": ONE_WAY,
        "cp": order.close_position,
        "AP": "0",
        "cr": "0",
        "pP": False,
        "si": order.algo_id,
        "ss": 0,
        "V": SELF_TRADE,
        "pm": "NONE",
        "gtd": order.good_till_ms,
        "er": "0",
    }
    return {**_head("ORDER_TRADE_UPDATE", event.time_ms), "o": shown}


def _last_trade(trade: Trade | None, scale: Scale) -> dict[str, Any]:
    if trade is None:
        return {"M": "0", "l": "0", "L": "0", "N": MARGIN_ASSET, "n": "0", "t": 0, "m": False, "rp": "0"}
    return {
        "M": "0",
        "l": scale.size(trade.lots),
        "L": scale.price(trade.price_ticks),
        "N": MARGIN_ASSET,
        "n": money(trade.fee),
        "t": trade.trade_id,
        "m": trade.maker,
        "rp": money(trade.realised),
    }


def _algo_update(event: AlgoUpdate, scale: Scale) -> dict[str, Any]:
    algo, became = event.order, event.became
    shown: dict[str, Any] = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type.value,
        "s": algo.symbol,
        "S": algo.side.name,
        "ps": ONE_WAY,
        "f": algo.time_in_force.value,
        "q": scale.size(algo.lots),
        "X": algo.status.value,
        "ai": str(algo.order_id) if algo.order_id else "",
        "ap": scale.mean_price(became.filled_value, became.filled_lots) if became else "0",
        "aq": scale.size(became.filled_lots) if became else "0",
        "act": became.type.value if became else "",
        "tp": scale.price(algo.trigger_ticks),
        "p": scale.price(algo.price_ticks),
        "V": SELF_TRADE,
        "wt": algo.working_type.value,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": False,
        "R": algo.reduce_only or algo.close_position,
        "tt": algo.triggered_ms,
        "gtd": algo.good_till_ms,
        "rm": event.reason,
        "ia": False,
    }
    return {**_head("ALGO_UPDATE", event.time_ms), "o": shown}


def _account_update(event: AccountUpdate, scale_of: ScaleOf, mark_of: MarkOf) -> dict[str, Any]:
    balance = {"a": MARGIN_ASSET, "wb": money(event.wallet), "cw": money(event.wallet), "bc": money(event.change)}
    positions = [_position(p, scale_of(p.symbol), mark_of(p.symbol)) for p in event.positions]
    return {
        **_head("ACCOUNT_UPDATE", event.time_ms),
        "a": {"m": event.reason.value, "B": [balance], "P": positions, "S": ""},
    }


def _position(position: Position, scale: Scale, mark: Decimal) -> dict[str, Any]:
    entry = _entry_price(position, scale)
    return {
        "s": position.symbol,
        "pa": scale.size(position.lots),
        "ep": entry,
        "bep": entry,
        "cr": money(position.realised),
        "up": money(position.lots * scale.lot * mark - position.cost),
        "mt": "cross",
        "iw": "0",
        "ps": ONE_WAY,
    }


def _entry_price(position: Position, scale: Scale) -> str:
    return plain(position.cost / (position.lots * scale.lot)) if position.lots else "0"


def _margin_call(event: MarginCall, scale_of: ScaleOf) -> dict[str, Any]:
    rows = []
    for called in event.positions:
        shown = _position(called.position, scale_of(called.position.symbol), called.price)
        keep = {name: shown[name] for name in ("s", "ps", "pa", "iw", "up")}
        rows.append({**keep, "mt": "CROSSED", "mp": plain(called.price), "mm": money(called.maintenance)})
    return {"e": "MARGIN_CALL", "E": event.time_ms, "cw": money(event.wallet), "p": rows}
