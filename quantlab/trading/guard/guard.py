"""The rules that cut increases, and the order in which they are applied."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.trading.guard.exposure import limit_leverage, limit_positions, limit_weight, scale_by_rollout
from quantlab.trading.guard.granularity import require_notional, round_to_lot
from quantlab.trading.guard.legs import forget_empty, is_partial
from quantlab.trading.guard.permission import flatten, halt, require_finite, require_tradable
from quantlab.trading.lowlevel.layout import (
    CLOSING,
    INCREASE,
    INLINED,
    N_ACTIVE,
    REASON,
    REDUCE,
    Row,
    Rules,
    State,
)


@compiled(**INLINED)
def _keep_closing(state: State) -> None:
    """Remember the closes of this bar: one that will be cut stays wanted until flat."""
    for i in range(state.counters[N_ACTIVE]):
        s = state.active[i]
        closes = state.orders[INCREASE, s] == 0.0 and state.orders[REDUCE, s] > 0.0 and not is_partial(state, s)
        state.orders[CLOSING, s] = 1.0 + state.orders[REASON, s] if closes else 0.0


@compiled(**INLINED)
def guard(state: State, rules: Rules, row: Row) -> None:
    """Apply every rule over all symbols, one rule after the other, in the order of ``CUT_RULES``.

    A rule counts one per symbol and bar when it changes a request (``lot`` and ``min_notional``
    only when a leg vanishes). Flattening and repeated closes count nothing.
    """
    if state.counters[N_ACTIVE] > 0:
        require_finite(state, row)
        halt(state)
    flatten(state, rules)
    if state.counters[N_ACTIVE] == 0:
        return
    require_tradable(state, row)
    limit_positions(state, rules)
    limit_weight(state, rules, row)
    limit_leverage(state, rules, row)
    scale_by_rollout(state, rules)
    round_to_lot(state, rules, row)
    require_notional(state, rules, row)
    forget_empty(state)
    _keep_closing(state)
