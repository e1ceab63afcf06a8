"""One account: money, positions, both books, and what is kept of the past; no rule is applied here."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from quantlab.simulator.engine.values import ZERO, AlgoOrder, Income, Order, Position, Side, Trade


@dataclass
class Account:
    """The state of one account.

    Parameters
    ----------
    name : str
    wallet : Decimal
        USD: the sum of `incomes`.
    positions : dict of symbol to Position
        Every symbol that was ever held.
    leverage : dict of symbol to int
        As set; symbols that are not in it have the venue's own.
    orders, algos : dict of id to order
        All that were ever placed, as they stand, in order of ids.
    open_orders, open_algos : dict of id to symbol
        Those that rest.
    by_client, algo_by_client : dict of client id to id
        The latest order of each client id.
    trades, incomes : list
        In order of ids.
    capped : dict of symbol to float
        Units that capped fills took in the running bar.
    countdowns : dict of symbol to int
        Venue time at which the orders of a symbol are cancelled.
    warned : bool
        Its margin is nearly used up, and it was told so.
    """

    name: str
    wallet: Decimal = ZERO
    positions: dict[str, Position] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, str] = field(default_factory=dict)
    by_client: dict[str, int] = field(default_factory=dict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)
    open_algos: dict[int, str] = field(default_factory=dict)
    algo_by_client: dict[str, int] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    incomes: list[Income] = field(default_factory=list)
    capped: dict[str, float] = field(default_factory=dict)
    countdowns: dict[str, int] = field(default_factory=dict)
    warned: bool = False

    def lots(self, symbol: str) -> int:
        """Signed lots held."""
        held = self.positions.get(symbol)
        return 0 if held is None else held.lots

    def order_of_client(self, client_id: str) -> Order | None:
        """The order with a client id: an open one before those that have ended, the latest of these."""
        latest = self.orders.get(self.by_client.get(client_id, 0))
        if latest is None or latest.status.is_open:
            return latest
        return next((order for order in self.resting() if order.client_id == client_id), latest)

    def held(self) -> tuple[Position, ...]:
        """Positions that are not flat."""
        return tuple(position for position in self.positions.values() if position.lots)

    def resting(self, symbol: str | None = None) -> tuple[Order, ...]:
        """Open plain orders, of one symbol or all, by id."""
        if not self.open_orders:  # most of the time, and asked at every step
            return ()
        return tuple(self.orders[i] for i, of in self.open_orders.items() if symbol is None or of == symbol)

    def waiting(self, symbol: str | None = None) -> tuple[AlgoOrder, ...]:
        """Open conditional orders, of one symbol or all, by id."""
        if not self.open_algos:
            return ()
        return tuple(self.algos[i] for i, of in self.open_algos.items() if symbol is None or of == symbol)

    def reduce_only_lots(self, symbol: str, side: Side) -> int:
        """Lots that open reduce-only orders of a side have left."""
        orders = self.resting(symbol)
        return sum(order.left for order in orders if order.reduce_only and order.side == side)
