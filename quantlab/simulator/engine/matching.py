"""Prices and sizes of fills on the venue's grid, by the house's own matching functions."""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import NamedTuple

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import Order, Side
from quantlab.trading.account.matching import budget, fill_price, usable_lot

#: A quotient this close to a whole number, relative to its size, is whole: a few roundings of floats.
WHOLE = 1e-9
#: More lots than any order has.
UNLIMITED = sys.maxsize
_KEPT_QUOTES = 4096


class Quote(NamedTuple):
    """The best prices of a symbol, at which takers fill: its running price, slipped and on the tick.

    Parameters
    ----------
    bid, ask : int
        Grid ticks.
    """

    bid: int
    ask: int

    def taken_by(self, side: Side) -> int:
        """Price at which a taker of this side fills."""
        return self.ask if side is Side.BUY else self.bid

    def is_crossed_by(self, side: Side, ticks: int) -> bool:
        """Tell whether a limit at `ticks` would take."""
        return ticks >= self.ask if side is Side.BUY else ticks <= self.bid


def _to_ticks(price: float, tick: float, side: Side) -> int:
    """Whole ticks of a fill's price; one off the grid is rounded against the taker."""
    quotient = price / tick
    nearest = round(quotient)
    if abs(quotient - nearest) <= WHOLE * max(1.0, abs(quotient)):
        return nearest
    return math.ceil(quotient) if side is Side.BUY else math.floor(quotient)


def to_price(listing: Listing, ticks: int) -> float:
    """A level as the house's matching reads it."""
    return ticks * float(listing.grid.tick)


def plain_ticks(state: VenueState, listing: Listing, side: Side, price: float) -> int:
    """Price of a maker's fill, or of a liquidation: without slippage."""
    coarsest = state.market.costs.coarsest_tick
    return _filled(side, price, 0.0, listing.instrument.tick, coarsest, float(listing.grid.tick))


def maker_ticks(state: VenueState, listing: Listing, order: Order, price: float) -> int:
    """Price of a resting order's fill where the market reached `price`, never worse than its limit.

    An order that outlived a change of the tick may lie off the new one.
    """
    ticks = plain_ticks(state, listing, order.side, price)
    return min(ticks, order.price_ticks) if order.side is Side.BUY else max(ticks, order.price_ticks)


def _filled(side: Side, price: float, slippage: float, tick: float, coarsest: float, unit: float) -> int:
    """Price of a fill in ticks of `unit` USD where the market is at `price`: slipped, rounded to the tick against the taker."""
    return _to_ticks(fill_price(float(side), price, slippage, tick, float(coarsest)), unit, side)


def quote_at(state: VenueState, listing: Listing, price: float) -> Quote:
    """The quote where the market is at `price`."""
    market = state.market
    return _quote(price, market.slippage, listing.instrument.tick, market.costs.coarsest_tick, float(listing.grid.tick))


@lru_cache(maxsize=_KEPT_QUOTES)
def _quote(*numbers: float) -> Quote:
    """A quote from the numbers that :func:`_filled` takes: in lockstep a bar's orders ask for one and the same."""
    return Quote(_filled(Side.SELL, *numbers), _filled(Side.BUY, *numbers))


def budget_lots(state: VenueState, account: Account, listing: Listing) -> int:
    """Lots that capped fills of an account may still take in the running bar."""
    cell, costs = state.cell(listing), state.market.costs
    if state.ended or not cell.trades:
        return 0
    share = state.market.participation * state.liquidity.get(listing.symbol, 1.0)
    lot = usable_lot(listing.instrument.lot, cell.open, costs.coarsest_order_usd)
    units = budget(share, cell.volume, account.capped.get(listing.symbol, 0.0), lot)
    if not math.isfinite(units):
        return UNLIMITED if units > 0.0 else 0
    return int(units / float(listing.grid.lot) * (1.0 + WHOLE))


def take_budget(account: Account, listing: Listing, lots: int) -> None:
    """Count a capped fill against the budget."""
    account.capped[listing.symbol] = account.capped.get(listing.symbol, 0.0) + lots * float(listing.grid.lot)
