"""Frames of market streams: candles, mark prices, best prices, trades, tickers.

A stream has a frame for each bar that ended, and one for what runs now.
"""

from __future__ import annotations

import re
from typing import Any

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.surface.candles import INTERVALS, Candle, candle_of, group_start, kline_row, number, seen_cell
from quantlab.simulator.surface.market_shapes import day_ticker, premium_row, top_of_book

_KLINE = re.compile(r"([a-z0-9]+)@kline_(\w+)")
_CONTINUOUS = re.compile(r"([a-z0-9]+)_perpetual@continuousKline_(\w+)")
_OF_SYMBOL = re.compile(
    r"([a-z0-9]+)@(markPrice|bookTicker|aggTrade|trade|ticker|miniTicker|depth(?:5|10|20))(?:@\d+m?s)?"
)
_RATE = re.compile(r"@\d+m?s$")
_OF_ALL = re.compile(r"!(markPrice|bookTicker|ticker|miniTicker)(?:@arr)?(?:@\d+m?s)?")


def source_of(stream: str) -> str:
    """The stream without its rate, which does not count here.

    Examples
    --------
    >>> source_of("btcusdt@depth@100ms"), source_of("!markPrice@arr@1s"), source_of("btcusdt@kline_1m")
    ('btcusdt@depth', '!markPrice@arr', 'btcusdt@kline_1m')
    """
    return _RATE.sub("", stream)


def market_frames(state: VenueState, stream: str, since_row: int) -> list[Any]:
    """Frames of one stream since it was asked last.

    Parameters
    ----------
    state : VenueState
    stream : str
        The venue's name, e.g. ``btcusdt@kline_1m``.
    since_row : int
        Bars from this one to before the running one have ended since.

    Returns
    -------
    list
        Documents; none for a name that is no market stream.
    """
    candle = _KLINE.fullmatch(stream)
    continuous = _CONTINUOUS.fullmatch(stream)
    match = candle or continuous
    if match is not None:
        listing = state.listings.get(match[1].upper())
        width = INTERVALS.get(match[2], 0) // state.market.bars.interval_ms
        if listing is None or width < 1 or INTERVALS[match[2]] % state.market.bars.interval_ms:
            return []
        found = _candles(state, listing, width, since_row)
        return [_kline(state, listing, one, match[2], continuous=continuous is not None) for one in found]
    one = _OF_SYMBOL.fullmatch(stream)
    if one is not None:
        listing = state.listings.get(one[1].upper())
        return [] if listing is None else _of_symbol(state, listing, one[2], since_row)
    every = _OF_ALL.fullmatch(stream)
    if every is None:
        return []
    rows = [row for listing in state.listings.values() for row in _of_symbol(state, listing, every[1], since_row)]
    return rows if every[1] == "bookTicker" else [rows]


def _candles(state: VenueState, listing: Listing, width: int, since_row: int) -> list[Candle]:
    """Candles that closed since, and the one that runs."""
    ends = [row for row in range(since_row, state.row) if group_start(state.market, row + 1, width) == row + 1]
    starts = [row + 1 - width for row in ends]
    if not state.ended:
        starts.append(group_start(state.market, state.row, width))
    found = (candle_of(state, listing, first, width) for first in starts)
    return [candle for candle in found if candle is not None]


def _kline(state: VenueState, listing: Listing, candle: Candle, interval: str, *, continuous: bool) -> dict[str, Any]:
    opened, o, h, low, c, v, closed, q, *_ = kline_row(candle)
    shown: dict[str, Any] = {"t": opened, "T": closed, "s": listing.symbol, "i": interval, "f": 0, "L": 0, "o": o}
    shown |= {"c": c, "h": h, "l": low, "v": v, "n": 0, "x": candle.closed, "q": q, "V": "0", "Q": "0", "B": "0"}
    if continuous:
        del shown["s"]
        head = {"e": "continuous_kline", "E": state.now_ms, "ps": listing.symbol, "ct": "PERPETUAL"}
        return {**head, "k": shown}
    return {"e": "kline", "E": state.now_ms, "s": listing.symbol, "k": shown}


def _of_symbol(state: VenueState, listing: Listing, kind: str, since_row: int) -> list[dict[str, Any]]:
    if kind in ("aggTrade", "trade"):
        return _trades(state, listing, kind, since_row)
    if kind == "markPrice":
        return [_mark(state, listing)]
    if kind == "bookTicker":
        return [_book(state, listing)]
    if kind.startswith("depth"):
        return [_depth(state, listing)]
    return [_ticker(state, listing, mini=kind == "miniTicker")]


def _mark(state: VenueState, listing: Listing) -> dict[str, Any]:
    row = premium_row(state, listing)
    shown = {
        "p": row["markPrice"],
        "i": row["indexPrice"],
        "P": row["estimatedSettlePrice"],
        "r": row["lastFundingRate"],
    }
    more = {"ap": row["markPrice"], "T": row["nextFundingTime"], "st": 0}
    return {"e": "markPriceUpdate", "E": state.now_ms, "s": listing.symbol, **shown, **more}


def _book(state: VenueState, listing: Listing) -> dict[str, Any]:
    top, now_ms = top_of_book(state, listing), state.now_ms
    head = {"e": "bookTicker", "u": now_ms, "E": now_ms, "T": now_ms, "s": listing.symbol, "ps": listing.symbol}
    return {**head, "b": top.bid, "B": top.bid_size, "a": top.ask, "A": top.ask_size, "st": 0}


def _depth(state: VenueState, listing: Listing) -> dict[str, Any]:
    top, now_ms = top_of_book(state, listing), state.now_ms
    head = {"e": "depthUpdate", "E": now_ms, "T": now_ms, "s": listing.symbol, "ps": listing.symbol, "st": 0}
    ids = {"U": now_ms, "u": now_ms, "pu": now_ms - 1}
    return {**head, **ids, "b": [[top.bid, top.bid_size]], "a": [[top.ask, top.ask_size]]}


def _trades(state: VenueState, listing: Listing, kind: str, since_row: int) -> list[dict[str, Any]]:
    """One trade for each bar that ended: its volume at its close; the data does not know more."""
    frames = []
    for row in range(since_row, state.row):
        cell, time_ms = seen_cell(state, listing, row), state.market.close_ms(row) - 1
        if cell is not None and cell.volume > 0.0:
            shown = {"p": number(cell.close), "q": number(cell.volume), "T": time_ms, "m": False, "st": 0}
            more = {"a": row, "nq": number(cell.volume), "f": row, "l": row}
            own = more if kind == "aggTrade" else {"t": row, "X": "MARKET"}
            frames.append({"e": kind, "E": state.now_ms, "s": listing.symbol, **shown, **own})
    return frames


def _ticker(state: VenueState, listing: Listing, *, mini: bool) -> dict[str, Any]:
    row = day_ticker(state, listing)
    prices = {"c": row["lastPrice"], "o": row["openPrice"], "h": row["highPrice"], "l": row["lowPrice"]}
    shared = {"E": state.now_ms, "s": listing.symbol, **prices, "v": row["volume"], "q": row["quoteVolume"]}
    shared |= {"ps": listing.symbol, "st": 0}
    if mini:
        return {"e": "24hrMiniTicker", **shared}
    change = {"p": row["priceChange"], "P": row["priceChangePercent"], "w": row["weightedAvgPrice"], "Q": "0"}
    times = {"O": row["openTime"], "C": row["closeTime"], "F": 0, "L": 0, "n": 0}
    return {"e": "24hrTicker", **shared, **change, **times}
