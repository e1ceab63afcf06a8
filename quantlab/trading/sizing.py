"""How much of the equity a position gets."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

# ruff: noqa: ARG001 - a function of a fixed signature keeps its arguments, used or not

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import types

from quantlab.core.compiled import compiled
from quantlab.core.types import Float64Array, check_range
from quantlab.trading.layout import read_only_array

#: ``size(params, strength, confidence, atr, close, equity) -> weight``: the signed weight of equity
#: for a signed strength. `atr` and `close` are in USD per unit, `equity` in USD. A weight that is
#: not finite blocks the increase (counted ``not_finite``).
SIZE = types.float64(read_only_array(types.float64, 1), *[types.float64] * 5)


@cache
def compiled_size(function: Any) -> Any:
    """Compile a sizer's function for ``SIZE`` at first use; later calls return the same object."""
    return compiled(signature=SIZE)(function)


def _fixed_fraction(
    params: Float64Array, strength: float, confidence: float, atr: float, close: float, equity: float
) -> float:
    return params[0] if strength > 0.0 else -params[0]


@dataclass(frozen=True)
class FixedFraction:
    """Every position gets the same weight, whatever the strength of its signal.

    Parameters
    ----------
    weight : float
        Fraction of equity, > 0; 0.1 is 10 %.

    Raises
    ------
    ConfigError
        If `weight` is outside 1e-6 .. 100.
    """

    weight: float

    def __post_init__(self) -> None:
        check_range("sizer.weight", self.weight, low=1e-6, high=100.0)

    @property
    def size(self) -> Any:
        return compiled_size(_fixed_fraction)

    def params(self) -> Float64Array:
        return np.array([self.weight])


def _confidence_fraction(
    params: Float64Array, strength: float, confidence: float, atr: float, close: float, equity: float
) -> float:
    weight = params[0] * confidence
    return weight if strength > 0.0 else -weight


@dataclass(frozen=True)
class ConfidenceFraction:
    """A position's weight is proportional to the pooled probability of its decision.

    Where there are more entries than slots, the risk guard fills the slots by |target|: with this sizer
    the most confident entries get them, with equal weights the first in symbol order would.

    Parameters
    ----------
    weight : float
        Fraction of equity at a confidence of 1, > 0: 0.25 makes 9 % of a confidence of 0.36.

    Raises
    ------
    ConfigError
        If `weight` is outside 1e-6 .. 100.
    """

    weight: float

    def __post_init__(self) -> None:
        check_range("sizer.weight", self.weight, low=1e-6, high=100.0)

    @property
    def size(self) -> Any:
        return compiled_size(_confidence_fraction)

    def params(self) -> Float64Array:
        return np.array([self.weight])
