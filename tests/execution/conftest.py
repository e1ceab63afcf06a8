"""Markets with holes, a strategy that trades a lot, and sessions over them."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.fakes import FixedSignal, MemoryAlerts
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.types import Signal
from quantlab.data.quality.gate import QualityGate
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy

CASH = 10_000.0
INTERVAL_MS = 300_000
START_MS = 1_742_083_200_000
INSTRUMENT = Instrument(
    tick=0.01, lot=0.001, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
)


def make_market(seed: int = 0, n_bars: int = 400, n_symbols: int = 4, *, resets: bool = True) -> Bars:
    """A random market through the gate: holes short and long, a late listing, silent bars, hourly funding.

    Without `resets` there are only short holes, which leave features warm.
    """
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.004, (n_bars, n_symbols)), axis=0))
    open_ = np.vstack([np.full((1, n_symbols), 100.0), close[:-1]])
    high = np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, 0.002, close.shape)))
    low = np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, 0.002, close.shape)))
    volume = rng.lognormal(6.0, 1.0, close.shape)
    volume[rng.random(close.shape) < 0.01] = 0.0
    raw = np.stack([open_, high, low, close, volume], axis=-1)
    raw[n_bars // 3 : n_bars // 3 + 5, 0] = np.nan
    if resets:
        raw[: n_bars // 6, 1] = np.nan
        raw[n_bars // 2 : n_bars // 2 + 20, 2 % n_symbols] = np.nan
    symbols = tuple(f"S{i}" for i in range(n_symbols))
    gate = QualityGate(symbols, (INSTRUMENT,) * n_symbols, INTERVAL_MS)
    times = START_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64)
    stamps = np.arange(START_MS, START_MS + INTERVAL_MS * n_bars, 3_600_000, dtype=np.int64)
    funding = Funding(stamps, rng.normal(0.0, 1e-4, (len(stamps), n_symbols)))
    _, bars = gate.run(gate.begin(), np.ascontiguousarray(raw), times, funding)
    return bars


def make_wild_signal(bars: Bars, seed: int = 0, activity: float = 0.2) -> Signal:
    """Random sides with stops and take-profits, unknown at times; only what is traded is ever known."""
    rng = np.random.default_rng(seed + 1_000)
    shape = (bars.n_bars, bars.n_symbols)
    there = bars.state != BarState.ABSENT
    side = np.where(there & (rng.random(shape) < activity), rng.choice([-1, 1], shape), 0).astype(np.int8)
    proba = rng.dirichlet([2.0, 2.0, 2.0], shape)
    close = np.nan_to_num(bars.close, nan=1.0)
    return Signal(
        side=side,
        proba=np.ascontiguousarray(proba),
        confidence=np.ascontiguousarray(proba.max(axis=2)),
        consensus=rng.choice([0.5, 0.75, 1.0], shape),
        live_members=np.full(shape, 4, np.int8),
        atr=0.004 * close,
        stop_distance=np.where(rng.random(shape) < 0.02, np.nan, 0.006 * close),
        take_distance=np.ascontiguousarray(0.012 * close),
    )


def make_strategy(signal: Any, **limits: Any) -> Strategy:
    """Every rule of the guard on."""
    usual = {
        "daily_loss_limit": 0.012,
        "daily_flatten": False,
        "breaker": 0.05,
        "max_positions": 3,
        "max_weight": 0.4,
        "max_gross_leverage": 1.0,
        "rollout": 1.0,
    }
    optional = {f.name for f in dataclasses.fields(Limits)} - set(usual)
    return Strategy(
        signal=signal,
        policy=FromSignals(rebalance=False),
        sizer=FixedFraction(0.3),
        limits=Limits(**{**usual, **dict.fromkeys(optional), **limits}),
        costs=Costs(slippage_bps=2.0, participation=0.2, liquidation_fee_bps=125.0),
    )


@dataclasses.dataclass
class SessionParts:
    """Everything that a session on one market needs, and a way to start one."""

    bars: Bars
    signal: Signal
    folder: Path
    snapshot_every: int = 50
    stale_after_ms: int | None = None
    alerts: MemoryAlerts = dataclasses.field(default_factory=MemoryAlerts)

    @property
    def strategy(self) -> Strategy:
        return make_strategy(FixedSignal(self.signal))

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.folder / "journal.db")

    def session(self, journal: SqliteJournal, feed: Any = None, **given: Any) -> Session:
        parts = {
            "strategy": self.strategy,
            "market": Market.of(self.bars),
            "feed": feed or ReplayFeed(self.bars, start=None, pace=None),
            "journal": journal,
            "make_broker": PaperBroker,
            "alerts": self.alerts,
            "rules": SessionRules(
                self.snapshot_every,
                self.stale_after_ms,
                largest_funding_rate=0.05,
                repeat_alert_ms=86_400_000,
                clock_every_ms=3_600_000,
                clock_limit_ms=1_500.0,
            ),
            "initial_cash": CASH,
            **given,
        }
        return Session(parts.pop("strategy"), parts.pop("market"), **parts)


@dataclasses.dataclass
class MovingReleases:
    """A pointer that moves behind given bars, by their open; `name` is what the session is started with."""

    journal: SqliteJournal
    name: str
    moves: dict[int, Any]
    last_move: int = -1

    def newer(self) -> Any:
        bar = self.journal.latest("bar")
        last_ms = -1 if bar is None else bar.facts["bar"]["open_ms"]
        due = max(at for at in self.moves if at <= last_ms)
        if due == self.last_move:
            return None
        self.last_move = due
        found = self.moves[due]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture(scope="session")
def moving_releases() -> type[MovingReleases]:
    return MovingReleases


def load_beside(name: str) -> Any:
    """The module in a file beside this one."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{name}_of_execution", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small_ensemble() -> Callable[..., Any]:
    """The factory of ``small_ensemble.py`` beside this file."""
    return load_beside("small_ensemble").small_ensemble


@pytest.fixture(scope="session")
def exchange_module() -> Any:
    """``loopback_exchange.py`` beside this file."""
    return load_beside("loopback_exchange")


@pytest.fixture
def exchange(exchange_module: Any) -> Iterator[Any]:
    """A loopback exchange and its history."""
    bars = dataclasses.replace(make_market(2, n_bars=60, n_symbols=3), symbols=("AAAUSDT", "BBBUSDT", "CCCUSDT"))
    with exchange_module.loopback_exchange(bars) as server:
        yield server


@pytest.fixture
def loopback(exchange_module: Any, exchange: Any) -> Callable[..., Any]:
    """``loopback(**settings)``: the real client of that exchange."""
    return lambda **given: exchange_module.loopback(exchange, **given)


@pytest.fixture(scope="session")
def random_market() -> Callable[..., Bars]:
    return make_market


@pytest.fixture(scope="session")
def wild_signal() -> Callable[..., Signal]:
    return make_wild_signal


@pytest.fixture(scope="session")
def strategy() -> Callable[..., Strategy]:
    return make_strategy


@pytest.fixture
def session_parts(tmp_path: Path) -> Callable[..., SessionParts]:
    """``session_parts(seed=, n_bars=, n_symbols=, **fields)``: the parts of a session in a folder of its own."""

    def make(
        seed: int = 0, n_bars: int = 400, n_symbols: int = 4, *, resets: bool = True, **fields: Any
    ) -> SessionParts:
        bars = make_market(seed, n_bars, n_symbols, resets=resets)
        return SessionParts(bars, make_wild_signal(bars, seed), tmp_path / "session", **fields)

    return make
