"""The compiled signature of a decision: what a policy reads, and what it writes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.trading.handing import Handed
from quantlab.trading.layout import read_only_array, writable_array


class Market(NamedTuple):
    """What is known at the close; read-only, every array (S,) but `proba`."""

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
    """What a policy wants; every array float64 (S,).

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


_ROW = read_only_array(types.float64, 1)
_INTENT = writable_array(types.float64, 1)

MARKET_TYPE = Handed(
    (
        read_only_array(types.int8, 1),
        read_only_array(types.float64, 2),
        *[_ROW] * 8,
        read_only_array(types.float64, 1, "A"),
        read_only_array(types.uint8, 1),
    ),
    Market,
)
ACCOUNT_TYPE = Handed((*[_ROW] * 4, types.float64, types.boolean), Account)
INTENTS_TYPE = Handed((_INTENT,) * 7, Intents)

#: The signature of every policy's step.
STEP = types.void(_ROW, writable_array(types.float64, 2), MARKET_TYPE, ACCOUNT_TYPE, INTENTS_TYPE)


@cache
def compiled_step(function: Any) -> Any:
    """Compile a policy's function for ``STEP`` at first use; later calls return the same object."""
    return compiled(signature=STEP)(function)
