"""Small random markets with everything in them that the page has a rule for; one seed makes one case."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from plain_choices import random_sizer, with_streak_rules, with_unknown_rules
from plain_endings import bars_until_delisted
from plain_ends import with_ends
from plain_prints import fill_anew, with_prints, with_squeezes
from plain_scales import with_rule_changes, with_rules, with_scales

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.types import Signal
from quantlab.trading.strategy.policies import BuyAndHold, EnsembleThreshold, FromSignals
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy

CASH = 10_000.0
MINUTE_MS = 60_000
#: 2025-03-16 00:00 UTC
MIDNIGHT_MS = 1_742_083_200_000
LONG_SHARE = 0.06
SQUEEZED_SHARE = 0.12


@dataclass(frozen=True)
class Case:
    """One simulation to run twice."""

    seed: int
    bars: Bars
    signal: Signal
    strategy: Strategy
    limits_on: bool = True


def random_case(seed: int, *, moving_stops: bool = True) -> Case:
    """A market, a signal and a strategy, all from `seed`; without trailing and break-even on demand."""
    rng, prints, world = (np.random.default_rng(part) for part in (seed, [seed, 4], [seed, 6]))
    shape = (int(rng.integers(30, 80)), int(rng.integers(1, 5)))
    if prints.random() < LONG_SHARE:  # longer than the window that a print is judged by
        shape = (int(prints.integers(300, 420)), min(shape[1], 2))
    volatility = float(rng.choice([0.002, 0.01, 0.03]))
    squeezed = bool(prints.random() < SQUEEZED_SHARE)
    if squeezed:
        shape, volatility = (60, 4), 0.002
    plain = _bars(rng, shape, volatility)
    unknown = with_unknown_rules(world, UNCAPPED)
    if squeezed:
        bars = with_squeezes(prints, plain, volatility)
    else:
        bars = with_prints(prints, plain, volatility, lambda planted: _reshaped(world, planted, unknown))
    case = _case(rng, seed, bars, volatility, moving_stops, reckless=squeezed)
    return _with_costs(case, unknown)


def _reshaped(rng: np.random.Generator, bars: Bars, costs: Costs) -> Bars:
    """Many markets at other prices, most with other rules, some of which change; in half of them symbols end."""
    scaled, ruled, changing, ending = (rng.random() < share for share in (0.35, 0.5, 0.5, 0.45))
    if scaled:
        bars = with_scales(rng, bars)
    if ruled or scaled:
        bars = with_rules(rng, bars)
    if changing:
        bars = with_rule_changes(rng, bars)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    fill_anew(ohlcv, state)
    bars = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    return with_ends(rng, bars, bars_until_delisted(costs, bars.interval_ms)) if ending else bars


def _with_costs(case: Case, unknown: Costs) -> Case:
    """The three options that say which rules are unknown and when a symbol has ended, as in `unknown`."""
    names = ("coarsest_tick", "coarsest_order_usd", "delisted_after_bars")
    costs = dataclasses.replace(case.strategy.costs, **{name: getattr(unknown, name) for name in names})
    return dataclasses.replace(case, strategy=dataclasses.replace(case.strategy, costs=costs))


def case_on(bars: Bars, seed: int) -> Case:
    """A signal and a strategy from `seed` on a market of five-minute bars."""
    return _case(np.random.default_rng(seed), seed, bars, volatility=0.003, moving_stops=True)


def _case(
    rng: np.random.Generator, seed: int, bars: Bars, volatility: float, moving_stops: bool, *, reckless: bool = False
) -> Case:
    reckless |= bool(rng.random() < 0.2)  # far too large, unlimited and unprotected: what the venue liquidates
    policy, kind = (FromSignals(rebalance=False), "reckless") if reckless else _policy(rng, moving_stops)
    signal = _signal(rng, bars, volatility, kind, moving_stops)
    sizer = random_sizer(rng)
    limits, costs = (NO_LIMITS, UNCAPPED) if reckless else (with_streak_rules(rng, _limits(rng)), _costs(rng))
    strategy = Strategy(_Silent(), policy, sizer, limits, costs)
    return Case(seed, bars, signal, strategy, limits_on=bool(rng.random() < 0.9))


NO_LIMITS = Limits(
    daily_loss_limit=None,
    daily_flatten=False,
    breaker=None,
    max_positions=None,
    max_weight=None,
    max_gross_leverage=None,
    rollout=1.0,
)
UNCAPPED = Costs(slippage_bps=2.0, participation=None, liquidation_fee_bps=125.0)


class _Silent:
    """The signal source that a strategy must name; a simulation never asks it."""

    fingerprint = "silent"

    def signal(self, bars: Bars) -> Signal:
        raise AssertionError(f"asked about {bars.n_bars} bars")

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise AssertionError(f"asked to follow {symbols} every {interval_ms} ms")


def _policy(rng: np.random.Generator, moving_stops: bool) -> tuple[Any, str]:
    draw = rng.random()
    if draw < 0.06:
        return BuyAndHold(), "hold"
    if draw < 0.40:
        return FromSignals(rebalance=bool(rng.random() < 0.5)), "targets"
    if draw < 0.55:
        return FromSignals(rebalance=bool(rng.random() < 0.5)), "sides"
    values: dict[str, Any] = {
        "stop_atr": rng.choice([0.5, 1.2, 3.0]) if rng.random() < 0.8 else None,
        "take_profit_atr": rng.choice([0.5, 2.0]) if rng.random() < 0.7 else None,
        "trail_atr": rng.choice([0.5, 1.0, 2.5]) if rng.random() < 0.4 else None,
        "break_even_atr": rng.choice([0.3, 0.8]) if rng.random() < 0.4 else None,
        "horizon": int(rng.integers(1, 9)) if rng.random() < 0.7 else None,
        "rebalance": bool(rng.random() < 0.4),
    }
    if not moving_stops:
        values |= {"trail_atr": None, "break_even_atr": None}
    return EnsembleThreshold(**{k: _plain(v) for k, v in values.items()}), "sides"


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, np.floating) else value


def _limits(rng: np.random.Generator) -> Limits:
    def maybe(share: float, choices: list[float]) -> float | None:
        return float(rng.choice(choices)) if rng.random() < share else None

    slots = maybe(0.4, [1, 2, 3])
    return Limits(
        daily_loss_limit=maybe(0.5, [0.005, 0.02, 0.08]),
        daily_flatten=bool(rng.random() < 0.5),
        breaker=maybe(0.4, [0.01, 0.05, 0.3, 1.0]),
        max_positions=None if slots is None else int(slots),
        max_weight=maybe(0.4, [0.05, 0.2, 1.0]),
        max_gross_leverage=maybe(0.4, [0.3, 1.0, 4.0]),
        rollout=float(rng.choice([1.0, 1.0, 1.0, 0.7, 0.0])),
    )


def _costs(rng: np.random.Generator) -> Costs:
    return Costs(
        slippage_bps=float(rng.choice([0.0, 2.0, 40.0])),
        participation=float(rng.choice([0.01, 0.05, 0.2])) if rng.random() < 0.95 else None,
        liquidation_fee_bps=125.0,
    )


def _bars(rng: np.random.Generator, shape: tuple[int, int], volatility: float) -> Bars:
    n_bars, n_symbols = shape
    interval_ms = MINUTE_MS * int(rng.choice([5, 60, 240, 1440]))
    instruments = tuple(_instrument(rng) for _ in range(n_symbols))
    cells = [_symbol(rng, n_bars, volatility, instrument) for instrument in instruments]
    open_time_ms = MIDNIGHT_MS - interval_ms * int(rng.integers(0, n_bars)) + interval_ms * np.arange(n_bars)
    return Bars(
        ohlcv=np.ascontiguousarray(np.stack([ohlcv for ohlcv, _ in cells], axis=1)),
        open_time_ms=open_time_ms.astype(np.int64),
        interval_ms=interval_ms,
        state=np.ascontiguousarray(np.stack([state for _, state in cells], axis=1)),
        symbols=tuple(f"S{i}" for i in range(n_symbols)),
        instruments=instruments,
        funding=_funding(rng, open_time_ms, interval_ms, n_symbols) if rng.random() < 0.7 else None,
    )


def _instrument(rng: np.random.Generator) -> Instrument:
    return Instrument(
        tick=float(rng.choice([0.0, 0.01, 0.1, 0.5])),
        lot=float(rng.choice([0.0, 0.001, 0.1, 1.0, 7.0])),
        min_notional=float(rng.choice([0.0, 10.0, 150.0, 600.0])),
        maintenance_margin_rate=float(rng.choice([0.03, 0.1, 0.25])),
        maker_fee_bps=1.5,
        taker_fee_bps=4.5,
    )


def _symbol(
    rng: np.random.Generator, n_bars: int, volatility: float, instrument: Instrument
) -> tuple[Float64Array, np.ndarray[Any, np.dtype[np.uint8]]]:
    """(T, 5) and (T,): a walk with gaps and jumps, on the tick grid or off it, with holes and silent bars."""
    steps = rng.normal(0.0, volatility, n_bars) + _rare(rng, n_bars, 0.015) * rng.normal(0.0, 0.3, n_bars)
    close = float(rng.choice([3.0, 100.0])) * np.exp(np.cumsum(steps))
    gaps = rng.normal(0.0, volatility, n_bars) * _rare(rng, n_bars, 0.4) * rng.choice([0.2, 1.0, 4.0, 8.0, 16.0])
    open_ = np.concatenate([close[:1], close[:-1]]) * np.exp(gaps)
    wicks = np.abs(rng.normal(0.0, volatility, (2, n_bars)))
    high, low = np.maximum(open_, close) * np.exp(wicks[0]), np.minimum(open_, close) * np.exp(-wicks[1])
    volume = rng.lognormal(math.log(5_000.0 / close[0] * rng.choice([1.0, 10.0, 1000.0])), 1.0, n_bars)
    ohlcv = np.stack([open_, high, low, close, volume], axis=-1)
    if instrument.tick > 0.0 and rng.random() < 0.8:
        ohlcv[:, :4] = np.maximum(np.rint(ohlcv[:, :4] / instrument.tick), 1.0) * instrument.tick
    return _with_holes(rng, ohlcv)


def _with_holes(
    rng: np.random.Generator, ohlcv: Float64Array
) -> tuple[Float64Array, np.ndarray[Any, np.dtype[np.uint8]]]:
    n_bars = len(ohlcv)
    state = np.full(n_bars, BarState.TRADED, dtype=np.uint8)
    for kind in (BarState.ZERO_VOLUME, BarState.FILLED, BarState.ABSENT):
        starts = np.flatnonzero(_rare(rng, n_bars, 0.03))
        for start in starts:
            state[start : start + int(rng.integers(1, 5))] = kind
    if rng.random() < 0.2:
        state[: int(rng.integers(1, n_bars // 2))] = BarState.ABSENT
    if rng.random() < 0.1:
        state[int(rng.integers(n_bars // 2, n_bars)) :] = BarState.ABSENT
    moves = rng.random() < 0.5  # a silent bar may print prices at which nothing changed hands
    for t in np.flatnonzero(state != BarState.TRADED):
        ohlcv[t, 4] = 0.0
        if state[t] == BarState.FILLED and (t == 0 or state[t - 1] == BarState.ABSENT):
            state[t] = BarState.ABSENT  # nothing to fill from
        if state[t] == BarState.FILLED or not moves:
            ohlcv[t, :4] = ohlcv[t - 1, 3] if t else ohlcv[t, 0]
        if state[t] == BarState.ABSENT:
            ohlcv[t] = np.nan
    return ohlcv, state


def _rare(rng: np.random.Generator, n: int, share: float) -> Any:
    return rng.random(n) < share


def _funding(rng: np.random.Generator, open_time_ms: Any, interval_ms: int, n_symbols: int) -> Funding:
    """Stamps on every hour or now and then, some beyond the bars, a few without a rate."""
    hour = 60 * MINUTE_MS
    first = int(open_time_ms[0]) // hour * hour - 5 * hour
    stamps = np.arange(first, int(open_time_ms[-1]) + 6 * hour, hour, dtype=np.int64)
    stamps = stamps[rng.random(len(stamps)) < rng.choice([1.0, 0.3])]
    rate = rng.normal(0.0, 0.001, (len(stamps), n_symbols))
    if interval_ms <= hour:
        rate[rng.random(rate.shape) < 0.05] = np.nan
    return Funding(stamps, rate)


def _signal(rng: np.random.Generator, bars: Bars, volatility: float, kind: str, moving_stops: bool) -> Signal:
    shape = (bars.n_bars, bars.n_symbols)
    side = rng.choice([-1, 0, 1], shape, p=[0.22, 0.56, 0.22]).astype(np.int8)
    price = np.nan_to_num(bars.close, nan=100.0)
    atr = volatility * price * rng.uniform(0.3, 2.5, shape)
    atr[rng.random(shape) < 0.03] = np.nan
    confidence = rng.choice([0.3, 0.5, 0.8], shape) * rng.choice([1.0, 1.01], shape)
    confidence[rng.random(shape) < 0.02] = rng.choice([np.nan, -0.1, 1.2])
    brought: dict[str, Any] = {}
    if kind in ("targets", "reckless"):
        brought = {"target": _targets(rng, shape) * (1.0 if kind == "targets" else 4.0)}
    if kind not in ("hold", "reckless") and rng.random() < 0.8:
        names = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")[: 4 if moving_stops else 2]
        brought |= {name: _distances(rng, shape, atr) for name in names if rng.random() < 0.6}
    return Signal(
        side=side,
        proba=np.full((*shape, 3), 1.0 / 3.0),
        confidence=confidence,
        consensus=np.ones(shape),
        live_members=np.ones(shape, dtype=np.int8),
        atr=atr,
        **brought,
    )


def _targets(rng: np.random.Generator, shape: tuple[int, int]) -> Float64Array:
    """Mostly kept; else closed, set anew, or moved a little from the last one, which adds or reduces."""
    size = float(rng.choice([0.1, 0.5, 3.0]))
    last = rng.uniform(-size, size, shape[1])
    rows = np.full(shape, np.nan)
    for t in range(shape[0]):
        for s in range(shape[1]):
            draw = rng.random()
            if draw < 0.08:
                rows[t, s] = 0.0
            elif draw < 0.16:
                rows[t, s] = last[s] = rng.uniform(-size, size)
            elif draw < 0.36:
                rows[t, s] = last[s] = last[s] * rng.choice([0.5, 0.99, 1.0, 1.02, 1.6])
    return rows


def _distances(rng: np.random.Generator, shape: tuple[int, int], atr: Float64Array) -> Float64Array:
    distance = np.nan_to_num(atr, nan=1.0) * rng.uniform(0.2, 3.0, shape)
    draw = rng.random(shape)
    distance[draw < 0.25] = np.inf
    distance[draw > 0.97] = np.nan
    distance[(draw > 0.95) & (draw < 0.96)] = 0.0
    distance[(draw > 0.94) & (draw < 0.95)] = -1.0
    return distance
