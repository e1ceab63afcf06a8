"""Arrays as values: checked once for dtype, shape and order, and read-only from then on."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantlab.core.errors import ContractError

T = TypeVar("T")

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Int64Array = NDArray[np.int64]
Int8Array = NDArray[np.int8]
UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
Records = NDArray[np.void]


def read_only(array: Any, dtype: Any, shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """Check dtype, shape (``None`` = any) and C-order; return it read-only: itself or a view, never a copy.

    Raises
    ------
    ContractError
        If `array` is not a C-contiguous array of that dtype and shape.
    """
    if not _fits(array, np.dtype(dtype), shape):
        found = f"{array.dtype.name} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        order = ", not C-contiguous" if isinstance(array, np.ndarray) and not array.flags.c_contiguous else ""
        raise ContractError(
            f"{name} as a C-contiguous {np.dtype(dtype).name} array of shape {_shape_text(shape)}",
            found=found + order,
            fix="convert it first",
        )
    if not array.flags.writeable:
        return array  # type: ignore[no-any-return]
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def _fits(array: Any, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and (array.shape == shape or _matches(array.shape, shape))
        and bool(array.flags.c_contiguous)
    )


def _matches(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, got) for want, got in zip(wanted, shape, strict=True))


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("*" if n is None else str(n) for n in shape) + ")"


def slice_of(whole: T, views: dict[str, Any]) -> T:
    """`whole` with slices of its own arrays in place of some: what was checked once holds for every row."""
    part: T = object.__new__(type(whole))
    vars(part).update(vars(whole))
    vars(part).update(views)
    return part


def set_fields(obj: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(obj, name, value)


class ReadOnlyPickling:
    """Keep arrays read-only across pickling, which would forget it: a value sent to another process stays frozen."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        vars(self).update(state)
