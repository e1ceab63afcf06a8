"""What every row must pass before it is stored, whichever way it came; and who shows that it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import DataError
from quantlab.data.quality.bar_checks import check_rows
from quantlab.data.series.alignment import Series
from quantlab.data.series.timestamp_checks import (
    check_increasing,
    check_on_grid,
    check_years,
    drop_repeats,
    floor_to_hour,
)
from quantlab.data.store.day_files import BARS
from quantlab.data.store.store import Store


class CollectProgress(Protocol):
    """Shows how a collection comes along."""

    def plan(self, steps: Mapping[str, int]) -> None:
        """So many steps of each symbol are ahead."""
        ...

    def advance(self, symbol: str) -> None:
        """One step of `symbol` is done."""
        ...


@dataclass(frozen=True)
class CollectOutcome:
    """How a collection ended.

    Parameters
    ----------
    rows : int
        New ones.
    repeated : int
        That were there already, or came twice, with the same values.
    refused : dict of symbol to DataError
        Symbols that stopped early, and why; what came before is stored.
    notes : tuple of str
        What else a reader should know.
    """

    rows: int = 0
    repeated: int = 0
    refused: Mapping[str, DataError] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Importer(Protocol):
    """Something that brings rows into a dataset: an exchange, or files."""

    @property
    def exchange(self) -> str: ...

    @property
    def interval_ms(self) -> int: ...

    def fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        """Add what the dataset lacks.

        Raises
        ------
        QuantlabError
            If nothing more can be had; what was committed before stays.
        """
        ...


def check_series(
    kind: str, time_ms: Int64Array, values: Float64Array, interval_ms: int, origin: str
) -> tuple[Series, int]:
    """Rows that may be stored, and how many exact repeats were dropped from them.

    Parameters
    ----------
    kind : {"bars", "funding"}
    time_ms : int64 (N,)
        Bar opens, or the stamps of funding rates.
    values : float64 (N, 5) or (N, 1)
    interval_ms : int
    origin : str
        For messages.

    Raises
    ------
    DataError
        If a row is not sound, contradicts another, or stands at a wrong place or time.
    """
    check_years(time_ms, origin)
    time_ms, values, dropped = drop_repeats(time_ms, values, origin)
    check_increasing(time_ms, origin)
    if kind == BARS:
        check_on_grid(time_ms, interval_ms, origin)
        check_rows(values, time_ms, origin)
    else:
        floor_to_hour(time_ms, origin)
        if not np.isfinite(values).all():
            raise DataError(f"finite funding rates in {origin}", found="missing ones", fix="ask for them again")
    return (time_ms, values), dropped
