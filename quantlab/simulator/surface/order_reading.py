"""Orders of both books as their parameters say them, in whole lots and ticks; what the text alone makes wrong is refused here.

Rules that depend on books, positions or prices are the venue's.
"""

from __future__ import annotations

from decimal import Decimal

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.requests import ConditionalRequest, OrderRequest
from quantlab.simulator.engine.values import ZERO, OrderType, Side, TimeInForce, WorkingType
from quantlab.simulator.surface.order_shapes import ONE_WAY
from quantlab.simulator.surface.scale import Scale, decimals
from quantlab.simulator.wire.messages import RefusedError
from quantlab.simulator.wire.parameters import Parameters

#: Largest size and price, in steps, as ``exchangeInfo`` says. A tick that stands for an unknown one is 1e-9 of the lowest price and less.
LARGEST_LOTS, LARGEST_TICKS = 10**15, 10**15
PLAIN = (OrderType.LIMIT, OrderType.MARKET)
WITH_LIMIT = (OrderType.STOP, OrderType.TAKE_PROFIT)
CLOSING = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
RESPONSES = ("ACK", "RESULT")
#: Members by their words: calling an enumeration takes ten times as long.
_SIDES = {side.name: side for side in Side}
_TYPES = {kind.value: kind for kind in OrderType}
_LIVES = {life.value: life for life in TimeInForce}
_SELF_TRADE = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
_SECOND_MS = 1_000
_SMALLEST_CALLBACK, _LARGEST_CALLBACK = Decimal("0.1"), Decimal(10)


def read_order(parameters: Parameters, listing: Listing) -> tuple[OrderRequest, str]:
    """A plain order, and the kind of answer it wants.

    Raises
    ------
    RefusedError
        -4120 for a type of the conditional book, and all that :func:`_common` refuses.
    """
    side, kind = _common(parameters)
    response = parameters.choice("newOrderRespType", RESPONSES, -1136, "Invalid newOrderRespType.") or "ACK"
    client_id = parameters.client_id("newClientOrderId") or ""
    if kind not in PLAIN:
        raise RefusedError(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if parameters.flag("closePosition"):
        raise RefusedError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
    for name in ("stopPrice", "activationPrice", "callbackRate"):
        if name in parameters:
            raise RefusedError(-1106, f"Parameter '{name}' sent when not required.")
    life, good_till = _life(parameters, needed=kind == OrderType.LIMIT)
    price = parameters.decimal("price")
    for name in ("price", "timeInForce") if kind == OrderType.MARKET else ():
        if name in parameters:
            raise RefusedError(-1106, f"Parameter '{name.lower()}' sent when not required.")
    request = OrderRequest(
        symbol=listing.symbol,
        side=side,
        type=kind,
        lots=read_lots(parameters, listing),
        price_ticks=0 if kind == OrderType.MARKET else price_ticks(price, "price", listing),
        time_in_force=life,
        reduce_only=bool(parameters.flag("reduceOnly")),
        client_id=client_id,
        good_till_ms=good_till,
    )
    return request, response


def read_conditional(parameters: Parameters, listing: Listing) -> ConditionalRequest:
    """A conditional order.

    Raises
    ------
    RefusedError
        If a parameter is missing, malformed or does not go with the others.
    """
    if parameters.text("algoType") != "CONDITIONAL":
        raise RefusedError(-1130, "Data sent for parameter 'algoType' is not valid.")
    side, kind = _common(parameters)
    parameters.choice("newOrderRespType", RESPONSES, -1136, "Invalid newOrderRespType.")
    if kind in PLAIN:
        raise RefusedError(-4120, "Order type not supported for this endpoint.")
    closes, reduces = bool(parameters.flag("closePosition")), parameters.flag("reduceOnly")
    if closes and kind not in CLOSING:
        raise RefusedError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
    if closes and "quantity" in parameters:
        raise RefusedError(-4137, "Quantity must be zero with closePosition equals true")
    if closes and reduces is not None:
        raise RefusedError(-1106, "Parameter 'reduceonly' sent when not required.")
    life, good_till = _life(parameters, needed=False)
    trailing = kind == OrderType.TRAILING_STOP_MARKET
    price = parameters.decimal("price")
    if kind not in WITH_LIMIT and price is not None:
        raise RefusedError(-1106, "Parameter 'price' sent when not required.")
    activate = parameters.decimal("activatePrice")
    callback = _callback(parameters, needed=trailing)
    trigger = parameters.decimal("triggerPrice")
    working = parameters.choice("workingType", tuple(WorkingType), -4031, "Invalid parameter working type")
    return ConditionalRequest(
        symbol=listing.symbol,
        side=side,
        type=kind,
        trigger_ticks=0 if trailing else price_ticks(trigger, "triggerPrice", listing),
        lots=0 if closes else read_lots(parameters, listing),
        price_ticks=price_ticks(price, "price", listing) if kind in WITH_LIMIT else 0,
        time_in_force=life,
        working_type=WorkingType(working or WorkingType.CONTRACT_PRICE),
        reduce_only=bool(reduces),
        close_position=closes,
        activate_ticks=0 if activate is None else price_ticks(activate, "activatePrice", listing),
        callback=callback,
        client_id=parameters.client_id("clientAlgoId") or "",
        good_till_ms=good_till,
    )


def read_lots(parameters: Parameters, listing: Listing) -> int:
    """The quantity in whole lots.

    Raises
    ------
    RefusedError
        -1102 without one, -1111 with too many decimals, -4023 off the step, -4005 beyond the largest.
    """
    size = parameters.decimal("quantity")
    if size is None:
        raise missing("quantity")
    lots = Scale(listing.grid.tick, listing.grid.lot).lots(size)
    if lots is None:
        raise _off_grid(size, listing.grid.lot, -4023, "Qty not increased by step size.")
    if lots > LARGEST_LOTS:
        raise RefusedError(-4005, "Quantity greater than max quantity.")
    return lots


def price_ticks(price: Decimal | None, name: str, listing: Listing) -> int:
    """A price in whole ticks.

    Raises
    ------
    RefusedError
        -1102 without one, -1111 with too many decimals, -4014 off the tick, -4001 for zero, -4002 beyond the largest.
    """
    if price is None:
        raise missing(name)
    if price == 0:
        raise RefusedError(-4001 if name == "price" else -4006, "Price less than or equal to zero.")
    ticks = Scale(listing.grid.tick, listing.grid.lot).ticks(price)
    if ticks is None:
        raise _off_grid(price, listing.grid.tick, -4014, "Price not increased by tick size.")
    if ticks > LARGEST_TICKS * listing.tick_step:
        raise RefusedError(-4002, "Price greater than max price.")
    return ticks


def missing(name: str) -> RefusedError:
    """The refusal of a request without a mandatory parameter."""
    return RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def read_price_match(parameters: Parameters) -> None:
    """Take ``priceMatch=NONE``: prices come from the client.

    Raises
    ------
    RefusedError
        -5037 for another word.
    """
    parameters.choice("priceMatch", ("NONE",), -5037, "Invalid price match")


def read_side(parameters: Parameters) -> Side:
    """The side.

    Raises
    ------
    RefusedError
        -1102 without one, -1117 for another word.
    """
    side = _SIDES.get(parameters.text("side"))
    if side is None:
        raise RefusedError(-1117, "Invalid side.")
    return side


def _common(parameters: Parameters) -> tuple[Side, OrderType]:
    side = read_side(parameters)
    position_side = parameters.choice("positionSide", ("BOTH", "LONG", "SHORT"), -4060, "Invalid position side.")
    if position_side not in (None, ONE_WAY):
        raise RefusedError(-4061, "Order's position side does not match user's setting.")
    kind = _TYPES.get(parameters.text("type"))
    if kind is None:
        raise RefusedError(-1116, "Invalid orderType.")
    parameters.choice("selfTradePreventionMode", _SELF_TRADE, -5039, "Invalid self trade prevention mode")
    read_price_match(parameters)
    if "workingType" in parameters and kind in PLAIN:
        parameters.choice("workingType", tuple(WorkingType), -4031, "Invalid parameter working type")
    parameters.flag("priceProtect")
    return side, kind


def _life(parameters: Parameters, *, needed: bool) -> tuple[TimeInForce, int]:
    life = parameters.choice("timeInForce", _LIVES, -1115, "Invalid timeInForce.")
    until = parameters.whole("goodTillDate")
    if life is None and needed:
        raise missing("timeInForce")
    if life == TimeInForce.GTD and until is None:
        raise missing("goodTillDate")
    if until is None or life != TimeInForce.GTD:
        return _LIVES[life or TimeInForce.GTC], 0
    return TimeInForce.GTD, max(until - until % _SECOND_MS, 1)  # whole seconds count; 0 would be no end


def _callback(parameters: Parameters, *, needed: bool) -> Decimal:
    rate = parameters.decimal("callbackRate")
    if rate is None and not needed:
        return ZERO
    if rate is None:
        raise missing("callbackRate")
    if not _SMALLEST_CALLBACK <= rate <= _LARGEST_CALLBACK:
        raise RefusedError(-2007, "Invalid callBack rate.")
    return rate / 100


def _off_grid(number: Decimal, step: Decimal, code: int, message: str) -> RefusedError:
    if decimals(number) > decimals(step):
        return RefusedError(-1111, "Precision is over the maximum defined for this asset.")
    return RefusedError(code, message)
