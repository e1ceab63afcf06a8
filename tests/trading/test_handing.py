"""Arrays that cross a function pointer as pointers and lengths arrive as they were."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel import default_manager
from numba.core.datamodel.models import TupleModel
from numba.core.errors import TypingError

from quantlab.trading.decision import ACCOUNT_TYPE, INTENTS_TYPE, MARKET_TYPE
from quantlab.trading.handing import Handed
from quantlab.trading.layout import read_only_array, tuple_type, writable_array


class Mixed(NamedTuple):
    bytes: Any
    cube: Any
    empty: Any
    column: Any
    number: float
    out: Any


FIELDS = (
    read_only_array(types.int8, 1),
    read_only_array(types.float64, 3),
    read_only_array(types.float64, 2),
    read_only_array(types.float64, 1, "A"),
    types.float64,
    writable_array(types.float64, 1),
)
HANDED = Handed(FIELDS, Mixed)
TELL = types.void(HANDED)


@njit(TELL)
def tell(mixed):
    """Everything that an array knows of itself, and every element in its place."""
    out = mixed.out
    out[0] = mixed.bytes.size * 100 + mixed.bytes.itemsize * 10 + mixed.bytes.strides[0]
    out[1] = mixed.cube.shape[0] * 100 + mixed.cube.shape[1] * 10 + mixed.cube.shape[2]
    out[2] = mixed.cube.strides[0] * 1e6 + mixed.cube.strides[1] * 1e3 + mixed.cube.strides[2]
    out[3] = mixed.cube.size * 100 + mixed.cube.itemsize
    out[4] = mixed.empty.shape[0] * 10 + mixed.empty.shape[1] + mixed.empty.size
    out[5] = mixed.column.strides[0] + mixed.number
    for i in range(len(mixed.bytes)):
        out[6] += (i + 1) * mixed.bytes[i]
    for i in range(mixed.cube.shape[0]):
        for j in range(mixed.cube.shape[1]):
            for k in range(mixed.cube.shape[2]):
                out[7] += (i + 10 * j + 100 * k) * mixed.cube[i, j, k]
    for i in range(len(mixed.column)):
        out[8] += (i + 1) * mixed.column[i]
    out[9] = mixed.cube[1][-1, -2]


@njit(types.void(types.FunctionType(TELL), tuple_type(Mixed, *FIELDS)))
def through_a_pointer(function, mixed):
    function(Mixed(mixed.bytes, mixed.cube, mixed.empty, mixed.column, mixed.number, mixed.out))


def mixed_arrays():
    rng = np.random.default_rng(3)
    parts = {
        "bytes": rng.integers(-5, 5, 7).astype(np.int8),
        "cube": rng.normal(size=(2, 3, 4)),
        "empty": np.empty((3, 0)),
        "column": rng.normal(size=(6, 5))[:, 3],
    }
    for array in parts.values():
        array.flags.writeable = False
    return Mixed(**parts, number=0.5, out=np.zeros(10))


@pytest.mark.parametrize("call", [tell, lambda mixed: through_a_pointer(tell, mixed)], ids=["called", "pointed at"])
def test_every_shape_stride_and_element_arrives(call):
    expected, found = mixed_arrays(), mixed_arrays()
    tell.py_func(expected)
    call(found)
    assert np.array_equal(found.out, expected.out)
    assert np.count_nonzero(expected.out) >= 8


def test_what_is_read_only_stays_so():
    def write(mixed):
        mixed.cube[0, 0, 0] = 1.0

    with pytest.raises(TypingError, match="readonly"):
        njit(TELL)(write)


@pytest.mark.parametrize("handed", [HANDED, MARKET_TYPE, ACCOUNT_TYPE, INTENTS_TYPE], ids=lambda t: t.instance_class)
def test_a_type_is_itself_after_the_cache_and_no_other(handed):
    again = pickle.loads(pickle.dumps(handed))  # noqa: S301 - as numba's cache does
    assert again == handed
    assert hash(again) == hash(handed)
    assert handed != types.NamedTuple(handed.types, handed.instance_class)
    assert handed != Handed(handed.types[:-1], handed.instance_class)


def test_numba_still_has_what_handing_leans_on():
    """Fails by name when another numba lays out arrays, tuples or arguments otherwise: see docs/performance.md."""
    for owner, name in (
        (TupleModel, "get_argument_type"),
        (TupleModel, "as_argument"),
        (TupleModel, "from_argument"),
        (cgutils, "unpack_tuple"),
        (cgutils, "pack_array"),
        (cgutils, "get_item_pointer"),
    ):
        assert callable(getattr(owner, name, None)), f"numba {numba.__version__} has no {name}"
    assert list(HANDED.types) == list(FIELDS)
    column = default_manager.lookup(FIELDS[3])
    array = default_manager.lookup(FIELDS[1])
    assert array._fields == ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides"), array._fields
    handed, plain = default_manager.lookup(HANDED), default_manager.lookup(types.NamedTuple(FIELDS, Mixed))
    words, whole = ([_count(part) for part in model.get_argument_type()] for model in (handed, plain))
    # Pointer and lengths, but for the strided column and the number, which travel as ever.
    assert words == [2, 4, 3, _count(column.get_argument_type()), 1, 2]
    assert sum(words) < sum(whole)


def _count(words):
    return sum(_count(word) for word in words) if isinstance(words, tuple) else 1
