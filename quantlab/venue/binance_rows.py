"""Rows of Binance's USD-M answers as the house's values: orders of both books, trades, income, positions, filters."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from quantlab.core.errors import DataError
from quantlab.core.venue.answers import OrderState, OrderStatus, Payment, PaymentKind, PositionState, VenueTrade
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book
from quantlab.venue.listings import Listing, Listings
from quantlab.venue.rows import Row, rows_of

_SIDES = MappingProxyType({"BUY": 1, "SELL": -1})
_PLAIN = MappingProxyType(
    {
        "NEW": OrderStatus.OPEN,
        "PARTIALLY_FILLED": OrderStatus.PARTLY_FILLED,
        "FILLED": OrderStatus.FILLED,
        "CANCELED": OrderStatus.CANCELLED,
        "EXPIRED": OrderStatus.EXPIRED,
        "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
        "REJECTED": OrderStatus.REJECTED,
    }
)
#: TRIGGERING has fired, but names no plain order yet: it is asked for again.
_CONDITIONAL = MappingProxyType(
    {
        "NEW": OrderStatus.OPEN,
        "TRIGGERING": OrderStatus.OPEN,
        "TRIGGERED": OrderStatus.TRIGGERED,
        "FINISHED": OrderStatus.TRIGGERED,
        "CANCELED": OrderStatus.CANCELLED,
        "EXPIRED": OrderStatus.EXPIRED,
        "REJECTED": OrderStatus.REJECTED,
    }
)
_PAYMENTS = MappingProxyType(
    {
        "FUNDING_FEE": PaymentKind.FUNDING,
        "REALIZED_PNL": PaymentKind.OF_TRADES,
        "COMMISSION": PaymentKind.OF_TRADES,
        "TRANSFER": PaymentKind.TRANSFER,
        "INTERNAL_TRANSFER": PaymentKind.TRANSFER,
        "CROSS_COLLATERAL_TRANSFER": PaymentKind.TRANSFER,
        "STRATEGY_UMFUTURES_TRANSFER": PaymentKind.TRANSFER,
        "COIN_SWAP_DEPOSIT": PaymentKind.TRANSFER,
        "COIN_SWAP_WITHDRAW": PaymentKind.TRANSFER,
    }
)


def read_plain(row: Row, listings: Listings) -> OrderState:
    """An order of the plain book."""
    listing = listings.by_venue(row.text("symbol"))
    lots = listing.grid.lots(row.text("origQty"))
    return OrderState(
        symbol=listing.symbol,
        client_id=row.text("clientOrderId"),
        venue_id=str(row.whole("orderId")),
        book=Book.PLAIN,
        side=_word(row, "side", _SIDES),
        status=_word(row, "status", _PLAIN),
        lots=lots or None,
        filled_lots=listing.grid.lots(row.text("executedQty")),
        price_ticks=_ticks(row, "price", listing.grid),
        trigger_ticks=_ticks(row, "stopPrice", listing.grid),
        reduce_only=row.flag("reduceOnly"),
        close_position=row.flag("closePosition"),
        updated_ms=row.whole("updateTime"),
    )


def read_conditional(row: Row, listings: Listings) -> OrderState:
    """An order of the conditional book; what it became trades under a number of its own."""
    listing = listings.by_venue(row.text("symbol"))
    status, became = _word(row, "algoStatus", _CONDITIONAL), row.optional("actualOrderId")
    closes = row.flag("closePosition")
    lots = 0 if closes else listing.grid.lots(row.text("quantity"))
    return OrderState(
        symbol=listing.symbol,
        client_id=row.text("clientAlgoId"),
        venue_id=str(row.whole("algoId")),
        book=Book.CONDITIONAL,
        side=_word(row, "side", _SIDES),
        status=status,
        lots=lots or None,
        filled_lots=0,
        price_ticks=_ticks(row, "price", listing.grid),
        trigger_ticks=_ticks(row, "triggerPrice", listing.grid),
        reduce_only=row.flag("reduceOnly"),
        close_position=closes,
        updated_ms=row.whole("updateTime"),
        became=became if status is OrderStatus.TRIGGERED else None,
    )


def read_trade(row: Row, listing: Listing) -> VenueTrade:
    """One row of ``userTrades``."""
    if row.text("symbol") != listing.venue_symbol:
        raise DataError(f"a trade of {listing.venue_symbol}", found=row.text("symbol")[:40], fix="wait, and ask again")
    return VenueTrade(
        symbol=listing.symbol,
        trade_id=str(row.whole("id")),
        venue_id=str(row.whole("orderId")),
        side=_word(row, "side", _SIDES),
        lots=listing.grid.lots(row.text("qty")),
        price_ticks=listing.grid.ticks(row.text("price")),
        fee=row.decimal("commission"),
        fee_asset=row.text("commissionAsset"),
        maker=row.flag("maker"),
        time_ms=row.whole("time"),
    )


def read_payment(row: Row, listings: Listings) -> Payment:
    """One row of ``income``; a symbol that is listed no more keeps the venue's name."""
    kind, symbol = row.text("incomeType"), row.optional("symbol")
    listing = listings.all.get(symbol) if symbol is not None else None
    return Payment(
        kind=_PAYMENTS.get(kind, PaymentKind.OTHER),
        type=kind,
        payment_id=str(row.whole("tranId")),
        symbol=listing.symbol if listing is not None else symbol,
        amount=row.decimal("income"),
        asset=row.text("asset"),
        time_ms=row.whole("time"),
    )


def read_positions(sent: Any, listings: Listings) -> tuple[PositionState, ...]:
    """Positions of ``positionRisk`` that are not flat.

    Raises
    ------
    DataError
        If one belongs to hedge mode, whose two positions a symbol the house does not know.
    """
    found = []
    for row in rows_of(sent, "a position"):
        listing = listings.by_venue(row.text("symbol"))
        lots = listing.grid.lots(row.text("positionAmt"))
        if not lots:
            continue
        if row.text("positionSide") != "BOTH":
            side = row.text("positionSide")[:20]
            raise DataError(
                "positions in one-way mode",
                found=f"{side} in {listing.symbol}",
                fix="switch the account to one-way mode",
            )
        found.append(PositionState(listing.symbol, lots, row.decimal("entryPrice"), row.whole("updateTime")))
    return tuple(found)


def read_grid(row: Mapping[str, Any]) -> Grid:
    """Tick and lot of a symbol's row in ``exchangeInfo``.

    Raises
    ------
    DataError
        If market orders have another lot than limit orders: a position would have two grids.
    """
    limit, market = filter_of(row, "LOT_SIZE").text("stepSize"), filter_of(row, "MARKET_LOT_SIZE").text("stepSize")
    if Decimal(limit) != Decimal(market):
        raise DataError(
            f"one lot of {row.get('symbol')}",
            found=f"{limit} of limit orders, {market} of market orders",
            fix="leave the symbol out",
        )
    return Grid(filter_of(row, "PRICE_FILTER").decimal("tickSize"), Decimal(limit))


def filters_of(row: Mapping[str, Any]) -> dict[str, Row]:
    """Filters of a symbol by their names."""
    found = rows_of(row.get("filters"), f"a filter of {row.get('symbol')}")
    return {one.text("filterType"): one for one in found}


def filter_of(row: Mapping[str, Any], name: str) -> Row:
    """One filter of a symbol.

    Parameters
    ----------
    row : mapping
        Of ``exchangeInfo``.
    name : str
        E.g. ``LOT_SIZE``.

    Raises
    ------
    DataError
        If it has none.
    """
    found = filters_of(row).get(name)
    if found is None:
        raise DataError(f"the filter {name} of {row.get('symbol')}", found="none", fix="leave the symbol out")
    return found


def _ticks(row: Row, name: str, grid: Grid) -> int | None:
    """Whole ticks; None for 0, for nothing and where it is missing, as the venue writes a price that an order does not have."""
    text = row.optional(name)
    return None if text is None else grid.ticks(text) or None


def _word(row: Row, name: str, known: Mapping[str, Any]) -> Any:
    word = row.text(name)
    if word not in known:
        raise DataError(
            f"{name} of {row.what} as one of {', '.join(known)}",
            found=repr(word)[:60],
            fix="report it: the venue has a word that is not known here",
        )
    return known[word]
