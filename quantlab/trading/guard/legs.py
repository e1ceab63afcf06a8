"""A request as the guard sees it: a reducing and an increasing leg per symbol.

Legs make the guard's promise structural: a flip has both, every rule but ``lot`` and ``min_notional``
touches increasing legs only, so none can cut a reduction or turn an increase into one.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.trading.lowlevel.layout import (
    INCREASE,
    INLINED,
    N_ACTIVE,
    REDUCE,
    UNITS,
    State,
)


@compiled(**INLINED)
def drop_increase(state: State, s: int, rule: int) -> None:
    """Take the increasing leg away, and count it under `rule`."""
    state.orders[INCREASE, s] = 0.0
    state.cuts[rule] += 1


@compiled(**INLINED)
def cut_increase(state: State, s: int, rule: int, allowed: float) -> None:
    """Shorten the increasing leg to `allowed` units, at least 0, if that is less."""
    shorter = max(allowed, 0.0)
    if shorter < state.orders[INCREASE, s]:
        state.orders[INCREASE, s] = shorter
        state.cuts[rule] += 1


@compiled(**INLINED)
def base_units(state: State, s: int) -> float:
    """Return the units that an increase builds on: what is held, or 0 for a flip's opening leg."""
    return 0.0 if state.orders[REDUCE, s] > 0.0 else abs(state.positions[UNITS, s])


@compiled(**INLINED)
def freed_units(state: State, s: int) -> float:
    """Return the units that a flip takes off before its opening leg, which fills only after all of them; else 0."""
    return abs(state.positions[UNITS, s]) if state.orders[REDUCE, s] > 0.0 else 0.0


@compiled(**INLINED)
def is_entry(state: State, s: int) -> bool:
    """An increase from zero: the only kind that needs a free slot."""
    return state.orders[INCREASE, s] > 0.0 and state.positions[UNITS, s] == 0.0


@compiled(**INLINED)
def is_partial(state: State, s: int) -> bool:
    """A reduction that leaves something: the only kind that lot and minimum notional apply to."""
    return 0.0 < state.orders[REDUCE, s] < abs(state.positions[UNITS, s])


@compiled(**INLINED)
def forget_empty(state: State) -> None:
    """Drop from ``active`` the symbols that no rule left a leg of."""
    n = 0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[REDUCE, s] > 0.0 or state.orders[INCREASE, s] > 0.0:
            state.active[n] = s
            n += 1
    state.counters[N_ACTIVE] = n
