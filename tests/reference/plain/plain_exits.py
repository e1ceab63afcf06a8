"""Step 3: stops and take-profits of one symbol inside one bar, then the moves that bind from the next bar."""

from __future__ import annotations

import dataclasses
import math

from plain_account import BASIS_POINTS, Account, Bar
from plain_fills import Budget, note_capped

from quantlab.core.results import OrderReason
from quantlab.trading.strategy.strategy import Costs


def protective_exits(account: Account, t: int, row: list[Bar], budgets: list[Budget], costs: Costs) -> None:
    for s in account.held():
        bar = row[s]
        if not bar.has_volume:
            account.branches["held through no volume"] += 1
            continue
        stopped, taken = touches_stop(account, s, bar), touches_take_profit(account, s, bar)
        if stopped:
            if taken:
                account.branches["both levels in one bar"] += 1
            _stop(account, t, s, bar, budgets[s], costs)
        elif taken and bar.is_suspect:
            account.cuts["suspect"] += 1
            account.branches["suspect take-profit keeps resting"] += 1
        elif taken:
            _take_profit(account, t, s, bar, budgets[s])
        if account.positions[s].units != 0.0 and not bar.is_suspect:
            _trail(account, s, bar)
            _break_even(account, s, bar)


def touches_stop(account: Account, s: int, bar: Bar) -> bool:
    """A touch is a fill; a level <= 0 is never touched."""
    position = account.positions[s]
    if not position.stop > 0.0:
        return False
    return bar.low <= position.stop if position.units > 0.0 else bar.high >= position.stop


def touches_take_profit(account: Account, s: int, bar: Bar) -> bool:
    """A touch is not a fill: the price has to trade through the level."""
    position = account.positions[s]
    if not position.take > 0.0:
        return False
    return bar.high > position.take if position.units > 0.0 else bar.low < position.take


def _stop(account: Account, t: int, s: int, bar: Bar, budget: Budget, costs: Costs) -> None:
    position = account.positions[s]
    long, slippage = position.units > 0.0, costs.slippage_bps / BASIS_POINTS
    touched = min(bar.open, position.stop) if long else max(bar.open, position.stop)
    slipped = touched * (1.0 - slippage) if long else touched * (1.0 + slippage)
    over = abs(position.units) > budget.within(abs(position.units))
    _note_stop(account, s, bar, over)
    _note_rules(account, s)
    price = account.fill_price(s, slipped, buy=not long)
    account.fill(t, s, -position.units, price, account.terms[s].instrument.taker_fee_bps, OrderReason.STOP)
    account.fills[-1] = dataclasses.replace(account.fills[-1], over_participation=over)
    account.stopped[s] = True


def _note_rules(account: Account, s: int) -> None:
    account.branches["level from older rules"] += account.positions[s].rules != account.terms[s].instrument


def _note_stop(account: Account, s: int, bar: Bar, over: bool) -> None:
    position = account.positions[s]
    long = position.units > 0.0
    beyond = bar.open > position.take if long else bar.open < position.take
    account.branches["stop"] += 1
    account.branches["suspect stop"] += bar.is_suspect
    account.branches["stop over participation"] += over
    account.branches["gap through stop"] += bar.open < position.stop if long else bar.open > position.stop
    account.branches["gap beyond take-profit that touches the stop"] += beyond and position.take > 0.0
    account.branches["stop on the entry bar"] += position.bars_held == 0
    account.branches["stop in profit"] += position.stop > position.entry if long else position.stop < position.entry
    account.branches["stop at break-even"] += position.stop == position.entry


def _take_profit(account: Account, t: int, s: int, bar: Bar, budget: Budget) -> None:
    position = account.positions[s]
    long = position.units > 0.0
    filled = budget.take(abs(position.units))
    note_capped(account, budget, filled, abs(position.units))
    account.branches["take-profit"] += 1
    _note_rules(account, s)
    if filled < abs(position.units):
        account.cuts["participation"] += 1
        account.branches["capped take-profit"] += 1
    if filled > 0.0:
        touched = max(bar.open, position.take) if long else min(bar.open, position.take)
        price = account.fill_price(s, touched, buy=not long)
        account.fill(
            t, s, -position.sign * filled, price, account.terms[s].instrument.maker_fee_bps, OrderReason.TAKE_PROFIT
        )


def _trail(account: Account, s: int, bar: Bar) -> None:
    """By this bar's extreme, binding from the next bar, and never looser than before."""
    position = account.positions[s]
    long = position.units > 0.0
    before = position.stop
    if long:
        position.stop = max(before, account.level(s, bar.high - position.trail, up=False))
    else:
        position.stop = min(before, account.level(s, bar.low + position.trail, up=True))
    account.branches["trailing stop moved"] += position.stop != before


def _break_even(account: Account, s: int, bar: Bar) -> None:
    """The stop goes to the entry when an extreme first reaches the trigger; later adds leave it there."""
    position = account.positions[s]
    long = position.units > 0.0
    if not position.break_even > 0.0:
        return
    reached = bar.high >= position.break_even if long else bar.low <= position.break_even
    if not reached:
        return
    before, entry = position.stop, account.level(s, position.entry, up=not long)
    position.stop = max(before, entry) if long else min(before, entry)
    position.break_even = math.nan
    account.branches["break-even moved the stop"] += position.stop != before
