"""The compiled signature of a sizer, and the base of the sizers that ship."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import types

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_range
from quantlab.core.compiled import compiled
from quantlab.trading.lowlevel.layout import read_only_array, tuple_type
from quantlab.trading.lowlevel.user_compilation import compile_around, inline


class Entry(NamedTuple):
    """One position that a policy wants to open, flip or size again; scalars."""

    strength: float  #: signed as the position, never 0
    confidence: float  #: calibrated probability of the decision, NaN where the signal gives none
    atr: float  #: USD; NaN in warm-up
    close: float  #: USD
    equity: float  #: USD
    stop_distance: float  #: USD, +inf = none
    take_distance: float  #: USD, +inf = none


ENTRY_TYPE = tuple_type(Entry, *[types.float64] * 7)

#: ``size(params, entry) -> weight``: the signed weight of equity, 0 = flat. A weight that is not finite
#: blocks the increase (counted ``not_finite``): it is how a sizer says that it does not know.
SIZE = types.float64(read_only_array(types.float64, 1), ENTRY_TYPE)


@cache
def compiled_size(function: Any) -> Any:
    """Compile a sizer's function for ``SIZE`` at first use; later calls return the same object.

    Parameters
    ----------
    function : callable
        ``function(params, entry) -> weight``.

    Raises
    ------
    ContractError
        If it takes other arguments, or numba cannot compile it.

    Notes
    -----
    Code from outside the package is checked for indices beyond an array, as in
    :func:`quantlab.trading.interface.policy.compiled_step`.
    """
    rule = inline(function, ("params", "entry"))

    def size(params: Float64Array, entry: Entry) -> float:
        return rule(params, entry)  # type: ignore[no-any-return]

    return compile_around(function, size, SIZE)


@compiled(forceinline=True, _nrt=False)
def bounded(weight: float, largest: float, strength: float) -> float:
    """`weight` cut to 0 .. `largest` and signed as `strength`; NaN if either is not finite."""
    if not (np.isfinite(weight) and np.isfinite(strength)):
        return np.nan
    weight = min(max(weight, 0.0), largest)
    return weight if strength > 0.0 else -weight


class Sizer:
    """Base of the sizers that ship: a frozen dataclass of positive numbers around one compiled rule.

    Every field is a parameter of the rule, in order; each must lie within 1e-6 and what `highest` says.
    """

    rule: ClassVar[Any]
    highest: ClassVar[dict[str, float]]

    def __post_init__(self) -> None:
        for name, value in self._parameters().items():
            check_range(f"sizer.{name}", value, low=1e-6, high=self.highest[name])

    @property
    def size(self) -> Any:
        return compiled_size(self.rule)

    def params(self) -> Float64Array:
        return np.array([float(value) for value in self._parameters().values()])

    def _parameters(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
