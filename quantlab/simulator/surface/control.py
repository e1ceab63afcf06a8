"""The tester's own endpoints under ``/_sim``: time, ledger, faults, the market's bad days. No client of a venue knows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import HUMAN, OrderRequest, Placed
from quantlab.simulator.engine.values import OrderType, Side
from quantlab.simulator.surface.call import known_listing, scale_of
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.surface.order_shapes import order_result
from quantlab.simulator.wire.messages import Now, RefusedError, Reply, Request, compact
from quantlab.simulator.wire.parameters import parse_pairs

PREFIX = "/_sim/"
_LARGEST_PAGE = 10_000
_OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class ControlCall:
    """A request of the tester: of which exchange, and when."""

    exchange: Exchange
    request: Request
    now: Now


def answer_control(exchange: Exchange, request: Request, now: Now) -> Reply:
    """Answer a request below :data:`PREFIX`.

    Parameters
    ----------
    exchange : Exchange
    request : Request
        From this machine, by its own name: a page of another site that a browser shows cannot ask.
    now : Now
    """
    try:
        if request.headers.get("host", "127.0.0.1").rpartition(":")[0] not in (*_OWN_HOSTS, ""):
            raise RefusedError(-2015, "These endpoints are asked under 127.0.0.1 alone.", 403)
        handler = _ENDPOINTS.get((request.method, request.path.removeprefix(PREFIX)))
        if handler is None:
            known = ", ".join(f"{method} {PREFIX}{name}" for method, name in _ENDPOINTS)
            raise RefusedError(-5000, f"expected one of {known}", 404)
        return Reply(200, compact(handler(ControlCall(exchange, request, now))))
    except RefusedError as refusal:
        return refusal.reply()
    except ConfigError as error:
        return Reply(400, compact({"code": -1130, "msg": str(error)}))


def describe(call: ControlCall) -> dict[str, Any]:
    """``GET state``."""
    venue = call.exchange.venue
    return {
        "mode": venue.rules.mode,
        "wire_ms": call.now.wire_ms + call.exchange.skew_ms,
        "market_ms": venue.now_ms,
        "row": venue.row,
        "open_ms": venue.market.open_ms(venue.row),
        "close_ms": venue.close_ms,
        "ended": venue.ended,
        "symbols": list(venue.listings),
        "ledger": len(venue.ledger),
        "seed": call.exchange.seed,
    }


def advance(call: ControlCall) -> dict[str, Any]:
    """``POST advance``: end the running bar, or ``{"bars": N}`` of them; lockstep alone."""
    venue, bars = call.exchange.venue, _document(call.request).get("bars", 1)
    if venue.rules.mode != "lockstep":
        raise RefusedError(-1130, "time passes by itself in wall mode; start with job.mode=lockstep", 409)
    if not isinstance(bars, int) or isinstance(bars, bool) or bars < 1:
        raise RefusedError(-1130, "expected bars as a whole number of at least 1")
    ended = 0
    while ended < bars and not venue.ended:
        ended += venue.advance(venue.close_ms)
    return {"ended_bars": ended, **describe(call)}


def ledger(call: ControlCall) -> list[dict[str, Any]]:
    """``GET ledger``: entries from ``from`` on, at most ``limit``."""
    asked = parse_pairs(call.request.query)
    start, limit = asked.get("from", "0"), asked.get("limit", str(_LARGEST_PAGE))
    if not (start.isdigit() and limit.isdigit()):
        raise RefusedError(-1130, "expected from and limit as whole numbers")
    return [entry.to_dict() for entry in call.exchange.venue.ledger.read(int(start), min(int(limit), _LARGEST_PAGE))]


def struck_faults(call: ControlCall) -> list[dict[str, Any]]:
    """``GET faults``: those that have struck."""
    return list(call.exchange.faults.struck)


def add_fault(call: ControlCall) -> dict[str, Any]:
    """``POST fault``: an entry of the script language, or a list of them; counts begin now."""
    try:
        document = json.loads(call.request.body)
    except ValueError:
        raise RefusedError(-1130, "expected JSON") from None
    return {"added": call.exchange.faults.add(document)}


def strike_market(call: ControlCall) -> dict[str, Any]:
    """``POST market``: a transfer, an order by hand, ADL, a liquidation, a delisting, or a share of the usual liquidity."""
    asked, venue, at_ms = _document(call.request), call.exchange.venue, call.now.market_ms
    kind, account = asked.get("kind"), str(asked.get("account", next(iter(venue.state.accounts))))
    if account not in venue.state.accounts:
        raise RefusedError(-1130, f"expected account as one of {', '.join(venue.state.accounts)}")
    if kind == "transfer":
        refused = venue.transfer(account, _decimal(asked, "amount"), at_ms)
        return _outcome(refused)
    if kind == "liquidation":
        venue.force_liquidation(account, at_ms)
        return {"done": True}
    listing = known_listing(venue, str(asked.get("symbol", "")))
    scale = scale_of(venue, listing.symbol)
    if kind == "delisting":
        venue.delist(listing.symbol, at_ms)
        return {"done": True}
    if kind == "liquidity":
        venue.set_liquidity(listing.symbol, float(_decimal(asked, "share")), at_ms)
        return {"done": True}
    lots = scale.lots(_decimal(asked, "quantity"))
    if lots is None:
        raise RefusedError(-1111, "Precision is over the maximum defined for this asset.")
    if kind == "adl":
        return {"done": venue.force_adl(account, listing.symbol, lots, at_ms) is not None}
    if kind == "human" and asked.get("side") in Side.__members__:
        order = OrderRequest(listing.symbol, Side[asked["side"]], OrderType.MARKET, lots)
        placed = venue.place(account, order, at_ms, HUMAN)
        return order_result(placed.order, scale) if isinstance(placed, Placed) else _outcome(placed)
    raise RefusedError(
        -1130, "expected kind as transfer, liquidation, delisting, liquidity, adl, or human with side BUY or SELL"
    )


_ENDPOINTS = {
    ("GET", "state"): describe,
    ("POST", "advance"): advance,
    ("GET", "ledger"): ledger,
    ("GET", "faults"): struck_faults,
    ("POST", "fault"): add_fault,
    ("POST", "market"): strike_market,
}


def _outcome(refused: Refused | None) -> dict[str, Any]:
    if refused is not None:
        raise RefusedError(refused.code, refused.message)
    return {"done": True}


def _document(request: Request) -> Mapping[str, Any]:
    try:
        document = json.loads(request.body) if request.body else {}
    except ValueError:
        raise RefusedError(-1130, "expected JSON") from None
    if not isinstance(document, dict):
        raise RefusedError(-1130, "expected a JSON object")
    return document


def _decimal(asked: Mapping[str, Any], name: str) -> Decimal:
    try:
        number = Decimal(str(asked.get(name)))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise RefusedError(-1130, f"expected {name} as a number")
    return number
