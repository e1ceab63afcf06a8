"""Comparison of what two strategies decided on the same bars, and the first decision in which they differ.

The account's own compiled loop runs to a bar, and its state is read: positions with their stops and take-profits, and the
orders of the last close with their sizes and distances. Only where that differs is the loop stopped after every bar, to
find the first decision that does: what follows from it is no finding of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.audit.differences import differs
from quantlab.audit.fills import AuditedAccount
from quantlab.backtest.scan import scan_loop
from quantlab.core.arrays import Float64Array
from quantlab.trading.account.arrays import begin_account, record_buffers
from quantlab.trading.bar.function_table import function_table
from quantlab.trading.interface.rows import history_of
from quantlab.trading.lowlevel import layout
from quantlab.trading.strategy.strategy import rules_of

#: Rows of ``State.orders`` that say which positions are wanted, and those that say how much and how they end.
_WHICH = {"reduce": layout.REDUCE, "increase": layout.INCREASE}
_HOW = {
    "size": layout.INCREASE,
    "weight": layout.WEIGHT,
    "stop_distance": layout.STOP_DISTANCE,
    "take_distance": layout.TAKE_DISTANCE,
    "trail_distance": layout.TRAIL_DISTANCE,
    "break_even_distance": layout.BREAK_EVEN_DISTANCE,
}
_LEVELS = (layout.UNITS, layout.ENTRY, layout.STOP_LEVEL, layout.TAKE_LEVEL, layout.TRAIL, layout.BREAK_EVEN_LEVEL)
#: USD that an account begins with where its engine does not say.
_CASH = 10_000.0


@dataclass(frozen=True)
class OtherDecision:
    """A decision in which two strategies differ.

    Parameters
    ----------
    stage, column : str
    row, symbol : int
        Of the account's bars.
    """

    stage: str
    column: str
    row: int
    symbol: int


@dataclass(frozen=True)
class FrozenPart:
    """A policy or a sizer with the numbers that it gave in one market, whatever market is asked about later."""

    part: Any
    given: Float64Array
    memory: Float64Array | None

    @property
    def step(self) -> Any:
        """Of the policy."""
        return self.part.step

    @property
    def size(self) -> Any:
        """Of the sizer."""
        return self.part.size

    def params(self) -> Float64Array:
        """As they were given."""
        return self.given

    def begin(self, n_symbols: int) -> Any:
        """As it was given; `n_symbols` is the number that it was given for."""
        del n_symbols
        return None if self.memory is None else self.memory.copy()


def frozen(strategy: Any, n_symbols: int) -> Any:
    """The strategy with its policy and sizer asked now: later they may read another market."""
    policy, sizer = strategy.policy, strategy.sizer
    return dataclasses.replace(
        strategy,
        policy=FrozenPart(policy, np.array(policy.params()), np.array(policy.begin(n_symbols))),
        sizer=FrozenPart(sizer, np.array(sizer.params()), None),
    )


class _Account:
    """An account that runs to a bar and stands there."""

    def __init__(self, account: AuditedAccount, strategy: Any) -> None:
        bars = account.bars
        cash = float(getattr(account.engine, "initial_cash", _CASH))
        self.history, self.table = history_of(bars, account.signal), function_table(strategy)
        self.state = begin_account(bars.n_symbols, cash, strategy.policy)
        self.rules = rules_of(strategy, bars.instruments, bars.interval_ms, limits_on=account.limits_on)
        self.records = record_buffers(layout.ORDERS_PER_SYMBOL * bars.n_symbols, layout.EVENTS_PER_BAR)
        self.curves, self.done = np.zeros((4, bars.n_bars)), 0

    def run(self, stop: int) -> None:
        """Advance to the close of bar ``stop - 1``."""
        until = self.history._replace(ohlcv=self.history.ohlcv[:stop])
        while self.done < stop:
            counters = self.state.counters
            counters[layout.N_ORDERS] = counters[layout.N_EVENTS] = 0  # what was recorded is not asked for
            self.done = scan_loop()(self.state, self.records, self.rules, until, self.curves, self.done, self.table)

    def orders(self) -> Float64Array:
        """float64 (rows, S): the orders of the last close; zeros where a symbol has none."""
        orders: Float64Array = np.zeros_like(self.state.orders)
        active = self.state.active[: self.state.counters[layout.N_ACTIVE]]
        orders[:, active] = self.state.orders[:, active]
        orders[[layout.SLOT, layout.REPEATED]] = 0.0  # scratch
        orders[:, (orders[layout.REDUCE] == 0.0) & (orders[layout.INCREASE] == 0.0)] = 0.0
        return orders

    def stands(self) -> Float64Array:
        """Everything that was decided, as it stands."""
        return np.concatenate([self.state.positions[list(_LEVELS)], self.orders()])


def first_difference_of(account: AuditedAccount, first: Any, second: Any, stop: int) -> OtherDecision | None:
    """The first decision of the bars before `stop` in which two strategies differ; None if there is none.

    Parameters
    ----------
    account : AuditedAccount
        Its bars and signal.
    first, second : Strategy
    stop : int
        Row of the account's bars.
    """
    if stop < 1:
        return None
    one, two = _Account(account, first), _Account(account, second)
    for each in (one, two):
        each.run(stop)
    same_curve = not differs(one.curves[:, :stop], two.curves[:, :stop]).any()
    if same_curve and not differs(one.stands(), two.stands()).any():
        return None
    one, two = _Account(account, first), _Account(account, second)
    for row in range(stop):
        for each in (one, two):
            each.run(row + 1)
        if (found := _differing(one, two, row)) is not None:
            return found
    return None


def _differing(one: _Account, two: _Account, row: int) -> OtherDecision | None:
    ours, theirs = one.orders(), two.orders()
    for name, place in _WHICH.items():
        different = (ours[place] > 0.0) != (theirs[place] > 0.0)
        different |= (ours[layout.SIDE] != theirs[layout.SIDE]) & (ours[place] > 0.0)
        if different.any():
            return OtherDecision("fill", f"decision.{name}", row, int(np.argmax(different)))
    for name, place in _HOW.items():
        if (different := differs(ours[place], theirs[place])).any():
            return OtherDecision("sizing", f"decision.{name}", row, int(np.argmax(different)))
    if (different := differs(one.stands(), two.stands()).any(axis=0)).any():
        return OtherDecision("fill", "position", row, int(np.argmax(different)))
    if differs(one.curves[:, row], two.curves[:, row]).any():
        return OtherDecision("fill", "equity", row, 0)
    return None
