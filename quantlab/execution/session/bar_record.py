"""Facts that a session journals about each bar: strict JSON, and a function of bar, signal and account alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import iso_utc
from quantlab.core.events import BarInputs, Decision
from quantlab.core.market import Bars
from quantlab.core.results import CUT_RULES, OrderReason, RiskEvent
from quantlab.core.types import Signal
from quantlab.execution.session.inputs import stage_facts
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel import layout
from quantlab.trading.lowlevel.layout import (
    BARS_HELD,
    BREAK_EVEN_LEVEL,
    CASH,
    DAY_START_EQUITY,
    ENTRY,
    EQUITY,
    FUNDING,
    GROSS,
    HIGH_WATER_MARK,
    LIQUIDATION_FEE,
    MARK,
    STOP_LEVEL,
    TAKE_LEVEL,
    TRAIL,
    UNITS,
    Records,
)

#: A decision counts as agreed on from this weighted share of the live members on.
AGREED = 0.7

_ACCOUNT = {
    "equity": EQUITY,
    "cash": CASH,
    "gross": GROSS,
    "funding": FUNDING,
    "liquidation_fee": LIQUIDATION_FEE,
    "high_water_mark": HIGH_WATER_MARK,
}
_LEVELS = (STOP_LEVEL, TAKE_LEVEL, BREAK_EVEN_LEVEL, TRAIL)
#: Reasons of orders that were decided at the close before; the others follow from prices within the bar, or from none.
_DECIDED = frozenset({OrderReason.SIGNAL, OrderReason.TIME_EXIT, OrderReason.FLATTEN})
#: Every latch of the account by its name: ``daily``, ``breaker``, ``feed`` and whatever rules are added.
_HALTS = {name.removesuffix("_HALT").lower(): slot for name, slot in vars(layout).items() if name.endswith("_HALT")}


@dataclass(frozen=True)
class Day:
    """One UTC date so far.

    Parameters
    ----------
    utc : str
    start_equity : float
        Of the bar before the date's first, USD.
    peak, low, last : float
        Equity since then, USD.
    drawdown : float
        Largest fall from the date's own peak so far, as a fraction; the start counts as a peak.
    """

    utc: str
    start_equity: float
    peak: float
    low: float
    last: float
    drawdown: float

    @classmethod
    def after(cls, before: Day | None, open_time_ms: int, start_equity: float, equity: float) -> Day:
        """The date with one more equity mark."""
        utc = iso_utc(open_time_ms)[:10]
        if before is None or before.utc != utc:
            before = cls(utc, start_equity, start_equity, start_equity, start_equity, 0.0)
        peak = max(before.peak, equity)
        return cls(
            utc, before.start_equity, peak, min(before.low, equity), equity, max(before.drawdown, 1.0 - equity / peak)
        )


class Before(NamedTuple):
    """The account and the market before a bar was worked on.

    Parameters
    ----------
    cuts : int64 (len(CUT_RULES),)
        Requests changed so far, by rule.
    closes : float64 (S,)
        USD, of the bar before; NaN where it has none.
    """

    cuts: Int64Array
    closes: Float64Array


def signal_facts(signal: Signal) -> dict[str, Any]:
    """Count predictions, decisions before and after the thresholds, consensus and confidence of one row.

    ``decisions`` are BUY and SELL before any threshold; ``agreed`` those with a consensus of at least
    :data:`AGREED`; the sums are over decisions, so that means over any period can be made of them.
    """
    proba, side = signal.proba[0], signal.side[0]
    known = np.isfinite(proba[:, 0])
    hold = proba[:, 1] >= np.maximum(proba[:, 0], proba[:, 2])
    decided = known & ~hold & (proba[:, 0] != proba[:, 2])
    return {
        "predictions": int(known.sum()),
        "decisions": int(decided.sum()),
        "agreed": int((signal.consensus[0][decided] >= AGREED).sum()),
        "consensus_sum": float(signal.consensus[0][decided].sum()),
        "confidence_sum": float(signal.confidence[0][decided].sum()),
        "buy": int((side > 0).sum()),
        "sell": int((side < 0).sum()),
        "live_members": int(signal.live_members[0].max(initial=0)),
    }


def bar_facts(
    account: Stepper,
    bar: Bars,
    signal: Signal,
    decision: Decision,
    day: Day,
    before: Before,
    inputs: BarInputs,
) -> dict[str, Any]:
    """Return everything that happened in one bar and what was decided at its close.

    Parameters
    ----------
    account : Stepper
        Settled and decided on `bar`.
    bar : Bars
        Of length 1.
    signal : Signal
        Of the bar.
    decision : Decision
    day : Day
    before : Before
    inputs : BarInputs
        With which the bar was worked on.
    """
    state, records = account.state, account.happened()
    known, symbols = signal_facts(signal), account.symbols
    fills = _fills(symbols, records, bar, before.closes)
    events = [_risk_event(event) for event in records.events]
    cuts = {rule: int(n) for rule, n in zip(CUT_RULES, state.cuts - before.cuts, strict=True) if n}
    held = np.flatnonzero(state.positions[UNITS])
    return {
        "open_ms": int(bar.open_time_ms[0]),
        "account": {name: _number(state.account[slot]) for name, slot in _ACCOUNT.items()},
        "halts": sorted(name for name, slot in _HALTS.items() if state.account[slot] != 0.0),
        "stage": stage_facts(inputs),
        "day": {name: v if name == "utc" else _number(v) for name, v in dataclasses.asdict(day).items()},
        "signal": known,
        "tradable": int(bar.tradable.sum()),
        "atr": _numbers(signal.atr[0]),  # what blind entries are measured with
        "fills": fills,
        "events": events,
        "positions": sorted(_position(symbols[s], state.positions[:, s]) for s in held),
        "orders": [dataclasses.asdict(leg) for leg in decision.legs],
        "counts": _counts(known, fills, events, cuts),
    }


def day_of(account: Stepper, before: Day | None, bar: Bars) -> Day:
    """The bar's date with the equity that was just marked."""
    values = account.state.account
    return Day.after(before, int(bar.open_time_ms[0]), float(values[DAY_START_EQUITY]), float(values[EQUITY]))


def _counts(
    known: dict[str, Any], fills: list[dict[str, Any]], events: list[dict[str, Any]], cuts: dict[str, int]
) -> dict[str, int]:
    counts = {f"signal.{name}": known[name] for name in ("predictions", "decisions", "agreed", "buy", "sell")}
    for fill in fills:
        key = f"fill.{fill['reason']}"
        counts[key] = counts.get(key, 0) + 1
    for event in events:
        key = f"risk.{event['kind']}"
        counts[key] = counts.get(key, 0) + 1
    return {**counts, **{f"cut.{rule}": n for rule, n in cuts.items()}}


def _position(symbol: str, rows: Float64Array) -> list[Any]:
    """Symbol, units, entry, mark, stop, take, break-even and trail in USD or None, bars held: columns of the table too."""
    known = (float(rows[row]) for row in (UNITS, ENTRY, MARK))
    return [symbol, *known, *(_number(rows[row]) for row in _LEVELS), int(rows[BARS_HELD])]


def _fills(symbols: tuple[str, ...], records: Records, bar: Bars, closes_before: Float64Array) -> list[dict[str, Any]]:
    opens = bar.ohlcv[0, :, 0]
    found = []
    for order, number in zip(records.orders, records.reasons, strict=True):
        s, reason = int(order["col"]), OrderReason(int(number))
        decided = _number(closes_before[s]) if reason in _DECIDED else None
        found.append(_fill(symbols[s], order, reason) | {"open": _number(opens[s]), "decided": decided})
    return found


def _fill(symbol: str, order: Any, reason: OrderReason) -> dict[str, Any]:
    return {
        "id": int(order["id"]),
        "symbol": symbol,
        "side": -1 if order["side"] else 1,
        "units": float(order["size"]),
        "price": float(order["price"]),
        "fee": float(order["fees"]),
        "reason": reason.name,
    }


def _risk_event(event: Any) -> dict[str, Any]:
    return {
        "kind": RiskEvent(int(event["kind"])).name.lower(),
        "equity": _number(event["equity"]),
        "level": _number(event["level"]),
    }


def _numbers(values: Float64Array) -> list[float | None]:
    known = np.isfinite(values).tolist()
    return [value if finite else None for value, finite in zip(values.tolist(), known, strict=True)]


def _number(value: Any) -> float | None:
    """Strict JSON has no NaN and no infinity: an account that overflowed is written as null."""
    return float(value) if np.isfinite(value) else None
