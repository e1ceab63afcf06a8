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
from quantlab.backtest.scan import ScannedAccount
from quantlab.core.arrays import Float64Array
from quantlab.trading.lowlevel import layout
from quantlab.trading.lowlevel.layout import State

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


def _begin(account: AuditedAccount, strategy: Any) -> ScannedAccount:
    cash = float(getattr(account.engine, "initial_cash", _CASH))
    return ScannedAccount(account.bars, account.signal, strategy, cash, limits_on=account.limits_on)


def _orders(state: State) -> Float64Array:
    """float64 (rows, S): the orders of the last close; zeros where a symbol has none."""
    orders: Float64Array = np.zeros_like(state.orders)
    active = state.active[: state.counters[layout.N_ACTIVE]]
    orders[:, active] = state.orders[:, active]
    orders[[layout.SLOT, layout.REPEATED]] = 0.0  # scratch
    orders[:, (orders[layout.REDUCE] == 0.0) & (orders[layout.INCREASE] == 0.0)] = 0.0
    return orders


def _decisions(state: State) -> Float64Array:
    """Everything that was decided, as it stands."""
    return np.concatenate([state.positions[list(_LEVELS)], _orders(state)])


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
    one, two = _begin(account, first), _begin(account, second)
    for each in (one, two):
        each.advance(stop)
    same_curve = not differs(one.curves[:, :stop], two.curves[:, :stop]).any()
    if same_curve and not differs(_decisions(one.state), _decisions(two.state)).any():
        return None
    one, two = _begin(account, first), _begin(account, second)
    for row in range(stop):
        for each in (one, two):
            each.advance(row + 1)
        if (found := _differing(one, two, row)) is not None:
            return found
    return None


def _differing(one: ScannedAccount, two: ScannedAccount, row: int) -> OtherDecision | None:
    ours, theirs = _orders(one.state), _orders(two.state)
    for name, place in _WHICH.items():
        different = (ours[place] > 0.0) != (theirs[place] > 0.0)
        different |= (ours[layout.SIDE] != theirs[layout.SIDE]) & (ours[place] > 0.0)
        if different.any():
            return OtherDecision("fill", f"decision.{name}", row, int(np.argmax(different)))
    for name, place in _HOW.items():
        if (different := differs(ours[place], theirs[place])).any():
            return OtherDecision("sizing", f"decision.{name}", row, int(np.argmax(different)))
    if (different := differs(_decisions(one.state), _decisions(two.state)).any(axis=0)).any():
        return OtherDecision("fill", "position", row, int(np.argmax(different)))
    if differs(one.curves[:, row], two.curves[:, row]).any():
        return OtherDecision("fill", "equity", row, 0)
    return None
