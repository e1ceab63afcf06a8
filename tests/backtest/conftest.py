"""Wild random markets and signals: everything that can happen to an account, often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantlab.core.fakes import FixedSignal
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.types import Signal
from quantlab.trading import Costs, EnsembleThreshold, FixedFraction, FromSignals, Limits, Strategy

START_MS = 1_742_083_200_000
INTERVAL_MS = 300_000
HOUR_MS = 3_600_000


def make_wild_bars(
    seed: int, n_bars: int = 400, n_symbols: int = 4, *, funding: bool = True, volatility: float = 0.02
) -> Bars:
    """Jumps, gaps, late listings, holes, zero volume, thin volume, ticks, lots and funding."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_symbols)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, shape), axis=0))
    previous = np.vstack([np.full((1, n_symbols), 100.0), close[:-1]])
    open_ = previous * np.exp(rng.normal(0.0, volatility / 4, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, volatility / 2, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, volatility / 2, shape)))
    ohlcv = np.stack([open_, high, low, close, rng.lognormal(7.0, 1.5, shape)], axis=-1)
    state = np.full(shape, BarState.TRADED, np.uint8)
    dead = rng.random(shape) < 0.05
    ohlcv[dead, 4] = 0.0
    state[dead] = BarState.ZERO_VOLUME
    for s in range(n_symbols):
        for start in rng.integers(0, n_bars, 2):
            stop = start + int(rng.integers(1, 25))
            ohlcv[start : start + 3, s, :4] = previous[start, s]
            ohlcv[start : start + 3, s, 4] = 0.0
            state[start : start + 3, s] = BarState.FILLED
            ohlcv[start + 3 : stop, s] = np.nan
            state[start + 3 : stop, s] = BarState.ABSENT
    late = int(rng.integers(0, n_bars // 4))
    ohlcv[:late, -1] = np.nan
    state[:late, -1] = BarState.ABSENT
    ticks, lots = rng.choice([0.0, 0.01, 0.5, 40.0], n_symbols), rng.choice([0.0, 0.001, 1.0, 8.0], n_symbols)
    rates = None
    if funding:
        stamps = np.arange(START_MS - HOUR_MS, START_MS + n_bars * INTERVAL_MS + HOUR_MS, HOUR_MS, dtype=np.int64)
        values = rng.normal(0.0, 1e-3, (len(stamps), n_symbols))
        values[rng.random(values.shape) < 0.02] = np.nan
        rates = Funding(stamps, values)
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=START_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64),
        interval_ms=INTERVAL_MS,
        state=state,
        symbols=tuple(f"S{i:02d}" for i in range(n_symbols)),
        instruments=tuple(
            Instrument(float(t), float(lot), 10.0, 0.03, 1.5, 4.5) for t, lot in zip(ticks, lots, strict=True)
        ),
        funding=rates,
    )


def make_wild_signal(bars: Bars, seed: int, *, targets: bool = False, activity: float = 0.2) -> Signal:
    """Random sides (or targets and distances), with an ATR that is sometimes unknown."""
    rng = np.random.default_rng(seed + 1_000)
    shape = (bars.n_bars, bars.n_symbols)
    side = np.where(rng.random(shape) < activity, rng.choice([-1, 1], shape), 0).astype(np.int8)
    atr = np.where(rng.random(shape) < 0.05, np.nan, 0.02 * np.nan_to_num(bars.close, nan=100.0))
    brought: dict[str, Any] = {}
    if targets:
        weight = rng.choice([0.0, 0.05, 0.1, 0.3, -0.05, -0.2, 0.8, -1.5, np.inf], shape)
        brought["target"] = np.where(rng.random(shape) < activity, weight, np.nan)
        for name, scale in (("stop_distance", 1.0), ("take_distance", 2.0)):
            usual = scale * np.nan_to_num(atr, nan=2.0) * rng.uniform(0.5, 2.0, shape)
            odd = rng.choice([np.inf, np.nan, 0.0], shape)
            brought[name] = np.where(rng.random(shape) < 0.2, odd, usual)
    return Signal(
        side=side,
        proba=np.full((*shape, 3), np.nan),
        confidence=np.full(shape, np.nan),
        consensus=np.full(shape, np.nan),
        live_members=np.ones(shape, np.int8),
        atr=atr,
        **brought,
    )


def make_strategy(
    *,
    targets: bool = False,
    weight: float = 0.2,
    limits: dict[str, Any] | None = None,
    costs: dict[str, Any] | None = None,
    policy: Any = None,
) -> Strategy:
    """The shipped defaults, but with limits that bind often."""
    usual: dict[str, Any] = {
        "daily_loss_limit": 0.05,
        "daily_flatten": False,
        "breaker": 0.3,
        "max_positions": 3,
        "max_weight": 0.25,
        "max_gross_leverage": 0.6,
        "rollout": 1.0,
    }
    fees: dict[str, Any] = {
        "slippage_bps": 2.0,
        "participation": 0.05,
        "liquidation_fee_bps": 125.0,
        "coarsest_tick": 0.004,
        "coarsest_order_usd": 1_000.0,
        "delisted_after_bars": 6,
    }
    return Strategy(
        signal=FixedSignal(None),  # type: ignore[arg-type]
        policy=policy or (FromSignals(False) if targets else EnsembleThreshold(1.2, 2.0, 12, False)),
        sizer=FixedFraction(weight),
        limits=Limits(**{**usual, **(limits or {})}),
        costs=Costs(**{**fees, **(costs or {})}),
    )


#: Named settings under which different rules bind.
SETTINGS: dict[str, dict[str, Any]] = {
    "ensemble": {},
    "rebalancing": {"policy": EnsembleThreshold(None, 1.0, 20, True), "limits": {"rollout": 0.7}},
    "targets": {"targets": True},
    "flattening": {"targets": True, "limits": {"daily_flatten": True, "breaker": 0.08}},
    "levered": {
        "targets": True,
        "limits": {
            "daily_loss_limit": None,
            "breaker": None,
            "max_positions": None,
            "max_weight": None,
            "max_gross_leverage": 6.0,
        },
        "costs": {"participation": None, "delisted_after_bars": None},
    },
}


def make_case(name: str, seed: int, **more: Any) -> tuple[Bars, Signal, Strategy]:
    """Bars, signal and strategy of one named setting."""
    setting = SETTINGS[name]
    bars = make_wild_bars(seed, **{"volatility": 0.05 if name == "levered" else 0.02, **more})
    brings = bool(setting.get("targets", False))
    signal = make_wild_signal(bars, seed, targets=brings)
    if name == "levered" and signal.target is not None:
        target = np.where(np.isfinite(signal.target), signal.target * 4.0, signal.target)
        signal = Signal(**{**vars(signal), "target": target})
    return bars, signal, make_strategy(**setting)


@pytest.fixture(scope="session")
def wild_bars() -> Callable[..., Bars]:
    return make_wild_bars


@pytest.fixture(scope="session")
def wild_signal() -> Callable[..., Signal]:
    return make_wild_signal


@pytest.fixture(scope="session")
def strategy() -> Callable[..., Strategy]:
    return make_strategy


@pytest.fixture(scope="session", params=sorted(SETTINGS))
def case(request: pytest.FixtureRequest) -> Callable[..., tuple[Bars, Signal, Strategy]]:
    """``case(seed)`` -> bars, signal, strategy; the test runs once per setting."""
    return lambda seed, **more: make_case(request.param, seed, **more)


class EveryCase:
    """``every_case(name, seed)`` for each of its ``names``."""

    names = tuple(sorted(SETTINGS))

    def __call__(self, name: str, seed: int) -> tuple[Bars, Signal, Strategy]:
        return make_case(name, seed)


@pytest.fixture(scope="session")
def every_case() -> EveryCase:
    return EveryCase()


@pytest.fixture(scope="session")
def real_bars(perps_5m: Path) -> Bars:
    """Six real perpetuals over 12 days with a venue stop, funding and one crash (OM, 13 April 2025)."""
    names = ("BTC", "ETH", "SOL", "OM", "XRP", "DOGE")
    days = pd.date_range("2025-04-06", "2025-04-18", freq="5min", tz="UTC", inclusive="left")
    frames = [pd.read_parquet(perps_5m / f"{name}.parquet").set_index("timestamp").reindex(days) for name in names]
    ohlcv = np.stack([f[["open", "high", "low", "close", "volume"]].to_numpy(np.float64) for f in frames], axis=1)
    state = np.where(np.isnan(ohlcv[:, :, 3]), BarState.ABSENT, np.where(ohlcv[:, :, 4] > 0, 0, 1)).astype(np.uint8)
    paid = [pd.read_parquet(perps_5m / "funding" / f"{name}.parquet").set_index("timestamp") for name in names]
    hours = days[::12]
    rates = np.stack([f["funding_rate"].groupby(f.index.floor("h")).last().reindex(hours) for f in paid], axis=1)
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=days.as_unit("ms").astype(np.int64).to_numpy(),
        interval_ms=INTERVAL_MS,
        state=state,
        symbols=names,
        instruments=(Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5),) * len(names),
        funding=Funding(hours.as_unit("ms").astype(np.int64).to_numpy(), np.ascontiguousarray(rates)),
    )
