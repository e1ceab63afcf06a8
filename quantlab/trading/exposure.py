"""Rules on how much may be held: slots, weight, gross leverage, the rollout's share."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.core.results import CUT_RULES
from quantlab.core.types import CLOSE
from quantlab.trading.layout import (
    EQUITY,
    INCREASE,
    INLINED,
    MARK,
    N_ACTIVE,
    N_HELD,
    REDUCE,
    SLOT,
    UNITS,
    WEIGHT,
    Row,
    Rules,
    State,
)
from quantlab.trading.legs import cut_increase, drop_increase, forget_empty, is_entry, kept

MAX_POSITIONS = CUT_RULES.index("max_positions")
MAX_WEIGHT = CUT_RULES.index("max_weight")
MAX_GROSS_LEVERAGE = CUT_RULES.index("max_gross_leverage")
ROLLOUT = CUT_RULES.index("rollout")


@compiled(**INLINED)
def limit_positions(state: State, rules: Rules) -> None:
    """Free slots go to new entries by |target| descending, ties in symbol order."""
    taken = 0
    for i in range(state.counters[N_HELD]):
        if state.positions[UNITS, state.held[i]] != 0.0:
            taken += 1
    entries = 0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        state.orders[SLOT, s] = 0.0
        if is_entry(state, s):
            entries += 1
    if entries + taken <= rules.max_positions:
        return
    free = rules.max_positions - taken
    while free > 0.0:
        largest = -1
        for i in range(state.counters[N_ACTIVE]):
            s = state.active[i]
            if not is_entry(state, s) or state.orders[SLOT, s] != 0.0:
                continue
            if largest < 0 or abs(state.orders[WEIGHT, s]) > abs(state.orders[WEIGHT, largest]):
                largest = s
        state.orders[SLOT, largest] = 1.0
        free -= 1.0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if is_entry(state, s) and state.orders[SLOT, s] == 0.0:
            drop_increase(state, s, MAX_POSITIONS)
    forget_empty(state)


@compiled(**INLINED)
def limit_weight(state: State, rules: Rules, row: Row) -> None:
    """Cut a target to the largest weight; what is held is never trimmed."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0 and abs(state.orders[WEIGHT, s]) > rules.max_weight:
            wanted = rules.max_weight * state.account[EQUITY] / row.ohlcv[s, CLOSE]
            cut_increase(state, s, MAX_WEIGHT, wanted - kept(state, s))


@compiled(**INLINED)
def limit_leverage(state: State, rules: Rules, row: Row) -> None:
    """One factor for all increases if together they exceed the room left by what is held."""
    increases = 0.0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            increases += state.orders[INCREASE, s] * row.ohlcv[s, CLOSE]
    if increases == 0.0:
        return
    gross = 0.0
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        if not (state.orders[INCREASE, s] > 0.0 and state.orders[REDUCE, s] > 0.0):
            gross += abs(state.positions[UNITS, s]) * state.positions[MARK, s]
    room = max(rules.max_gross_leverage * state.account[EQUITY] - gross, 0.0)
    if not increases > room:
        return
    factor = room / increases
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            cut_increase(state, s, MAX_GROSS_LEVERAGE, factor * state.orders[INCREASE, s])


@compiled(**INLINED)
def roll_out(state: State, rules: Rules) -> None:
    """Multiply the target of an increase, never below what is held."""
    if not rules.rollout < 1.0:
        return
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            base = kept(state, s)
            cut_increase(state, s, ROLLOUT, rules.rollout * (base + state.orders[INCREASE, s]) - base)
