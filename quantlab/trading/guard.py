"""The rules that cut increases, and the order in which they are applied.

Legs make the guard's promise structural. A request is a *reducing* leg and an *increasing* leg per
symbol (a flip has both); every rule but ``lot`` and ``min_notional`` touches increasing legs only,
so none can cut a reduction or turn an increase into one.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.core.types import CLOSE, BarState
from quantlab.trading.layout import (
    CLOSING,
    EQUITY,
    INCREASE,
    INLINED,
    MARK,
    N_ACTIVE,
    N_HELD,
    REASON,
    REDUCE,
    SLOT,
    STOP_DISTANCE,
    TAKE_DISTANCE,
    UNITS,
    WEIGHT,
    Row,
    Rules,
    State,
)
from quantlab.trading.matching import round_down
from quantlab.trading.risk import halted, must_flatten

NOT_FINITE = CUT_RULES.index("not_finite")
HALT = CUT_RULES.index("halt")
TRADABLE = CUT_RULES.index("tradable")
MAX_POSITIONS = CUT_RULES.index("max_positions")
MAX_WEIGHT = CUT_RULES.index("max_weight")
MAX_GROSS_LEVERAGE = CUT_RULES.index("max_gross_leverage")
ROLLOUT = CUT_RULES.index("rollout")
LOT = CUT_RULES.index("lot")
MIN_NOTIONAL = CUT_RULES.index("min_notional")

TRADED = int(BarState.TRADED)
FLATTEN_REASON = int(OrderReason.FLATTEN)


@compiled(**INLINED)
def _drop_increase(state: State, s: int, rule: int) -> None:
    state.orders[INCREASE, s] = 0.0
    state.cuts[rule] += 1


@compiled(**INLINED)
def _cut_increase(state: State, s: int, rule: int, allowed: float) -> None:
    """Shorten the increasing leg to `allowed` units, at least 0, if that is less."""
    shorter = max(allowed, 0.0)
    if shorter < state.orders[INCREASE, s]:
        state.orders[INCREASE, s] = shorter
        state.cuts[rule] += 1


@compiled(**INLINED)
def _kept(state: State, s: int) -> float:
    """Units that an increase builds on: what is held, or 0 for a flip's opening leg."""
    return 0.0 if state.orders[REDUCE, s] > 0.0 else abs(state.positions[UNITS, s])


@compiled(**INLINED)
def _require_finite(state: State, row: Row) -> None:
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] == 0.0:
            continue
        known = state.orders[STOP_DISTANCE, s] > 0.0 and state.orders[TAKE_DISTANCE, s] > 0.0
        if not (known and np.isfinite(state.orders[INCREASE, s]) and np.isfinite(row.ohlcv[s, CLOSE])):
            _drop_increase(state, s, NOT_FINITE)


@compiled(**INLINED)
def _halt(state: State) -> None:
    if not halted(state):
        return
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            _drop_increase(state, s, HALT)


@compiled(**INLINED)
def _flatten(state: State, rules: Rules) -> None:
    if not must_flatten(state, rules):
        return
    # Increases are gone under a halt, so the held symbols are the whole request.
    n = 0
    for i in range(state.counters[N_HELD]):
        s = state.held[i]
        if state.positions[UNITS, s] != 0.0:
            state.orders[REDUCE, s] = abs(state.positions[UNITS, s])
            state.orders[INCREASE, s] = 0.0
            state.orders[REASON, s] = FLATTEN_REASON
            state.active[n] = s
            n += 1
    state.counters[N_ACTIVE] = n


@compiled(**INLINED)
def _require_tradable(state: State, row: Row) -> None:
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0 and row.state[s] != TRADED:
            _drop_increase(state, s, TRADABLE)


@compiled(**INLINED)
def _is_entry(state: State, s: int) -> bool:
    return state.orders[INCREASE, s] > 0.0 and state.positions[UNITS, s] == 0.0


@compiled(**INLINED)
def _limit_positions(state: State, rules: Rules) -> None:
    """Free slots go to new entries by |target| descending, ties in symbol order."""
    taken = 0
    for i in range(state.counters[N_HELD]):
        if state.positions[UNITS, state.held[i]] != 0.0:
            taken += 1
    entries = 0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        state.orders[SLOT, s] = 0.0
        if _is_entry(state, s):
            entries += 1
    if entries + taken <= rules.max_positions:
        return
    free = rules.max_positions - taken
    while free > 0.0:
        largest = -1
        for i in range(state.counters[N_ACTIVE]):
            s = state.active[i]
            if not _is_entry(state, s) or state.orders[SLOT, s] != 0.0:
                continue
            if largest < 0 or abs(state.orders[WEIGHT, s]) > abs(state.orders[WEIGHT, largest]):
                largest = s
        state.orders[SLOT, largest] = 1.0
        free -= 1.0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if _is_entry(state, s) and state.orders[SLOT, s] == 0.0:
            _drop_increase(state, s, MAX_POSITIONS)
    _forget_empty(state)


@compiled(**INLINED)
def _limit_weight(state: State, rules: Rules, row: Row) -> None:
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0 and abs(state.orders[WEIGHT, s]) > rules.max_weight:
            wanted = rules.max_weight * state.account[EQUITY] / row.ohlcv[s, CLOSE]
            _cut_increase(state, s, MAX_WEIGHT, wanted - _kept(state, s))


@compiled(**INLINED)
def _limit_leverage(state: State, rules: Rules, row: Row) -> None:
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
            _cut_increase(state, s, MAX_GROSS_LEVERAGE, factor * state.orders[INCREASE, s])


@compiled(**INLINED)
def _roll_out(state: State, rules: Rules) -> None:
    if not rules.rollout < 1.0:
        return
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            kept = _kept(state, s)
            _cut_increase(state, s, ROLLOUT, rules.rollout * (kept + state.orders[INCREASE, s]) - kept)


@compiled(**INLINED)
def _is_partial(state: State, s: int) -> bool:
    """A reduction that leaves something: the only kind that lot and minimum notional apply to."""
    return 0.0 < state.orders[REDUCE, s] < abs(state.positions[UNITS, s])


@compiled(**INLINED)
def _round_to_lot(state: State, rules: Rules) -> None:
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[INCREASE, s] > 0.0:
            state.orders[INCREASE, s] = round_down(state.orders[INCREASE, s], rules.lot[s])
            if state.orders[INCREASE, s] == 0.0:
                state.cuts[LOT] += 1
        elif _is_partial(state, s):
            state.orders[REDUCE, s] = round_down(state.orders[REDUCE, s], rules.lot[s])
            if state.orders[REDUCE, s] == 0.0:
                state.cuts[LOT] += 1


@compiled(**INLINED)
def _require_notional(state: State, rules: Rules, row: Row) -> None:
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        close = row.ohlcv[s, CLOSE]
        price = close if np.isfinite(close) else state.positions[MARK, s]
        if state.orders[INCREASE, s] > 0.0:
            if state.orders[INCREASE, s] * price < rules.min_notional[s]:
                _drop_increase(state, s, MIN_NOTIONAL)
        elif _is_partial(state, s) and state.orders[REDUCE, s] * price < rules.min_notional[s]:
            state.orders[REDUCE, s] = 0.0
            state.cuts[MIN_NOTIONAL] += 1


@compiled(**INLINED)
def _keep_closing(state: State) -> None:
    """Remember the closes of this bar: one that will be cut stays wanted until flat."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        closes = state.orders[INCREASE, s] == 0.0 and state.orders[REDUCE, s] > 0.0 and not _is_partial(state, s)
        state.orders[CLOSING, s] = 1.0 + state.orders[REASON, s] if closes else 0.0


@compiled(**INLINED)
def _forget_empty(state: State) -> None:
    """Drop from ``active`` the symbols that no rule left a leg of."""
    n = 0
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        if state.orders[REDUCE, s] > 0.0 or state.orders[INCREASE, s] > 0.0:
            state.active[n] = s
            n += 1
    state.counters[N_ACTIVE] = n


@compiled(**INLINED)
def guard(state: State, rules: Rules, row: Row) -> None:
    """Apply every rule over all symbols, one rule after the other, in the order of ``CUT_RULES``.

    A rule counts one per symbol and bar when it changes a request (``lot`` and ``min_notional``
    only when a leg vanishes). Flattening and repeated closes count nothing.
    """
    if state.counters[N_ACTIVE] > 0:
        _require_finite(state, row)
        _halt(state)
    _flatten(state, rules)
    if state.counters[N_ACTIVE] == 0:
        return
    _require_tradable(state, row)
    _limit_positions(state, rules)
    _limit_weight(state, rules, row)
    _limit_leverage(state, rules, row)
    _roll_out(state, rules)
    _round_to_lot(state, rules)
    _require_notional(state, rules, row)
    _forget_empty(state)
    _keep_closing(state)
