"""Endpoints about an account: money, positions, trades, income."""

from __future__ import annotations

import sys
from typing import Any

from quantlab.core.clock import MS_PER_WEEK
from quantlab.simulator.engine.queries import Page
from quantlab.simulator.engine.values import IncomeType, Origin, PositionView, Trade
from quantlab.simulator.surface.account_shapes import (
    account_position,
    account_totals,
    adl_quantiles,
    balance_rows,
    income_row,
    position_row,
)
from quantlab.simulator.surface.call import Call, Route, by_symbol, routes
from quantlab.simulator.surface.order_shapes import order_row, trade_row
from quantlab.simulator.surface.spans import read_page, read_times, recent
from quantlab.simulator.wire.signing import Security

_ALL = sys.maxsize
_FORCED = {Origin.LIQUIDATION: "LIQUIDATION", Origin.ADL: "ADL"}


def balances(call: Call) -> list[dict[str, Any]]:
    """``balance`` v2 and v3."""
    call.parameters.require_all_read()
    return balance_rows(call.venue.wallet(call.account, call.now.market_ms))


def account_v2(call: Call) -> dict[str, Any]:
    """``account`` v2: every symbol has a position."""
    call.parameters.require_all_read()
    rights = {"feeTier": 0, "feeBurn": False, "canTrade": call.key.can_trade, "canDeposit": True}
    rights |= {"canWithdraw": call.key.can_withdraw, "updateTime": 0, "multiAssetsMargin": False, "tradeGroupId": -1}
    return {**rights, **_account(call, call.venue.positions(call.account, call.now.market_ms))}


def account_v3(call: Call) -> dict[str, Any]:
    """``account`` v3: symbols with a position or open orders."""
    call.parameters.require_all_read()
    return _account(call, _active(call))


def _account(call: Call, positions: tuple[PositionView, ...]) -> dict[str, Any]:
    totals = account_totals(call.venue.wallet(call.account, call.now.market_ms))
    return {**totals, "positions": [account_position(p, call.scale(p.symbol)) for p in positions]}


def positions_v2(call: Call) -> list[dict[str, Any]]:
    """``positionRisk`` v2: one symbol or all."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    positions = call.venue.positions(call.account, call.now.market_ms)
    return _position_rows(call, tuple(p for p in positions if listing is None or p.symbol == listing.symbol))


def positions_v3(call: Call) -> list[dict[str, Any]]:
    """``positionRisk`` v3: symbols with a position or open orders."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    return _position_rows(call, tuple(p for p in _active(call) if listing is None or p.symbol == listing.symbol))


def _active(call: Call) -> tuple[PositionView, ...]:
    ordered = {order.symbol for order in call.venue.open_orders(call.account, None, call.now.market_ms)}
    return tuple(p for p in call.venue.positions(call.account, call.now.market_ms) if p.lots or p.symbol in ordered)


def _position_rows(call: Call, positions: tuple[PositionView, ...]) -> list[dict[str, Any]]:
    return [position_row(p, 0, call.scale(p.symbol)) for p in positions]


def trades(call: Call) -> list[dict[str, Any]]:
    """``userTrades`` of a symbol."""
    listing, order_id = call.listing(), call.parameters.whole("orderId")
    page = read_page(call.parameters, call.now.market_ms, ids="fromId", limit=500, largest=1_000)
    call.parameters.require_all_read()
    scale, wanted = call.scale(listing.symbol), page
    if order_id is not None:
        wanted = Page(page.from_id, page.start_ms, page.end_ms, limit=_ALL)
    made = recent(call.venue.trades(call.account, listing.symbol, wanted, call.now.market_ms), page, _trade_time)
    kept = [trade for trade in made if order_id is None or trade.order_id == order_id]
    return [trade_row(trade, scale) for trade in kept[: page.limit]]


def incomes(call: Call) -> list[dict[str, Any]]:
    """``income``: the last seven days, or between two times; pages of `limit` rows."""
    listing, parameters = call.optional_listing(), call.parameters
    kind = parameters.optional("incomeType")
    start, end = read_times(parameters)
    page, limit = parameters.whole("page") or 1, parameters.count("limit", 100, 1_000)
    parameters.require_all_read()
    if kind is not None and kind not in tuple(IncomeType):
        return []
    last = end if end is not None else call.now.market_ms
    whole = Page(start_ms=start if start is not None else last - MS_PER_WEEK, end_ms=last, limit=_ALL)
    symbol, wanted = None if listing is None else listing.symbol, None if kind is None else IncomeType(kind)
    rows = call.venue.income(call.account, symbol, wanted, whole, call.now.market_ms)
    skipped = (page - 1) * limit
    return [income_row(income) for income in rows[skipped : skipped + limit]]


def adl_quantile(call: Call) -> list[dict[str, Any]]:
    """``adlQuantile`` of one symbol or all."""
    listing = call.optional_listing()
    call.parameters.require_all_read()
    rows = adl_quantiles(call.venue.positions(call.account, call.now.market_ms))
    return [row for row in rows if listing is None or row["symbol"] == listing.symbol]


def forced_orders(call: Call) -> list[dict[str, Any]]:
    """``forceOrders``: liquidations and ADL."""
    listing = call.optional_listing()
    kind = call.parameters.choice(
        "autoCloseType", tuple(_FORCED.values()), -1130, "Data sent for parameter 'autoCloseType' is not valid."
    )
    page = read_page(call.parameters, call.now.market_ms, ids=None, limit=50, largest=100)
    call.parameters.require_all_read()
    symbols = call.venue.listings if listing is None else (listing.symbol,)
    whole = Page(start_ms=page.start_ms, end_ms=page.end_ms, limit=_ALL)
    found = [
        order
        for symbol in symbols
        for order in call.venue.all_orders(call.account, symbol, whole, call.now.market_ms)
        if order.origin in _FORCED and kind in (None, _FORCED[order.origin])
    ]
    found.sort(key=lambda order: order.order_id)
    kept = recent(found[-page.limit :], page, lambda order: order.created_ms)
    return [order_row(order, call.scale(order.symbol)) for order in kept]


def _trade_time(trade: Trade) -> int:
    return trade.time_ms


_READ = Security.READ
ACCOUNT_ROUTES = routes(
    {
        ("GET", "/fapi/v2/balance"): Route(balances, 5, _READ),
        ("GET", "/fapi/v3/balance"): Route(balances, 5, _READ),
        ("GET", "/fapi/v2/account"): Route(account_v2, 5, _READ),
        ("GET", "/fapi/v3/account"): Route(account_v3, 5, _READ),
        ("GET", "/fapi/v2/positionRisk"): Route(positions_v2, 5, _READ),
        ("GET", "/fapi/v3/positionRisk"): Route(positions_v3, 5, _READ),
        ("GET", "/fapi/v1/userTrades"): Route(trades, 5, _READ),
        ("GET", "/fapi/v1/income"): Route(incomes, 30, _READ),
        ("GET", "/fapi/v1/adlQuantile"): Route(adl_quantile, 5, _READ),
        ("GET", "/fapi/v1/forceOrders"): Route(forced_orders, by_symbol(20, 50), _READ),
    }
)
