"""Prices and sizes of fills: the on-grid rule, rounding against us, and the participation budget.

A venue changes its steps as prices change, and history is read with one set of them. So a step that is too coarse
for the price or the order at hand counts as unknown, which is 0: continuous. Each price is judged by itself.
"""

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
def is_whole(value: float, step: float) -> bool:
    """Tell whether `value` is a whole number of steps, but for the rounding of floats; see :func:`round_down`."""
    quotient = value / step
    return abs(quotient - np.rint(quotient)) <= ON_GRID_TOLERANCE * max(1.0, abs(quotient))


@compiled(forceinline=True, _nrt=False)
def whole_lots(held: float, units: float, lot: float) -> float:
    """Return the units to book for a fill of `units` on `held`, both signed, so that a position is whole lots and flat exactly 0.

    Decimal sizes are no sums of floats: 0.1 + 0.2 - 0.3 leaves 5.6e-17 units. What is no whole number of lots, since
    the venue has made the lot coarser while it was held, is added up as it is, and is flat where less than rounding is left.
    """
    if lot == 0.0:
        return units
    if is_whole(held, lot) and is_whole(units, lot):
        return (np.rint(held / lot) + np.rint(units / lot)) * lot - held
    rest = held + units
    return -held if abs(rest) <= ON_GRID_TOLERANCE * max(lot, abs(held)) else units


@compiled(forceinline=True, _nrt=False)
def usable_tick(tick: float, price: float, coarsest: float) -> float:
    """Return the tick that rounds `price`: 0 where it is more than the share `coarsest` of it; of NaN and prices <= 0, too."""
    return tick if tick <= coarsest * price else 0.0


@compiled(forceinline=True, _nrt=False)
def usable_lot(lot: float, price: float, coarsest: float) -> float:
    """Return the lot at `price`: 0 where it is worth more than `coarsest` USD."""
    return lot if lot * price <= coarsest else 0.0


@compiled(forceinline=True, _nrt=False)
def usable_notional(min_notional: float, coarsest: float) -> float:
    """Return the smallest notional, USD: 0 where it is more than `coarsest`."""
    return min_notional if min_notional <= coarsest else 0.0


@compiled(forceinline=True, _nrt=False)
def fill_price(units: float, price: float, slippage: float, tick: float, coarsest: float) -> float:
    """Price at which `units` (signed) trade: worse by `slippage`, then rounded to a usable tick against us.

    A buy is rounded up, a sell down.
    """
    if units > 0.0:
        slipped = price * (1.0 + slippage)
        return round_up(slipped, usable_tick(tick, slipped, coarsest))
    slipped = price * (1.0 - slippage)
    return round_down(slipped, usable_tick(tick, slipped, coarsest))


@compiled(forceinline=True, _nrt=False)
def budget(participation: float, volume: float, used: float, lot: float) -> float:
    """Units that may still fill in this bar: a share of its volume, less what capped fills took."""
    return max(round_down(participation * volume - used, lot), 0.0)


@compiled(forceinline=True, _nrt=False)
def within_budget(units: float, room: float) -> float:
    """`units` (> 0), or what the budget has room for; rounding errors of a position are no reason to leave a rest of it."""
    return units if units <= room * (1.0 + ON_GRID_TOLERANCE) else room


@compiled(forceinline=True, _nrt=False)
def has_volume(volume: float, open_price: float) -> bool:
    """Tell whether anything can fill in a bar; false for NaN."""
    return volume > 0.0 and open_price > 0.0


@compiled(forceinline=True, _nrt=False)
def stop_level(side: float, price: float, distance: float, tick: float, coarsest: float) -> float:
    """Stop price of a position opened at `price`, rounded to a usable tick away from it; ``-+inf`` for no stop."""
    if side > 0.0:
        level = price - distance
        return round_down(level, usable_tick(tick, level, coarsest))
    level = price + distance
    return round_up(level, usable_tick(tick, level, coarsest))


@compiled(forceinline=True, _nrt=False)
def take_level(side: float, price: float, distance: float, tick: float, coarsest: float) -> float:
    """Take-profit price of a position opened at `price`, rounded to a usable tick away from it; ``+-inf`` for none."""
    return stop_level(-side, price, distance, tick, coarsest)


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
