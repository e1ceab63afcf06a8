"""Facts that a session journals about each bar: strict JSON, and a function of bar, signal and account alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

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
    CASH,
    DAY_START_EQUITY,
    ENTRY,
    EQUITY,
    FUNDING,
    GROSS,
    HIGH_WATER_MARK,
    LIQUIDATION_FEE,
    MARK,
    UNITS,
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
    cuts_before: Int64Array,
    inputs: BarInputs,
) -> dict[str, Any]:
    """Return everything that happened in one bar and what was decided at its close."""
    state, records = account.state, account.happened()
    known, symbols = signal_facts(signal), account.symbols
    fills = [_fill(symbols, order, reason) for order, reason in zip(records.orders, records.reasons, strict=True)]
    events = [_risk_event(event) for event in records.events]
    cuts = {rule: int(n) for rule, n in zip(CUT_RULES, state.cuts - cuts_before, strict=True) if n}
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
        "positions": sorted(
            [symbols[s], *(float(state.positions[row, s]) for row in (UNITS, ENTRY, MARK))] for s in held
        ),
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


def _fill(symbols: tuple[str, ...], order: Any, reason: Any) -> dict[str, Any]:
    return {
        "id": int(order["id"]),
        "symbol": symbols[int(order["col"])],
        "side": -1 if order["side"] else 1,
        "units": float(order["size"]),
        "price": float(order["price"]),
        "fee": float(order["fees"]),
        "reason": OrderReason(int(reason)).name,
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
