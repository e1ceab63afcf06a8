"""Prefetching: asking the processor for memory before it is needed; no value changes by it.

A few cells of each bar are read, a row of all symbols apart from each other: no pattern that a processor
foresees. Waiting for them one after the other was most of a backtest of many symbols.
"""

# mypy: disable-error-code="no-untyped-call"
# numba and llvmlite are not typed.

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from quantlab.core.compiled import compiled
from quantlab.core.market import OPEN, VOLUME
from quantlab.trading.lowlevel.layout import INLINED, N_ACTIVE, N_HELD, State


def _prefetch(typingctx: Any, array: Any, cell: Any) -> Any:  # noqa: ARG001 - the compiler's signature
    """Begin to read one cell of an array: a tuple of indices within it, or one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        whole = make_array(kind)(context, builder, arguments[0])
        indices = cgutils.unpack_tuple(builder, arguments[1]) if kind.ndim > 1 else [arguments[1]]
        item = cgutils.get_item_pointer(context, builder, kind, whole, indices, wraparound=False)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        )
        read, keep, data = word(0), word(3), word(1)
        builder.call(hint, [builder.bitcast(item, byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, cell), generate


#: Rows of fewer symbols lie so close together that the processor foresees them itself.
FEW_SYMBOLS = 8

prefetch: Any = intrinsic(_prefetch)


@compiled(**INLINED)
def prefetch_bar(state: State, ohlcv: Any) -> None:
    """Begin to read what the next bar, ohlcv (S, 5), will ask for: cells of positions and of orders."""
    if ohlcv.shape[0] < FEW_SYMBOLS:
        return
    for i in range(state.counters[N_HELD]):
        prefetch(ohlcv, (state.held[i], OPEN))
        prefetch(ohlcv, (state.held[i], VOLUME))
    for i in range(state.counters[N_ACTIVE]):
        prefetch(ohlcv, (state.active[i], OPEN))
        prefetch(ohlcv, (state.active[i], VOLUME))
