"""Account records in one form, from the journal of a session or from the backtest.

The backtest's side is the scan itself. Fills and events are its own records; orders and positions, which
it does not record, are read from its state by stopping the same compiled loop after every bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from quantlab.backtest.scan import scan_loop
from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ContractError
from quantlab.core.events import Event
from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, RiskEvent, Simulation
from quantlab.core.rule_spans import rule_spans
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import begin_account, record_buffers
from quantlab.trading.bar.function_table import function_table
from quantlab.trading.interface.rows import history_of
from quantlab.trading.lowlevel import layout
from quantlab.trading.strategy.strategy import Strategy, rules_of

Line = tuple[Any, ...]

_ACCOUNT = ("equity", "cash", "gross", "funding", "liquidation_fee", "high_water_mark")
_DISTANCES = (layout.STOP_DISTANCE, layout.TAKE_DISTANCE, layout.TRAIL_DISTANCE, layout.BREAK_EVEN_DISTANCE)
_LEVELS = (layout.STOP_LEVEL, layout.TAKE_LEVEL, layout.BREAK_EVEN_LEVEL, layout.TRAIL)
#: Fields of an order's line after the open of its bar.
ORDER_FIELDS = (
    "symbol",
    "side",
    "units",
    "reduce_only",
    "reason",
    "stop_distance",
    "take_distance",
    "trail_distance",
    "break_even_distance",
)
_SLOTS = [getattr(layout, name.upper()) for name in _ACCOUNT]


@dataclass(frozen=True)
class AccountRecord:
    """Everything that happened to one account; each line begins with the open of its bar, epoch ms.

    Parameters
    ----------
    orders : list
        Symbol, side, units, reduce only, reason, and the distances of stop, take-profit, trail and break-even: what was
        decided at each close.
    fills : list
        Number, symbol, side, units, price, fee, reason.
    risk_events : list
        Kind, equity, level.
    equity_marks : list
        Equity, cash, gross, funding and liquidation fee paid, highest equity, and of every open position
        symbol, units, entry, mark, the levels of stop, take-profit and break-even, the trail, and bars held.
    """

    orders: list[Line]
    fills: list[Line]
    risk_events: list[Line]
    equity_marks: list[Line]

    def until(self, open_ms: int) -> AccountRecord:
        """Return the lines of the bars that open at or before `open_ms`."""
        return AccountRecord(*([line for line in getattr(self, f.name) if line[0] <= open_ms] for f in fields(self)))


def count_compared(ours: AccountRecord, theirs: AccountRecord) -> dict[str, int]:
    """Count the lines that are compared with each other, by kind."""
    return {f.name: max(len(getattr(ours, f.name)), len(getattr(theirs, f.name))) for f in fields(ours)}


def count_differing(ours: AccountRecord, theirs: AccountRecord) -> dict[str, int]:
    """Count the lines without an equal on the other side, by kind; numbers are equal if all their bits are."""
    return {f.name: _count_unmatched(getattr(ours, f.name), getattr(theirs, f.name)) for f in fields(ours)}


def _count_unmatched(ours: list[Line], theirs: list[Line]) -> int:
    # repr of a float is exact, and tells 0.0 from -0.0.
    here, there = Counter(map(repr, ours)), Counter(map(repr, theirs))
    return max((here - there).total(), (there - here).total())


def record_of_journal(events: Iterable[Event]) -> AccountRecord:
    """Return what a session journalled."""
    record = AccountRecord([], [], [], [])
    for event in events:
        if event.kind == "bar":
            _add_bar(record, event.facts["bar"])
    return record


def _add_bar(record: AccountRecord, bar: dict[str, Any]) -> None:
    at = bar["open_ms"]
    for leg in bar["orders"]:
        record.orders.append((at, *(leg[name] for name in ORDER_FIELDS)))
    for fill in bar["fills"]:
        names = ("id", "symbol", "side", "units", "price", "fee", "reason")
        record.fills.append((at, *(fill[name] for name in names)))
    record.risk_events.extend((at, event["kind"], event["equity"], event["level"]) for event in bar["events"])
    positions = tuple(tuple(position) for position in bar["positions"])
    record.equity_marks.append((at, *(bar["account"][name] for name in _ACCOUNT), positions))


def record_of_backtest(bars: Bars, signal: Signal, strategy: Strategy, simulation: Simulation) -> AccountRecord:
    """Return what the backtest did.

    Parameters
    ----------
    bars, signal, strategy
        What `simulation` was made of, with every limit on.
    simulation : Simulation

    Raises
    ------
    ContractError
        If the loop, stopped after every bar, does not give the simulation's equity.
    """
    orders, marks, equity = _run_bar_by_bar(bars, signal, strategy, simulation.initial_cash)
    if not np.array_equal(equity, simulation.equity, equal_nan=True):
        raise ContractError(
            "the same equity from the backtest's loop in one go and stopped after every bar",
            found="another one",
            fix="use backtest=scan; if it is, report this as a bug with the run's configuration",
        )
    return AccountRecord(orders, _fills(simulation), _risk_events(simulation), marks)


def _run_bar_by_bar(
    bars: Bars, signal: Signal, strategy: Strategy, cash: float
) -> tuple[list[Line], list[Line], Float64Array]:
    history, table, loop = history_of(bars, signal), function_table(strategy), scan_loop()
    state = begin_account(bars.n_symbols, cash, strategy.policy)
    rules = {
        span.first: rules_of(strategy, span.instruments, bars.interval_ms, limits_on=True) for span in rule_spans(bars)
    }  # by the first row that they hold in
    now = rules[0]
    records = record_buffers(layout.ORDERS_PER_SYMBOL * bars.n_symbols, layout.EVENTS_PER_BAR)
    curves = np.zeros((4, bars.n_bars))
    orders: list[Line] = []
    marks: list[Line] = []
    for t in range(bars.n_bars):
        state.counters[layout.N_ORDERS] = state.counters[layout.N_EVENTS] = 0  # room for one bar is all there is
        until_here, now = history._replace(ohlcv=history.ohlcv[: t + 1]), rules.get(t, now)
        loop(state, records, now, until_here, curves, t, table)
        at = int(bars.open_time_ms[t])
        orders.extend((at, *leg) for leg in _legs(state, bars.symbols))
        account = (_number(state.account[slot]) for slot in _SLOTS)
        marks.append((at, *account, _positions(state, bars.symbols)))
    return orders, marks, curves[0]


def _legs(state: layout.State, symbols: tuple[str, ...]) -> list[Line]:
    legs: list[Line] = []
    wanted = state.orders[[layout.REDUCE, layout.INCREASE]]
    active = state.active[: state.counters[layout.N_ACTIVE]]
    for s in active[wanted[0, active] > 0.0]:
        side = -1 if state.positions[layout.UNITS, s] > 0.0 else 1
        reason = OrderReason(int(state.orders[layout.REASON, s])).name
        legs.append((symbols[s], side, float(wanted[0, s]), True, reason, *[None] * len(_DISTANCES)))
    for s in active[wanted[1, active] > 0.0]:
        side = 1 if state.orders[layout.SIDE, s] > 0.0 else -1
        distances = (_number(state.orders[row, s]) for row in _DISTANCES)
        legs.append((symbols[s], side, float(wanted[1, s]), False, OrderReason.SIGNAL.name, *distances))
    return legs


def _positions(state: layout.State, symbols: tuple[str, ...]) -> Line:
    rows, held = state.positions, np.flatnonzero(state.positions[layout.UNITS])
    return tuple(
        sorted(
            (
                symbols[s],
                *(float(rows[row, s]) for row in (layout.UNITS, layout.ENTRY, layout.MARK)),
                *(_number(rows[row, s]) for row in _LEVELS),
                int(rows[layout.BARS_HELD, s]),
            )
            for s in held
        )
    )


def _fills(simulation: Simulation) -> list[Line]:
    opens, symbols = simulation.open_time_ms, simulation.symbols
    return [
        (
            int(opens[order["idx"]]),
            int(order["id"]),
            symbols[order["col"]],
            -1 if order["side"] else 1,
            float(order["size"]),
            float(order["price"]),
            float(order["fees"]),
            OrderReason(int(reason)).name,
        )
        for order, reason in zip(simulation.orders, simulation.reasons, strict=True)
    ]


def _risk_events(simulation: Simulation) -> list[Line]:
    return [
        (
            int(simulation.open_time_ms[event["idx"]]),
            RiskEvent(int(event["kind"])).name.lower(),
            _number(event["equity"]),
            _number(event["level"]),
        )
        for event in simulation.events
    ]


def _number(value: Any) -> float | None:
    """As a journal writes it: strict JSON has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
