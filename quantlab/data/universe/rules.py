"""Rules of the universe: the perpetuals that belong to it, and the reason why the others do not.

1. Only active linear perpetuals in a wanted currency.
2. The coin behind each: of all readings of its base (``1000SHIB`` is a thousand SHIB) and all coins of that
   ticker, the largest whose price agrees with the perpetual's.
3. No stablecoin, wrapped or leveraged token (:mod:`quantlab.data.universe.exclusions`).
4. No perpetual below the limits of volume, spread and age; what a limit asks for and nobody tells fails it.
5. Of several perpetuals of one coin, the most traded.
6. The largest of what is left, by volume or by market capitalisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quantlab.core.checks import check_choice, check_range, check_whole
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.fingerprint import fingerprint
from quantlab.data.universe.coingecko import Coin
from quantlab.data.universe.exclusions import CoinList, ExclusionRule
from quantlab.data.universe.markets import Contract
from quantlab.data.universe.names import readings
from quantlab.data.universe.snapshot import Row

_RANKINGS = ("volume", "market_cap")
_LESS_TRADED = "another perpetual of its coin is traded more"


@dataclass(frozen=True)
class UniverseRules:
    """The rules of the module's steps.

    Parameters
    ----------
    quotes : sequence of str
        Currencies that count as dollars, e.g. USDT and USDC.
    excluded : dict of name to ExclusionRule
        The name, with spaces for underscores, becomes the reason.
    rank_by : {"volume", "market_cap"}
    largest : int
        Members at most.
    coins_shown : int
        So many of the largest coins are accounted for in the table, also those without a perpetual.
    least_volume_usd : float
        Of the last 24 hours.
    widest_spread_bps : float or None
        None = any.
    least_age_days : float or None
        None = any; needs an exchange that tells when it listed.
    price_tolerance : float
        Largest difference between a perpetual's and a coin's price, as a fraction, at which they are taken for
        the same coin.

    Raises
    ------
    ConfigError
        If a value is none that can be worked with.
    """

    quotes: Sequence[str]
    excluded: Mapping[str, ExclusionRule]
    rank_by: str
    largest: int
    coins_shown: int
    least_volume_usd: float
    widest_spread_bps: float | None
    least_age_days: float | None
    price_tolerance: float

    def __post_init__(self) -> None:
        check_whole("rules.largest", self.largest, low=1)
        check_whole("rules.coins_shown", self.coins_shown, low=0)
        check_range("rules.least_volume_usd", self.least_volume_usd, low=0.0)
        check_range("rules.price_tolerance", self.price_tolerance, low=0.0, high=1.0)
        for name in ("widest_spread_bps", "least_age_days"):
            if getattr(self, name) is not None:
                check_range(f"rules.{name}", getattr(self, name), low=0.0)
        check_choice("rules.rank_by", self.rank_by, _RANKINGS)

    @property
    def categories(self) -> tuple[str, ...]:
        """Every category that a rule asks about."""
        return tuple(category for kind in self.excluded.values() for category in kind.categories)

    @property
    def fingerprint(self) -> str:
        """sha256 over the rules; stored with every snapshot."""
        kinds = {name: kind.fingerprint_parts() for name, kind in self.excluded.items()}
        limits = (self.least_volume_usd, self.widest_spread_bps, self.least_age_days, self.price_tolerance)
        return fingerprint(list(self.quotes), kinds, self.rank_by, self.largest, *limits)

    def judge(self, contracts: Sequence[Contract], coins: CoinList, now_ms: int) -> tuple[Row, ...]:
        """Members first, in the order of their rank; then everything else with its reason.

        Parameters
        ----------
        contracts : sequence of Contract
        coins : CoinList
        now_ms : int
            For ages.
        """
        rows = [self._judge_contract(contract, coins, now_ms) for contract in contracts]
        ranked = sorted((row for row in rows if not row.reason), key=self._order)
        seen: dict[str, str] = {}
        members: list[Row] = []
        others = [row for row in rows if row.reason]
        for row in sorted(ranked, key=lambda row: (-(row.volume_usd or 0.0), row.symbol)):
            seen.setdefault(row.coin, row.symbol)
        for row in ranked:
            if seen[row.coin] != row.symbol:
                others.append(replace(row, reason=_LESS_TRADED))
            elif len(members) == self.largest:
                others.append(replace(row, reason=f"not among the {self.largest} largest by {self.rank_by}"))
            else:
                members.append(replace(row, rank=len(members) + 1))
        untraded = self._untraded(coins, {row.coin_id for row in members} | {row.coin_id for row in others})
        return (*members, *sorted(others, key=lambda row: (row.reason, row.symbol)), *untraded)

    def _order(self, row: Row) -> tuple[float, str]:
        size = row.volume_usd if self.rank_by == "volume" else row.market_cap_usd
        return -(size or 0.0), row.symbol

    def _judge_contract(self, contract: Contract, coins: CoinList, now_ms: int) -> Row:
        """The row of one contract, judged alone."""
        ticker, multiple, coin = self._coin(contract, coins)
        row = Row(
            symbol=contract.symbol,
            market=contract.market,
            coin=ticker,
            coin_id=None if coin is None else coin.id,
            multiple=multiple,
            rank=None,
            market_cap_usd=None if coin is None else coin.market_cap,
            volume_usd=contract.volume_usd,
            spread_bps=contract.spread_bps,
            age_days=None if contract.created_ms is None else round((now_ms - contract.created_ms) / MS_PER_DAY, 3),
            reason=contract.unfit_reason,
        )
        # Where no coin is known, whatever the name may stand for is held against the lists.
        tickers = (ticker,) if coin is not None else tuple(reading.coin for reading in readings(contract.base))
        kind = next((name for one in tickers for name in self._kinds(one, coin, coins)), "")
        return replace(row, reason=row.reason or kind or self._limit(row))

    def _coin(self, contract: Contract, coins: CoinList) -> tuple[str, int, Coin | None]:
        """Ticker, multiple and, where one fits, the coin itself.

        A ticker without a coin of its price keeps the plain reading: nothing is guessed, and its market
        capitalisation is unknown. Where the exchange shows no price, the first reading that is a coin is taken.
        """
        for ticker, multiple in readings(contract.base):
            for coin in coins.entries:
                if coin.symbol == ticker and self._same_price(contract.price, coin.price, multiple):
                    return ticker, multiple, coin
        return contract.base.upper(), 1, None

    def _same_price(self, theirs: float | None, coins: float | None, multiple: int) -> bool:
        if theirs is None or coins is None:
            return True
        return abs(theirs / (coins * multiple) - 1.0) <= self.price_tolerance

    def _kinds(self, ticker: str, coin: Coin | None, coins: CoinList) -> Iterator[str]:
        for name, kind in self.excluded.items():
            if kind.matches(ticker, coin, coins):
                yield name.replace("_", " ")

    def _limit(self, row: Row) -> str:
        if row.volume_usd is None:
            return "no volume"
        if row.volume_usd < self.least_volume_usd:
            return f"volume below {self.least_volume_usd:,.0f} USD a day"
        if self.widest_spread_bps is not None:
            if row.spread_bps is None:
                return "spread not known"
            if row.spread_bps > self.widest_spread_bps:
                return f"spread above {self.widest_spread_bps:g} bps"
        if self.least_age_days is not None:
            if row.age_days is None:
                return "age not known"
            if row.age_days < self.least_age_days:
                return f"listed less than {self.least_age_days:g} days ago"
        if self.rank_by == "market_cap" and row.market_cap_usd is None:
            return "market capitalisation not known"
        return ""

    def _untraded(self, coins: CoinList, traded: set[str | None]) -> Iterator[Row]:
        """The largest coins that no contract of the exchange is of."""
        for coin in coins.entries[: self.coins_shown]:
            if coin.id not in traded:
                reason = next(self._kinds(coin.symbol, coin, coins), "no perpetual of it")
                yield Row("", None, coin.symbol, coin.id, 1, None, coin.market_cap, None, None, None, reason)
