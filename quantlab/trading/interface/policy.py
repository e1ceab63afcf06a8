"""The compiled signature of a decision: market and account that a policy reads, intents that it writes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types

from quantlab.core.arrays import Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.market import CLOSE
from quantlab.trading.account.latches import halted
from quantlab.trading.interface.policy_view import POLICY_VIEW_POINTER
from quantlab.trading.lowlevel.layout import BARS_HELD, ENTRY, EQUITY, INLINED, STOPPED, UNITS
from quantlab.trading.lowlevel.user_compilation import compile_around, inline


class Market(NamedTuple):
    """The market at the close; read-only, every array (S,) but `proba`."""

    side: Any  #: int8, -1 SELL, 0 HOLD, +1 BUY
    proba: Any  #: float64 (S, 3)
    confidence: Any  #: float64
    consensus: Any  #: float64
    atr: Any  #: float64, USD; NaN in warm-up
    target: Any  #: float64, brought by the user; empty when the signal brings none
    stop_distance: Any  #: float64, likewise
    take_distance: Any  #: float64, likewise
    trail_distance: Any  #: float64, likewise
    break_even_distance: Any  #: float64, likewise
    close: Any  #: float64, USD; NaN where the bar is absent
    state: Any  #: uint8, BarState


class Account(NamedTuple):
    """The account after this bar's fills; read-only, every array float64 (S,)."""

    units: Any  #: signed
    entry: Any  #: average entry price, 0 when flat
    bars_held: Any  #: closes since the opening bar, whose own close is 1
    stopped: Any  #: 1 where a stop filled in this bar
    equity: float  #: USD
    halted: bool  #: increases will be refused


class Intents(NamedTuple):
    """The wishes of a policy; every array float64 (S,).

    `target`, `strength` and the first two distances start as NaN, the last two as +inf, `reason` as 0.
    Distances are in USD and count from the fill; +inf = deliberately none; one that is NaN or not
    positive is unknown and blocks the increase.
    """

    target: Any  #: signed weight of equity, 0 = close, NaN = keep
    strength: Any  #: or a signed strength, which the sizer turns into a weight; NaN = none
    stop_distance: Any
    take_distance: Any
    reason: Any  #: OrderReason.TIME_EXIT marks a close as one; anything else is SIGNAL
    trail_distance: Any  #: by which the stop follows the best price
    break_even_distance: Any  #: gain at whose touch the stop moves to the entry


@compiled(**INLINED)
def intents_of(rows: Float64Array) -> Intents:
    """The rows of ``State.intents`` (N_INTENT_ROWS, S) by their names."""
    return Intents(rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6])


@compiled(**INLINED)
def clear_intents(intents: Intents) -> None:
    """Reset them to what a policy finds."""
    for s in range(len(intents.target)):
        intents.target[s] = np.nan
        intents.strength[s] = np.nan
        intents.stop_distance[s] = np.nan
        intents.take_distance[s] = np.nan
        intents.reason[s] = 0.0
        intents.trail_distance[s] = np.inf
        intents.break_even_distance[s] = np.inf


#: The signature of every policy's compiled step: the address of its view, and the row that it decides on.
STEP = types.void(POLICY_VIEW_POINTER, types.uint64)


@cache
def compiled_step(function: Any) -> Any:
    """Compile a policy's function for ``STEP`` at first use; later calls return the same object.

    Parameters
    ----------
    function : callable
        ``function(params, memory, market, account, intents)``; see :mod:`quantlab.trading.strategy.policies`.

    Raises
    ------
    ContractError
        If it takes other arguments, or numba cannot compile it.

    Notes
    -----
    In code from outside the package an index beyond its array raises IndexError, instead of reaching into memory
    that is not its own; the package's own steps are held against references, and go without that check.
    """
    # Reference counts are off in the step, which only borrows, and on in the policy, which may make arrays.
    decide = inline(function, ("params", "memory", "market", "account", "intents"), _nrt=True)

    def step(pointer: Any, t: int) -> None:
        view = pointer[0]
        history, held = view.history, view.positions
        market = Market(
            history.side[t],
            history.proba[t],
            history.confidence[t],
            history.consensus[t],
            history.atr[t],
            history.target[t],
            history.stop_distance[t],
            history.take_distance[t],
            history.trail_distance[t],
            history.break_even_distance[t],
            history.ohlcv[t, :, CLOSE],
            history.state[t],
        )
        halt = halted(view.account)
        account = Account(held[UNITS], held[ENTRY], held[BARS_HELD], held[STOPPED], view.account[EQUITY], halt)
        decide(view.params, view.memory, market, account, intents_of(view.intents))

    return compile_around(function, step, STEP, _nrt=False)
