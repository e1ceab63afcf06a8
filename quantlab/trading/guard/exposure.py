"""Rules on how much may be held: slots, weight, gross leverage, the rollout's share.

A session may lower slots and share further, by the stage of its rollout; a backtest never does.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE
from quantlab.core.results import CUT_RULES
from quantlab.trading.guard.legs import base_units, cut_increase, drop_increase, forget_empty, freed_units, is_entry
from quantlab.trading.lowlevel.layout import (
    EQUITY,
    GROSS,
    INCREASE,
    INLINED,
    N_ACTIVE,
    N_HELD,
    SLOT,
    STAGE_POSITIONS,
    STAGE_SHARE,
    UNITS,
    WEIGHT,
    Row,
    Rules,
    State,
)

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
    most = min(rules.max_positions, state.account[STAGE_POSITIONS])
    if entries + taken <= most:
        return
    free = most - taken
    while free > 0.0:
        largest = -1
        for i in range(state.counters[N_ACTIVE]):
            s = state.active[i]
            if not is_entry(state, s) or state.orders[SLOT, s] != 0.0:
                continue
            if largest < 0 or abs(state.orders[WEIGHT, s]) > abs(state.orders[WEIGHT, state.active[largest]]):
                largest = i
        state.orders[SLOT, state.active[largest]] = 1.0
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
            cut_increase(state, s, MAX_WEIGHT, wanted - base_units(state, s))


@compiled(**INLINED)
def limit_leverage(state: State, rules: Rules, row: Row) -> None:
    """One factor for what all increases need beyond the room that their own closing legs free.

    Everything held counts in full, what is being closed or flipped too: a closing leg may be cut by
    the volume, but then its own opening leg does not fill. So each symbol counts with the larger of
    held and wanted, and no partial fill passes the limit. The excess of a book over the limit comes
    off the opening leg of every flip and leaves nothing of other increases.
    """
    beyond, increases = 0.0, 0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            increases += 1
            beyond += max(state.orders[INCREASE, s] - freed_units(state, s), 0.0) * row.ohlcv[s, CLOSE]
    if increases == 0:
        return
    room = rules.max_gross_leverage * state.account[EQUITY] - state.account[GROSS]
    if not beyond > room:
        return
    factor = room / beyond if room > 0.0 else 0.0
    excess = min(room, 0.0)
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            own = freed_units(state, s)
            allowed = own + factor * max(state.orders[INCREASE, s] - own, 0.0) + excess / row.ohlcv[s, CLOSE]
            cut_increase(state, s, MAX_GROSS_LEVERAGE, allowed)


@compiled(**INLINED)
def scale_by_rollout(state: State, rules: Rules) -> None:
    """Multiply the target of an increase, never below what is held."""
    share = rules.rollout * state.account[STAGE_SHARE]
    if not share < 1.0:
        return
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            base = base_units(state, s)
            cut_increase(state, s, ROLLOUT, share * (base + state.orders[INCREASE, s]) - base)
