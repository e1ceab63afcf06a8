"""Wall mode's walk along the running bar's path: what a straight leg crosses fires or fills, nearest first.

Paths of symbols do not know each other, so an account's margin is looked at where the walk stops: at each call, and at each bar's end.
"""

from __future__ import annotations

import math

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.conditional_book import fire
from quantlab.simulator.engine.forced import is_below_maintenance, liquidate
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.matching import plain_ticks, to_price
from quantlab.simulator.engine.path import path_of, share_of_bar
from quantlab.simulator.engine.plain_book import fill_passed
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.triggers import follow, is_touched, is_trailing, price_when_fired
from quantlab.simulator.engine.values import AlgoOrder, AlgoStatus, Order, Side
from quantlab.trading.account.matching import take_passed


def walk(state: VenueState, until_ms: int) -> None:
    """Walk from the venue's time to `until_ms`, within the running bar.

    Parameters
    ----------
    state : VenueState
    until_ms : int
        At most the running bar's close.
    """
    begun = share_of_bar(state, state.now_ms)
    state.now_ms = max(state.now_ms, until_ms)
    ended = share_of_bar(state, state.now_ms)
    for symbol, listing in state.listings.items():
        cell = state.cell(listing)
        if not math.isfinite(cell.open):
            continue
        path = path_of(state.market.seed, state.row, listing.column, cell)
        if cell.trades:
            for account in state.accounts.values():
                if symbol in account.open_orders.values() or symbol in account.open_algos.values():
                    for _, start, _, end in path.legs(begun, ended):
                        _cross(state, account, listing, start, end)
        state.marks[symbol] = path.price(ended)
    for account in state.accounts.values():
        prices = {position.symbol: state.marks[position.symbol] for position in account.held()}
        if is_below_maintenance(state, account, prices) is not None:
            liquidate(state, account, prices)


def _cross(state: VenueState, account: Account, listing: Listing, start: float, end: float) -> None:
    """Fire and fill what one straight leg crosses."""
    low, high = min(start, end), max(start, end)
    found: list[tuple[float, int, int, Order | AlgoOrder]] = []
    for algo in account.waiting(listing.symbol):
        level = to_price(listing, algo.trigger_ticks)
        if algo.trigger_ticks and is_touched(algo.type, algo.side, low, high, level):
            found.append((abs(level - start), 0, algo.algo_id, algo))
    for order in account.resting(listing.symbol):
        level = to_price(listing, order.price_ticks)
        if take_passed(1.0 if order.side is Side.SELL else -1.0, low, high, level):
            found.append((abs(level - start), 1, order.order_id, order))
    for _, _, _, one in sorted(found, key=lambda item: item[:3]):
        if isinstance(one, AlgoOrder):
            if account.algos[one.algo_id].status is AlgoStatus.NEW:
                fire(state, one, price_when_fired(one, start, to_price(listing, one.trigger_ticks)))
        elif account.orders[one.order_id].status.is_open:
            level = to_price(listing, one.price_ticks)
            reached = max(start, level) if one.side is Side.SELL else min(start, level)
            fill_passed(state, account.orders[one.order_id], plain_ticks(state, listing, one.side, reached))
    for algo in account.waiting(listing.symbol):
        if is_trailing(algo.type):
            moved = follow(listing, algo, low, high, state.now_ms)
            if moved is not algo:
                state.keep_algo(moved, is_open=True)
