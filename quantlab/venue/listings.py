"""Names and grids of a venue's symbols: the session's name, the venue's, ccxt's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantlab.core.errors import ConfigError, ContractError, DataError
from quantlab.core.venue.grid import Grid


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol as the venue lists it.

    Parameters
    ----------
    symbol : str
        The session's name; the venue's where the session does not trade it.
    venue_symbol, unified : str
        The venue's and ccxt's names, ``BTCUSDT`` and ``BTC/USDT:USDT``.
    grid : Grid
    row : mapping
        The venue's own row with filters and status.
    """

    symbol: str
    venue_symbol: str
    unified: str
    grid: Grid
    row: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listings:
    """All symbols of a venue.

    Parameters
    ----------
    ours : mapping of str to Listing
        By the session's names; a symbol that the venue does not list is missing.
    all : mapping of str to Listing
        By the venue's names, ours among them.
    """

    ours: Mapping[str, Listing]
    all: Mapping[str, Listing]

    def of(self, symbol: str) -> Listing:
        """The listing of one of the session's symbols.

        Raises
        ------
        ContractError
            If it has none: preflight refuses such a session.
        """
        if symbol not in self.ours:
            raise ContractError(
                "a symbol that the venue lists", found=repr(symbol), fix="ask preflight before an order is sent"
            )
        return self.ours[symbol]

    def by_venue(self, venue_symbol: str) -> Listing:
        """The listing of any symbol by the venue's name.

        Raises
        ------
        DataError
            If the venue names a symbol that it does not list.
        """
        if venue_symbol not in self.all:
            raise DataError(
                "a symbol that the venue lists", found=repr(venue_symbol)[:60], fix="read the venue's facts again"
            )
        return self.all[venue_symbol]


def choose_markets(
    symbols: Sequence[str], markets: Mapping[str, Mapping[str, Any]], quote: str
) -> dict[str, Mapping[str, Any]]:
    """The linear perpetual that each of the session's names means.

    A name is the venue's id (``BTCUSDT``), ccxt's name, or a base (``BTC``) that has one perpetual in the margin asset.

    Parameters
    ----------
    symbols : sequence of str
    markets : mapping
        ccxt's, by unified name.
    quote : str
        The margin asset, e.g. ``USDT``.

    Returns
    -------
    dict
        Session's name -> ccxt's market; a name without a market is missing.

    Raises
    ------
    ConfigError
        If a name means two markets, or two names mean one.
    """
    known = [m for m in markets.values() if m.get("swap") and m.get("linear") and m.get("settle") == quote]
    chosen: dict[str, Mapping[str, Any]] = {}
    for symbol in symbols:
        exact = [m for m in known if symbol in (m["id"], m["symbol"])]
        found = exact or [m for m in known if symbol.upper() == str(m["base"]).upper() and m.get("quote") == quote]
        if len(found) > 1:
            names = ", ".join(str(m["id"]) for m in found)
            raise ConfigError(f"one market that {symbol} means", found=names, fix="name symbols as the venue does")
        if found:
            chosen[symbol] = found[0]
    ids = [str(market["id"]) for market in chosen.values()]
    if len(set(ids)) < len(ids):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        raise ConfigError("one name for each market", found=f"two for {', '.join(twice)}", fix="take one of them out")
    return chosen
