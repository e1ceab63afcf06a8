"""The function table: a policy's step and a sizer's rule as compiled loops take them.

Where a compiled function is an argument, numba asks Python for its address on every call: a tenth of a
millisecond, as long as a backtest of a few thousand bars. So both addresses are looked up once and written into a table.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.trading.interface.policy import STEP
from quantlab.trading.interface.sizer import SIZE
from quantlab.trading.lowlevel.layout import tuple_type
from quantlab.trading.lowlevel.pointers import BUFFER, buffer_for, tuple_reader, write_tuple
from quantlab.trading.strategy.strategy import Strategy


class FunctionTable(NamedTuple):
    """The functions that a bar calls: one once per bar, one once per entry."""

    step: Any  #: of the signature STEP
    size: Any  #: of the signature SIZE


_STEP, _SIZE = types.FunctionType(STEP), types.FunctionType(SIZE)
FUNCTION_TABLE_TYPE: Any = tuple_type(FunctionTable, _STEP, _SIZE)

#: ``read_function_table(function_table(strategy))`` in compiled code.
read_function_table = tuple_reader(FUNCTION_TABLE_TYPE)


def function_table(strategy: Strategy) -> Any:
    """Return a uint8 array that holds the :class:`FunctionTable` of a strategy."""
    return _table_of(strategy.policy.step, strategy.sizer.size)


@cache  # which also keeps both functions alive
def _table_of(step: Any, size: Any) -> Any:
    buffer = buffer_for(FUNCTION_TABLE_TYPE)
    _writer()(buffer, step, size)
    return buffer


@cache
def _writer() -> Any:
    return compiled(signature=types.void(BUFFER, _STEP, _SIZE), _nrt=False)(_write_functions)


def _write_functions(buffer: Any, step: Any, size: Any) -> None:
    write_tuple(buffer, FunctionTable(step, size))
