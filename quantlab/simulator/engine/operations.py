"""Things that are done to an account: deposits, transfers, leverage, and faults of the market by request."""

from __future__ import annotations

from decimal import Decimal

from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError
from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.events import AccountReason, AccountUpdate, LeverageUpdate
from quantlab.simulator.engine.fills import money
from quantlab.simulator.engine.forced import force, liquidate, settle_symbol
from quantlab.simulator.engine.matching import plain_ticks
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.valuation import wallet_view
from quantlab.simulator.engine.values import IncomeType, Origin, Side, Trade


def deposit(state: VenueState, account: Account, amount: Decimal) -> None:
    """Pay an account's first money in."""
    state.pay(account, "", IncomeType.TRANSFER, money(amount))
    state.note("deposit", account.name, amount=money(amount))


def transfer(state: VenueState, account: Account, amount: Decimal) -> Refused | None:
    """Move money in or out; out only what is free.

    Parameters
    ----------
    state : VenueState
    account : Account
    amount : Decimal
        USD, negative for out.
    """
    amount = money(amount)
    if amount < 0 and -amount > wallet_view(state, account).withdrawable:
        return refuse(-2018)
    state.pay(account, "", IncomeType.TRANSFER, amount)
    state.note("transfer", account.name, amount=amount)
    reason = AccountReason.DEPOSIT if amount > 0 else AccountReason.WITHDRAW
    state.events.append(AccountUpdate(account.name, state.now_ms, reason, account.wallet, amount, ()))
    return None


def set_leverage(state: VenueState, account: Account, symbol: str, leverage: int) -> Refused | None:
    """Set a symbol's leverage.

    Parameters
    ----------
    state : VenueState
    account : Account
    symbol : str
    leverage : int
    """
    if symbol not in state.listings:
        return refuse(-1121)
    if not 1 <= leverage <= state.listings[symbol].max_leverage:
        return refuse(-4028)
    before = account.leverage.get(symbol)
    account.leverage[symbol] = leverage
    view = wallet_view(state, account)
    if view.margin_balance < view.position_margin + view.order_margin:
        account.leverage.pop(symbol)
        if before is not None:
            account.leverage[symbol] = before
        return refuse(-2028)
    state.note("leverage", account.name, symbol=symbol, leverage=leverage)
    state.events.append(LeverageUpdate(account.name, state.now_ms, symbol, leverage))
    return None


def deleverage(state: VenueState, account: Account, symbol: str, lots: int) -> Trade | None:
    """Close up to `lots` of a position at the running price, without a fee, under ADL's client id.

    Parameters
    ----------
    state : VenueState
    account : Account
    symbol : str
    lots : int
        > 0.
    """
    listing, held = state.listings[symbol], account.lots(symbol)
    price = running_price(state, listing)
    if held == 0 or price is None or lots <= 0:
        return None
    side = Side.SELL if held > 0 else Side.BUY
    closed = int(side) * min(abs(held), lots)
    state.note("adl", account.name, symbol=symbol, lots=abs(closed))
    force(state, listing, account, closed, plain_ticks(state, listing, side, price), Origin.ADL)
    return account.trades[-1]


def liquidate_now(state: VenueState, account: Account) -> None:
    """Liquidate an account at the running prices."""
    prices = {}
    for position in account.held():
        price = running_price(state, state.listings[position.symbol])
        prices[position.symbol] = state.marks[position.symbol] if price is None else price
    if prices:
        liquidate(state, account, prices)


def delist(state: VenueState, symbol: str) -> None:
    """End a symbol for good."""
    _check_listed(state, symbol)
    if symbol in state.marks:
        settle_symbol(state, state.listings[symbol])
    state.closed.add(symbol)
    state.delisted.add(symbol)


def set_liquidity(state: VenueState, symbol: str, share: float) -> None:
    """Scale the budget of capped fills.

    Parameters
    ----------
    state : VenueState
    symbol : str
    share : float
        >= 0.
    """
    _check_listed(state, symbol)
    check_range("share", share, low=0.0)
    state.liquidity[symbol] = share
    state.note("liquidity", "", symbol=symbol, share=repr(float(share)))


def _check_listed(state: VenueState, symbol: str) -> None:
    if symbol not in state.listings:
        found = repr(symbol)
        raise ConfigError(f"a symbol: {', '.join(state.listings)}", found=found, fix="name one of the market's symbols")
