"""Decisions and fills: an order is decided on the bar before, and fills at what its bar's open allows.

1. Under another future (bars and signals) from row t on, every fill and every mark of equity before t is the same;
   and so it is where half of the symbols stop printing at t: nobody leaves a market because it will be closed.
2. What fills at the open of t stays the same, too, where only the signal of t and the rest of its bar are others:
   high, low and close; its volume may cut a fill, and stops and take-profits live inside the bar.
3. No fill is better than its bar allows, recomputed from the bars alone: market orders and stops not better than
   the open less slippage, a take-profit inside the bar, the settlement of a delisted symbol at its last close.

Where price and symbol of a fill are the same and only its size is not, the stage is **sizing**, else **fill**.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.audit.counterfactuals import another_future, another_inside, another_signal, delisted
from quantlab.audit.differences import cell_label, differs
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray, Float64Array, Records
from quantlab.core.market import HIGH, LOW, OPEN, Bars
from quantlab.core.ports import BacktestEngine
from quantlab.core.results import OrderReason, Simulation
from quantlab.core.types import Signal

#: Legs that fill at the open, before anything inside the bar is looked at.
AT_OPEN = (OrderReason.SIGNAL, OrderReason.TIME_EXIT, OrderReason.FLATTEN)
_ROUNDING = 1e-9
_BPS = 10_000.0


@dataclass(frozen=True)
class AuditedAccount:
    """The parts of one simulated account.

    Parameters
    ----------
    engine : BacktestEngine
    bars : Bars, (T, S)
    signal : Signal, (T, S)
    strategy : Strategy
    limits_on : bool
        As the evidence (false: no halt hides what comes after it), or as an account would have lived.
    """

    engine: BacktestEngine
    bars: Bars
    signal: Signal
    strategy: Any
    limits_on: bool = False

    def run(self, bars: Bars, signal: Signal) -> Simulation:
        """One simulated account."""
        return self.engine.run(bars, signal, self.strategy, limits_on=self.limits_on)


def check_fills(log: AuditLog, account: AuditedAccount, count: int, seed: int) -> Simulation:
    """Make every check of the module's docstring; the account as it is comes back.

    Parameters
    ----------
    log : Log
    account : AuditedAccount
    count : int
        Bars with fills that are looked at, drawn at random.
    """
    simulation = account.run(account.bars, account.signal)
    orders, limits = simulation.orders, "limits on" if account.limits_on else "limits off"
    if not len(orders):
        log.note(f"fill: there is no fill with {limits}, so fills and sizing were not looked at")
        return simulation
    log.check(
        "fill",
        f"no fill is better than its bar allows, {limits}",
        len(orders),
        list(better_fills(account, simulation))[:1],
    )
    at_open = np.unique(orders["idx"][np.isin(simulation.reasons, AT_OPEN)])
    rows = at_open[at_open > 0]
    rows = np.sort(np.random.default_rng([seed, len(rows)]).permutation(rows)[:count])
    found: list[LeakFinding] = []
    compared = 0
    for row in (int(row) for row in rows):
        found += _under_another_future(account, simulation, row, seed)
        found += _inside_its_bar(account, simulation, row, seed)
        compared += int((orders["idx"] <= row).sum())
    log.check("fill", f"fills and sizes under another future, {limits}", compared, _first_by_stage(found))
    return simulation


def _first_by_stage(found: list[LeakFinding]) -> list[LeakFinding]:
    """A price or a fill that moved explains sizes that did; only sizes is sizing."""
    return sorted(found, key=lambda finding: finding.stage != "fill")[:1]


def _under_another_future(
    account: AuditedAccount, simulation: Simulation, row: int, seed: int
) -> Iterator[LeakFinding]:
    for future, done in ((another_future, "were replaced"), (delisted, "were others, and half of the symbols gone")):
        yield from changed_past(account, simulation, row, future, done, seed)


def changed_past(
    account: AuditedAccount, simulation: Simulation, row: int, future: Callable[..., Bars], done: str, seed: int
) -> Iterator[LeakFinding]:
    """Fills and equity before `row` that are others where bars and signals from it on are.

    Parameters
    ----------
    account : AuditedAccount
        Run under the other future.
    simulation : Simulation
        Of the real one.
    row : int
        Of the account's bars.
    future : callable
        Takes bars, row and seed.
    done : str
        What happened to the bars.
    """
    other = account.run(future(account.bars, row, seed), another_signal(account.signal, row))
    evidence = f"it changed when bars and signals from row {row} on {done}"
    yield from differing_orders(account.bars, _before(simulation, row), _before(other, row), evidence)
    if (different := differs(simulation.equity[:row], other.equity[:row])).any():
        yield LeakFinding("fill", "equity", cell_label(account.bars, int(np.argmax(different))), evidence)


def _inside_its_bar(account: AuditedAccount, simulation: Simulation, row: int, seed: int) -> Iterator[LeakFinding]:
    other = account.run(another_inside(account.bars, row, seed), another_signal(account.signal, row))
    evidence = (
        f"it fills at the open of row {row}, but changed with that bar's high, low and close or that row's signal"
    )
    yield from differing_orders(account.bars, _at_open(simulation, row), _at_open(other, row), evidence)


def _before(simulation: Simulation, row: int) -> Records:
    orders: Records = simulation.orders[simulation.orders["idx"] < row]
    return orders


def _at_open(simulation: Simulation, row: int) -> Records:
    mine = (simulation.orders["idx"] == row) & np.isin(simulation.reasons, AT_OPEN)
    orders: Records = simulation.orders[mine]
    return orders


def differing_orders(bars: Bars, before: Records, after: Records, evidence: str) -> Iterator[LeakFinding]:
    """The first order that differs; an engine that another order makes longer or shorter differs in `count`."""
    for a, b in zip(before, after, strict=False):
        names = [name for name in ("idx", "col", "side", "price", "size", "fees") if a[name] != b[name]]
        if names:
            if len(before) != len(after) and names[0] in (
                "idx",
                "col",
            ):  # one is missing, and the next stands in its place
                break
            only_size = set(names) <= {"size", "fees"}
            column = "size" if only_size else names[0]
            where = cell_label(bars, int(a["idx"]), int(a["col"]))
            yield LeakFinding(
                "sizing" if only_size else "fill",
                f"order.{column}",
                where,
                f"{evidence}: {a[column]} became {b[column]}",
            )
            return
    if len(before) != len(after):
        longer, shorter = (before, after) if len(before) > len(after) else (after, before)
        same = longer[: len(shorter)][["idx", "col"]] == shorter[["idx", "col"]]
        first = longer[len(shorter) if same.all() else int(np.argmin(same))]
        where = cell_label(bars, int(first["idx"]), int(first["col"]))
        yield LeakFinding("fill", "order.count", where, f"{evidence}: {len(before)} fills became {len(after)}")


def better_fills(account: AuditedAccount, simulation: Simulation) -> Iterator[LeakFinding]:
    """Fills that the bar they are booked in cannot have given."""
    orders, reasons = simulation.orders, simulation.reasons
    bar = account.bars.ohlcv[orders["idx"], orders["col"]]
    slippage = account.strategy.costs.slippage_bps / _BPS
    buys = orders["side"] == 0
    market = np.isin(reasons, (*AT_OPEN, OrderReason.STOP))
    best = np.where(buys, bar[:, OPEN] * (1.0 + slippage), bar[:, OPEN] * (1.0 - slippage))
    yield from _better(account.bars, orders, market & _beats(orders, best), best, "the open less slippage")
    take = reasons == OrderReason.TAKE_PROFIT
    # A buy that takes profit is rounded up, a sell down: never beyond the extreme that passed the level.
    best = np.where(buys, bar[:, LOW], bar[:, HIGH])
    yield from _better(account.bars, orders, take & _beats(orders, best), best, "the bar's extreme")
    gone = reasons == OrderReason.DELISTED
    best = _last_closes(account.bars, orders)
    yield from _better(account.bars, orders, gone & _beats(orders, best), best, "the last close")


def _last_closes(bars: Bars, orders: Records) -> Float64Array:
    """float64 (N,): last finite close of every order's symbol up to its bar, USD; NaN before the first."""
    rows = np.arange(bars.n_bars)[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(bars.close), rows, -1), axis=0)[orders["idx"], orders["col"]]
    closes: Float64Array = np.where(last < 0, np.nan, bars.close[last, orders["col"]])
    return closes


def _beats(orders: Records, best: Float64Array) -> BoolArray:
    buys = orders["side"] == 0
    beaten: BoolArray = np.where(
        buys, orders["price"] < best * (1.0 - _ROUNDING), orders["price"] > best * (1.0 + _ROUNDING)
    )
    return beaten


def _better(bars: Bars, orders: Records, wrong: BoolArray, best: Float64Array, bound: str) -> Iterator[LeakFinding]:
    if wrong.any():
        i = int(np.argmax(wrong))
        side = "buy" if orders["side"][i] == 0 else "sell"
        evidence = (
            f"{int(wrong.sum())} fills beat {bound}; the first, a {side} at {orders['price'][i]:.10g}, {best[i]:.10g}"
        )
        yield LeakFinding(
            "fill", "order.price", cell_label(bars, int(orders["idx"][i]), int(orders["col"][i])), evidence
        )
