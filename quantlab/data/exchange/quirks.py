"""Differences between exchanges that ccxt leaves, in one place and as values.

Sources: the exchanges' public documentation and ccxt's own requests. An exchange that is not named here is
taken to be as ccxt unifies it; :mod:`quantlab.data.exchange.pagination` refuses answers that say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quirks:
    """Differences of one exchange from what ccxt unifies.

    Parameters
    ----------
    funding_end : str or None
        The request's own name for the (exclusive) end of a funding history, where ccxt sends none.
    volume_in_contracts : bool
        A ticker's volume counts contracts, and there is none in the quote currency.
    tiers_in_contracts : bool
        The bounds of leverage tiers count contracts, not quote currency.
    symbol_keys : tuple of str
        Keys under which an answer with bars or rates, or one of its rows, names its symbol.
    """

    funding_end: str | None = None
    volume_in_contracts: bool = False
    tiers_in_contracts: bool = False
    symbol_keys: tuple[str, ...] = ()


_QUIRKS = {
    "binance": Quirks(symbol_keys=("symbol",)),
    "binanceusdm": Quirks(symbol_keys=("symbol",)),
    "bybit": Quirks(symbol_keys=("symbol",)),
    "okx": Quirks(funding_end="after", volume_in_contracts=True, tiers_in_contracts=True, symbol_keys=("instId",)),
    "hyperliquid": Quirks(symbol_keys=("s", "coin")),
}


def quirks_of(exchange: str) -> Quirks:
    """Quirks of the exchange that ccxt calls `exchange`."""
    return _QUIRKS.get(exchange, Quirks())


#: Above it a whole number fits into no float, and no amount of money or coins means anything.
_LARGEST_NUMBER = 1e100


def named_symbols(sent: object, keys: tuple[str, ...], levels: int = 3) -> set[str]:
    """The symbols that an answer, or a row of it, names under one of `keys`.

    Examples
    --------
    >>> sorted(named_symbols({"result": {"symbol": "A", "list": [["1"], {"symbol": "B"}]}}, ("symbol",)))
    ['A', 'B']
    """
    if isinstance(sent, list):
        return set().union(*(named_symbols(row, keys, levels - 1) for row in sent if isinstance(row, dict) and levels))
    if not isinstance(sent, dict):
        return set()
    inner = (named_symbols(one, keys, levels - 1) for one in sent.values() if isinstance(one, dict | list) and levels)
    return {str(sent[key]) for key in keys if key in sent}.union(*inner)


def symbol_of(market: Mapping[str, Any]) -> str:
    """The name under which a market's bars are stored: the exchange's own.

    That is its id, unless this is a mere number, as Hyperliquid's places in a list are, which change their
    meaning between exchanges and tell a reader nothing: its name is then the coin's, as the exchange writes it.

    Examples
    --------
    >>> symbol_of({"id": "BTC-USDT-SWAP", "base": "BTC"})
    'BTC-USDT-SWAP'
    >>> symbol_of({"id": "5", "base": "KPEPE", "baseName": "kPEPE"})
    'kPEPE'
    """
    name = str(market["id"])
    return str(market.get("baseName") or market["base"]) if name.isdecimal() else name


def perpetuals_of(markets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Symbol -> ccxt's unified name, of every linear perpetual."""
    return {symbol_of(market): name for name, market in markets.items() if market.get("swap") and market.get("linear")}


def positive_number(value: Any) -> float | None:
    """Return a number above 0 as a float, else None: a value that an answer leaves out or sets to 0 is not known."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value <= _LARGEST_NUMBER else None


def turnover_usd(ticker: Mapping[str, Any], market: Mapping[str, Any], quirks: Quirks) -> float | None:
    """Traded in 24 hours in the quote currency; None where the exchange does not say.

    Parameters
    ----------
    ticker, market : dict
        ccxt's.
    quirks : Quirks
    """
    turnover = positive_number(ticker.get("quoteVolume"))
    if turnover is not None or not quirks.volume_in_contracts:
        return turnover
    contracts, price = positive_number(ticker.get("baseVolume")), positive_number(ticker.get("last"))
    if contracts is None or price is None:
        return None
    return contracts * float(market.get("contractSize") or 1.0) * price
