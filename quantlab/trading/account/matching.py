"""Prices and sizes of fills: the on-grid rule, rounding against us, and the participation budget."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled

#: A quotient this close to a whole number (relative to its size, at least 1) counts as whole.
ON_GRID_TOLERANCE = 1e-12


@compiled(forceinline=True, _nrt=False)
def round_down(value: float, step: float) -> float:
    """Largest multiple of `step` not above `value`; `value` itself when `step` is 0 (continuous).

    The result is always an integer times `step`. A quotient within ``ON_GRID_TOLERANCE`` of an
    integer is that integer, so that a price on the grid stays where it is.
    """
    if step == 0.0:
        return value
    quotient = value / step
    nearest = np.rint(quotient)
    if abs(quotient - nearest) <= ON_GRID_TOLERANCE * max(1.0, abs(quotient)):
        return nearest * step
    return np.floor(quotient) * step


@compiled(forceinline=True, _nrt=False)
def round_up(value: float, step: float) -> float:
    """Smallest multiple of `step` not below `value`; see :func:`round_down`."""
    if step == 0.0:
        return value
    quotient = value / step
    nearest = np.rint(quotient)
    if abs(quotient - nearest) <= ON_GRID_TOLERANCE * max(1.0, abs(quotient)):
        return nearest * step
    return np.ceil(quotient) * step


@compiled(forceinline=True, _nrt=False)
def fill_price(units: float, price: float, slippage: float, tick: float) -> float:
    """Price at which `units` (signed) trade: worse by `slippage`, then rounded to the tick against us.

    A buy is rounded up, a sell down, and a sell is never below one tick.
    """
    if units > 0.0:
        return round_up(price * (1.0 + slippage), tick)
    return max(round_down(price * (1.0 - slippage), tick), tick)


@compiled(forceinline=True, _nrt=False)
def budget(participation: float, volume: float, used: float, lot: float) -> float:
    """Units that may still fill in this bar: a share of its volume, less what capped fills took."""
    return max(round_down(participation * volume - used, lot), 0.0)


@compiled(forceinline=True, _nrt=False)
def has_volume(volume: float, open_price: float) -> bool:
    """Tell whether anything can fill in a bar; false for NaN."""
    return volume > 0.0 and open_price > 0.0


@compiled(forceinline=True, _nrt=False)
def stop_level(side: float, price: float, distance: float, tick: float) -> float:
    """Stop price of a position opened at `price`, rounded away from it; ``-+inf`` for no stop."""
    if side > 0.0:
        return round_down(price - distance, tick)
    return round_up(price + distance, tick)


@compiled(forceinline=True, _nrt=False)
def take_level(side: float, price: float, distance: float, tick: float) -> float:
    """Take-profit price of a position opened at `price`, rounded away from it; ``+-inf`` for none."""
    if side > 0.0:
        return round_up(price + distance, tick)
    return round_down(price - distance, tick)


@compiled(forceinline=True, _nrt=False)
def tighter_stop(side: float, one: float, other: float) -> float:
    """The level that a long reaches first when falling, a short when rising."""
    return max(one, other) if side > 0.0 else min(one, other)


@compiled(forceinline=True, _nrt=False)
def gain_reached(side: float, low: float, high: float, level: float) -> bool:
    """Tell whether the favourable extreme touched a level; NaN and levels <= 0 are never touched."""
    if side > 0.0:
        return level > 0.0 and high >= level
    return level > 0.0 and low <= level


@compiled(forceinline=True, _nrt=False)
def stop_touched(side: float, low: float, high: float, level: float) -> bool:
    """A touch is enough; a level that is not a price (NaN, <= 0) is never touched."""
    if side > 0.0:
        return level > 0.0 and low <= level
    return level > 0.0 and high >= level


@compiled(forceinline=True, _nrt=False)
def take_passed(side: float, low: float, high: float, level: float) -> bool:
    """A touch is not a fill: the price must pass the level; a level <= 0 is never passed."""
    if side > 0.0:
        return level > 0.0 and high > level
    return level > 0.0 and low < level
