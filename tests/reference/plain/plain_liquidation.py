"""Step 5: the venue closes the whole book when the equity at the adverse extremes is too small."""

from __future__ import annotations

import dataclasses

from plain_account import BASIS_POINTS, Account, Bar

from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading.strategy.strategy import Costs


def liquidate(account: Account, t: int, row: list[Bar], costs: Costs) -> float:
    """Close everything if the maintenance margin is not covered; returns the liquidation fees paid."""
    extremes = [_adverse(account, s, row[s]) for s in range(len(row))]
    worst = account.value_at(extremes)
    needed = 0.0
    for s in account.held():
        rate = account.terms[s].instrument.maintenance_margin_rate
        needed += rate * abs(account.positions[s].units) * extremes[s]
    if not account.held() or not worst < needed:
        return 0.0
    account.events.append((t, int(RiskEvent.LIQUIDATION), worst, needed))
    account.branches["liquidation"] += 1
    paid = 0.0
    for s in account.held():
        paid += _close(account, t, s, extremes[s], row[s], costs)
    return paid


def _adverse(account: Account, s: int, bar: Bar) -> float:
    if not bar.has_volume:
        return account.marks[s]
    extreme = bar.low if account.positions[s].units > 0.0 else bar.high
    if not bar.is_suspect:
        return extreme
    worse = account.positions[s].worse(extreme, account.marks[s])
    account.branches["suspect extreme is the mark"] += account.positions[s].units != 0.0 and worse != extreme
    return worse


def _close(account: Account, t: int, s: int, extreme: float, bar: Bar, costs: Costs) -> float:
    """The liquidation fee replaces the taker fee and is booked apart: the record carries fee 0."""
    units, mark = account.positions[s].units, account.marks[s]
    price = account.fill_price(s, extreme, buy=units < 0.0)
    fee = abs(units) * price * (costs.liquidation_fee_bps / BASIS_POINTS)
    account.fill(t, s, -units, price, 0.0, OrderReason.LIQUIDATION)
    account.fills[-1] = dataclasses.replace(account.fills[-1], fee=0.0)
    account.cash -= fee
    account.branches["liquidation without volume"] += not bar.has_volume
    at_mark = bar.is_suspect and bar.has_volume and extreme == mark != (bar.low if units > 0.0 else bar.high)
    account.branches["suspect liquidation at the mark"] += at_mark
    return fee
