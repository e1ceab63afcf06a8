"""A choice among the 49, with the warm-up and the fingerprint that it has of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from quantlab.core.arrays import Float32Array, Int64Array
from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import ATR_COLUMNS
from quantlab.features.catalogue import CATALOGUE, MEAN_RANGE, NAMES
from quantlab.features.contract import output_dtype, positive_interval
from quantlab.features.definitions import feature_definitions
from quantlab.features.extra import ExtraFeature, extended_fingerprint, extended_names
from quantlab.features.kernels.loops import WARMUP
from quantlab.features.mean_range import mean_range_column
from quantlab.features.memory import MEMORY


@dataclass(frozen=True)
class FeatureSet:
    """Columns of a pipeline: some of the 49, the range that stops need, and the user's own.

    Parameters
    ----------
    columns : tuple of str or None
        Names among the 49, in any order; they stand in the catalogue's. None = all.
    extra : tuple of ExtraFeature
        The user's own, behind them.

    Raises
    ------
    ConfigError
        If a name is none of the 49, there twice, or there is none; or if two names are equal.
    """

    columns: tuple[str, ...] | None
    extra: tuple[ExtraFeature, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _in_order(self.columns))
        own = extended_names(self.extra)
        if self.windowed != self.extra and MEAN_RANGE.name in own:
            raise ConfigError(
                "extra features with other names than the set's own", found=MEAN_RANGE.name, fix="rename it"
            )

    @property
    def whole(self) -> bool:
        """True if it is the unified 49 with nothing beside them."""
        return self.columns is None and not self.extra

    @cached_property
    def windowed(self) -> tuple[ExtraFeature, ...]:
        """Columns behind the chosen ones, computed from windows of bars."""
        ranged = self.columns is None or ATR_COLUMNS[0] in self.columns
        return self.extra if ranged else (mean_range_column(), *self.extra)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in their order."""
        return (*(NAMES if self.columns is None else self.columns), *(one.name for one in self.windowed))

    @cached_property
    def places(self) -> Int64Array:
        """int64 (N,): places of the chosen columns among the 49."""
        return np.array([NAMES.index(name) for name in self.columns or NAMES], dtype=np.int64)

    @cached_property
    def warmup(self) -> int:
        """Bars after which no value depends on an earlier one: the longest memory of a column, or a recursion's."""
        memories = [MEMORY.get(name, WARMUP) for name in self.columns or NAMES]
        return max(*memories, *(one.window for one in self.windowed), 1)

    def chosen(self, values: Float32Array) -> Float32Array:
        """The chosen columns of ``values`` (..., 49), in memory of their own unless all are chosen."""
        return values if self.columns is None else np.ascontiguousarray(values[..., self.places])

    def fingerprint(self, interval_ms: int, dtype: DTypeLike) -> str:
        """sha256 over the definitions and order of all columns, the warm-up, dtype and interval."""
        if self.columns is None:
            return extended_fingerprint(interval_ms, dtype, self.extra)
        specs = [spec for spec in CATALOGUE if spec.name in self.columns]
        specs += [MEAN_RANGE] if self.windowed != self.extra else []
        definitions = [(spec.name, spec.version, spec.windows) for spec in specs]
        found = fingerprint(definitions, self.warmup, output_dtype(dtype).name, positive_interval(interval_ms))
        return fingerprint(found, [one.definition() for one in self.extra]) if self.extra else found

    def definitions(self, interval_ms: int, dtype: DTypeLike) -> dict[str, str]:
        """The pieces of which the fingerprint is made, in column order."""
        pieces = feature_definitions(interval_ms, dtype, self.extra)
        if self.columns is None:
            return pieces
        own = {MEAN_RANGE.name: MEAN_RANGE} if self.windowed != self.extra else {}
        kept = {name: piece for name, piece in pieces.items() if name not in NAMES or name in self.columns}
        ranges = {name: fingerprint(name, spec.version, spec.windows)[:16] for name, spec in own.items()}
        ordered = {name: {**kept, **ranges}[name] for name in self.names}
        return {**ordered, **kept, "warm-up": f"{self.warmup} bars"}


def _in_order(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """`columns` in the catalogue's order; None where they are all of the 49."""
    if columns is None:
        return None
    chosen = tuple(columns)
    unknown = [str(name) for name in chosen if name not in NAMES]
    if unknown or not chosen or len(set(chosen)) != len(chosen):
        found = ", ".join(unknown) or ("none" if not chosen else "one of them twice")
        raise ConfigError("features.columns among the 49, each once, or null", found=found, fix="see docs/features.md")
    return None if len(chosen) == len(NAMES) else tuple(name for name in NAMES if name in chosen)
