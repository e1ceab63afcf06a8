"""Wall mode's walk along the running bar's path: what a straight leg crosses fires or fills, nearest first.

Paths of symbols do not know each other. An account that holds something stops the walk of all where its worth falls below its
maintenance margin, and is liquidated there; what fills on the way counts from the walk's next stop on.
"""

from __future__ import annotations

import itertools
import math

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.conditional_book import fire
from quantlab.simulator.engine.forced import judge, liquidate
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.matching import maker_ticks, to_price
from quantlab.simulator.engine.path import Path, path_of, share_of_bar
from quantlab.simulator.engine.plain_book import fill_passed
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.triggers import follow, is_touched, is_trailing, price_when_fired
from quantlab.simulator.engine.values import AlgoOrder, AlgoStatus, Order, Side
from quantlab.trading.account.matching import take_passed

#: Parts of a bar that are one and the same moment.
_SAME_MOMENT = 1e-9


def walk(state: VenueState, until_ms: int, *, to_close: bool = False) -> None:
    """Walk from the venue's time to `until_ms`, within the running bar.

    Parameters
    ----------
    state : VenueState
    until_ms : int
        At most the running bar's last millisecond.
    to_close : bool
        Go on to the bar's last price; the bar ends next.
    """
    at = share_of_bar(state, state.now_ms)
    state.now_ms = max(state.now_ms, until_ms)
    until = 1.0 if to_close else share_of_bar(state, state.now_ms)
    paths = _paths(state)
    while True:
        falls = {name: _margin_call_at(state, account, paths, at, until) for name, account in state.accounts.items()}
        stop = min((share for share in falls.values() if share is not None), default=until)
        _walk_straight(state, paths, at, stop)
        for name, account in state.accounts.items():
            if falls[name] is not None:
                now = _margin_call_at(state, account, paths, stop, until)
                if now is not None and now - stop <= _SAME_MOMENT:
                    liquidate(state, account, _marks_held(state, account))
        if stop >= until:
            break
        at = stop
    for account in state.accounts.values():
        judge(state, account, _marks_held(state, account))


def _paths(state: VenueState) -> dict[str, Path]:
    """Paths of the symbols that have a bar."""
    found = {}
    for symbol, listing in state.listings.items():
        cell = state.cell(listing)
        if math.isfinite(cell.open):
            found[symbol] = path_of(state.market.seed, state.row, listing.column, cell)
    return found


def _marks_held(state: VenueState, account: Account) -> dict[str, float]:
    return {position.symbol: state.marks[position.symbol] for position in account.held()}


def _walk_straight(state: VenueState, paths: dict[str, Path], after: float, until: float) -> None:
    """Walk every symbol's path between two shares of the bar."""
    for symbol, path in paths.items():
        listing = state.listings[symbol]
        if state.cell(listing).trades:
            for account in state.accounts.values():
                if symbol in account.open_orders.values() or symbol in account.open_algos.values():
                    for _, start, _, end in path.legs(after, until):
                        _cross(state, account, listing, start, end)
        state.marks[symbol] = path.price(until)


def _margin_call_at(
    state: VenueState, account: Account, paths: dict[str, Path], after: float, until: float
) -> float | None:
    """First share of the bar at which what is held is worth less than its maintenance margin; None for none.

    Worth less margin is straight between the bends of all paths, so its first zero is exact.
    """
    held = account.held()
    if not held:
        return None
    bends = {after, until}
    for position in held:
        if position.symbol in paths:
            bends |= {time for time in paths[position.symbol].times if after < time < until}
    shares = sorted(bends)
    spare = [float(account.wallet - sum(position.cost for position in held))] * len(shares)
    for position in held:
        listing, path = state.listings[position.symbol], paths.get(position.symbol)
        units = float(listing.grid.units(position.lots))
        slope = units - float(listing.maintenance) * abs(units)
        prices = [state.marks[position.symbol] if path is None else path.price(share) for share in shares]
        spare = [have + slope * price for have, price in zip(spare, prices, strict=True)]
    for (share, have), (later, left) in itertools.pairwise(zip(shares, spare, strict=True)):
        if have < 0.0:
            return share
        if left < 0.0:
            return share + (later - share) * have / (have - left)
    return shares[-1] if spare[-1] < 0.0 else None


def _cross(state: VenueState, account: Account, listing: Listing, start: float, end: float) -> None:
    """Fire and fill what one straight leg crosses."""
    _trail(state, account, listing, start, start)  # the leg may begin beyond the last one's end: a bar's open
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
            fill_passed(state, account.orders[one.order_id], maker_ticks(state, listing, one, reached))
    _trail(state, account, listing, low, high)


def _trail(state: VenueState, account: Account, listing: Listing, low: float, high: float) -> None:
    """Let trailing stops follow a range of prices."""
    for algo in account.waiting(listing.symbol):
        if is_trailing(algo.type):
            state.move_trigger(follow(listing, algo, low, high, state.now_ms))
