"""Facts about a venue and an account there that decide if a session may begin: listings, modes, permissions, fees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from quantlab.core.venue.grid import Grid


@dataclass(frozen=True, slots=True)
class ListedSymbol:
    """A symbol by the venue's present rules.

    Parameters
    ----------
    symbol : str
        The session's name of it.
    venue_symbol : str
        The venue's, e.g. ``BTCUSDT``.
    grid : Grid
    min_notional : Decimal
        USD of the smallest order that opens.
    min_lots : int
        Of the smallest order.
    max_market_lots, max_limit_lots : int or None
        Of the largest market and limit order; None = no limit.
    maker_fee, taker_fee : Decimal or None
        Shares of notional; None where the venue does not say.
    maintenance : Decimal or None
        Share of notional, of the lowest bracket.
    leverage : int or None
    is_cross : bool or None
        Cross margin.
    is_trading : bool
    lowest_price, highest_price : Decimal or None
        Shares of the mark between which the venue takes a limit price, e.g. 0.95 and 1.05.
    """

    symbol: str
    venue_symbol: str
    grid: Grid
    min_notional: Decimal
    min_lots: int
    max_market_lots: int | None
    max_limit_lots: int | None
    maker_fee: Decimal | None
    taker_fee: Decimal | None
    maintenance: Decimal | None
    leverage: int | None
    is_cross: bool | None
    is_trading: bool
    lowest_price: Decimal | None
    highest_price: Decimal | None


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """Facts that preflight judges; None = the venue did not say.

    Parameters
    ----------
    name : str
        The venue's, e.g. ``binanceusdm``.
    host : str
        Of its urls, with the port.
    symbols : mapping of str to ListedSymbol
        The session's symbols that the venue lists.
    one_way, single_asset : bool or None
        Modes of the account.
    fees_in_margin_asset : bool or None
        False where fees are paid in another asset.
    can_trade, can_withdraw, can_transfer, is_ip_restricted : bool or None
        Permissions of the key.
    wallet : Decimal
        USD of the margin asset.
    clock_offset_ms : float
        Lead of the venue's clock after correction of ours.
    free_conditional_orders : int or None
    """

    name: str
    host: str
    symbols: Mapping[str, ListedSymbol]
    one_way: bool | None
    single_asset: bool | None
    fees_in_margin_asset: bool | None
    can_trade: bool | None
    can_withdraw: bool | None
    can_transfer: bool | None
    is_ip_restricted: bool | None
    wallet: Decimal
    clock_offset_ms: float
    free_conditional_orders: int | None
