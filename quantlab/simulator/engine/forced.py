"""Trades that nobody asked for: liquidation, auto-deleveraging, the end of a symbol."""

from __future__ import annotations

from decimal import Decimal

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.conditional_book import end_algo
from quantlab.simulator.engine.events import AccountReason, AccountUpdate, CalledPosition, MarginCall
from quantlab.simulator.engine.fills import end_order, fill, money
from quantlab.simulator.engine.listing import BASIS_POINT, Listing, exact
from quantlab.simulator.engine.matching import plain_ticks
from quantlab.simulator.engine.plain_book import open_order
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import (
    ZERO,
    AlgoStatus,
    IncomeType,
    Order,
    OrderStatus,
    OrderType,
    Origin,
    Position,
    Side,
    TimeInForce,
)

#: Client ids by which a client knows these trades.
PREFIXES = {
    Origin.LIQUIDATION: "autoclose-",
    Origin.ADL: "adl_autoclose",
    Origin.SETTLEMENT: "settlement_autoclose-",
}


def cancel_all(state: VenueState, account: Account, symbol: str | None, plain: OrderStatus, algo: AlgoStatus) -> None:
    """End every order of one symbol, or of all, in both books.

    Parameters
    ----------
    state : VenueState
    account : Account
    symbol : str or None
    plain : OrderStatus
    algo : AlgoStatus
    """
    for order in account.resting(symbol):
        end_order(state, order, plain)
    for waiting in account.waiting(symbol):
        end_algo(state, waiting, algo)


def force(state: VenueState, listing: Listing, account: Account, lots: int, ticks: int, origin: Origin) -> Order:
    """Trade `lots` (signed) at `ticks` by an order of the venue's own.

    Parameters
    ----------
    state : VenueState
    listing : Listing
    account : Account
    lots : int
        Signed.
    ticks : int
    origin : Origin
    """
    state.counters.order += 1
    number = state.counters.order
    settled = origin is Origin.SETTLEMENT
    order = Order(
        order_id=number,
        client_id=f"{PREFIXES[origin]}{number}" if origin is not Origin.ADL else PREFIXES[origin],
        account=account.name,
        symbol=listing.symbol,
        side=Side.BUY if lots > 0 else Side.SELL,
        type=OrderType.MARKET if settled else OrderType.LIMIT,
        time_in_force=TimeInForce.GTC if settled else TimeInForce.IOC,
        lots=abs(lots),
        price_ticks=0 if settled else ticks,
        reduce_only=True,
        close_position=False,
        status=OrderStatus.NEW,
        filled_lots=0,
        filled_value=0,
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        good_till_ms=0,
        origin=origin,
        algo_id=0,
        asked_type=OrderType.MARKET if settled else OrderType.LIMIT,
    )
    return fill(state, listing, open_order(state, order), abs(lots), ticks, maker=False)


def settle_symbol(state: VenueState, listing: Listing) -> None:
    """End a symbol: every position in it is closed at the mark, orders go, new ones are refused until it prints again."""
    symbol = listing.symbol
    state.closed.add(symbol)
    state.note("delisted", "", symbol=symbol)
    for account in state.accounts.values():
        held = account.lots(symbol)
        if held:
            ticks = round(state.marks[symbol] / float(listing.grid.tick))
            force(state, listing, account, -held, ticks, Origin.SETTLEMENT)
        cancel_all(state, account, symbol, OrderStatus.EXPIRED, AlgoStatus.EXPIRED)


def worth_and_maintenance(state: VenueState, account: Account, prices: dict[str, float]) -> tuple[Decimal, Decimal]:
    """The account's worth and its maintenance margin at these prices, USD.

    Parameters
    ----------
    state : VenueState
    account : Account
    prices : dict of symbol to float
        Of every held symbol.
    """
    worth, maintenance = account.wallet, ZERO
    for position in account.held():
        listing, price = state.listings[position.symbol], exact(prices[position.symbol])
        value = listing.grid.units(position.lots) * price
        worth += value - position.cost
        maintenance += abs(value) * listing.maintenance
    return worth, maintenance


def judge(state: VenueState, account: Account, prices: dict[str, float]) -> None:
    """Liquidate an account that is worth less than its maintenance margin at these prices.

    Where that margin comes to the rules' share of its worth at the marks it gets a margin call, once until it falls below.

    Parameters
    ----------
    state : VenueState
    account : Account
    prices : dict of symbol to float
        Of every held symbol.
    """
    if not prices:
        account.warned = False
        return
    worth, maintenance = worth_and_maintenance(state, account, prices)
    if worth < maintenance:
        liquidate(state, account, prices)
        account.warned = False
        return
    marks = {symbol: state.marks[symbol] for symbol in prices}
    if marks != prices:
        worth, maintenance = worth_and_maintenance(state, account, marks)
    near = maintenance >= worth * exact(state.rules.margin_call_ratio)
    if near and not account.warned:
        _call(state, account, marks)
    account.warned = near


def _call(state: VenueState, account: Account, prices: dict[str, float]) -> None:
    """Tell an account its positions and their maintenance margins at these prices."""
    called = []
    for position in sorted(account.held(), key=lambda position: state.listings[position.symbol].column):
        listing, price = state.listings[position.symbol], exact(prices[position.symbol])
        called.append(
            CalledPosition(position, price, abs(listing.grid.units(position.lots)) * price * listing.maintenance)
        )
    state.events.append(MarginCall(account.name, state.now_ms, account.wallet, tuple(called)))


def liquidate(state: VenueState, account: Account, prices: dict[str, float]) -> None:
    """Close the whole account at these prices; the liquidation's fee takes the place of the taker's.

    Parameters
    ----------
    state : VenueState
    account : Account
    prices : dict of symbol to float
    """
    held = sorted(account.held(), key=lambda position: state.listings[position.symbol].column)
    _call(state, account, prices)
    state.note("liquidation", account.name, wallet=account.wallet, positions=len(held))
    cancel_all(state, account, None, OrderStatus.CANCELED, AlgoStatus.CANCELED)
    rate = exact(state.market.costs.liquidation_fee_bps) / BASIS_POINT
    for position in held:
        _liquidate_one(state, account, position, prices[position.symbol], rate)


def _liquidate_one(state: VenueState, account: Account, position: Position, price: float, rate: Decimal) -> None:
    listing = state.listings[position.symbol]
    side = Side.SELL if position.lots > 0 else Side.BUY
    ticks = plain_ticks(state, listing, side, price)
    force(state, listing, account, -position.lots, ticks, Origin.LIQUIDATION)
    fee = money(abs(listing.grid.value(position.lots * ticks)) * rate)
    state.pay(account, listing.symbol, IncomeType.INSURANCE_CLEAR, -fee)
    state.note("liquidation_fee", account.name, symbol=listing.symbol, amount=fee)
    state.events.append(
        AccountUpdate(account.name, state.now_ms, AccountReason.INSURANCE_CLEAR, account.wallet, -fee, ())
    )
