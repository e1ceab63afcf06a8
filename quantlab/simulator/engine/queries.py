"""Readings of an account: orders by id, lists, trades, income; nothing is changed."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TypeVar

from quantlab.simulator.engine.account import Account
from quantlab.simulator.engine.refusals import Refused, refuse
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import AlgoOrder, Income, IncomeType, Order, Trade

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order by its id, or by its client id: then the open one that has it, else the latest.

    Parameters
    ----------
    number : int
        Order id or algo id; 0: by client id.
    client_id : str
    """

    number: int = 0
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list that rises in ids and in time.

    Parameters
    ----------
    from_id : int or None
        First id; with it times are not looked at.
    start_ms, end_ms : int or None
        Both ends count.
    limit : int
        Most items; without `from_id` and `start_ms` the newest, else the oldest.
    """

    from_id: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int = 500


def find_order(account: Account, symbol: str, ref: OrderRef) -> Order | None:
    """A plain order of a symbol, None if there is none."""
    order = account.orders.get(ref.number) if ref.number else account.order_of_client(ref.client_id)
    return order if order is not None and order.symbol == symbol else None


def find_algo(account: Account, ref: OrderRef) -> AlgoOrder | None:
    """A conditional order, None if there is none."""
    return account.algos.get(ref.number or account.algo_by_client.get(ref.client_id, 0))


def is_visible(state: VenueState, created_ms: int) -> bool:
    """Tell whether an order that was placed then can be found already."""
    return state.now_ms - created_ms >= state.rules.lag_ms


def shown_order(state: VenueState, account: Account, symbol: str, ref: OrderRef) -> Order | Refused:
    """The order, or -2013."""
    order = find_order(account, symbol, ref)
    return refuse(-2013) if order is None or not is_visible(state, order.created_ms) else order


def shown_algo(state: VenueState, account: Account, ref: OrderRef) -> AlgoOrder | Refused:
    """The conditional order, or -2013."""
    order = find_algo(account, ref)
    return refuse(-2013) if order is None or not is_visible(state, order.created_ms) else order


def _in_time(stamp_ms: int, page: Page) -> bool:
    return (page.start_ms is None or stamp_ms >= page.start_ms) and (page.end_ms is None or stamp_ms <= page.end_ms)


def _cut(items: list[T], page: Page) -> tuple[T, ...]:
    oldest = page.from_id is not None or page.start_ms is not None
    return tuple(items[: page.limit] if oldest else items[-page.limit :])


def page_of_orders(state: VenueState, account: Account, symbol: str, page: Page) -> tuple[Order, ...]:
    """Orders of a symbol, open or not, by id."""
    every = [o for o in account.orders.values() if o.symbol == symbol and is_visible(state, o.created_ms)]
    if page.from_id is not None:
        return _cut([order for order in every if order.order_id >= page.from_id], page)
    return _cut([order for order in every if _in_time(order.created_ms, page)], page)


def page_of_algos(state: VenueState, account: Account, symbol: str, page: Page) -> tuple[AlgoOrder, ...]:
    """Conditional orders of a symbol, open or not, by id."""
    every = [o for o in account.algos.values() if o.symbol == symbol and is_visible(state, o.created_ms)]
    if page.from_id is not None:
        return _cut([order for order in every if order.algo_id >= page.from_id], page)
    return _cut([order for order in every if _in_time(order.created_ms, page)], page)


def page_of_trades(account: Account, symbol: str | None, page: Page) -> tuple[Trade, ...]:
    """Trades of a symbol, or of all, by id."""
    trades = account.trades
    if page.from_id is not None:
        first = bisect.bisect_left(trades, page.from_id, key=lambda trade: trade.trade_id)
        return _cut([trade for trade in trades[first:] if symbol is None or trade.symbol == symbol], page)
    first = 0 if page.start_ms is None else bisect.bisect_left(trades, page.start_ms, key=lambda trade: trade.time_ms)
    found = [t for t in trades[first:] if (symbol is None or t.symbol == symbol) and _in_time(t.time_ms, page)]
    return _cut(found, page)


def page_of_income(account: Account, symbol: str | None, kind: IncomeType | None, page: Page) -> tuple[Income, ...]:
    """Income of a symbol and a type, or of all, by id; `from_id` is not looked at."""
    incomes = account.incomes
    first = 0 if page.start_ms is None else bisect.bisect_left(incomes, page.start_ms, key=lambda item: item.time_ms)
    found = [
        item
        for item in incomes[first:]
        if (symbol is None or item.symbol == symbol)
        and (kind is None or item.type is kind)
        and _in_time(item.time_ms, page)
    ]
    return _cut(found, page)
