"""How named tuples of arrays are handed through a function pointer: as pointers and lengths.

A call through a pointer is never inlined, so every word of every argument is written to the stack, on
every bar. numba spells an array out in five words and two more for each axis, where a contiguous one
needs its pointer and its lengths: the rest follows from its type. The callee puts the array together
again, and what it does not use costs nothing there.
"""

# mypy: disable-error-code="no-untyped-call"
# numba and llvmlite are not typed.

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import TupleModel
from numba.core.typeconv.castgraph import Conversion
from numba.extending import lower_cast, register_model


class Handed(types.NamedTuple):
    """Compiled type of a named tuple that travels in few words; in all else it is that tuple."""

    def __init__(self, fields: tuple[Any, ...], kind: type) -> None:
        super().__init__(fields, kind)
        self.name = f"Handed{self.name}"

    def __hash__(self) -> int:
        # Of all fields again on every call from Python otherwise: a tenth of a millisecond.
        return hash(self.name)

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Where the compiler asks: a plain tuple of the same kind becomes this one."""
        if getattr(other, "instance_class", None) is not self.instance_class:
            return None
        found = typingctx.can_convert(types.Tuple(tuple(other)), types.Tuple(self.types))
        return None if found is None else max(found, Conversion.safe)


@lower_cast(types.BaseNamedTuple, Handed)
def _hand(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    fields = cgutils.unpack_tuple(builder, value, len(given))
    cast = [context.cast(builder, field, one, other) for field, one, other in zip(fields, given, wanted, strict=True)]
    return context.make_tuple(builder, wanted, cast)


@register_model(Handed)
class _HandedModel(TupleModel):
    """A tuple but for its arguments: each contiguous array is its pointer and its lengths."""

    def get_argument_type(self) -> Any:
        return tuple(_words(model) if _is_short(model) else model.get_argument_type() for model in self._models)

    def as_argument(self, builder: Any, value: Any) -> Any:
        fields = [self.get(builder, value, i) for i in range(len(self._models))]
        return tuple(
            _shortened(builder, model, field) if _is_short(model) else model.as_argument(builder, field)
            for model, field in zip(self._models, fields, strict=True)
        )

    def from_argument(self, builder: Any, value: Any) -> Any:
        whole = cgutils.get_null_value(self.get_value_type())
        for i, (model, words) in enumerate(zip(self._models, value, strict=True)):
            field = _restored(builder, model, words) if _is_short(model) else model.from_argument(builder, words)
            whole = self.set(builder, whole, field, i)
        return whole


def _is_short(model: Any) -> bool:
    """Whether pointer and lengths say all about an array."""
    kind = model.fe_type
    return isinstance(kind, types.Array) and kind.layout == "C"


def _words(model: Any) -> tuple[Any, ...]:
    array = model.get_value_type().elements
    data, shape = (array[model.get_field_position(name)] for name in ("data", "shape"))
    return (data, *[shape.element] * shape.count)


def _shortened(builder: Any, model: Any, array: Any) -> tuple[Any, ...]:
    shape = model.get(builder, array, "shape")
    return (model.get(builder, array, "data"), *cgutils.unpack_tuple(builder, shape, model.fe_type.ndim))


def _restored(builder: Any, model: Any, words: Any) -> Any:
    data, *lengths = words
    word = lengths[0].type
    size = model.fe_type.dtype.bitwidth // 8
    step = word(size)
    strides: list[Any] = []
    for length in reversed(lengths):
        strides.insert(0, step)
        step = builder.mul(step, length)
    array = cgutils.get_null_value(model.get_value_type())
    parts = {
        "nitems": builder.sdiv(step, word(size)),
        "itemsize": word(size),
        "data": data,
        "shape": cgutils.pack_array(builder, lengths),
        "strides": cgutils.pack_array(builder, strides),
    }
    for name, part in parts.items():
        array = model.set(builder, array, part, name)
    return array
