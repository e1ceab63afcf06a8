"""Values of an account at the marks: margins, equity, what is free for new orders."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import ZERO, Order, Position, PositionView, Side, WalletView

#: A mark is asked for many times; marks are above 0, so floats that are equal are written alike.
_exact_mark = lru_cache(maxsize=4096)(exact)


def mark_of(state: VenueState, symbol: str) -> Decimal:
    """USD per unit; 0 for a symbol that never printed."""
    price = state.marks.get(symbol)
    return ZERO if price is None else _exact_mark(price)


def leverage_of(state: VenueState, account: Account, listing: Listing) -> int:
    """As set by the account, else the venue's own, within what the symbol allows."""
    return min(account.leverage.get(listing.symbol, state.rules.leverage), listing.max_leverage)


def unrealised(listing: Listing, position: Position, mark: Decimal) -> Decimal:
    """Profit that closing at the mark would realise, before fees."""
    return listing.grid.units(position.lots) * mark - position.cost


def exposed_lots(held: int, orders: tuple[Order, ...]) -> int:
    """Largest number of lots that a position can come to by its open orders; reduce-only ones do not count."""
    adding = [order for order in orders if not order.reduce_only]
    bought = sum(order.left for order in adding if order.side is Side.BUY)
    sold = sum(order.left for order in adding if order.side is Side.SELL)
    return max(abs(held), held + bought, sold - held)


def order_margin(account: Account, listing: Listing, mark: Decimal, leverage: int) -> Decimal:
    """Initial margin of what a symbol's open orders may add to the position."""
    held = account.lots(listing.symbol)
    added = exposed_lots(held, account.resting(listing.symbol)) - abs(held)
    return listing.grid.units(added) * mark / leverage


def wallet_view(state: VenueState, account: Account) -> WalletView:
    """The account's money at the marks."""
    listings = state.listings
    profit = margin = ordered = maintenance = ZERO
    symbols = {position.symbol for position in account.held()} | set(account.open_orders.values())
    for symbol in sorted(symbols):
        listing, mark, position = listings[symbol], mark_of(state, symbol), account.positions.get(symbol)
        leverage = leverage_of(state, account, listing)
        if position is not None and position.lots:
            notional = abs(position.lots) * (listing.grid.lot * mark)
            profit += unrealised(listing, position, mark)
            margin += notional / leverage
            maintenance += notional * listing.maintenance
        if account.open_orders:
            ordered += order_margin(account, listing, mark, leverage)
    balance = account.wallet + profit
    return WalletView(
        wallet=account.wallet,
        unrealised=profit,
        margin_balance=balance,
        position_margin=margin,
        order_margin=ordered,
        maintenance_margin=maintenance,
        available=max(balance - margin - ordered, ZERO),
        updated_ms=state.now_ms,
    )


def position_view(state: VenueState, account: Account, symbol: str, wallet: WalletView) -> PositionView:
    """One position at its mark.

    Parameters
    ----------
    state : VenueState
    account : Account
    symbol : str
    wallet : WalletView
        Of the same account and time.
    """
    listing, mark = state.listings[symbol], mark_of(state, symbol)
    position = account.positions.get(symbol) or Position(symbol, 0, ZERO, 0)
    units = listing.grid.units(position.lots)
    notional = units * mark
    leverage = leverage_of(state, account, listing)
    maintenance = abs(notional) * listing.maintenance
    end = ZERO
    if position.lots:
        rest = wallet.margin_balance - notional - (wallet.maintenance_margin - maintenance)
        end = max(rest / (listing.maintenance * abs(units) - units), ZERO)
    return PositionView(
        symbol=symbol,
        lots=position.lots,
        entry_price=position.cost / units if position.lots else ZERO,
        mark_price=mark,
        unrealised=notional - position.cost,
        notional=notional,
        leverage=leverage,
        initial_margin=abs(notional) / leverage,
        order_margin=order_margin(account, listing, mark, leverage),
        maintenance_margin=maintenance,
        liquidation_price=end,
        updated_ms=position.updated_ms,
    )
