"""A plain-Python account that fabricates consistent simulations; independent of the package's own engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.results import EVENT_DTYPE, ORDER_DTYPE, OrderReason, RiskEvent, Simulation
from quantlab.evaluation.report.content import AccountResult, Report
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.verdict.judge import judge
from quantlab.evaluation.verdict.rule import VerdictRule

TAKER, SLIPPAGE = 4.5e-4, 2e-4
INSTRUMENT = Instrument(
    tick=0.0, lot=0.0, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
)

#: (row, column, signed units, price, fee, reason)
Fill = tuple[int, int, float, float, float, int]


def book(bars: Bars, fills: list[Fill], *, cash: float = 10_000.0, funding: np.ndarray | None = None) -> Simulation:
    """Book fills, in order, into an account that is marked at every close."""
    orders = np.zeros(len(fills), ORDER_DTYPE)
    change, flow = np.zeros((bars.n_bars, bars.n_symbols)), np.zeros(bars.n_bars)
    units, entry = np.zeros(bars.n_symbols), np.zeros(bars.n_symbols)
    for i, (row, column, signed, price, fee, _) in enumerate(fills):
        orders[i] = (i, column, row, abs(signed), price, fee, int(signed < 0))
        change[row, column] += signed
        flow[row] -= signed * price + fee
        held = units[column]
        if held * signed >= 0:
            entry[column] = (held * entry[column] + signed * price) / (held + signed)
        elif abs(signed) > abs(held):
            entry[column] = price
        units[column] = held + signed
    units[np.abs(units) < 1e-9] = 0.0
    paid = np.zeros(bars.n_bars) if funding is None else funding
    balance = cash + np.cumsum(flow - paid)
    values = np.cumsum(change, axis=0) * filled_forward(bars.close)
    return Simulation(
        open_time_ms=bars.open_time_ms,
        interval_ms=bars.interval_ms,
        symbols=bars.symbols,
        initial_cash=cash,
        equity=balance + values.sum(axis=1),
        gross=np.abs(values).sum(axis=1),
        funding=paid,
        liquidation_fees=np.zeros(bars.n_bars),
        orders=orders,
        reasons=np.array([fill[5] for fill in fills], np.int8),
        over_participation=np.zeros(len(fills), np.bool_),
        events=np.zeros(0, EVENT_DTYPE),
        cuts={},
        units=units,
        entry_price=np.where(units == 0.0, 0.0, entry),
        cash=float(balance[-1]),
        has_funding=funding is not None,
    )


def filled_forward(close: np.ndarray) -> np.ndarray:
    row = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(len(close))[:, None], 0), axis=0)
    return np.nan_to_num(close[row, np.arange(close.shape[1])])


def random_fills(bars: Bars, seed: int, *, gap: int = 40, weight: float = 0.1) -> list[Fill]:
    """Random trades with adds, partial exits and flips; some stay open."""
    rng = np.random.default_rng(seed)
    fills: list[Fill] = []
    for column in range(bars.n_symbols):
        row, held = int(rng.integers(1, gap)), 0.0
        while row < bars.n_bars:
            price = float(bars.ohlcv[row, column, 0])
            if np.isfinite(price):
                unit = weight * 10_000.0 / price * rng.uniform(0.5, 1.0)
                legs = _legs(rng, held, unit)
                for signed, reason in legs:
                    fill = price * (1 + SLIPPAGE * np.sign(signed))
                    fills.append((row, column, signed, fill, abs(signed) * fill * TAKER, reason))
                    held = 0.0 if signed == -held else held + signed
            row += int(rng.integers(1, gap))
    return sorted(fills, key=lambda fill: fill[0])


def _legs(rng: np.random.Generator, held: float, unit: float) -> list[tuple[float, int]]:
    signal = int(OrderReason.SIGNAL)
    if held == 0.0:
        return [(unit * rng.choice([-1, 1]), signal)]
    kind = rng.choice(["close", "add", "reduce", "flip"], p=[0.7, 0.1, 0.1, 0.1])
    if kind == "add":
        return [(unit * np.sign(held) * 0.3, signal)]
    if kind == "reduce":
        return [(-held * 0.25, signal)]
    if kind == "flip":
        return [(-held, signal), (-unit * np.sign(held), signal)]
    reasons = [OrderReason.STOP, OrderReason.TAKE_PROFIT, OrderReason.TIME_EXIT]
    return [(-held, int(rng.choice(reasons, p=[0.55, 0.3, 0.15])))]


def make_bars(close: np.ndarray, *, interval_ms: int = 3_600_000, names: tuple[str, ...] | None = None) -> Bars:
    """Bars that open at the previous close, from closes (T, S)."""
    close = np.asarray(close, np.float64)
    open_ = np.vstack([close[:1], close[:-1]])
    open_ = np.where(np.isfinite(close) & ~np.isfinite(open_), close, open_)
    volume = np.full_like(close, 1_000.0)
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return Bars(
        ohlcv=np.ascontiguousarray(np.stack([open_, high, low, close, volume], axis=-1)),
        open_time_ms=1_742_083_200_000 + interval_ms * np.arange(len(close), dtype=np.int64),
        interval_ms=interval_ms,
        state=np.where(np.isfinite(close), BarState.TRADED, BarState.ABSENT).astype(np.uint8),
        symbols=names or tuple(f"S{i}" for i in range(close.shape[1])),
        instruments=(INSTRUMENT,) * close.shape[1],
    )


def make_rule(**changes: float) -> VerdictRule:
    settings = {
        "min_trades": 100,
        "min_days": 30,
        "min_dsr": 0.95,
        "max_pbo": 0.5,
        "confidence": 0.95,
        "bootstrap_samples": 300,
        "block_days": 5,
        "pbo_blocks": 8,
        "seed": 1,
    }
    return VerdictRule(**(settings | changes))  # type: ignore[arg-type]


def make_report(bars: Bars, seed: int = 3, **changes: object) -> Report:
    """A report over random trades, with a daily limit and a breaker event in the lived run."""
    evidence = book(bars, random_fills(bars, seed), funding=np.full(bars.n_bars, 0.01))
    half = bars.n_bars // 2
    events = np.array(
        [(half // 2, RiskEvent.DAILY_LIMIT, 9_400.0, 9_500.0), (half, RiskEvent.BREAKER, 8_700.0, 8_800.0)], EVENT_DTYPE
    )
    fills = [fill for fill in random_fills(bars, seed) if fill[0] < half]
    lived = book(bars, fills, funding=np.full(bars.n_bars, 0.01))
    lived = type(lived)(**(vars(lived) | {"events": events, "cuts": {"halt": 31, "max_positions": 1_204}}))
    summary = summarise(evidence, bars, participation=0.05, stop_hit_baseline=0.55)
    settings: dict[str, object] = {
        "experiment": "fabricated",
        "data_label": "a random walk",
        "synthetic": True,
        "verdict": judge(make_rule(), evidence, summary),
        "evidence": AccountResult(evidence, summary),
        "lived": AccountResult(lived, summarise(lived, bars)),
        "bars": bars,
        "benchmarks": {"Buy and hold": 10_000.0 * filled_forward(bars.close)[:, 0] / bars.close[0, 0]},
        "signal": None,
        "stamps": {"run": "20250614T000000Z-abcdef01"},
        "fingerprints": {"data": "0" * 64},
        "notes": ("A note.",),
        "config_text": "seed: 1\n",
    }
    return Report(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def booked() -> Callable[..., Simulation]:
    """:func:`book`."""
    return book


@pytest.fixture(scope="session")
def fills_of() -> Callable[..., list[Fill]]:
    """:func:`random_fills`."""
    return random_fills


@pytest.fixture(scope="session")
def bars_of() -> Callable[..., Bars]:
    """:func:`make_bars`."""
    return make_bars


@pytest.fixture(scope="session")
def rule_of() -> Callable[..., VerdictRule]:
    """:func:`make_rule`."""
    return make_rule


@pytest.fixture(scope="session")
def report_of() -> Callable[..., Report]:
    """:func:`make_report`."""
    return make_report
