"""The simulated venue: a state machine without clock, thread or wire; every call brings the venue's time."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from quantlab.core.errors import ConfigError, ContractError
from quantlab.simulator.engine import operations, plain_book, queries
from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.bar_cycle import begin_bar, end_bar
from quantlab.simulator.engine.checks import check_symbol
from quantlab.simulator.engine.conditional_book import end_algo, place_conditional
from quantlab.simulator.engine.events import Event
from quantlab.simulator.engine.fills import end_order
from quantlab.simulator.engine.ledger import Ledger
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.market import Market
from quantlab.simulator.engine.matching import Quote, quote_at
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.queries import OrderRef, Page
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.requests import (
    CLIENT,
    Author,
    ConditionalRequest,
    OrderRequest,
    Placed,
    PlacedConditional,
)
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.timers import end_overdue, next_due
from quantlab.simulator.engine.valuation import leverage_of, position_view, wallet_view
from quantlab.simulator.engine.values import (
    AlgoOrder,
    AlgoStatus,
    Income,
    IncomeType,
    Order,
    OrderStatus,
    PositionView,
    Trade,
    WalletView,
)
from quantlab.simulator.engine.wall import walk


class Venue:
    """A market, its rules and its accounts.

    Every method that takes `now_ms` first brings the venue to that time: in wall mode the running bar's path is walked and bars end, in
    both modes orders that end by time end. In lockstep only :meth:`advance` ends a bar, and later times count as the running bar's last
    millisecond. Time never falls: an earlier `now_ms` counts as the last one. Methods without `now_ms` read the state as it is.

    A method that changes something appends to :attr:`ledger` and to the events that :meth:`take_events` gives; a :class:`Refused` has
    changed nothing.

    Parameters
    ----------
    market : Market
    rules : VenueRules
    deposits : mapping of account name to Decimal
        USD that each account begins with.

    Raises
    ------
    ConfigError
        If there is no account, or a deposit is not positive.
    """

    def __init__(self, market: Market, rules: VenueRules, deposits: Mapping[str, Decimal]) -> None:
        if not deposits or min(deposits.values()) <= 0:
            raise ConfigError("accounts with a deposit > 0", found=str(dict(deposits)), fix="set job.account.cash")
        self.state = VenueState(market, rules, {name: Account(name) for name in deposits}, row=market.first_row)
        self.state.now_ms = market.open_ms(market.first_row)
        self.state.marks.update(market.last_closes(market.first_row))
        for name, amount in deposits.items():
            operations.deposit(self.state, self.state.accounts[name], amount)
        begin_bar(self.state)

    # -- time and market ---------------------------------------------------------------------------------------------

    @property
    def market(self) -> Market:
        return self.state.market

    @property
    def rules(self) -> VenueRules:
        return self.state.rules

    @property
    def ledger(self) -> Ledger:
        """Everything that was done; the judge."""
        return self.state.ledger

    @property
    def now_ms(self) -> int:
        """Venue time of the last call."""
        return self.state.now_ms

    @property
    def row(self) -> int:
        """The running bar; bars before it are closed. The number of bars once the market is over."""
        return self.state.row

    @property
    def ended(self) -> bool:
        """Tell whether the last bar has ended: from then on every order is refused (-4108)."""
        return self.state.ended

    @property
    def close_ms(self) -> int:
        """Venue time at which the running bar ends; what lockstep's :meth:`advance` is given to end it."""
        return self.state.close_ms

    @property
    def listings(self) -> Mapping[str, Listing]:
        """Symbols by the rules of the running bar; the same object until rules change."""
        return self.state.listings

    @property
    def marks(self) -> Mapping[str, float]:
        """Mark prices, USD: in lockstep the last close, in wall mode the price; no symbol that never printed."""
        return self.state.marks

    def is_open(self, symbol: str) -> bool:
        """Tell whether orders in a listed symbol are taken (status TRADING)."""
        return check_symbol(self.state, symbol) is None

    def price(self, symbol: str) -> float | None:
        """The price at which the market stands; None for a symbol that never printed."""
        return running_price(self.state, self.listings[symbol])

    def quote(self, symbol: str) -> Quote | None:
        """Best bid and ask, at which takers fill; None for a symbol that never printed."""
        listing, price = self.listings[symbol], self.price(symbol)
        return None if price is None else quote_at(self.state, listing, price)

    def advance(self, now_ms: int) -> int:
        """Bring the venue to a time: bars that close at or before it end, the next ones begin.

        Parameters
        ----------
        now_ms : int
            In lockstep :attr:`close_ms` ends the running bar.

        Returns
        -------
        int
            Bars that ended.
        """
        first = self.state.row
        while not self.state.ended and self.close_ms <= now_ms:
            self._walk_to(self.close_ms - 1, to_close=True)
            end_bar(self.state)
            self.state.now_ms = self.close_ms
            self.state.enter(self.state.row + 1)
            begin_bar(self.state)
            end_overdue(self.state)
        self._walk_to(now_ms)
        return self.state.row - first

    def _walk_to(self, now_ms: int, *, to_close: bool = False) -> None:
        """Go on within the running bar, in wall mode from one moment at which orders end to the next."""
        state = self.state
        if not state.ended:
            now_ms = min(now_ms, self.close_ms - 1)
        if state.rules.mode == "wall" and not state.ended:
            while (due := next_due(state)) is not None and due < now_ms:
                walk(state, due)
                end_overdue(state)
            walk(state, now_ms, to_close=to_close)
        state.now_ms = max(state.now_ms, now_ms)
        end_overdue(state)

    def _be_at(self, account: str, now_ms: int) -> Account:
        """Bring the venue to the time of a request, and find its account."""
        if self.state.rules.mode == "wall":
            self.advance(now_ms)
        else:
            self._walk_to(now_ms)
        return self._account(account)

    def _account(self, name: str) -> Account:
        if name not in self.state.accounts:
            raise ContractError(
                f"an account: {', '.join(self.state.accounts)}", found=name, fix="name one of the venue's accounts"
            )
        return self.state.accounts[name]

    # -- the plain book ----------------------------------------------------------------------------------------------

    def place(self, account: str, request: OrderRequest, now_ms: int, author: Author = CLIENT) -> Placed | Refused:
        """Place a plain order; MARKET, IOC and FOK are final in the answer.

        In lockstep it fills at the open of the running bar, in wall mode at the price on the bar's path, slipped and within the
        bar's budget; a market order's rest expires.

        Parameters
        ----------
        account : str
        request : OrderRequest
        now_ms : int
        author : Author
            :data:`~quantlab.simulator.engine.requests.HUMAN` for the account's owner.
        """
        return plain_book.place(self.state, self._be_at(account, now_ms), request, author)

    def check(self, account: str, request: OrderRequest, now_ms: int) -> Refused | None:
        """Say how a plain order would be refused, and change nothing (the wire's ``order/test``)."""
        checked = plain_book.check(self.state, self._be_at(account, now_ms), request)
        return checked if isinstance(checked, Refused) else None

    def amend(
        self, account: str, symbol: str, ref: OrderRef, lots: int, price_ticks: int, now_ms: int
    ) -> Placed | Refused:
        """Give an open limit order another size and price.

        Parameters
        ----------
        account, symbol : str
        ref : OrderRef
        lots, price_ticks : int
        now_ms : int
        """
        owner = self._be_at(account, now_ms)
        order = queries.find_order(owner, symbol, ref)
        return refuse(-2013) if order is None else plain_book.amend(self.state, owner, order, lots, price_ticks)

    def cancel(self, account: str, symbol: str, ref: OrderRef, now_ms: int) -> Order | Refused:
        """Cancel an open plain order; -2011 for any other, conditional ones included."""
        order = queries.find_order(self._be_at(account, now_ms), symbol, ref)
        if order is None or not order.status.is_open:
            return refuse(-2011)
        return end_order(self.state, order, OrderStatus.CANCELED)

    def cancel_all(self, account: str, symbol: str, now_ms: int) -> tuple[Order, ...]:
        """Cancel every open plain order of a symbol; conditional ones stay."""
        resting = self._be_at(account, now_ms).resting(symbol)
        return tuple(end_order(self.state, order, OrderStatus.CANCELED) for order in resting)

    def countdown(self, account: str, symbol: str, countdown_ms: int, now_ms: int) -> None:
        """Cancel a symbol's plain orders after so long, unless it is set again; 0 takes it back."""
        owner = self._be_at(account, now_ms)
        owner.countdowns.pop(symbol, None)
        if countdown_ms > 0:
            owner.countdowns[symbol] = self.state.now_ms + countdown_ms

    # -- the conditional book ----------------------------------------------------------------------------------------

    def place_conditional(
        self, account: str, request: ConditionalRequest, now_ms: int, author: Author = CLIENT
    ) -> PlacedConditional | Refused:
        """Place a conditional order; it rests until its trigger is reached, and becomes a plain order then."""
        return place_conditional(self.state, self._be_at(account, now_ms), request, author)

    def cancel_conditional(self, account: str, ref: OrderRef, now_ms: int) -> AlgoOrder | Refused:
        """Cancel an open conditional order; -2011 for any other."""
        order = queries.find_algo(self._be_at(account, now_ms), ref)
        if order is None or order.status is not AlgoStatus.NEW:
            return refuse(-2011)
        return end_algo(self.state, order, AlgoStatus.CANCELED)

    def cancel_all_conditional(self, account: str, symbol: str, now_ms: int) -> tuple[AlgoOrder, ...]:
        """Cancel every open conditional order of a symbol."""
        waiting = self._be_at(account, now_ms).waiting(symbol)
        return tuple(end_algo(self.state, order, AlgoStatus.CANCELED) for order in waiting)

    # -- readings ----------------------------------------------------------------------------------------------------

    def order(self, account: str, symbol: str, ref: OrderRef, now_ms: int) -> Order | Refused:
        """A plain order, open or not; -2013 where there is none or it cannot be found yet."""
        return queries.shown_order(self.state, self._be_at(account, now_ms), symbol, ref)

    def conditional(self, account: str, ref: OrderRef, now_ms: int) -> AlgoOrder | Refused:
        """A conditional order, open or not; -2013 likewise."""
        return queries.shown_algo(self.state, self._be_at(account, now_ms), ref)

    def open_orders(self, account: str, symbol: str | None, now_ms: int) -> tuple[Order, ...]:
        """Open plain orders of a symbol or of all, by id."""
        resting = self._be_at(account, now_ms).resting(symbol)
        return tuple(order for order in resting if queries.is_visible(self.state, order.created_ms))

    def open_conditional(self, account: str, symbol: str | None, now_ms: int) -> tuple[AlgoOrder, ...]:
        """Open conditional orders of a symbol or of all, by id."""
        waiting = self._be_at(account, now_ms).waiting(symbol)
        return tuple(order for order in waiting if queries.is_visible(self.state, order.created_ms))

    def all_orders(self, account: str, symbol: str, page: Page, now_ms: int) -> tuple[Order, ...]:
        """Plain orders of a symbol, open or not, by id."""
        return queries.page_of_orders(self.state, self._be_at(account, now_ms), symbol, page)

    def all_conditional(self, account: str, symbol: str, page: Page, now_ms: int) -> tuple[AlgoOrder, ...]:
        """Conditional orders of a symbol, open or not, by id."""
        return queries.page_of_algos(self.state, self._be_at(account, now_ms), symbol, page)

    def trades(self, account: str, symbol: str | None, page: Page, now_ms: int) -> tuple[Trade, ...]:
        """Trades, by id."""
        return queries.page_of_trades(self._be_at(account, now_ms), symbol, page)

    def income(
        self, account: str, symbol: str | None, kind: IncomeType | None, page: Page, now_ms: int
    ) -> tuple[Income, ...]:
        """Changes of the wallet, by id."""
        return queries.page_of_income(self._be_at(account, now_ms), symbol, kind, page)

    def wallet(self, account: str, now_ms: int) -> WalletView:
        """The account's money, at the marks."""
        return wallet_view(self.state, self._be_at(account, now_ms))

    def positions(self, account: str, now_ms: int) -> tuple[PositionView, ...]:
        """Every listed symbol's position, flat ones included, in the order of the listings."""
        owner = self._be_at(account, now_ms)
        wallet = wallet_view(self.state, owner)
        return tuple(position_view(self.state, owner, symbol, wallet) for symbol in self.listings)

    def position(self, account: str, symbol: str, now_ms: int) -> PositionView:
        """One symbol's position."""
        owner = self._be_at(account, now_ms)
        return position_view(self.state, owner, symbol, wallet_view(self.state, owner))

    def leverage(self, account: str, symbol: str) -> int:
        """The leverage of a symbol."""
        return leverage_of(self.state, self._account(account), self.listings[symbol])

    def set_leverage(self, account: str, symbol: str, leverage: int, now_ms: int) -> Refused | None:
        """Set the leverage of a symbol: -4028 beyond its largest, -2028 where margin would be missing."""
        return operations.set_leverage(self.state, self._be_at(account, now_ms), symbol, leverage)

    # -- events, and what is done to an account ----------------------------------------------------------------------

    def take_events(self) -> tuple[Event, ...]:
        """Events since the last call, in order; they are given once."""
        taken = tuple(self.state.events)
        self.state.events.clear()
        return taken

    def transfer(self, account: str, amount: Decimal, now_ms: int) -> Refused | None:
        """Move money in (> 0) or out (< 0) of the wallet: -2018 for more than is free."""
        return operations.transfer(self.state, self._be_at(account, now_ms), amount)

    def force_adl(self, account: str, symbol: str, lots: int, now_ms: int) -> Trade | None:
        """Deleverage a position by up to `lots` at the running price; None where nothing is held."""
        return operations.deleverage(self.state, self._be_at(account, now_ms), symbol, lots)

    def force_liquidation(self, account: str, now_ms: int) -> None:
        """Liquidate an account at the running prices, whatever its margin."""
        operations.liquidate_now(self.state, self._be_at(account, now_ms))

    def delist(self, symbol: str, now_ms: int) -> None:
        """End a symbol now: positions are closed at the mark, orders go, new ones are refused for good."""
        self._be_at(next(iter(self.state.accounts)), now_ms)
        operations.delist(self.state, symbol)

    def set_liquidity(self, symbol: str, share: float, now_ms: int) -> None:
        """Scale the budget of capped fills in a symbol: 0 fills nothing, 1 is usual."""
        self._be_at(next(iter(self.state.accounts)), now_ms)
        operations.set_liquidity(self.state, symbol, share)
