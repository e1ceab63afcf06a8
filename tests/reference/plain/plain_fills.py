"""Step 2: the orders decided at the last close fill at this open."""

from __future__ import annotations

import math

from plain_account import BASIS_POINTS, Account, Bar, Order
from plain_rounding import floor_to_lot
from plain_terms import Terms

from quantlab.trading.strategy.strategy import Costs


class Budget:
    """What capped fills may still take of one symbol's bar."""

    def __init__(self, bar: Bar, terms: Terms) -> None:
        self.bar, self.lot, self.participation = bar, terms.lot_at(bar.open), terms.costs.participation
        self.lot_is_unknown = self.lot != terms.instrument.lot
        self.filled = 0.0

    def left(self) -> float:
        if not self.bar.has_volume:
            return 0.0
        if self.participation is None:
            return math.inf
        return floor_to_lot(self.participation * self.bar.volume - self.filled, self.lot)

    def within(self, units: float) -> float:
        """The part of `units` (> 0) that there is room for; a rounding error too many is none too many."""
        left = self.left()
        return left if units - left > 1e-12 * left else units

    def take(self, units: float) -> float:
        """The part of `units` (> 0) that fills."""
        filled = self.within(units)
        self.filled += filled
        return filled


def fill_orders(account: Account, t: int, row: list[Bar], budgets: list[Budget], costs: Costs) -> None:
    """Closing and reducing legs of all symbols first, then increasing legs, each in symbol order."""
    closed = [True] * len(row)
    for s, order in enumerate(account.orders):
        if order is not None and order.reducing != 0.0:
            closed[s] = _fill_leg(account, t, s, row[s], budgets[s], costs, order, order.reducing)
            if not closed[s] and order.closes:
                account.wanted[s] = order.reason
                account.branches["cut close stays wanted"] += 1
    for s, order in enumerate(account.orders):
        if order is not None and order.increasing != 0.0:
            _fill_increase(account, t, s, row[s], budgets[s], costs, order, closed[s])
    account.orders = [None] * len(row)


def _fill_increase(
    account: Account, t: int, s: int, bar: Bar, budget: Budget, costs: Costs, order: Order, closed: bool
) -> None:
    was_flat = account.positions[s].units == 0.0
    if not closed:
        _count_cut(account, order, bar)
        account.branches["flip dropped its opening leg"] += 1
        account.branches["suspect flip dropped its opening leg"] += bar.is_suspect and bar.has_volume
        return
    if bar.is_suspect and bar.has_volume:
        account.cuts["suspect"] += 1
        account.branches["suspect flip" if order.is_flip else "suspect open" if was_flat else "suspect add"] += 1
        return
    account.branches["suspect increase without volume"] += bar.is_suspect
    whole = _fill_leg(account, t, s, bar, budget, costs, order, order.increasing)
    if not whole:
        account.branches["cut entry"] += 1
    if account.positions[s].units == 0.0:
        return
    if was_flat:
        _protect(account, s, order)
        account.branches["flip" if order.is_flip else "open"] += 1
        account.branches["short opened" if account.positions[s].units < 0 else "long opened"] += 1
    elif budget.filled > 0.0:
        account.branches["add"] += 1


def _fill_leg(
    account: Account, t: int, s: int, bar: Bar, budget: Budget, costs: Costs, order: Order, units: float
) -> bool:
    """Fill what the budget allows; True if the whole leg filled."""
    filled = budget.take(abs(units))
    note_capped(account, budget, filled, abs(units))
    if filled < abs(units):
        _count_cut(account, order, bar)
    if filled > 0.0:
        buy = units > 0.0
        slippage = costs.slippage_bps / BASIS_POINTS
        price = account.fill_price(s, bar.open * (1.0 + slippage if buy else 1.0 - slippage), buy=buy)
        if bar.is_suspect:
            price = _worse_by_agreed(account, s, price, slippage)
        before = account.positions[s].units
        account.fill(t, s, math.copysign(filled, units), price, account.terms[s].instrument.taker_fee_bps, order.reason)
        _note(account, s, order, before)
    return filled == abs(units)


def _worse_by_agreed(account: Account, s: int, price: float, slippage: float) -> float:
    """A reducing leg in a suspect cell fills no better than at the agreed price, slipped and rounded alike."""
    position = account.positions[s]
    buy = position.units < 0.0
    slipped = position.agreed * (1.0 + slippage if buy else 1.0 - slippage)
    agreed = account.fill_price(s, slipped, buy=buy)
    worse = position.worse(price, agreed)
    account.branches["suspect reduction at the agreed price" if worse != price else "suspect reduction"] += 1
    return worse


def _count_cut(account: Account, order: Order, bar: Bar) -> None:
    rule = "participation" if bar.has_volume else "no_volume"
    account.branches[f"{rule} met"] += 1
    if order.counted:
        account.cuts[rule] += 1


def note_capped(account: Account, budget: Budget, filled: float, wanted: float) -> None:
    if 0.0 < filled < wanted and budget.lot_is_unknown:
        account.branches["lot unknown in a budget that cuts"] += 1


def _note(account: Account, s: int, order: Order, before: float) -> None:
    after = account.positions[s].units
    if abs(after) < abs(before) and not order.closes and not order.is_flip:
        account.branches["partial reduce"] += 1
    if after == 0.0:
        account.branches[f"closed by {order.reason.name}"] += 1


def _protect(account: Account, s: int, order: Order) -> None:
    """Levels from the fill that opened the position, rounded to the tick away from the entry.

    A trailing stop is a stop from the fill on: the nearer of the two distances sets where it starts.
    """
    position = account.positions[s]
    long = position.units > 0.0
    sign, distances = position.sign, order.distances
    position.stop = account.level(s, position.entry - sign * min(distances.stop, distances.trail), up=not long)
    position.take = account.level(s, position.entry + sign * distances.take, up=long)
    position.break_even = account.level(s, position.entry + sign * distances.break_even, up=long)
    position.trail = distances.trail
