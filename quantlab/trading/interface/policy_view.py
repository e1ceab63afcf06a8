"""The policy view: everything that a policy reads and writes, put in one place for a whole run.

A policy is called through a pointer, since one loop serves all of them; such a call is never inlined, so every
word of every argument would be written to the stack on every bar. Thirty arrays are seventy words: as much work
as all the rest of a quiet bar. So pointers to the arrays of a whole history are written once, before the loop, and a
policy takes their address and the number of the row: two words. What it does not use is never looked at.
"""

# mypy: disable-error-code="no-untyped-call"
# numba is not typed.

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.trading.interface.rows import HISTORY_TYPE, History
from quantlab.trading.lowlevel.layout import INLINED, Rules, State, read_only_array, tuple_type, writable_array


class PolicyView(NamedTuple):
    """Arrays that stay where they are for a whole run."""

    params: Any  #: float64 (P,), the policy's parameters
    memory: Any  #: float64 (K, S), the policy's own
    positions: Any  #: float64 (N_POSITION_ROWS, S), read-only
    account: Any  #: float64 (N_ACCOUNT_SLOTS,), of which a policy gets two numbers
    intents: Any  #: float64 (N_INTENT_ROWS, S)
    history: Any  #: History


POLICY_VIEW_TYPE: Any = tuple_type(
    PolicyView,
    read_only_array(types.float64, 1),
    writable_array(types.float64, 2),
    read_only_array(types.float64, 2),
    writable_array(types.float64, 1),
    writable_array(types.float64, 2),
    HISTORY_TYPE,
)

#: The address of a view; ``pointer[0]`` is the view.
POLICY_VIEW_POINTER: Any = types.CPointer(POLICY_VIEW_TYPE)


@compiled(**INLINED)
def policy_view(state: State, rules: Rules, history: History) -> PolicyView:
    """Return the view of one account and one history."""
    return PolicyView(rules.policy, state.memory, state.positions_view, state.account, state.intents, history)
