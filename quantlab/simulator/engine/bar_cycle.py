"""The beginning and the end of a bar, in the house's order.

1. A bar begins: its funding is charged on what is held, at its open. Then orders come, at its open.
2. It ends: in each symbol stops, take-profits, resting limits that the price went beyond; then symbols that are gone
   are settled; then the mark moves to the close, and an account below its maintenance margin at the adverse extremes is liquidated.

Wall mode has walked the bar's path by then: of the second part it does what a path does not do.
"""

from __future__ import annotations

import math

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.conditional_book import fire
from quantlab.simulator.engine.events import AccountReason, AccountUpdate
from quantlab.simulator.engine.fills import money
from quantlab.simulator.engine.forced import judge, settle_symbol
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.market import Cell
from quantlab.simulator.engine.matching import maker_ticks, to_price
from quantlab.simulator.engine.plain_book import fill_passed
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.triggers import (
    GAIN_TYPES,
    follow,
    is_touched,
    is_trailing,
    price_when_fired,
)
from quantlab.simulator.engine.values import AlgoOrder, AlgoStatus, IncomeType, Order, Side, WorkingType
from quantlab.trading.account.matching import take_passed


def begin_bar(state: VenueState) -> None:
    """Open the running bar: new budgets, funding, symbols that print again or for the first time."""
    for account in state.accounts.values():
        account.capped.clear()
    if state.ended:
        return
    for due in state.market.funding_due(state.row):
        for account in state.accounts.values():
            for listing in state.listings.values():
                _charge(state, account, listing, due.stamp_ms, due.rates[listing.column])
    for symbol in state.closed - state.delisted:
        if not state.market.is_absent(state.row, state.listings[symbol].column):
            state.closed.discard(symbol)
    for symbol, listing in state.listings.items():
        if symbol not in state.marks and (cell := state.cell(listing)).trades:
            state.marks[symbol] = cell.open


def _charge(state: VenueState, account: Account, listing: Listing, stamp_ms: int, rate: float) -> None:
    """Charge one rate on one position, at the bar's open; at the mark where the bar has none."""
    lots = account.lots(listing.symbol)
    if lots == 0:
        return
    if math.isnan(rate):
        state.note("missing_funding", account.name, symbol=listing.symbol, stamp_ms=stamp_ms)
        return
    opened = state.cell(listing).open
    price = opened if math.isfinite(opened) else state.marks[listing.symbol]
    received = money(-listing.grid.units(lots) * exact(price) * exact(rate))
    state.pay(account, listing.symbol, IncomeType.FUNDING_FEE, received)
    state.note("funding", account.name, symbol=listing.symbol, stamp_ms=stamp_ms, rate=exact(rate), amount=received)
    state.events.append(
        AccountUpdate(
            account.name,
            state.now_ms,
            AccountReason.FUNDING_FEE,
            account.wallet,
            received,
            (),  # a crossed position is not named
        )
    )


def end_bar(state: VenueState) -> None:
    """End the running bar; the caller opens the next one."""
    lockstep = state.rules.mode == "lockstep"
    cells = {symbol: state.cell(listing) for symbol, listing in state.listings.items()}
    if lockstep:
        for account in state.accounts.values():
            for symbol, listing in state.listings.items():
                if cells[symbol].trades:
                    _settle_orders(state, account, listing, cells[symbol])
    _settle_absent(state)
    for symbol, cell in cells.items():
        if math.isfinite(cell.close):
            state.marks[symbol] = cell.close
    if lockstep:
        for account in state.accounts.values():
            _liquidate_at_extremes(state, account, cells)
    state.note("bar", "", row=state.row)


def _settle_orders(state: VenueState, account: Account, listing: Listing, cell: Cell) -> None:
    """Fire and fill what one bar of one symbol reaches: stops, take-profits, limits; then let trailing stops follow."""
    symbol = listing.symbol
    # What a trigger makes rest in this bar waits for the next one: the bar does not say what came after the trigger.
    waiting, resting = account.waiting(symbol), account.resting(symbol)
    if waiting:
        for gains in (False, True):
            reached = [order for order in waiting if (order.type in GAIN_TYPES) == gains]
            _fire_reached(state, account, listing, cell, reached)
    begin = _open(listing, cell)
    for order in sorted(resting, key=lambda order: (abs(order.price_ticks - begin), order.order_id)):
        _fill_reached(state, listing, cell, order)
    for algo in account.waiting(symbol):
        if is_trailing(algo.type):
            low, high, _ = _range(state, algo, cell)
            state.move_trigger(follow(listing, algo, low, high, state.now_ms))


def _open(listing: Listing, cell: Cell) -> int:
    return round(cell.open / float(listing.grid.tick))


def _range(state: VenueState, order: AlgoOrder, cell: Cell) -> tuple[float, float, float]:
    """Lowest and highest price that an order's trigger sees in the bar, and the price at which a fill begins."""
    if order.working_type is WorkingType.CONTRACT_PRICE:
        return cell.low, cell.high, cell.open
    # The mark of this venue moves at closes only, so what it fires fills at the close.
    mark = state.marks.get(order.symbol, cell.open)
    return min(mark, cell.close), max(mark, cell.close), cell.close


def _fire_reached(state: VenueState, account: Account, listing: Listing, cell: Cell, orders: list[AlgoOrder]) -> None:
    """Fire orders that the bar reaches, nearest to the open first."""
    nearest = sorted(orders, key=lambda order: (abs(order.trigger_ticks - _open(listing, cell)), order.algo_id))
    for order in nearest:
        low, high, start = _range(state, order, cell)
        level = to_price(listing, order.trigger_ticks)
        still = account.algos[order.algo_id].status is AlgoStatus.NEW
        if still and order.trigger_ticks and is_touched(order.type, order.side, low, high, level):
            by_mark = order.working_type is WorkingType.MARK_PRICE
            fire(state, order, start if by_mark else price_when_fired(order, start, level))


def _fill_reached(state: VenueState, listing: Listing, cell: Cell, order: Order) -> None:
    """Fill a resting limit that the bar goes beyond, at its level or at the open beyond it."""
    level = to_price(listing, order.price_ticks)
    sells = order.side is Side.SELL
    order = state.accounts[order.account].orders[order.order_id]
    if order.status.is_open and take_passed(1.0 if sells else -1.0, cell.low, cell.high, level):
        reached = max(cell.open, level) if sells else min(cell.open, level)
        fill_passed(state, order, maker_ticks(state, listing, order, reached))


def _settle_absent(state: VenueState) -> None:
    """Count the bars in a row without a symbol, and settle it when they are too many."""
    market = state.market
    patience = market.costs.delisted_after(market.bars.interval_ms)
    for symbol, listing in state.listings.items():
        gone = market.is_absent(state.row, listing.column) and symbol in state.marks
        state.absent[symbol] = state.absent.get(symbol, 0) + 1 if gone else 0
        if state.absent[symbol] >= patience and symbol not in state.closed:
            settle_symbol(state, listing)


def _liquidate_at_extremes(state: VenueState, account: Account, cells: dict[str, Cell]) -> None:
    """Liquidate an account that is below its maintenance margin where each symbol of it stood worst."""
    worst: dict[str, float] = {}
    for position in account.held():
        cell = cells[position.symbol]
        extreme = cell.low if position.lots > 0 else cell.high
        worst[position.symbol] = extreme if cell.trades else state.marks[position.symbol]
    judge(state, account, worst)
