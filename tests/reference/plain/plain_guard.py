"""Step 7, second half: each rule over all symbols before the next; a rule only cuts increases."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plain_account import Account, Bar, Distances, Order
from plain_rounding import floor_to_lot

from quantlab.core.results import OrderReason
from quantlab.trading.strategy.strategy import Limits


@dataclass
class Want:
    """A request on its way through the rules.

    `change` is the signed change in units; where the request `closes` what is held first, it is what is
    opened after that: nothing for a close, the opening leg of a flip.
    """

    held: float
    change: float
    target: float
    distances: Distances
    reason: OrderReason
    closes: bool = False
    price_known: bool = True
    counted: bool = True

    @property
    def is_opening(self) -> bool:
        return self.held == 0.0

    @property
    def is_flip(self) -> bool:
        return self.closes and self.change != 0.0

    @property
    def is_increase(self) -> bool:
        return self.is_opening or self.is_flip or self.change * self.held > 0.0

    @property
    def freed(self) -> float:
        """The units that the closing leg of a flip takes off."""
        return abs(self.held) if self.is_flip else 0.0

    @property
    def beyond(self) -> float:
        """The units of an increase that its own closing leg makes no room for."""
        return max(abs(self.change) - self.freed, 0.0)

    @property
    def kept(self) -> float:
        """The units that an increase builds on."""
        return 0.0 if self.closes else self.held


def close(held: float, reason: OrderReason, *, counted: bool = True) -> Want:
    return Want(held, 0.0, 0.0, Distances(), reason, closes=True, counted=counted)


Wants = list[Want | None]


def increases(wants: Wants) -> list[tuple[int, Want]]:
    return [(s, want) for s, want in enumerate(wants) if want is not None and want.is_increase]


def cut(account: Account, wants: Wants, s: int, rule: str, units: float) -> None:
    """Shrink an increase to `units`, never below what is held; a flip without an opening leg is a close."""
    want = wants[s]
    assert want is not None
    account.cuts[rule] += 1
    account.branches[f"{rule} cut"] += 1
    if want.is_flip:
        account.branches["flip refused"] += units == 0.0
        want.change = units
    elif abs(units) <= abs(want.held):
        wants[s] = None
    else:
        want.change = units - want.held


def apply_rules(account: Account, wants: Wants, row: list[Bar], limits: Limits, halted: bool, flatten: bool) -> None:
    """Every rule up to `rollout`, in the page's order; `wants` is changed in place."""
    _not_finite(account, wants)
    if halted:
        for s, _ in increases(wants):
            cut(account, wants, s, "halt", 0.0)
    if flatten:
        _flatten(account, wants)
    for s, _ in increases(wants):
        if not row[s].traded:
            cut(account, wants, s, "tradable", 0.0)
    _suspect(account, wants, row)
    if limits.max_positions is not None:
        _max_positions(account, wants, limits.max_positions)
    if limits.max_weight is not None:
        _max_weight(account, wants, row, limits.max_weight)
    if limits.max_gross_leverage is not None:
        _max_gross_leverage(account, wants, row, limits.max_gross_leverage)
    if limits.rollout != 1.0:
        for s, want in increases(wants):
            cut(account, wants, s, "rollout", (want.kept + want.change) * limits.rollout)


def _not_finite(account: Account, wants: Wants) -> None:
    broke = not (math.isfinite(account.equity) and account.equity > 0.0)
    for s, want in increases(wants):
        if broke or not want.distances.known or not want.price_known:
            account.branches["equity at or below zero"] += broke
            cut(account, wants, s, "not_finite", 0.0)


def _suspect(account: Account, wants: Wants, row: list[Bar]) -> None:
    """Nothing is increased at a close that nothing agrees with yet."""
    for s, want in increases(wants):
        if row[s].close_is_suspect:
            account.branches["suspect flip becomes its close"] += want.is_flip
            cut(account, wants, s, "suspect", 0.0)


def _flatten(account: Account, wants: Wants) -> None:
    for s in account.held():
        held = account.positions[s].units
        wants[s] = close(held, OrderReason.FLATTEN, counted=False)
        account.branches["flatten"] += 1


def _max_positions(account: Account, wants: Wants, limit: int) -> None:
    entries = [(s, want) for s, want in increases(wants) if want.is_opening]
    entries.sort(key=lambda entry: (-abs(entry[1].target), entry[0]))
    free = max(limit - len(account.held()), 0)
    for s, _ in entries[free:]:
        cut(account, wants, s, "max_positions", 0.0)


def _max_weight(account: Account, wants: Wants, row: list[Bar], limit: float) -> None:
    for s, want in increases(wants):
        if abs(want.target) > limit:
            want.target = math.copysign(limit, want.target)
            cut(account, wants, s, "max_weight", want.target * account.equity / row[s].close)


def _max_gross_leverage(account: Account, wants: Wants, row: list[Bar], limit: float) -> None:
    if not increases(wants):
        return
    beyond = 0.0
    for s, want in increases(wants):
        beyond += want.beyond * row[s].close
    room = limit * account.equity - account.gross()
    if beyond <= room:
        return
    factor = room / beyond if room > 0.0 else 0.0
    for s, want in increases(wants):
        fits = max(want.freed + factor * want.beyond + min(room, 0.0) / row[s].close, 0.0)
        if fits < abs(want.change):
            account.branches["flip cut to its room"] += want.is_flip
            change = math.copysign(fits, want.change) if fits > 0.0 else 0.0
            cut(account, wants, s, "max_gross_leverage", want.kept + change)
            want.change = change


def legs(want: Want) -> Order:
    """The change in units, as at most a reducing and an increasing leg."""
    order = Order(counted=want.counted, reason=want.reason, distances=want.distances)
    if want.closes:
        order.reducing, order.increasing, order.closes = -want.held, want.change, want.change == 0.0
    elif want.is_increase:
        order.increasing = want.change
    else:
        order.reducing = want.change
    return order


def size_rules(account: Account, s: int, order: Order) -> Order | None:
    """`lot`, then `min_notional`: the only rules that also drop a partial reduction, never a full close."""
    terms, price = account.terms[s], account.marks[s]
    for rule in ("lot", "min_notional"):
        for leg in ("reducing", "increasing"):
            units = getattr(order, leg)
            exempt = leg == "reducing" and (order.closes or order.is_flip)
            if units == 0.0 or exempt:
                continue
            _note_unknown(account, s, price, rule)
            if rule == "lot":
                setattr(order, leg, math.copysign(floor_to_lot(abs(units), terms.lot_at(price)), units))
            elif abs(units) * price < terms.smallest_order_usd:
                setattr(order, leg, 0.0)
            if getattr(order, leg) == 0.0:
                account.cuts[rule] += 1
                account.branches[f"{rule} cut"] += 1
                if leg == "increasing" and order.reducing != 0.0:
                    order.closes = True
                    account.branches["flip refused"] += 1
    return order if order.reducing != 0.0 or order.increasing != 0.0 else None


def _note_unknown(account: Account, s: int, price: float, rule: str) -> None:
    terms = account.terms[s]
    lot, smallest = terms.instrument.lot, terms.instrument.min_notional
    if rule == "lot":
        account.branches["decision under changed rules"] += terms.instrument is not account.bars.instruments[s]
        account.branches["lot unknown at a decision"] += lot != terms.lot_at(price)
        account.branches["lot just known"] += lot > 0.0 and lot * price == terms.costs.coarsest_order_usd
    else:
        account.branches["smallest order unknown"] += smallest != terms.smallest_order_usd
        account.branches["smallest order just known"] += smallest == terms.costs.coarsest_order_usd
