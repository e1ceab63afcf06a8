"""State of objects, read without running any code of their classes where those are the user's."""

from __future__ import annotations

import copyreg
import pickle
import sys
from collections.abc import Iterator
from functools import cached_property
from types import MemberDescriptorType
from typing import Any

import numpy as np
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher

from quantlab.core.user_code.origin import is_versioned, known_by_name

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)})
BUILT_IN = (dict, list, tuple, set, frozenset, int, float, complex, str, bytes, bytearray)
CANNOT_SAY = (TypeError, ValueError, AttributeError, RuntimeError, LookupError, pickle.PickleError)


def as_written(value: Any) -> Any:
    """Python's own behind what numba made."""
    kind = type(value)
    if issubclass(kind, Dispatcher):
        return value.py_func
    if issubclass(kind, CFunc):
        return value._pyfunc
    if kind.__name__ == "JitClassType" and is_versioned(kind.__module__):
        made = value.class_type
        fields = [f"{name}: {kept}" for name, kept in made.struct.items()]
        return (made.class_name, made.jit_methods, made.jit_props, made.jit_static_methods, fields)
    if kind.__module__ in ("numba.typed.typeddict", "numba.typed.typedlist"):
        return (kind.__name__, dict(value.items()) if "dict" in kind.__module__ else list(value))
    return value


def own_state(value: Any) -> Iterator[tuple[str, Any]]:
    """Values in the object's own dict and slots, read without any code of its class."""
    named = {name: member for base in reversed(type(value).__mro__) for name, member in vars(base).items()}
    for name, member in sorted(named.items()):
        if type(member) is MemberDescriptorType:
            try:
                yield name, member.__get__(value)
            except AttributeError:  # an empty slot
                continue
    try:
        inside = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return
    # What a cached property left there is no state: it is there from its first use on.
    yield from ((n, v) for n, v in sorted(inside.items(), key=lambda one: str(one[0])) if type(named.get(n)) is not cached_property)  # fmt: skip


def as_pickled(value: Any, kind: type, home: Any) -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return (str(value.dtype), tuple(value.shape), flat.numpy().tobytes())
    if issubclass(kind, np.ufunc) and known_by_name(value) is None:
        raise TypeError("what numpy.frompyfunc made")
    if issubclass(kind, np.random.Generator | np.random.BitGenerator):
        # Pickle adds the pool of its seed, whose parts differ between processes.
        return (getattr(value, "bit_generator", value).state,)
    registered = copyreg.dispatch_table.get(home)
    reduced = home.__reduce_ex__(value, 4) if registered is None else registered(value)
    if isinstance(reduced, str):
        return (reduced,)
    listed = () if issubclass(kind, dict | list) else reduced[3:5]
    return (*reduced[:3], *(list(one) for one in listed if one is not None))


def all_plain(value: Any) -> bool:
    kinds = set(map(type, value)) | (set(map(type, value.values())) if type(value) is dict else set())
    return kinds <= PLAIN


def text(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return hex(value) if type(value) is int else repr([text(one) for one in _flat(value)])


def _flat(value: Any) -> Iterator[Any]:
    return (part for item in value.items() for part in item) if type(value) is dict else iter(value)
