"""A session on the simulated exchange's engine, in one process and in lockstep."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.clock import FakeClock
from quantlab.core.events import RawBar
from quantlab.core.fakes import FixedSignal, MemoryAlerts, MemoryJournal
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.data.quality.gate import QualityGate
from quantlab.execution.feeds.replay import raw_bar
from quantlab.execution.live.account import LiveAccount
from quantlab.execution.live.broker import LiveBroker, LiveLoop
from quantlab.execution.live.settings import LiveSettings
from quantlab.execution.orders.answer_rules import AnswerRules
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.settings import MARKET, EntrySettings, OrderSettings, UnknownSettings
from quantlab.execution.protection.guardian import ProtectionRules
from quantlab.execution.session.engine import Market
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.trading import Strategy

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from engine_venue import EngineVenue, engine_names  # noqa: E402


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


#: Markets, signal, strategy and venue of the exchange's own equality test.
grids = _load("grid_markets", HERE.parents[1] / "simulator" / "conftest.py")

CASH = 10_000.0
ORDERS = OrderSettings(EntrySettings(MARKET, 100.0, 20_000), UnknownSettings(0, 0, 50, 400, 60_000, 10**9), 5_000)
REFUSALS = (-1008, -1013, -1111, -2010, -2019, -2021, -2022, -4108, -4118, -4130, -4131, -4164, -5022)
RULES = AnswerRules(REFUSALS, (429, 418), (), (), (-2013,))


@dataclasses.dataclass
class LockstepFeed:
    """Bars of a market, each of which ends on the engine before it is handed out."""

    bars_: Bars
    venue: EngineVenue
    clock: FakeClock = dataclasses.field(default_factory=FakeClock)
    begins_ms: int | None = None

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        for t, open_ms in enumerate(self.bars_.open_time_ms.tolist()):
            if after_ms is not None and open_ms <= after_ms:
                continue
            close_ms = open_ms + self.bars_.interval_ms
            self.venue.engine.advance(close_ms)
            self.clock.time_ms = close_ms
            yield raw_bar(self.bars_, t)


@dataclasses.dataclass
class LiveParts:
    """A market, a strategy, and an engine that outlives the sessions on it."""

    bars: Bars
    signal: Signal
    strategy: Strategy
    venue: EngineVenue
    journal: Any = dataclasses.field(default_factory=MemoryJournal)
    alerts: MemoryAlerts = dataclasses.field(default_factory=MemoryAlerts)
    loop: LiveLoop | None = None

    def close(self) -> None:
        """End the newest session's loop, as the end of its process would."""
        if self.loop is not None:
            self.loop.close()
            self.loop = None

    def live(self) -> LiveAccount:
        maker = IntentMaker("test", self.venue.listed(), ORDERS)
        coarsest = float(self.strategy.costs.coarsest_tick)
        move = "place_then_cancel" if self.venue.engine.rules.second_close_position else "cancel_then_place"
        settings = LiveSettings(show_ms=0, protection=ProtectionRules(move=move))
        return LiveAccount(
            self.venue, self.journal, maker, RULES, settings, coarsest, int(self.bars.open_time_ms[0]) + 1
        )

    def session(self, live: LiveAccount, snapshot_every: int = 200) -> Session:
        self.close()
        self.loop = loop = LiveLoop(live, lambda: False)
        brokers: list[LiveBroker] = []

        def make_broker(account: Any) -> LiveBroker:
            brokers.append(LiveBroker(account, loop))
            return brokers[-1]

        return Session(
            self.strategy,
            Market.of(self.bars),
            feed=LockstepFeed(self.bars, self.venue),
            journal=self.journal,
            make_broker=make_broker,
            alerts=self.alerts,
            rules=SessionRules(snapshot_every, None, 0.05, 86_400_000, 3_600_000, 1_500),
            initial_cash=CASH,
            venue="engine",
        )


@pytest.fixture
def live_parts() -> Iterator[Callable[..., LiveParts]]:
    """``live_parts(seed, n_bars, participation=, trailing=)``."""
    made_parts: list[LiveParts] = []

    def make(seed: int, n_bars: int = 300, *, participation: float | None = None, trailing: bool = False, **rules: Any):
        made = grids.make_grid_bars(seed, n_bars)
        raw = np.ascontiguousarray(np.stack([raw_bar(made, t).ohlcv for t in range(n_bars)]))
        gate = QualityGate(made.symbols, made.instruments, made.interval_ms)
        _, bars = gate.run(gate.begin(), raw, made.open_time_ms, made.funding)
        signal = grids.make_grid_signal(bars, seed, trailing=trailing)
        strategy = dataclasses.replace(
            grids.make_grid_strategy(participation=participation), signal=FixedSignal(signal)
        )
        engine = grids.make_venue(bars, strategy.costs, **rules)
        made_parts.append(LiveParts(bars, signal, strategy, EngineVenue(engine, engine_names(engine))))
        return made_parts[-1]

    yield make
    for parts in made_parts:
        parts.close()


assert Decimal(str(CASH)) == grids.CASH
