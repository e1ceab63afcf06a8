"""The venue's whole state, and the one way to change an order, the wallet or a position: each writes ledger and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.events import AlgoUpdate, Event, Execution, OrderUpdate
from quantlab.simulator.engine.ledger import Ledger
from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.market import Cell, Market
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.values import AlgoOrder, AlgoStatus, Income, IncomeType, Order, Trade

#: Ids of the two books never meet, as at the venue: clients keep both in one table.
ALGO_IDS_AFTER = 1_000_000_000


@dataclass
class Counters:
    """The last id of each kind."""

    order: int = 0
    algo: int = ALGO_IDS_AFTER
    trade: int = 0
    tran: int = 0


@dataclass
class VenueState:
    """Everything that the venue remembers.

    Parameters
    ----------
    market : Market
    rules : VenueRules
    accounts : dict of name to Account
    row : int
        The running bar; the number of bars after the last one ended.
    now_ms : int
        Venue time of the last call; never falls.
    marks : dict of symbol to float
        Last finite close, or first price seen; a symbol that never printed is not in it.
    absent : dict of symbol to int
        Ended bars in a row without a print.
    closed : set of symbol
        Settled by the venue: no orders until it prints again.
    delisted : set of symbol
        Settled by request: they stay closed.
    liquidity : dict of symbol to float
        Share of the usual budget, where a fault changed it.
    ledger : Ledger
    events : list of Event
        Not yet taken.
    counters : Counters
    ended : bool
        The last bar has ended.
    listings : dict of symbol to Listing
        By the rules of the running bar.
    cells : tuple of Cell
        The running bar, by the columns of the data.
    close_ms : int
        Venue time at which it ends.
    """

    market: Market
    rules: VenueRules
    accounts: dict[str, Account]
    row: int
    now_ms: int = 0
    marks: dict[str, float] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    delisted: set[str] = field(default_factory=set)
    liquidity: dict[str, float] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    events: list[Event] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    ended: bool = field(init=False)
    listings: dict[str, Listing] = field(init=False)
    cells: tuple[Cell, ...] = field(init=False)
    close_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.enter(self.row)

    def enter(self, row: int) -> None:
        """Let bar `row` run; after the last one the market is over, and what is read is the last one's."""
        self.row = row
        self.ended = row >= self.market.bars.n_bars
        known = min(row, self.market.bars.n_bars - 1)
        self.listings, self.cells = self.market.listings(known), self.market.cells(known)
        self.close_ms = self.market.close_ms(row)

    def cell(self, listing: Listing) -> Cell:
        """The running bar of a symbol."""
        return self.cells[listing.column]

    def keep_order(self, order: Order, execution: Execution, trade: Trade | None = None) -> Order:
        """Write a plain order as it stands now, and tell its account."""
        account = self.accounts[order.account]
        account.orders[order.order_id] = order
        account.by_client[order.client_id] = order.order_id
        if order.status.is_open:
            account.open_orders[order.order_id] = order.symbol
        else:
            account.open_orders.pop(order.order_id, None)
        self.events.append(OrderUpdate(order.account, self.now_ms, execution, order, trade))
        if order.algo_id and not order.status.is_open:
            self._finish_algo(account.algos[order.algo_id])
        return order

    def _finish_algo(self, order: AlgoOrder) -> None:
        """End the conditional order whose plain one has ended."""
        finished = order._replace(status=AlgoStatus.FINISHED, updated_ms=self.now_ms)
        self.note("algo_end", order.account, algo_id=order.algo_id, symbol=order.symbol, status=finished.status.value)
        self.keep_algo(finished, is_open=False)

    def keep_algo(self, order: AlgoOrder, is_open: bool, reason: str = "") -> AlgoOrder:
        """Write a conditional order as it stands now, and tell its account."""
        account = self.accounts[order.account]
        account.algos[order.algo_id] = order
        account.algo_by_client[order.client_id] = order.algo_id
        if is_open:
            account.open_algos[order.algo_id] = order.symbol
        else:
            account.open_algos.pop(order.algo_id, None)
        became = account.orders.get(order.order_id)
        self.events.append(AlgoUpdate(order.account, self.now_ms, order, reason, became))
        return order

    def move_trigger(self, order: AlgoOrder) -> None:
        """Write a trailing stop whose level has moved; its state has not changed, so its account is not told."""
        self.accounts[order.account].algos[order.algo_id] = order

    def pay(self, account: Account, symbol: str, kind: IncomeType, amount: Decimal, trade_id: int = 0) -> None:
        """Change the wallet; `amount` is rounded to money already, and 0 leaves no trace."""
        if amount == 0:
            return
        account.wallet += amount
        self.counters.tran += 1
        account.incomes.append(Income(self.counters.tran, account.name, symbol, kind, amount, self.now_ms, trade_id))

    def note(self, kind: str, account: str, **fields: str | int | bool | Decimal) -> None:
        """Append to the ledger, at the venue's time."""
        self.ledger.append(self.now_ms, kind, account, fields)
