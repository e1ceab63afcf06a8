"""Choice of the markets of an exchange that are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.data.exchange.quirks import perpetuals_of
from quantlab.data.store.manifest import SymbolFacts
from quantlab.data.universe.snapshot import ever_members, read_snapshots


@dataclass(frozen=True)
class MarketChoice:
    """Linear perpetuals by name, or the most traded ones.

    Parameters
    ----------
    symbols : "all" or sequence of str
        Ids (``BTCUSDT``) or unified names (``BTC/USDT:USDT``).
    quotes : sequence of str
        With ``all``: quote currencies wanted.
    largest : int or None
        With ``all``: only so many, by the quote volume of the last 24 hours; None = every one. This ranks by
        *today's* volume, which a backtest of the past could not have known.
    universe : str or None
        Instead of both: a folder of universe snapshots. Whoever was a member once is collected, also after
        it left, as long as the exchange still lists it.

    Raises
    ------
    ConfigError
        If `symbols` is neither, or `largest` is not a positive whole number.
    """

    symbols: str | Sequence[str]
    quotes: Sequence[str]
    largest: int | None
    universe: str | None = None

    def __post_init__(self) -> None:
        is_list = not isinstance(self.symbols, str) and len(self.symbols) > 0
        if self.symbols != "all" and not is_list:
            raise ConfigError(
                "symbols as 'all' or a list of names", found=repr(self.symbols), fix="write [BTCUSDT,ETHUSDT]"
            )
        if self.largest is not None:
            check_whole("largest", self.largest, low=1)

    @property
    def needs_volumes(self) -> bool:
        """True if traded volumes are needed to choose."""
        return self.universe is None and self.symbols == "all" and self.largest is not None

    def choose(self, markets: Mapping[str, Mapping[str, Any]], volumes: Mapping[str, float]) -> dict[str, str]:
        """Symbol (the exchange's id) -> unified name, in the symbols' order.

        Parameters
        ----------
        markets : dict
            ccxt's, by unified name.
        volumes : dict
            By unified name; read only if :attr:`needs_volumes`.

        Raises
        ------
        ConfigError
            If a name is not a linear perpetual of this exchange, or none is left; of a universe, if the exchange
            lists no member of it.
        DataError, ArtifactError
            If there are no snapshots of the universe, or one is damaged.
        """
        perpetuals = perpetuals_of(markets)
        if self.universe is not None:
            wanted = self._members()
            found = {symbol: name for symbol, name in sorted(perpetuals.items()) if symbol in wanted}
            if not found:
                raise ConfigError(
                    f"a linear perpetual of the exchange among the members in {self.universe}",
                    found=f"members like {', '.join(wanted[:3]) or 'none at all'}",
                    fix="set job.source.exchange to the exchange of the snapshots, or choice.universe to its own",
                )
            return found
        if self.symbols != "all":
            return dict(sorted(_find_market(str(symbol), perpetuals) for symbol in self.symbols))
        active = {
            symbol: name
            for symbol, name in perpetuals.items()
            if markets[name].get("active") and markets[name].get("quote") in self.quotes
        }
        if not active:
            raise ConfigError(
                f"active perpetuals quoted in {', '.join(self.quotes)}", found="none", fix="set other quotes"
            )
        return dict(sorted(self._largest(active, volumes).items()))

    def unlisted_members(self, markets: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        """Members of the universe, if there is one, that the exchange does not list any more."""
        perpetuals = perpetuals_of(markets)
        return () if self.universe is None else tuple(s for s in self._members() if s not in perpetuals)

    def _members(self) -> tuple[str, ...]:
        return ever_members(read_snapshots(Path(str(self.universe))))

    def _largest(self, active: Mapping[str, str], volumes: Mapping[str, float]) -> dict[str, str]:
        if self.largest is None:
            return dict(active)
        if not any(volumes.get(name, 0.0) for name in active.values()):
            # Without volumes a ranking would be the alphabet's.
            fix = "name the symbols (job.source.choice.symbols=[...]), or take all (job.source.choice.largest=null)"
            raise ConfigError("traded volumes to rank by", found="none from this exchange", fix=fix)
        ranked = sorted(active.items(), key=lambda item: (-volumes.get(item[1], 0.0), item[1]))
        return dict(ranked[: self.largest])


def _find_market(symbol: str, perpetuals: Mapping[str, str]) -> tuple[str, str]:
    for market_id, name in perpetuals.items():
        if symbol in (market_id, name):
            return market_id, name
    fix = "write the exchange's id (BTCUSDT) or ccxt's name (BTC/USDT:USDT)"
    raise ConfigError("a linear perpetual of the exchange", found=repr(symbol), fix=fix)


def split_listed(
    known: Mapping[str, SymbolFacts], markets: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The dataset's symbols that the exchange still has (symbol -> unified name), and those that it has not."""
    by_id = perpetuals_of(markets)
    return {s: by_id[s] for s in known if s in by_id}, tuple(s for s in known if s not in by_id)
