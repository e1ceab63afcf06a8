"""A policy's step and a sizer's rule as compiled loops are handed them.

Where a compiled function is an argument, numba asks Python for its address on every call: a tenth of a
millisecond, as long as a backtest of a few thousand bars. So both addresses are looked up once and written down.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.trading.interface.policy import STEP
from quantlab.trading.interface.sizer import SIZE
from quantlab.trading.lowlevel.layout import tuple_type
from quantlab.trading.lowlevel.pointers import ROOM, lay_into, reader, room_for
from quantlab.trading.strategy.strategy import Strategy


class Calls(NamedTuple):
    """What is called once per bar, and once per entry."""

    step: Any  #: of the signature STEP
    size: Any  #: of the signature SIZE


_STEP, _SIZE = types.FunctionType(STEP), types.FunctionType(SIZE)
CALLS_TYPE: Any = tuple_type(Calls, _STEP, _SIZE)

#: ``read_calls(calls_of(strategy))`` in compiled code.
read_calls = reader(CALLS_TYPE)


def calls_of(strategy: Strategy) -> Any:
    """uint8 array in which the :class:`Calls` of a strategy are written down."""
    return _written(strategy.policy.step, strategy.sizer.size)


@cache  # which also keeps both functions alive
def _written(step: Any, size: Any) -> Any:
    room = room_for(CALLS_TYPE)
    _writer()(room, step, size)
    return room


@cache
def _writer() -> Any:
    return compiled(signature=types.void(ROOM, _STEP, _SIZE), _nrt=False)(_write)


def _write(room: Any, step: Any, size: Any) -> None:
    lay_into(room, Calls(step, size))
