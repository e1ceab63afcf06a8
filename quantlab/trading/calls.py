"""A policy's step and a sizer's rule as compiled loops are handed them.

Where a compiled function is an argument, numba asks Python for its address on every call: a tenth of a
millisecond, as long as a backtest of a few thousand bars. So both addresses are looked up once, and kept in a
typed list of one element, whose handing over costs nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types
from numba.typed import List

from quantlab.core.compiled import compiled
from quantlab.trading.decision import STEP
from quantlab.trading.layout import tuple_type
from quantlab.trading.sizer import SIZE
from quantlab.trading.strategy import Strategy


class Calls(NamedTuple):
    """What is called once per bar, and once per entry."""

    step: Any  #: of the signature STEP
    size: Any  #: of the signature SIZE


_STEP, _SIZE = types.FunctionType(STEP), types.FunctionType(SIZE)
CALLS_TYPE: Any = tuple_type(Calls, _STEP, _SIZE)

#: Compiled type of what :func:`calls_of` gives; ``calls[0]`` is the pair.
CALLS: Any = types.ListType(CALLS_TYPE)  # type: ignore[no-untyped-call]


def calls_of(strategy: Strategy) -> Any:
    """A typed list of one :class:`Calls`."""
    return _kept(strategy.policy.step, strategy.sizer.size)


@cache
def _kept(step: Any, size: Any) -> Any:
    return _keeper()(step, size)


@cache
def _keeper() -> Any:
    return compiled(signature=CALLS(_STEP, _SIZE))(_keep)


def _keep(step: Any, size: Any) -> Any:
    one = List.empty_list(CALLS_TYPE)
    one.append(Calls(step, size))
    return one
