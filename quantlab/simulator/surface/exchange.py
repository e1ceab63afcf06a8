"""The simulated exchange as one object without a socket: requests go in, replies and frames come out.

A request passes, in this order: the script of faults, the route, the weight of its address, key and signature, the
order counts of its account, its parameters, the venue. Only the last step changes anything at the venue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from quantlab.simulator.engine.valuation import mark_of
from quantlab.simulator.engine.venue import Venue
from quantlab.simulator.surface.account_routes import ACCOUNT_ROUTES
from quantlab.simulator.surface.algo_routes import ALGO_ROUTES
from quantlab.simulator.surface.books import Books
from quantlab.simulator.surface.call import NOBODY, Call, Route, scale_of
from quantlab.simulator.surface.market_frames import market_frames
from quantlab.simulator.surface.market_routes import MARKET_ROUTES
from quantlab.simulator.surface.order_routes import ORDER_ROUTES
from quantlab.simulator.surface.settings_routes import SETTINGS_ROUTES
from quantlab.simulator.surface.user_frames import listen_key_expired, user_frame
from quantlab.simulator.wire.faults import Faults, FaultScript
from quantlab.simulator.wire.limits import LimitRules, Limits
from quantlab.simulator.wire.listen_keys import ListenKeys
from quantlab.simulator.wire.messages import Now, RefusedError, Reply, Request, compact
from quantlab.simulator.wire.parameters import Parameters, parse_pairs
from quantlab.simulator.wire.rest_faults import faulty_reply
from quantlab.simulator.wire.signing import ApiKey, check_request

#: The stream of a book's changes.
_DIFFS = re.compile(r"([a-z0-9]+)@depth(?:@\d+m?s)?")
#: Every endpoint.
ROUTES = {**MARKET_ROUTES, **ORDER_ROUTES, **ALGO_ROUTES, **ACCOUNT_ROUTES, **SETTINGS_ROUTES}


@dataclass(frozen=True, slots=True)
class UserFrame:
    """A frame of a user stream, before the wire's faults.

    Parameters
    ----------
    listen_key : str
    event : str
        The venue's name, e.g. ``ORDER_TRADE_UPDATE``.
    document : dict
    """

    listen_key: str
    event: str
    document: dict[str, Any]


@dataclass
class Exchange:
    """A venue and all that its wire remembers: limits, listen keys, faults.

    Parameters
    ----------
    venue : Venue
    keys : dict of str to ApiKey
    limit_rules : LimitRules
    script : FaultScript
    seed : int
        Of listen keys.
    skew_ms : int
        Lead of the venue's clock, by faults.
    """

    venue: Venue
    keys: dict[str, ApiKey]
    limit_rules: LimitRules = field(default_factory=LimitRules)
    script: FaultScript = field(default_factory=FaultScript)
    seed: int = 0
    skew_ms: int = 0

    def __post_init__(self) -> None:
        self.limits, self.faults = Limits(self.limit_rules), Faults(self.script)
        self.listen_keys, self.books = ListenKeys(self.seed), Books()

    def answer(self, request: Request, now: Now) -> Reply:
        """Answer one request.

        Parameters
        ----------
        request : Request
        now : Now
            Without the steps of the venue's clock that faults make.
        """
        self.skew_ms += self.faults.clock_step_ms()
        now = Now(now.wire_ms + self.skew_ms, now.market_ms)
        fault = self.faults.rest(request.method, request.path)
        if fault is None:
            return self._serve(request, now)
        return faulty_reply(fault, self._serve(request, now) if fault.applied else None)

    def user_frames(self) -> tuple[UserFrame, ...]:
        """Frames of all that happened since the last call, for accounts that have a listen key."""
        frames = []
        for event in self.venue.take_events():
            key = self.listen_keys.key(event.account)
            if key is not None:
                document = user_frame(
                    event, lambda symbol: scale_of(self.venue, symbol), lambda symbol: mark_of(self.venue.state, symbol)
                )
                frames.append(UserFrame(key, document["e"], document))
        return tuple(frames)

    def market_frames(self, stream: str, since_row: int) -> list[str]:
        """Frames of one market stream as text; see :func:`~quantlab.simulator.surface.market_frames.market_frames`."""
        state, diffs = self.venue.state, _DIFFS.fullmatch(stream)
        if diffs is None:
            return [compact(document) for document in market_frames(state, stream, since_row)]
        listing = state.listings.get(diffs[1].upper())
        frame = None if listing is None else self.books.diff(state, listing)
        return [] if frame is None else [compact(frame)]

    def expire_key(self, key: str, now: Now) -> UserFrame:
        """End a listen key before its time, and return the last frame of its stream."""
        account = self.listen_keys.account(key)
        if account is not None:
            self.listen_keys.end(account)
        return UserFrame(key, "listenKeyExpired", listen_key_expired(key, now.market_ms))

    def expired_keys(self, now: Now) -> tuple[UserFrame, ...]:
        """Last frames of listen keys whose hour is over."""
        over = self.listen_keys.expire(now.wire_ms + self.skew_ms)
        return tuple(UserFrame(key, "listenKeyExpired", listen_key_expired(key, now.market_ms)) for key in over)

    def _serve(self, request: Request, now: Now) -> Reply:
        headers: dict[str, str] = {}
        try:
            route = _route(request)
            weight = (
                route.weight
                if isinstance(route.weight, int)
                else route.weight(parse_pairs(request.query, request.body))
            )
            headers |= self.limits.take_weight(request.address, weight, now.wire_ms)
            key, pairs = check_request(request, route.security, self.keys, now.wire_ms)
            if route.orders and key is not None:
                headers |= self.limits.take_orders(key.account, route.orders, now.wire_ms)
            call = Call(
                venue=self.venue,
                key=key or NOBODY,
                parameters=Parameters(pairs),
                now=now,
                listen_keys=self.listen_keys,
                limits=self.limits,
                books=self.books,
                address=request.address,
            )
            return Reply(200, compact(route.handler(call)), headers)
        except RefusedError as refusal:
            reply = refusal.reply()
            return Reply(reply.status, reply.body, {**headers, **reply.headers})


def _route(request: Request) -> Route:
    route = ROUTES.get((request.method, request.path))
    if route is None:
        raise RefusedError(-5000, f"Path {request.path}, Method {request.method} is invalid", 404)
    return route
