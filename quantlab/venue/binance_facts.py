"""Facts about a Binance USD-M account: settings, permissions, fees, filters, brackets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quantlab.core.errors import DataError
from quantlab.core.venue.facts import ListedSymbol, VenueFacts
from quantlab.venue.binance_rows import filter_of, filters_of
from quantlab.venue.dialect import Read
from quantlab.venue.listings import Listing, Listings
from quantlab.venue.rows import Row, rows_of

#: Maker's and taker's share of notional.
Fees = tuple[Decimal, Decimal]


async def read_facts(
    read: Read, listings: Listings, fees: Mapping[str, Fees], *, wallet: Decimal, conditional_slots: int
) -> VenueFacts:
    """Ask for everything that preflight judges; 10 to 120 weight.

    Parameters
    ----------
    read : Read
    listings : Listings
    fees : mapping
        By the session's symbols.
    wallet : Decimal
        USD.
    conditional_slots : int
        Conditional orders that an account may have open.
    """
    account, burn, configs, brackets, resting, rights = await asyncio.gather(
        read("fapiPrivateGetAccountConfig", {}, 5),
        read("fapiPrivateGetFeeBurn", {}, 30),
        read("fapiPrivateGetSymbolConfig", {}, 5),
        read("fapiPrivateGetLeverageBracket", {}, 1),
        read("fapiPrivateGetOpenAlgoOrders", {}, 40),
        _rights(read),
    )
    config = {row.text("symbol"): row for row in rows_of(configs, "settings of a symbol")}
    bracket = {row.text("symbol"): row for row in rows_of(brackets, "brackets of a symbol")}
    settings = Row(account, "settings of the account")
    return VenueFacts(
        name="",
        host="",
        symbols={
            symbol: _listed(
                listing, config.get(listing.venue_symbol), bracket.get(listing.venue_symbol), fees.get(symbol)
            )
            for symbol, listing in listings.ours.items()
        },
        one_way=not settings.flag("dualSidePosition"),
        single_asset=not settings.flag("multiAssetsMargin"),
        fees_in_margin_asset=not Row(burn, "the fee setting").flag("feeBurn"),
        can_trade=settings.flag("canTrade") and (rights is None or rights.flag("enableFutures")),
        can_withdraw=None if rights is None else rights.flag("enableWithdrawals"),
        can_transfer=None
        if rights is None
        else rights.flag("enableInternalTransfer") or rights.flag("permitsUniversalTransfer"),
        is_ip_restricted=None if rights is None else rights.flag("ipRestrict"),
        wallet=wallet,
        clock_offset_ms=0.0,
        free_conditional_orders=conditional_slots - len(rows_of(resting, "a conditional order")),
    )


async def _rights(read: Read) -> Row | None:
    """Permissions of the key; None where the venue does not answer that, as the demo venue: preflight refuses it."""
    try:
        return Row(await read("sapiGetAccountApiRestrictions", {}, 1), "permissions of the key")
    except DataError:
        return None


def _listed(listing: Listing, config: Row | None, bracket: Row | None, fees: Fees | None) -> ListedSymbol:
    grid, limit, market = listing.grid, filter_of(listing.row, "LOT_SIZE"), filter_of(listing.row, "MARKET_LOT_SIZE")
    band = filters_of(listing.row).get("PERCENT_PRICE")
    return ListedSymbol(
        symbol=listing.symbol,
        venue_symbol=listing.venue_symbol,
        grid=grid,
        min_notional=filter_of(listing.row, "MIN_NOTIONAL").decimal("notional"),
        min_lots=_whole_lots(limit, "minQty", grid.lot, up=True),
        max_market_lots=_whole_lots(market, "maxQty", grid.lot),
        max_limit_lots=_whole_lots(limit, "maxQty", grid.lot),
        maker_fee=fees[0] if fees else None,
        taker_fee=fees[1] if fees else None,
        maintenance=_lowest_maintenance(bracket) if bracket else None,
        leverage=config.whole("leverage") if config else None,
        is_cross=config.text("marginType").upper() in ("CROSSED", "CROSS") if config else None,
        is_trading=listing.row.get("status") == "TRADING" and listing.row.get("contractType") == "PERPETUAL",
        lowest_price=band.decimal("multiplierDown") if band else None,
        highest_price=band.decimal("multiplierUp") if band else None,
    )


def _whole_lots(row: Row, name: str, lot: Decimal, *, up: bool = False) -> int:
    size = row.decimal(name)
    return int(-(-size // lot)) if up else int(size // lot)


def _lowest_maintenance(bracket: Row) -> Decimal:
    found = rows_of(bracket.sent.get("brackets"), "a bracket")
    if not found:
        raise DataError(f"brackets of {bracket.text('symbol')}", found="none", fix="ask again")
    return min(found, key=lambda row: row.decimal("notionalFloor")).decimal("maintMarginRatio")


def read_fees(sent: Any) -> Fees:
    """Fees of ``commissionRate``."""
    row = Row(sent, "fees of a symbol")
    return row.decimal("makerCommissionRate"), row.decimal("takerCommissionRate")
