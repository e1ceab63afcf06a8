"""An exchange's derivatives as a universe sees them: what can be traded, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.data.exchange.quirks import Quirks, positive_number, symbol_of, turnover_usd


@dataclass(frozen=True)
class Contract:
    """One contract of an exchange.

    Parameters
    ----------
    symbol : str
        The exchange's own, e.g. ``1000SHIBUSDT``: the name under which its bars are stored.
    market : str
        ccxt's unified name.
    base, quote : str
        E.g. ``1000SHIB`` and ``USDT``.
    unfit_reason : str
        Why it is no active linear perpetual in a wanted currency; empty if it is one.
    created_ms : int or None
        When it was listed; None = the exchange does not say.
    volume_usd : float or None
        Traded in the last 24 hours, in the quote currency, which is taken for a dollar.
    spread_bps : float or None
        ``(ask - bid) / mid`` at the moment of asking.
    price : float or None
        Last trade.
    """

    symbol: str
    market: str
    base: str
    quote: str
    unfit_reason: str
    created_ms: int | None
    volume_usd: float | None
    spread_bps: float | None
    price: float | None


def contracts_of(
    markets: Mapping[str, Mapping[str, Any]],
    tickers: Mapping[str, Mapping[str, Any]],
    books: Mapping[str, Mapping[str, Any]],
    quotes: Sequence[str],
    quirks: Quirks,
) -> tuple[Contract, ...]:
    """ccxt's markets, tickers and best bids and asks, put together; in the symbols' order.

    Parameters
    ----------
    markets, tickers, books : dict
        By unified name; `books` may be empty where the tickers hold bid and ask.
    quotes : sequence of str
        Currencies that may be quoted in.
    quirks : Quirks
        Of the exchange.
    """
    found = [
        Contract(
            symbol=symbol_of(market),
            market=name,
            base=str(market.get("baseName") or market["base"]),
            quote=str(market["quote"]),
            unfit_reason=_unfit_reason(market, quotes),
            created_ms=None if market.get("created") is None else int(market["created"]),
            volume_usd=turnover_usd(tickers.get(name, {}), market, quirks),
            spread_bps=_spread_bps(books.get(name) or tickers.get(name) or {}),
            price=positive_number(tickers.get(name, {}).get("last")),
        )
        for name, market in markets.items()
        if market.get("contract") and not market.get("option")
    ]
    return tuple(sorted(found, key=lambda contract: (contract.symbol, contract.market)))


def _unfit_reason(market: Mapping[str, Any], quotes: Sequence[str]) -> str:
    if not market.get("swap"):
        return "not a perpetual"
    if not market.get("linear"):
        return "not linear"
    if market.get("quote") not in quotes:
        return f"quoted in {market.get('quote')}"
    if market.get("settle") not in quotes:
        return f"settled in {market.get('settle')}"
    return "" if market.get("active") else "not active"


def _spread_bps(book: Mapping[str, Any]) -> float | None:
    bid, ask = positive_number(book.get("bid")), positive_number(book.get("ask"))
    return None if bid is None or ask is None or ask < bid else 2e4 * (ask - bid) / (ask + bid)
