"""The market's state in the JSON shapes of the venue's documentation: symbols and filters, prices, books, funding."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME
from quantlab.simulator.engine.listing import Listing, exact
from quantlab.simulator.engine.market import Market
from quantlab.simulator.engine.matching import quote_at
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.valuation import mark_of
from quantlab.simulator.engine.values import MARGIN_ASSET, OrderType, TimeInForce
from quantlab.simulator.surface.candles import cells_between, number, on_tick, seen_cell, total
from quantlab.simulator.surface.order_reading import LARGEST_LOTS, LARGEST_TICKS
from quantlab.simulator.surface.scale import Scale, plain
from quantlab.simulator.wire.limits import LimitRules

#: The end of a contract that has none, as the venue writes it.
NEVER_MS = 4_133_404_800_000


def symbol_info(state: VenueState, listing: Listing) -> dict[str, Any]:
    """A symbol of ``exchangeInfo``."""
    scale, percent = Scale(listing.grid.tick, listing.grid.lot), state.rules.percent_price
    largest = state.rules.max_lots or LARGEST_LOTS
    sizes = {
        "minQty": scale.size(listing.lot_step),
        "maxQty": scale.size(largest),
        "stepSize": scale.size(listing.lot_step),
    }
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": scale.price(listing.tick_step),
            "maxPrice": scale.price(LARGEST_TICKS * listing.tick_step),
            "tickSize": scale.price(listing.tick_step),
        },
        {"filterType": "LOT_SIZE", **sizes},
        {"filterType": "MARKET_LOT_SIZE", **sizes},
        {"filterType": "MAX_NUM_ORDERS", "limit": state.rules.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": state.rules.max_conditional},
        {"filterType": "MIN_NOTIONAL", "notional": plain(listing.min_notional)},
    ]
    if percent is not None:
        up, down = plain(1 + exact(percent)), plain(1 - exact(percent))
        filters.append(
            {"filterType": "PERCENT_PRICE", "multiplierUp": up, "multiplierDown": down, "multiplierDecimal": "4"}
        )
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_MS,
        "onboardDate": state.market.open_ms(0),
        "status": "SETTLING" if listing.symbol in state.closed else "TRADING",
        "maintMarginPercent": plain(listing.maintenance * 100),
        "requiredMarginPercent": plain(Decimal(100) / listing.max_leverage),
        "baseAsset": listing.base,
        "quoteAsset": MARGIN_ASSET,
        "marginAsset": MARGIN_ASSET,
        "pricePrecision": _decimals(scale.price(listing.tick_step)),
        "quantityPrecision": _decimals(scale.size(listing.lot_step)),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": plain(exact(state.market.costs.liquidation_fee_bps) / 10_000),
        "marketTakeBound": "1" if percent is None else plain(exact(percent)),
        "filters": filters,
        "orderTypes": [kind.value for kind in OrderType],
        "timeInForce": [life.value for life in TimeInForce],
    }


def rate_limits(rules: LimitRules) -> list[dict[str, Any]]:
    """Limits of requests and orders."""
    rows = (("REQUEST_WEIGHT", "MINUTE", 1, rules.weight_1m), *_order_limits(rules))
    return [_limit(*row) for row in rows]


def order_limits(rules: LimitRules) -> list[dict[str, Any]]:
    """Limits of orders alone."""
    return [_limit(*row) for row in _order_limits(rules)]


def _order_limits(rules: LimitRules) -> tuple[tuple[str, str, int, int], ...]:
    return ("ORDERS", "SECOND", 10, rules.orders_10s), ("ORDERS", "MINUTE", 1, rules.orders_1m)


def _limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


@dataclass(frozen=True, slots=True)
class Top:
    """Best prices and sizes as text."""

    bid: str
    ask: str
    bid_size: str
    ask_size: str


def top_of_book(state: VenueState, listing: Listing) -> Top:
    """The one level that each side of the book has: the price at which a taker fills now, and a share of the last volume."""
    scale, price = Scale(listing.grid.tick, listing.grid.lot), running_price(state, listing)
    if price is None:
        nothing = scale.size(0)
        return Top(scale.price(0), scale.price(0), nothing, nothing)
    quote, before = quote_at(state, listing, price), seen_cell(state, listing, state.row - 1)
    volume = before.volume if before is not None else 0.0
    share = min(state.market.participation, 1.0)
    size = scale.size(int(exact(volume * share) / listing.grid.lot))
    return Top(scale.price(quote.bid), scale.price(quote.ask), size, size)


def last_price(state: VenueState, listing: Listing) -> str:
    """Price at which the market stands, as text."""
    price = running_price(state, listing)
    return "0" if price is None else number(on_tick(listing, price))


def premium_row(state: VenueState, listing: Listing) -> dict[str, Any]:
    """A row of ``premiumIndex``; the index is the mark."""
    mark = plain(mark_of(state, listing.symbol))
    _, paid = paid_funding(state, listing)
    return {
        "symbol": listing.symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": number(paid[-1]) if len(paid) else "0",
        "interestRate": "0",
        "nextFundingTime": next_funding_ms(state),
        "time": state.now_ms,
    }


def paid_funding(state: VenueState, listing: Listing) -> tuple[Int64Array, Float64Array]:
    """Venue times and rates of a symbol's funding so far, oldest first."""
    market, funding = state.market, state.market.bars.funding
    if funding is None:
        return np.empty(0, np.int64), np.empty(0)
    known = int(
        funding.time_ms.searchsorted(int(market.bars.open_time_ms[min(state.row, market.bars.n_bars - 1)]), "right")
    )
    rates = funding.rate[:known, listing.column]
    there = np.isfinite(rates)
    past = funding.time_ms[:known][there] - market.bars.open_time_ms[0]
    return market.open_ms(0) + past * market.step_ms // market.bars.interval_ms, rates[there]


def next_funding_ms(state: VenueState) -> int:
    """Venue time of the next funding stamp; 0 without one."""
    market, funding = state.market, state.market.bars.funding
    if funding is None or state.ended:
        return 0
    known = int(funding.time_ms.searchsorted(int(market.bars.open_time_ms[state.row]), "right"))
    return venue_ms(market, int(funding.time_ms[known])) if known < len(funding.time_ms) else 0


def venue_ms(market: Market, data_ms: int) -> int:
    """A time of the data on the venue's time line."""
    past = data_ms - int(market.bars.open_time_ms[0])
    return market.open_ms(0) + past * market.step_ms // market.bars.interval_ms


def day_ticker(state: VenueState, listing: Listing) -> dict[str, Any]:
    """A row of ``ticker/24hr``."""
    market = state.market
    first = max(state.row - MS_PER_DAY // market.bars.interval_ms + 1, 0)
    cells = cells_between(state, listing, first, state.row + 1)
    some = len(cells) > 0
    opened, last = (exact(cells[0, OPEN]), exact(on_tick(listing, cells[-1, CLOSE]))) if some else (Decimal(0),) * 2
    volume, value = exact(total(cells[:, VOLUME])), exact(total(cells[:, CLOSE] * cells[:, VOLUME]))
    return {
        "symbol": listing.symbol,
        "priceChange": plain(last - opened),
        "priceChangePercent": f"{100 * (last / opened - 1):.3f}" if opened else "0",
        "weightedAvgPrice": f"{value / volume:.8f}" if volume else "0",
        "lastPrice": plain(last),
        "lastQty": "0",
        "openPrice": plain(opened),
        "highPrice": number(cells[:, HIGH].max() if some else 0.0),
        "lowPrice": number(cells[:, LOW].min() if some else 0.0),
        "volume": plain(volume),
        "quoteVolume": plain(value),
        "openTime": market.open_ms(first),
        "closeTime": state.now_ms,
        "firstId": 0,
        "lastId": 0,
        "count": 0,
    }


def _decimals(text: str) -> int:
    return len(text.rstrip("0").partition(".")[2]) if "." in text else 0
