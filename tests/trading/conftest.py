"""Hand-made markets, a small feature source, and one call that plays a market through the bar step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.core.fakes import FixedSignal
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.results import Simulation
from quantlab.core.types import Features, Signal
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy, replay
from quantlab.trading.signals.arrays import DISTANCES

DAY_MS = 86_400_000
START_MS = 1_742_083_200_000  # midnight, UTC
INTERVAL_MS = 300_000

FREE = Instrument(
    tick=0.0, lot=0.0, min_notional=0.0, maintenance_margin_rate=0.0, maker_fee_bps=0.0, taker_fee_bps=0.0
)
NO_LIMITS = Limits(
    daily_loss_limit=None,
    daily_flatten=False,
    breaker=None,
    max_positions=None,
    max_weight=None,
    max_gross_leverage=None,
    rollout=1.0,
)
#: Coarse steps bind: what makes them unknown is tested in test_coarse_rules.py.
NO_COSTS = Costs(0.0, participation=None, liquidation_fee_bps=0.0, coarsest_tick=1.0, coarsest_order_usd=1e12)


@dataclass(frozen=True)
class RangeFeatures:
    """One feature, ``natr_14`` = (high - low) / close, ready from the second bar of every symbol on."""

    names: tuple[str, ...] = ("natr_14",)
    warmup: int = 1

    @property
    def fingerprint(self) -> str:
        return fingerprint("RangeFeatures")

    def transform(self, bars: Bars) -> Features:
        return self._rows(bars, np.zeros(bars.n_symbols, np.int64))

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _RangeStream:
        return _RangeStream(self, np.zeros(len(symbols), np.int64))

    def _rows(self, bars: Bars, seen: Any) -> Features:
        high, low, close = (bars.ohlcv[:, :, i] for i in (1, 2, 3))
        there = np.isfinite(close)
        count = seen + np.cumsum(there, axis=0)
        seen += there.sum(axis=0)
        values = ((high - low) / close).astype(np.float32)[:, :, None]
        return Features(np.ascontiguousarray(values), there & (count > self.warmup), self.names, self.fingerprint)


@dataclass
class _RangeStream:
    source: RangeFeatures
    seen: Any

    def update(self, bar: Bars) -> Features:
        return self.source._rows(bar, self.seen)

    def state(self) -> bytes:
        return bytes(self.seen.tobytes())

    def restore(self, state: bytes) -> None:
        self.seen = np.frombuffer(state, dtype=np.int64).copy()


@pytest.fixture(scope="session")
def range_features() -> RangeFeatures:
    return RangeFeatures()


def make_market(
    rows: Any,
    *,
    instrument: Instrument = FREE,
    start_ms: int = START_MS,
    interval_ms: int = INTERVAL_MS,
    funding: Funding | None = None,
    state: Any = None,
) -> Bars:
    """Bars of (T, 5) or (T, S, 5) rows of open, high, low, close, volume."""
    ohlcv = np.asarray(rows, dtype=np.float64)
    ohlcv = ohlcv[:, None, :] if ohlcv.ndim == 2 else ohlcv
    volume = ohlcv[:, :, 4]
    usual = np.where(np.isnan(ohlcv[:, :, 3]), BarState.ABSENT, np.where(volume > 0, BarState.TRADED, 1))
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=start_ms + interval_ms * np.arange(len(ohlcv), dtype=np.int64),
        interval_ms=interval_ms,
        state=np.asarray(usual if state is None else state, dtype=np.uint8).reshape(volume.shape),
        symbols=tuple(f"S{i}" for i in range(ohlcv.shape[1])),
        instruments=(instrument,) * ohlcv.shape[1],
        funding=funding,
    )


def make_signal(bars: Bars, **given: Any) -> Signal:
    """A signal of these arrays, broadcast to (T, S); what is not given says nothing."""
    shape = (bars.n_bars, bars.n_symbols)

    def grid(name: str, default: Any, dtype: Any) -> Any:
        value = np.asarray(given.get(name, default), dtype=dtype)
        value = value[:, None] if value.ndim == 1 and len(value) == shape[0] else value
        return np.array(np.broadcast_to(value, shape), order="C")

    brought = {n: grid(n, None, np.float64) for n in ("target", *DISTANCES) if n in given}
    return Signal(
        side=grid("side", 0, np.int8),
        proba=np.full((*shape, 3), np.nan),
        confidence=grid("confidence", np.nan, np.float64),
        consensus=grid("consensus", np.nan, np.float64),
        live_members=np.ones(shape, np.int8),
        atr=grid("atr", 1.0, np.float64),
        **brought,
    )


def make_strategy(
    *, policy: Any = None, sizer: Any = None, limits: dict[str, Any] | None = None, costs: dict[str, Any] | None = None
) -> Strategy:
    """Frictionless and unlimited, but for what is given."""
    return Strategy(
        signal=FixedSignal(None),  # type: ignore[arg-type]
        policy=policy or FromSignals(rebalance=False),
        sizer=sizer or FixedFraction(0.1),
        limits=dataclasses.replace(NO_LIMITS, **(limits or {})),
        costs=dataclasses.replace(NO_COSTS, **(costs or {})),
    )


def row_stream(bars: Bars, signal: Signal) -> Iterator[tuple[Bars, Signal]]:
    """One bar and one signal row at a time."""
    return ((bars.rows(t, t + 1), signal.rows(t, t + 1)) for t in range(bars.n_bars))


@pytest.fixture(scope="session")
def market() -> Callable[..., Bars]:
    return make_market


@pytest.fixture(scope="session")
def signal() -> Callable[..., Signal]:
    return make_signal


@pytest.fixture(scope="session")
def strategy() -> Callable[..., Strategy]:
    return make_strategy


@pytest.fixture(scope="session")
def free() -> Callable[..., Instrument]:
    """A frictionless instrument, but for what is given."""
    return lambda **rules: dataclasses.replace(FREE, **rules)


@pytest.fixture(scope="session")
def play() -> Callable[..., Simulation]:
    """``play(bars, cash=..., limits=..., costs=..., policy=..., sizer=..., **signal arrays)``."""

    def run(bars: Bars, *, cash: float = 10_000.0, limits_on: bool = True, **given: Any) -> Simulation:
        parts = {k: given.pop(k) for k in ("policy", "sizer", "limits", "costs") if k in given}
        rows = row_stream(bars, make_signal(bars, **given))
        return replay(rows, make_strategy(**parts), cash, limits_on=limits_on)

    return run
