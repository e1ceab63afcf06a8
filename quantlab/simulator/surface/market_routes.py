"""Endpoints about the market: nothing here needs a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import MARGIN_ASSET
from quantlab.simulator.surface.call import Call, Route, by_symbol, routes
from quantlab.simulator.surface.candles import candles_between, kline_row, number
from quantlab.simulator.surface.market_shapes import (
    day_ticker,
    last_price,
    paid_funding,
    premium_row,
    rate_limits,
    symbol_info,
    top_of_book,
)
from quantlab.simulator.surface.spans import read_times
from quantlab.simulator.wire.messages import RefusedError
from quantlab.simulator.wire.parameters import whole_number

_DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)


def ping(call: Call) -> dict[str, Any]:
    """``ping``."""
    call.parameters.require_all_read()
    return {}


def server_time(call: Call) -> dict[str, Any]:
    """``time``: the clock that requests are checked against."""
    call.parameters.require_all_read()
    return {"serverTime": call.now.wire_ms}


def exchange_info(call: Call) -> dict[str, Any]:
    """``exchangeInfo``."""
    call.parameters.require_all_read()
    state = call.venue.state
    return {
        "timezone": "UTC",
        "serverTime": call.now.wire_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": rate_limits(call.limits.rules),
        "exchangeFilters": [],
        "assets": [{"asset": MARGIN_ASSET, "marginAvailable": True, "autoAssetExchange": "0"}],
        "symbols": [symbol_info(state, listing) for listing in state.listings.values()],
    }


def klines(call: Call) -> list[list[object]]:
    """``klines``."""
    return _klines(call, call.listing())


def continuous_klines(call: Call) -> list[list[object]]:
    """``continuousKlines``: those of the perpetual contract of a pair."""
    listing = call.venue.listings.get(call.parameters.text("pair"))
    if listing is None:
        raise RefusedError(-4144, "Invalid pair")
    if call.parameters.text("contractType") != "PERPETUAL":
        raise RefusedError(-4104, "Invalid contract type")
    return _klines(call, listing)


def _klines(call: Call, listing: Listing) -> list[list[object]]:
    parameters = call.parameters
    interval = parameters.text("interval")
    start, end = read_times(parameters)
    limit = parameters.count("limit", 500, 1_500)
    parameters.require_all_read()
    return [kline_row(candle) for candle in candles_between(call.venue.state, listing, interval, start, end, limit)]


def depth(call: Call) -> dict[str, Any]:
    """``depth``: one level a side."""
    listing, limit = call.listing(), call.parameters.count("limit", 500, 1_000)
    call.parameters.require_all_read()
    if limit not in _DEPTHS:
        raise RefusedError(-4021, f"{limit} is not valid depth limit.")
    (number, top), now_ms = call.books.snapshot(call.venue.state, listing), call.now.market_ms
    return {
        "lastUpdateId": number,
        "E": now_ms,
        "T": now_ms,
        "bids": [[top.bid, top.bid_size]],
        "asks": [[top.ask, top.ask_size]],
    }


def funding_rates(call: Call) -> list[dict[str, Any]]:
    """``fundingRate``: rates that were paid."""
    listing = call.optional_listing()
    start, end = read_times(call.parameters)
    limit = call.parameters.count("limit", 100, 1_000)
    call.parameters.require_all_read()
    state = call.venue.state
    symbols = sorted(state.listings) if listing is None else [listing.symbol]
    paid = [paid_funding(state, state.listings[symbol]) for symbol in symbols]
    times, rates = (np.concatenate(part) for part in zip(*paid, strict=True))
    of = np.repeat(np.arange(len(symbols)), [len(some) for some, _ in paid])
    inside = (times >= float(start or 0)) & (times <= (np.inf if end is None else float(end)))
    order = np.lexsort((of, times))
    order = order[inside[order]]
    kept = order[:limit] if start is not None else order[-limit:]
    return [
        {
            "symbol": symbols[of[k]],
            "fundingTime": int(times[k]),
            "fundingRate": number(rates[k]),
            "markPrice": "",
            "rateType": "FUNDING",
        }
        for k in kept.tolist()
    ]


def funding_info(call: Call) -> list[dict[str, Any]]:
    """``fundingInfo``: symbols whose funding is not the usual one; none is."""
    call.parameters.require_all_read()
    return []


def _of_one_or_all(row: Callable[[VenueState, Listing], dict[str, Any]]) -> Callable[[Call], Any]:
    """An endpoint that answers with a row of one symbol, or with a list of all."""

    def handler(call: Call) -> Any:
        listing = call.optional_listing()
        call.parameters.require_all_read()
        state = call.venue.state
        return row(state, listing) if listing is not None else [row(state, one) for one in state.listings.values()]

    return handler


def _book_ticker(state: VenueState, listing: Listing) -> dict[str, Any]:
    top = top_of_book(state, listing)
    prices = {"bidPrice": top.bid, "bidQty": top.bid_size, "askPrice": top.ask, "askQty": top.ask_size}
    return {"symbol": listing.symbol, **prices, "time": state.now_ms}


def _price_ticker(state: VenueState, listing: Listing) -> dict[str, Any]:
    return {"symbol": listing.symbol, "price": last_price(state, listing), "time": state.now_ms}


def _kline_weight(pairs: Mapping[str, str]) -> int:
    limit = whole_number(pairs.get("limit", "500")) or 500
    return next((weight for most, weight in ((99, 1), (499, 2), (1_000, 5)) if limit <= most), 10)


def _depth_weight(pairs: Mapping[str, str]) -> int:
    limit = whole_number(pairs.get("limit", "500")) or 500
    return next((weight for most, weight in ((50, 2), (100, 5), (500, 10)) if limit <= most), 20)


MARKET_ROUTES = routes(
    {
        ("GET", "/fapi/v1/ping"): Route(ping),
        ("GET", "/fapi/v1/time"): Route(server_time),
        ("GET", "/fapi/v1/exchangeInfo"): Route(exchange_info),
        ("GET", "/fapi/v1/klines"): Route(klines, _kline_weight),
        ("GET", "/fapi/v1/continuousKlines"): Route(continuous_klines, _kline_weight),
        ("GET", "/fapi/v1/depth"): Route(depth, _depth_weight),
        ("GET", "/fapi/v1/premiumIndex"): Route(_of_one_or_all(premium_row), by_symbol(1, 10)),
        ("GET", "/fapi/v1/fundingRate"): Route(funding_rates, 1),
        ("GET", "/fapi/v1/fundingInfo"): Route(funding_info, 1),
        ("GET", "/fapi/v1/ticker/bookTicker"): Route(_of_one_or_all(_book_ticker), by_symbol(2, 5)),
        ("GET", "/fapi/v1/ticker/price"): Route(_of_one_or_all(_price_ticker), by_symbol(1, 2)),
        ("GET", "/fapi/v2/ticker/price"): Route(_of_one_or_all(_price_ticker), by_symbol(1, 2)),
        ("GET", "/fapi/v1/ticker/24hr"): Route(_of_one_or_all(day_ticker), by_symbol(1, 40)),
    }
)
