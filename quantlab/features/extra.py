"""A feature of the user's own: one compiled function of the last bars, and what it promises.

The function sees a *window* and nothing else: no state, no time, no other symbol. So everything that makes
the 49 trustworthy holds for it without being asked for: the same bits in history and live, whatever the
chunks, the threads, the other symbols or the start; nothing of the future; a value from the first ready
row on. ``docs/add-a-feature.md`` shows the five steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numba.core.dispatcher import Dispatcher
from numpy.typing import DTypeLike

from quantlab.core.compiled import compiled
from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.user_code_hash import user_code_hash
from quantlab.features.catalogue import NAMES
from quantlab.features.contract import features_fingerprint
from quantlab.features.kernels.loops import WARMUP

_BARS = types.Array(types.float64, 2, "C", readonly=True)
#: ``value(bars) -> float``: `bars` is float64 (window, 5), read-only, oldest first; columns are open, high,
#: low, close in USD and volume in base units. Every bar of it is sound.
WINDOW = types.float64(_BARS)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: Models are fed float32: a bound without a limit of its own ends here.
LARGEST = float(np.finfo(np.float32).max)


def window_function(function: Callable[[Any], float]) -> Any:
    """Compile `function` for :data:`WINDOW`; a decorator.

    Reading outside the window raises IndexError, writing to it does not compile.

    Examples
    --------
    >>> @window_function
    ... def range_share(bars):
    ...     return (bars[-1, 3] - bars[-1, 2]) / (bars[-1, 1] - bars[-1, 2])
    >>> range_share(np.array([[1.0, 3.0, 1.0, 2.0, 7.0]]))
    0.5
    """
    in_a_file = Path(function.__code__.co_filename).is_file()  # a console's functions have no cache to live in
    return compiled(signature=WINDOW, boundscheck=True, cache=in_a_file)(function)


@dataclass(frozen=True)
class ExtraFeature:
    """One feature beside the 49.

    Parameters
    ----------
    name : str
        Lower case letters, digits and underscores; none of the 49.
    value : compiled function
        Made by :func:`window_function`, in a file.
    window : int
        Bars that `value` is given, 1 .. ``WARMUP``.
    low, high : float
        Closed range of its values; infinite where there is no bound. A value outside is refused.
    neutral : float
        Its value in a market where nothing ever moves or trades.
    formula : str
        For people.
    version : int
        >= 1; raise it with every change of the meaning that the file itself does not show.

    Attributes
    ----------
    source_sha256 : str
        Of the file that defines `value` and of whatever that takes from other files of yours, line endings aside:
        editing one of them changes every fingerprint.

    Raises
    ------
    ConfigError
        If one of these does not hold.
    """

    name: str
    value: Any
    window: int
    low: float
    high: float
    neutral: float
    formula: str
    version: int
    source_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        _require(
            isinstance(self.name, str) and _NAME.fullmatch(self.name) is not None and self.name not in NAMES,
            "a feature name of lower case letters, digits and underscores that is none of the 49",
            repr(self.name),
        )
        compiled_for = self.value.signatures if isinstance(self.value, Dispatcher) else []
        _require(
            (_BARS,) in compiled_for,
            f"{self.name}.value made by quantlab.features.window_function",
            type(self.value).__name__,
        )
        _require(_whole(self.window, 1, WARMUP), f"{self.name}.window between 1 and {WARMUP}", repr(self.window))
        _require(_whole(self.version, 1, 2**31), f"{self.name}.version >= 1", repr(self.version))
        _require(
            math.isfinite(self.neutral) and self.low <= self.neutral <= self.high,
            f"{self.name}: low <= neutral <= high, neutral finite",
            f"{self.low!r}, {self.neutral!r}, {self.high!r}",
        )
        object.__setattr__(self, "source_sha256", _source_sha256(self.name, self.value))

    @property
    def bounds(self) -> tuple[float, float]:
        """The range that a float32 can hold."""
        return max(float(self.low), -LARGEST), min(float(self.high), LARGEST)

    def definition(self) -> dict[str, Any]:
        """Everything that its values depend on, as plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "window": self.window,
            "range": (float(self.low), float(self.high), float(self.neutral)),
            "source": self.source_sha256,
        }


def extended_names(extra: tuple[ExtraFeature, ...]) -> tuple[str, ...]:
    """The 49 names and those of `extra`, in column order.

    Raises
    ------
    ConfigError
        If two are equal, or one is no :class:`ExtraFeature`.
    """
    for one in extra:
        if not isinstance(one, ExtraFeature):
            raise ConfigError(
                "features.extra to hold ExtraFeature values",
                found=type(one).__name__,
                fix="name an ExtraFeature with _target_: hydra.utils.get_object",
            )
    names = tuple(one.name for one in extra)
    if len(set(names)) != len(names):
        raise ConfigError("extra features with different names", found=", ".join(names), fix="rename one of them")
    return (*NAMES, *names)


def extended_fingerprint(interval_ms: int, dtype: DTypeLike, extra: tuple[ExtraFeature, ...]) -> str:
    """Fingerprint of the 49 alone where nothing is added, else over them and every extra definition, in order."""
    unified = features_fingerprint(interval_ms, dtype)
    return fingerprint(unified, [one.definition() for one in extra]) if extra else unified


def _require(holds: bool, expected: str, found: str) -> None:
    if not holds:
        raise ConfigError(expected, found=found, fix="correct the ExtraFeature; docs/add-a-feature.md shows one")


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _source_sha256(name: str, value: Dispatcher) -> str:
    path = Path(value.py_func.__code__.co_filename)
    if not path.is_file():
        raise ConfigError(
            f"{name}.value defined in a file", found=str(path), fix="move the function to a module: its text is hashed"
        )
    return user_code_hash(value)
