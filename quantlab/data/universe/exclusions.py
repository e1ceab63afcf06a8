"""Rules that keep coins out of a universe: by what others call them, and by how they are priced.

No list is ever complete, and a category is only as good as its keeper. So a coin is of a kind if *any* of
these says so, and the last two need no list at all: a coin that costs a dollar all day is a dollar, and
what is named after bitcoin and costs what bitcoin costs is bitcoin in a wrapper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError
from quantlab.data.universe.coingecko import Coin


@dataclass(frozen=True)
class CoinList:
    """A list of coins, and its categories.

    Parameters
    ----------
    entries : tuple of Coin
        The largest first.
    categories : dict of category to set of coin ids
    """

    entries: tuple[Coin, ...]
    categories: Mapping[str, frozenset[str]]

    def price_of(self, ticker: str) -> float | None:
        """Of the largest coin with this ticker, USD."""
        return next((coin.price for coin in self.entries if coin.symbol == ticker), None)


@dataclass(frozen=True)
class Peg:
    """A price that is pegged to a value.

    Parameters
    ----------
    usd : float
        Where.
    tolerance : float
        Largest distance from it, as a fraction.
    day_range : float
        Largest ``high - low`` of the last 24 hours, as a fraction of `usd`.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    usd: float
    tolerance: float
    day_range: float

    def __post_init__(self) -> None:
        check_range("peg.usd", self.usd, low=1e-9)
        check_range("peg.tolerance", self.tolerance, low=0.0, high=1.0)
        check_range("peg.day_range", self.day_range, low=0.0, high=1.0)

    def matches(self, coin: Coin) -> bool:
        """True if `coin` is priced so; false where price or range are unknown."""
        if coin.price is None or coin.high is None or coin.low is None:
            return False
        return (
            abs(coin.price / self.usd - 1.0) <= self.tolerance and (coin.high - coin.low) / self.usd <= self.day_range
        )


@dataclass(frozen=True)
class Lookalike:
    """Coins that are named after a large coin and priced like it, e.g. its wrapped and staked forms.

    Parameters
    ----------
    of : sequence of str
        Tickers of the large coins.
    multiples : pair of float
        Lowest and highest price in units of the large coin's: staked coins grow dearer than what they stake.
    """

    of: Sequence[str]
    multiples: Sequence[float]

    def __post_init__(self) -> None:
        low, high = self.multiples
        if not 0.0 < low <= 1.0 <= high:
            raise ConfigError("lookalike.multiples around 1", found=str(list(self.multiples)), fix="write [0.9, 2.0]")

    def matches(self, coin: Coin, coins: CoinList) -> bool:
        """True if the ticker begins or ends with a large coin's, and the price is so many times that coin's."""
        low, high = self.multiples
        for ticker in self.of:
            named = coin.symbol != ticker and (coin.symbol.startswith(ticker) or coin.symbol.endswith(ticker))
            price = coins.price_of(ticker) if named else None
            if price is not None and coin.price is not None and low <= coin.price / price <= high:
                return True
        return False


@dataclass(frozen=True)
class ExclusionRule:
    """A kind of coins that is kept out of a universe; a coin is of the kind if any of these says so.

    Parameters
    ----------
    categories : sequence of str
        CoinGecko's ids.
    symbols : sequence of str
        Tickers in capitals.
    patterns : sequence of str
        Regular expressions for whole tickers.
    names : sequence of str
        Regular expressions for a part of a coin's full name, whatever the case.
    peg : Peg or None
    lookalike : Lookalike or None

    Raises
    ------
    ConfigError
        If a pattern is no regular expression.
    """

    categories: Sequence[str]
    symbols: Sequence[str]
    patterns: Sequence[str]
    names: Sequence[str]
    peg: Peg | None
    lookalike: Lookalike | None

    def __post_init__(self) -> None:
        for pattern in (*self.patterns, *self.names):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError("a regular expression", found=f"{pattern!r} ({error})", fix="correct it") from error

    def matches(self, ticker: str, coin: Coin | None, coins: CoinList) -> bool:
        """True if this coin is of the kind; where no coin is known, only its ticker is judged."""
        if ticker in self.symbols or any(re.fullmatch(pattern, ticker) for pattern in self.patterns):
            return True
        return coin is not None and (
            any(coin.id in coins.categories[category] for category in self.categories)
            or any(re.search(pattern, coin.name, re.IGNORECASE) for pattern in self.names)
            or (self.peg is not None and self.peg.matches(coin))
            or (self.lookalike is not None and self.lookalike.matches(coin, coins))
        )

    def fingerprint_parts(self) -> list[object]:
        """Everything that decides, for a fingerprint."""
        peg = None if self.peg is None else [self.peg.usd, self.peg.tolerance, self.peg.day_range]
        lookalike = None if self.lookalike is None else [list(self.lookalike.of), list(self.lookalike.multiples)]
        return [list(self.categories), list(self.symbols), list(self.patterns), list(self.names), peg, lookalike]
