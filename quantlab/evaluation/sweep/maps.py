"""Two parameters against each other: a table of medians over everything else that was varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.evaluation.report.html import Html, number, tag
from quantlab.evaluation.sweep.scores import SweepTable

#: More distinct values than this are put into as many classes of equal size.
MAX_CLASSES = 8
#: Pairs that are shown.
MAX_MAPS = 15


@dataclass(frozen=True)
class PairMap:
    """Medians of a score over the cells of two parameters.

    Parameters
    ----------
    down, across : str
        Parameter names.
    rows, columns : tuple of str
        Labels of their values, ascending.
    median : float64 (R, C)
        NaN where no parameter set falls.
    count : int64 (R, C)
    """

    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    median: Float64Array
    count: Int64Array


def varied_names(table: SweepTable) -> list[str]:
    """Parameters that took at least two values."""
    return [name for name in table.names if len({values[name] for values in table.values}) > 1]


def pair_maps(table: SweepTable, score: Float64Array) -> list[PairMap]:
    """A map for every pair of parameters that took at least two values each, at most :data:`MAX_MAPS`.

    The *median* is shown, not the best: a maximum over what is averaged away would be largest where most was
    tried.

    Parameters
    ----------
    score : float64 (N,)
        NaN = undefined, left out.
    """
    names = varied_names(table)
    classes = {name: _classes([values[name] for values in table.values]) for name in names}
    return [_map(down, across, classes, score) for down, across in list(combinations(names, 2))[:MAX_MAPS]]


def _map(
    down: str, across: str, classes: dict[str, tuple[tuple[str, ...], Int64Array]], score: Float64Array
) -> PairMap:
    (rows, row), (columns, column) = classes[down], classes[across]
    shape = (len(rows), len(columns))
    median, count = np.full(shape, np.nan), np.zeros(shape, np.int64)
    known = np.isfinite(score)
    for r in range(shape[0]):
        for c in range(shape[1]):
            inside = score[known & (row == r) & (column == c)]
            count[r, c] = len(inside)
            if len(inside):
                median[r, c] = np.median(inside)
    return PairMap(down, across, rows, columns, median, count)


def _classes(values: list[Any]) -> tuple[tuple[str, ...], Int64Array]:
    """Labels in order, and the class of each value."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    distinct = sorted(set(values)) if numbers else sorted(set(values), key=str)
    if not numbers or len(distinct) <= MAX_CLASSES:
        labels = tuple(value_text(value) for value in distinct)
        return labels, np.array([distinct.index(value) for value in values], dtype=np.int64)
    array = np.array(values, dtype=np.float64)
    edges = np.unique(np.quantile(array, np.linspace(0.0, 1.0, MAX_CLASSES + 1)))
    inner = edges[1:-1]
    labels = tuple(f"{low:.3g} .. {high:.3g}" for low, high in pairwise(edges))
    return labels, np.searchsorted(inner, array, side="right").astype(np.int64)


def short_names(names: Sequence[str]) -> list[str]:
    """Parameter names in words that wrap, without the part they belong to where that leaves them distinct."""
    fields = [name.rpartition(".")[2].replace("_", " ") for name in names]
    return fields if len(set(fields)) == len(fields) else list(names)


def values_text(values: Mapping[str, Any]) -> str:
    """Parameters with their values, in words."""
    return ", ".join(f"{name} = {value_text(value)}" for name, value in values.items())


def value_text(value: Any) -> str:
    """A value in few characters: on and off for flags and for limits that are switched off."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return format(value, ".4g") if isinstance(value, float) else str(value)


def sharpe_cell(value: float, scale: float, **attributes: object) -> Html:
    """A table cell; NaN is shown as a dash.

    Parameters
    ----------
    value : float
    scale : float
        Size, > 0, that is drawn in full strength.
    """
    if not np.isfinite(value):
        return tag("td", number(None), class_="cell flat")
    kind = "gain" if value > 0 else "loss" if value < 0 else "flat"
    style = f"--strength:{min(abs(value) / scale, 1.0):.3f}"
    return tag("td", number(float(value), "+.2f"), class_=f"cell {kind}", style=style, **attributes)


def finite_or_none(value: float) -> float | None:
    """The value, None where it is not finite."""
    return float(value) if np.isfinite(value) else None
