"""The tester's own endpoints under ``/_sim``: time, ledger, faults, the market's bad days. No client of a venue knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from quantlab.core.errors import ConfigError
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import HUMAN, OrderRequest, Placed
from quantlab.simulator.engine.values import OrderType, Side
from quantlab.simulator.surface.call import known_listing, scale_of
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.surface.order_shapes import order_result
from quantlab.simulator.wire.messages import Now, RefusedError, Reply, Request, compact, read_json
from quantlab.simulator.wire.parameters import parse_pairs, whole_number

PREFIX = "/_sim/"
_LARGEST_PAGE = 10_000
_OWN_HOSTS = ("127.0.0.1", "localhost", "::1")
_LARGEST_NUMBER, _MOST_DECIMALS = Decimal(10) ** 15, 20
_KINDS = "transfer, liquidation, delisting, liquidity, adl, or human with side BUY or SELL"


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
        From this machine, by its own name, and not from a page of another site that a browser shows.
    now : Now
    """
    try:
        _require_own(request)
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
    start, limit = whole_number(asked.get("from", "0")), whole_number(asked.get("limit", str(_LARGEST_PAGE)))
    if start is None or limit is None:
        raise RefusedError(-1130, "expected from and limit as whole numbers")
    return [entry.to_dict() for entry in call.exchange.venue.ledger.read(start, min(limit, _LARGEST_PAGE))]


def struck_faults(call: ControlCall) -> list[dict[str, Any]]:
    """``GET faults``: those that have struck."""
    return list(call.exchange.faults.struck)


def add_fault(call: ControlCall) -> dict[str, Any]:
    """``POST fault``: an entry of the script language, or a list of them; counts begin now."""
    try:
        document = read_json(call.request.body)
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
    side = str(asked.get("side"))
    if kind not in ("delisting", "liquidity", "adl") and (kind != "human" or side not in Side.__members__):
        raise RefusedError(-1130, f"expected kind as {_KINDS}; found {kind!r}")
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
    placed = venue.place(account, OrderRequest(listing.symbol, Side[side], OrderType.MARKET, lots), at_ms, HUMAN)
    return order_result(placed.order, scale) if isinstance(placed, Placed) else _outcome(placed)


_ENDPOINTS = {
    ("GET", "state"): describe,
    ("POST", "advance"): advance,
    ("GET", "ledger"): ledger,
    ("GET", "faults"): struck_faults,
    ("POST", "fault"): add_fault,
    ("POST", "market"): strike_market,
}


def _require_own(request: Request) -> None:
    """Refuse what did not come by this machine's own name, or came from a page of another site (its ``Origin``).

    Raises
    ------
    RefusedError
    """
    origin = request.headers.get("origin")
    asked_as = [f"//{request.headers.get('host', '127.0.0.1')}", *([] if origin is None else [origin])]
    for address in asked_as:
        try:
            name = urlsplit(address).hostname
        except ValueError:
            name = None
        if name not in _OWN_HOSTS:
            raise RefusedError(-2015, f"These endpoints are asked under 127.0.0.1 alone; found {address!r}.", 403)


def _outcome(refused: Refused | None) -> dict[str, Any]:
    if refused is not None:
        raise RefusedError(refused.code, refused.message)
    return {"done": True}


def _document(request: Request) -> Mapping[str, Any]:
    try:
        document = read_json(request.body) if request.body else {}
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
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS or abs(number) >= _LARGEST_NUMBER:
        raise RefusedError(-1130, f"expected {name} as a number below 1e15 with at most {_MOST_DECIMALS} decimals")
    return number
