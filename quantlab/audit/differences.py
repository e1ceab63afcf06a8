"""Differences of two arrays, bit for bit, and the cells in which they lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars


def differs(a: Any, b: Any) -> BoolArray:
    """bool, of the arrays' shape: values that are not the same; NaN is the same as NaN.

    Arrays of different shapes differ in every value of `a`.
    """
    if a is None or b is None:
        return np.array([(a is None) != (b is None)])
    left, right = np.asarray(a), np.asarray(b)
    if left.shape != right.shape or left.dtype != right.dtype:
        return np.ones(left.shape or (1,), dtype=np.bool_)
    different: BoolArray = left != right
    if left.dtype.kind == "f":
        different &= ~(np.isnan(left) & np.isnan(right))
    return different


def cell_label(bars: Bars, row: int, column: int | None = None) -> str:
    """Time and symbol of a cell, for people."""
    time = iso_utc(int(bars.open_time_ms[row]))
    return f"row {row} ({time})" + ("" if column is None else f", {bars.symbols[column]}")


def first_difference(bars: Bars, different: BoolArray, first_row: int = 0) -> str:
    """Label of the cell of the first difference; axis 0 are bars from `first_row` on, axis 1 symbols."""
    where = np.argwhere(different)[0]
    return cell_label(bars, first_row + int(where[0]), int(where[1]) if len(where) > 1 else None)
