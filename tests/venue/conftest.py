"""The adapter as the configuration makes it, against a simulated exchange in a thread of its own."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from quantlab.core.market import Bars, Instrument
from quantlab.core.venue.requests import Book, OrderKind, OrderRef, OrderRequest, OrderType
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import RunningExchange, Settings, running_exchange
from quantlab.simulator.wire.messages import Now, Reply, Request
from quantlab.trading.strategy.strategy import Costs
from quantlab.venue.ccxt_venue import CcxtVenue

T = TypeVar("T")
INSTRUMENT = Instrument(0.01, 0.001, 5.0, 0.01, 2.0, 4.0)
COSTS = Costs(slippage_bps=2.0, participation=0.5, liquidation_fee_bps=125.0)
#: Invented, and in no shape that a redaction would know by itself.
KEYS = {"QUANTLAB_SIMULATED_KEY": "canary-key-of-tests", "QUANTLAB_SIMULATED_SECRET": "canary-secret-of-tests"}


@pytest.fixture(scope="session")
def venue_node(repository: Any) -> DictConfig:
    """``execution.venue`` with ``execution/venue=simulated``."""
    with initialize_config_dir(str(repository / "conf"), version_base=None):
        node: DictConfig = compose("config", overrides=["execution/venue=simulated"]).execution.venue
    return node


@dataclasses.dataclass
class Desk:
    """An exchange, an adapter to it, and every request that arrived."""

    running: RunningExchange
    make: Callable[..., CcxtVenue]
    runner: asyncio.Runner
    requests: list[Request] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        answer = self.running.exchange.answer

        def record(request: Request, now: Now) -> Reply:
            self.requests.append(request)
            return answer(request, now)

        self.running.exchange.answer = record  # type: ignore[method-assign]
        self.venue = self.make(self.running.url)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def renew(self, **changes: Any) -> CcxtVenue:
        """Another adapter, which remembers no limit and no clock."""
        self.run(self.venue.close())
        self.venue = self.make(self.running.url, **changes)
        self.run(self.venue.books())
        return self.venue

    def fault(self, **fault: Any) -> None:
        self.running.exchange.faults.add([fault])

    def count(self, method: str, path: str) -> int:
        return sum((one.method, one.path) == (method, f"/fapi/v1/{path}") for one in self.requests)

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        return [entry.to_dict() for entry in self.running.exchange.venue.ledger if entry.kind == kind]

    def advance(self) -> None:
        venue = self.running.exchange.venue
        venue.advance(venue.close_ms)


@pytest.fixture(scope="session")
def venue_bars() -> Bars:
    source = SyntheticSource(
        seed=7, days=1, n_symbols=2, interval_ms=300_000, start="2025-01-01", edge=1.0, late_listings=0,
        instrument=INSTRUMENT,
    )  # fmt: skip
    return source.history()


@pytest.fixture
def open_desk(venue_node: DictConfig, venue_bars: Bars) -> Iterator[Callable[..., Desk]]:
    """``open_desk(mode=..., settings={...}, lag_ms=...)``: rules of the venue go by their names."""
    with ExitStack() as stack:

        def open_one(mode: str = "lockstep", *, settings: dict[str, Any] | None = None, **rules: Any) -> Desk:
            given = {
                "history_bars": 100,
                "key": KEYS["QUANTLAB_SIMULATED_KEY"],
                "secret": KEYS["QUANTLAB_SIMULATED_SECRET"],
                **(settings or {}),
            }
            exchange = running_exchange(venue_bars, COSTS, Settings(VenueRules(mode, **rules), **given))
            running = stack.enter_context(exchange)
            runner = stack.enter_context(asyncio.Runner())
            made: list[CcxtVenue] = []

            def make(url: str, **changes: Any) -> CcxtVenue:
                made.append(make_venue(venue_node, url, venue_bars.symbols, **changes))
                return made[-1]

            async def close() -> None:
                for venue in made:
                    await venue.close()

            stack.callback(lambda: runner.run(close()))
            return Desk(running, make, runner)

        yield open_one


def make_venue(node: DictConfig, url: str, symbols: tuple[str, ...], **changes: Any) -> CcxtVenue:
    """The adapter at an address; ``changes`` are dotted names below ``adapter`` with dots as two underscores."""
    adapter = OmegaConf.create(OmegaConf.to_container(node.adapter))
    adapter.rest, adapter.stream_base = url, url.replace("http", "ws", 1)
    for name, value in {"settings__timeout": 2_000, "settings__timeout_on_exit": 0, **changes}.items():
        OmegaConf.update(adapter, name.replace("__", "."), value)
    venue: CcxtVenue = instantiate(adapter, _convert_="all")(symbols, within={"environment": KEYS})
    return venue


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


@pytest.fixture(scope="session")
def canaries() -> tuple[str, ...]:
    """Texts that nothing may show: key, secret, and what marks a signed address."""
    return (*KEYS.values(), "signature=")


@pytest.fixture(scope="session")
def market_order() -> Callable[..., OrderRequest]:
    """``market_order(client_id, lots)``: buys or sells at the market; what is no entry is reduce-only."""

    def make(client_id: str, lots: int, kind: OrderKind = OrderKind.ENTRY, symbol: str = "SYN00") -> OrderRequest:
        side, reduces = (1 if lots > 0 else -1), kind is not OrderKind.ENTRY
        return OrderRequest(client_id, kind, symbol, side, OrderType.MARKET, abs(lots), reduce_only=reduces)

    return make


@pytest.fixture(scope="session")
def stop_order() -> Callable[..., OrderRequest]:
    """``stop_order(client_id, ticks)``: closes a long position when the price falls to it."""

    def make(client_id: str, ticks: int, symbol: str = "SYN00") -> OrderRequest:
        return OrderRequest(
            client_id, OrderKind.STOP, symbol, -1, OrderType.STOP_MARKET, None, trigger_ticks=ticks, close_position=True
        )

    return make


@pytest.fixture(scope="session")
def plain_ref() -> Callable[[str], OrderRef]:
    return lambda client_id: OrderRef("SYN00", client_id, Book.PLAIN)


@pytest.fixture(scope="session")
def order_pair() -> Callable[..., dict[str, OrderRequest]]:
    """``order_pair(client_id, lots)``: a limit and a stop far from the market, which rest in their books."""

    def make(client_id: str, lots: int) -> dict[str, OrderRequest]:
        plain = OrderRequest(client_id, OrderKind.ENTRY, "SYN00", 1, OrderType.LIMIT, lots, price_ticks=50_000)
        stop = {"type": OrderType.STOP_MARKET, "lots": None, "trigger_ticks": 1_000, "close_position": True}
        conditional = OrderRequest(client_id, OrderKind.STOP, "SYN00", -1, **stop)
        return {"plain": plain, "conditional": conditional}

    return make
