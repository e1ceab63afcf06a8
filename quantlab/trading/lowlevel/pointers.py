"""Named tuples of arrays in memory, so that compiled code takes one pointer instead of all their words.

Passing a named tuple of arrays costs work for every array: in a call through a pointer each of its words is
written to the stack, and from Python each array is inspected, its type is found anew and its references are counted.
Here a tuple is written to memory once, and read where it is needed; what is not used is never looked at. References are
not counted: whoever writes a tuple keeps its arrays alive while it is read, and compiled code that reads one is compiled
with ``_nrt=False``, which takes no part in the counting.
"""

# mypy: disable-error-code="no-untyped-call"
# numba is not typed.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.errors import UnsupportedError
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from quantlab.trading.lowlevel.layout import writable_array

#: Compiled type of the memory that :func:`buffer_for` gives.
BUFFER: Any = writable_array(types.uint8, 1)


def buffer_for(kind: Any) -> Any:
    """Return a uint8 array with room for one tuple of the compiled type `kind`."""
    context = cpu_target.target_context
    return np.zeros(context.get_abi_sizeof(context.get_data_type(kind)), np.uint8)


def _stack_pointer(typingctx: Any, whole: Any) -> Any:  # noqa: ARG001 - the compiler's signature
    """Write a tuple to the stack and return its address: it stays until the function that calls this returns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        pointer = cgutils.alloca_once(builder, context.get_data_type(kind))
        context.pack_value(builder, kind, arguments[0], pointer)
        return pointer

    return types.CPointer(whole)(whole), generate


def _write_tuple(typingctx: Any, buffer: Any, whole: Any) -> Any:  # noqa: ARG001 - the compiler's signature
    """Write a tuple into a buffer of its type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[1]
        context.pack_value(builder, kind, arguments[1], _address(context, builder, arguments[0], kind))
        return context.get_dummy_value()

    return types.void(buffer, whole), generate


def tuple_reader(kind: Any) -> Any:
    """Make a compiled function ``read(buffer)`` that returns the tuple of type `kind` in a buffer.

    Raises
    ------
    UnsupportedError
        While compiling, where references are counted: the arrays of the tuple would be freed after each use.
    """

    def read(typingctx: Any, buffer: Any) -> Any:  # noqa: ARG001 - the compiler's signature
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            if context.enable_nrt and context.data_model_manager[kind].contains_nrt_meminfo():
                raise UnsupportedError(f"{kind.instance_class.__name__} is read in code compiled with _nrt=False only")
            return context.unpack_value(builder, kind, _address(context, builder, arguments[0], kind))

        return kind(buffer), generate

    return intrinsic(read)


def _address(context: Any, builder: Any, buffer: Any, kind: Any) -> Any:
    memory = make_array(BUFFER)(context, builder, buffer).data
    return builder.bitcast(memory, context.get_data_type(kind).as_pointer())


stack_pointer: Any = intrinsic(_stack_pointer)
write_tuple: Any = intrinsic(_write_tuple)
