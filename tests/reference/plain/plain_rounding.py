"""Prices and sizes on the venue's grid, in the page's words."""

from __future__ import annotations

import math


def on_grid(value: float, step: float, *, up: bool) -> float:
    """`value` rounded to an integer times `step`; a step of 0 is a continuous grid."""
    if step == 0.0 or not math.isfinite(value):
        return value
    multiple = value / step
    nearest = float(round(multiple))
    if abs(multiple - nearest) <= 1e-12 * max(1.0, abs(multiple)):
        return nearest * step
    return float(math.ceil(multiple) if up else math.floor(multiple)) * step


def floor_to_lot(units: float, lot: float) -> float:
    """The largest size on the lot grid that is not above `units`, never below 0."""
    return max(on_grid(units, lot, up=False), 0.0)
