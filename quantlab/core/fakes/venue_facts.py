"""Facts of an account in order, and a symbol with usual rules, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from quantlab.core.venue.facts import ListedSymbol, VenueFacts
from quantlab.core.venue.grid import Grid


def listed_symbol(symbol: str, tick: str = "0.1", lot: str = "0.001") -> ListedSymbol:
    """A symbol with usual rules: notional from 5 USD, fees of 2 and 5 bps, leverage of 20, cross margin."""
    return ListedSymbol(
        symbol=symbol,
        venue_symbol=symbol,
        grid=Grid(Decimal(tick), Decimal(lot)),
        min_notional=Decimal(5),
        min_lots=1,
        max_market_lots=100_000,
        max_limit_lots=100_000,
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        maintenance=Decimal("0.01"),
        leverage=20,
        is_cross=True,
        is_trading=True,
        lowest_price=Decimal("0.95"),
        highest_price=Decimal("1.05"),
    )


def account_in_order(listed: Mapping[str, ListedSymbol], wallet: Decimal) -> VenueFacts:
    """Facts that preflight refuses nothing of."""
    return VenueFacts(
        name="memory",
        host="memory",
        symbols=listed,
        one_way=True,
        single_asset=True,
        fees_in_margin_asset=True,
        can_trade=True,
        can_withdraw=False,
        can_transfer=False,
        is_ip_restricted=True,
        wallet=wallet,
        clock_offset_ms=0.0,
        free_conditional_orders=200,
    )
