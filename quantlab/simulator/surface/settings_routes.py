"""Endpoints about settings of an account, its keys and its user stream.

Modes that the venue does not have (hedge mode, isolated margin, several margin assets, fees in another coin) are
answered as switched off, and refused when they are asked for.
"""

from __future__ import annotations

from typing import Any

from quantlab.simulator.surface.account_shapes import LARGEST_NOTIONAL, symbol_config
from quantlab.simulator.surface.call import Call, Route, done, routes
from quantlab.simulator.surface.market_shapes import order_limits
from quantlab.simulator.surface.order_reading import missing
from quantlab.simulator.surface.scale import plain
from quantlab.simulator.wire.messages import RefusedError
from quantlab.simulator.wire.signing import Security


def set_leverage(call: Call) -> dict[str, Any]:
    """``POST leverage`` of a symbol."""
    listing, leverage = call.listing(), call.parameters.whole("leverage")
    call.parameters.require_all_read()
    if leverage is None:
        raise missing("leverage")
    done(call.venue.set_leverage(call.account, listing.symbol, leverage, call.now.market_ms))
    return {"leverage": leverage, "maxNotionalValue": LARGEST_NOTIONAL, "symbol": listing.symbol}


def set_margin_type(call: Call) -> dict[str, Any]:
    """``POST marginType``: CROSSED is what there is."""
    call.listing()
    wanted = call.parameters.text("marginType")
    call.parameters.require_all_read()
    if wanted not in ("CROSSED", "ISOLATED"):
        raise RefusedError(-1130, "Data sent for parameter 'marginType' is not valid.")
    if wanted == "ISOLATED":
        raise RefusedError(
            -4168, "Unable to adjust to isolated-margin mode: the simulated exchange has cross margin only."
        )
    raise RefusedError(-4046, "No need to change margin type.")


def position_mode(call: Call) -> dict[str, Any]:
    """``GET positionSide/dual``."""
    call.parameters.require_all_read()
    return {"dualSidePosition": False}


def set_position_mode(call: Call) -> dict[str, Any]:
    """``POST positionSide/dual``."""
    return _refuse_to_switch(call, "dualSidePosition", -4059, "No need to change position side.")


def assets_mode(call: Call) -> dict[str, Any]:
    """``GET multiAssetsMargin``."""
    call.parameters.require_all_read()
    return {"multiAssetsMargin": False}


def set_assets_mode(call: Call) -> dict[str, Any]:
    """``POST multiAssetsMargin``."""
    return _refuse_to_switch(call, "multiAssetsMargin", -4171, "No need to change multi-assets mode.")


def fee_burn(call: Call) -> dict[str, Any]:
    """``GET feeBurn``."""
    call.parameters.require_all_read()
    return {"feeBurn": False}


def set_fee_burn(call: Call) -> dict[str, Any]:
    """``POST feeBurn``: off is what there is, and no error."""
    wanted = call.parameters.flag("feeBurn")
    call.parameters.require_all_read()
    if wanted is None:
        raise missing("feeBurn")
    if wanted:
        raise RefusedError(-1130, "Data sent for parameter 'feeBurn' is not valid.")
    return {"code": 200, "msg": "success"}


def _refuse_to_switch(call: Call, name: str, code: int, message: str) -> dict[str, Any]:
    wanted = call.parameters.flag(name)
    call.parameters.require_all_read()
    if wanted is None:
        raise missing(name)
    if wanted:
        raise RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.")
    raise RefusedError(code, message)


def account_config(call: Call) -> dict[str, Any]:
    """``accountConfig``."""
    call.parameters.require_all_read()
    return {
        "feeTier": 0,
        "canTrade": call.key.can_trade,
        "canDeposit": True,
        "canWithdraw": call.key.can_withdraw,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def symbol_configs(call: Call) -> list[dict[str, Any]]:
    """``symbolConfig`` of one symbol or all."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    positions = call.venue.positions(call.account, call.now.market_ms)
    return [symbol_config(p.symbol, p.leverage) for p in positions if listing is None or p.symbol == listing.symbol]


def leverage_brackets(call: Call) -> list[dict[str, Any]]:
    """``leverageBracket``: one bracket a symbol."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    listings = call.venue.state.listings.values() if listing is None else (listing,)
    return [
        {
            "symbol": one.symbol,
            "notionalCoef": 1.0,
            "brackets": [
                {
                    "bracket": 1,
                    "initialLeverage": one.max_leverage,
                    "notionalCap": int(LARGEST_NOTIONAL),
                    "notionalFloor": 0,
                    "maintMarginRatio": float(one.maintenance),
                    "cum": 0,
                }
            ],
        }
        for one in listings
    ]


def commission_rate(call: Call) -> dict[str, Any]:
    """``commissionRate`` of a symbol."""
    listing = call.listing()
    call.parameters.require_all_read()
    return {
        "symbol": listing.symbol,
        "makerCommissionRate": plain(listing.maker_fee),
        "takerCommissionRate": plain(listing.taker_fee),
        "rpiCommissionRate": plain(listing.maker_fee),
    }


def order_rate_limits(call: Call) -> list[dict[str, Any]]:
    """``rateLimit/order``."""
    call.parameters.require_all_read()
    return order_limits(call.limits.rules)


def start_listen_key(call: Call) -> dict[str, Any]:
    """``POST listenKey``: the key, for an hour."""
    call.parameters.optional("listenKey")
    call.parameters.require_all_read()
    return {"listenKey": call.listen_keys.start(call.account, call.now.wire_ms)}


def keep_listen_key(call: Call) -> dict[str, Any]:
    """``PUT listenKey``: another hour."""
    call.parameters.optional("listenKey")
    call.parameters.require_all_read()
    if call.listen_keys.key(call.account) is None:
        raise RefusedError(
            -1125, "This listenKey does not exist. Please use POST /fapi/v1/listenKey to recreate listenKey"
        )
    return {"listenKey": call.listen_keys.start(call.account, call.now.wire_ms)}


def end_listen_key(call: Call) -> dict[str, Any]:
    """``DELETE listenKey``."""
    call.parameters.optional("listenKey")
    call.parameters.require_all_read()
    call.listen_keys.end(call.account)
    return {}


def api_restrictions(call: Call) -> dict[str, Any]:
    """``sapi account/apiRestrictions``: rights of the key that asks."""
    call.parameters.require_all_read()
    return {
        "ipRestrict": True,
        "createTime": 0,
        "enableReading": True,
        "enableFutures": call.key.can_trade,
        "enableWithdrawals": call.key.can_withdraw,
        "enableInternalTransfer": call.key.can_withdraw,
        "permitsUniversalTransfer": call.key.can_withdraw,
        "enableMargin": False,
        "enableSpotAndMarginTrading": False,
        "enableVanillaOptions": False,
        "enablePortfolioMarginTrading": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
    }


_KEY, _READ, _TRADE = Security.KEY, Security.READ, Security.TRADE
SETTINGS_ROUTES = routes(
    {
        ("POST", "/fapi/v1/leverage"): Route(set_leverage, 1, _TRADE),
        ("POST", "/fapi/v1/marginType"): Route(set_margin_type, 1, _TRADE),
        ("GET", "/fapi/v1/positionSide/dual"): Route(position_mode, 30, _READ),
        ("POST", "/fapi/v1/positionSide/dual"): Route(set_position_mode, 1, _TRADE),
        ("GET", "/fapi/v1/multiAssetsMargin"): Route(assets_mode, 30, _READ),
        ("POST", "/fapi/v1/multiAssetsMargin"): Route(set_assets_mode, 1, _TRADE),
        ("GET", "/fapi/v1/feeBurn"): Route(fee_burn, 30, _READ),
        ("POST", "/fapi/v1/feeBurn"): Route(set_fee_burn, 1, _TRADE),
        ("GET", "/fapi/v1/accountConfig"): Route(account_config, 5, _READ),
        ("GET", "/fapi/v1/symbolConfig"): Route(symbol_configs, 5, _READ),
        ("GET", "/fapi/v1/leverageBracket"): Route(leverage_brackets, 1, _READ),
        ("GET", "/fapi/v1/commissionRate"): Route(commission_rate, 20, _READ),
        ("GET", "/fapi/v1/rateLimit/order"): Route(order_rate_limits, 1, _READ),
        ("POST", "/fapi/v1/listenKey"): Route(start_listen_key, 1, _KEY),
        ("PUT", "/fapi/v1/listenKey"): Route(keep_listen_key, 1, _KEY),
        ("DELETE", "/fapi/v1/listenKey"): Route(end_listen_key, 1, _KEY),
        ("GET", "/sapi/v1/account/apiRestrictions"): Route(api_restrictions, 1, _READ),
    }
)
