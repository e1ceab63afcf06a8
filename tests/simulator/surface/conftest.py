"""A small market, and a client that signs its requests and hands them to the exchange without a socket."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from quantlab.core.market import Bars, Instrument
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, open_exchange
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.wire.messages import Now, Reply, Request
from quantlab.trading.strategy.strategy import Costs

WIRE_MS = 1_800_000_000_000
COSTS = Costs(slippage_bps=2.0, participation=0.05, liquidation_fee_bps=125.0)


@dataclass
class SigningClient:
    """A client without a socket, on a clock that stands still until it is moved."""

    exchange: Exchange
    now_ms: int = WIRE_MS
    signs_with: str = "demo-secret"
    headers: dict[str, str] = field(default_factory=lambda: {"x-mbx-apikey": "demo-key"})

    @property
    def now(self) -> Now:
        venue = self.exchange.venue
        return Now(self.now_ms, self.now_ms if venue.rules.mode == "wall" else venue.now_ms)

    def send(self, method: str, path: str, query: str = "", body: str = "") -> Reply:
        """Send texts as they are."""
        return self.exchange.answer(Request(method, path, query, body, self.headers), self.now)

    def sign(self, text: str) -> str:
        return hmac.new(self.signs_with.encode(), text.encode(), hashlib.sha256).hexdigest()

    def ask(self, method: str, path: str, **parameters: Any) -> Reply:
        """Send signed parameters, in the body of what changes something."""
        text = urlencode({**parameters, "timestamp": self.now_ms})
        text += f"&signature={self.sign(text)}"
        return self.send(method, path, *(("", text) if method in ("POST", "PUT") else (text, "")))

    def take(self, method: str, path: str, **parameters: Any) -> Any:
        """The document of a request that must be taken."""
        reply = self.ask(method, f"/fapi/v1/{path}" if not path.startswith("/") else path, **parameters)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def refused(self, method: str, path: str, **parameters: Any) -> int:
        """The code of a request that must be refused."""
        reply = self.ask(method, f"/fapi/v1/{path}" if not path.startswith("/") else path, **parameters)
        assert reply.status >= 400, reply
        return int(json.loads(reply.body)["code"])

    def pass_time(self) -> None:
        """End the running bar in lockstep; let three seconds pass in wall mode."""
        venue = self.exchange.venue
        if venue.rules.mode == "wall":
            self.now_ms += 3_000
            venue.advance(self.now_ms)
        else:
            venue.advance(venue.close_ms)

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        return [entry.to_dict() for entry in self.exchange.venue.ledger if entry.kind == kind]


@pytest.fixture(scope="session")
def small_market() -> Bars:
    instrument = Instrument(0.01, 0.001, 5.0, 0.01, 2.0, 4.0)
    return SyntheticSource(
        seed=7,
        days=1,
        n_symbols=2,
        interval_ms=300_000,
        start="2025-01-01",
        edge=1.0,
        late_listings=0,
        instrument=instrument,
    ).history()


@pytest.fixture(scope="session")
def exchange_costs() -> Costs:
    return COSTS


@pytest.fixture
def make_client(small_market: Bars) -> Callable[..., SigningClient]:
    """``make_client(faults=..., lag_ms=...)``: rules of the venue go by their names, the rest are settings.

    ``bars`` and ``costs`` are another market, which opens at its first bar.
    """

    def make(
        mode: str = "lockstep", *, bars: Bars | None = None, costs: Costs = COSTS, **changes: Any
    ) -> SigningClient:
        rules = {name: changes.pop(name) for name in tuple(changes) if name in VenueRules.__dataclass_fields__}
        history = 100 if bars is None else 0
        settings = Settings(VenueRules(mode, **rules), history_bars=history, **changes)
        return SigningClient(open_exchange(small_market if bars is None else bars, costs, settings, WIRE_MS))

    return make


@pytest.fixture
def client(make_client: Callable[..., SigningClient]) -> SigningClient:
    return make_client()
