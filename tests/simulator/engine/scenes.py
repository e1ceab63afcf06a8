"""A small stage for scenes that are computed by hand: sizes and prices as decimal text, no slippage, one account.

In wall mode a bar takes 1,000 seconds, and a seed is chosen by which extreme each bar visits first. That choice, and the times of
the extremes, are worked out here from the documented rule, not asked of the venue.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from quantlab.core.market import Bars
from quantlab.simulator.engine.market import Market
from quantlab.simulator.engine.queries import OrderRef, Page
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import ConditionalRequest, OrderRequest, Placed, PlacedConditional
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.state import ALGO_IDS_AFTER
from quantlab.simulator.engine.values import OrderType, PositionView, Side, Trade, WorkingType
from quantlab.simulator.engine.venue import Venue
from quantlab.trading.strategy.strategy import Costs

ACCOUNT, BTC = "main", "BTCUSDT"
BAR_MS = 1_000_000
BUY, SELL = Side.BUY, Side.SELL
#: Both ends of a bar's way: the low comes first, or the high.
LOW_FIRST, HIGH_FIRST = True, False


@dataclass
class Stage:
    """A venue, spoken to in decimal text; whatever it says is turned back into decimals."""

    venue: Venue

    def ticks(self, price: str, symbol: str = BTC) -> int:
        found = self.venue.listings[symbol].grid.ticks(Decimal(price))
        assert found is not None, price
        return found

    def lots(self, units: str, symbol: str = BTC) -> int:
        found = self.venue.listings[symbol].grid.lots(Decimal(units))
        assert found is not None, units
        return found

    def market(self, side: Side, units: str, symbol: str = BTC, **more: Any) -> Placed | Refused:
        request = OrderRequest(symbol, side, OrderType.MARKET, self.lots(units, symbol), **more)
        return self.venue.place(ACCOUNT, request, self.venue.now_ms)

    def limit(self, side: Side, units: str, price: str, symbol: str = BTC, **more: Any) -> Placed | Refused:
        size, level = self.lots(units, symbol), self.ticks(price, symbol)
        return self.venue.place(
            ACCOUNT, OrderRequest(symbol, side, OrderType.LIMIT, size, level, **more), self.venue.now_ms
        )

    def conditional(
        self, side: Side, kind: OrderType, trigger: str = "", units: str = "", symbol: str = BTC, **more: Any
    ) -> PlacedConditional | Refused:
        """A conditional order; without a size it closes the position."""
        level = self.ticks(trigger, symbol) if trigger else 0
        size = {"lots": self.lots(units, symbol)} if units else {"close_position": True}
        if "activate" in more:
            more["activate_ticks"] = self.ticks(more.pop("activate"), symbol)
        if "price" in more:
            more["price_ticks"] = self.ticks(more.pop("price"), symbol)
        if more.pop("by_mark", False):
            more["working_type"] = WorkingType.MARK_PRICE
        request = ConditionalRequest(symbol, side, kind, level, **size, **more)
        return self.venue.place_conditional(ACCOUNT, request, self.venue.now_ms)

    def trail(self, side: Side, callback: str, units: str = "1", **more: Any) -> PlacedConditional | Refused:
        """A trailing stop, `callback` as a share."""
        return self.conditional(
            side, OrderType.TRAILING_STOP_MARKET, units=units, callback=Decimal(callback), reduce_only=True, **more
        )

    def end_bar(self, bars: int = 1) -> None:
        for _ in range(bars):
            self.venue.advance(self.venue.close_ms)

    def trades(self) -> tuple[Trade, ...]:
        return self.venue.trades(ACCOUNT, None, Page(from_id=0, limit=1_000), self.venue.now_ms)

    def fills(self, skip: int = 0) -> list[tuple[str, str, str]]:
        """(side, units, price) of every trade but the first `skip`, as text."""
        found = []
        for trade in self.trades()[skip:]:
            grid = self.venue.listings[trade.symbol].grid
            found.append((trade.side.name, str(grid.units(trade.lots)), str(grid.price(trade.price_ticks))))
        return found

    def position(self, symbol: str = BTC) -> PositionView:
        return self.venue.position(ACCOUNT, symbol, self.venue.now_ms)

    def held(self, symbol: str = BTC) -> str:
        return str(self.venue.listings[symbol].grid.units(self.position(symbol).lots))

    def wallet(self) -> Decimal:
        return self.venue.wallet(ACCOUNT, self.venue.now_ms).wallet

    def incomes(self, symbol: str | None = None) -> list[tuple[str, str, int]]:
        """(kind, amount, time) of every change of the wallet but deposits."""
        rows = self.venue.income(ACCOUNT, symbol, None, Page(limit=1_000), self.venue.now_ms)
        return [(row.type.value, str(row.amount), row.time_ms) for row in rows if row.type.value != "TRANSFER"]

    def order(self, number: int, symbol: str = BTC) -> Any:
        return self.venue.order(ACCOUNT, symbol, OrderRef(number), self.venue.now_ms)

    def algo(self, number: int) -> Any:
        """The conditional order that was placed as the first, second, ... one."""
        return self.venue.conditional(ACCOUNT, OrderRef(ALGO_IDS_AFTER + number), self.venue.now_ms)

    def cancel_algo(self, number: int) -> Any:
        return self.venue.cancel_conditional(ACCOUNT, OrderRef(ALGO_IDS_AFTER + number), self.venue.now_ms)

    def notes(self, *kinds: str) -> list[Any]:
        return [entry for entry in self.venue.ledger if entry.kind in kinds]


def code_of(answer: object) -> int | None:
    """The code of a refusal, None for what was taken."""
    return answer.code if isinstance(answer, Refused) else None


def lockstep(bars: Bars, *, cash: str = "10000", **more: Any) -> Stage:
    """A stage in lockstep."""
    return _stage(bars, Market(bars, _costs(more)), VenueRules("lockstep", **more), cash)


def wall(bars: Bars, *ways: bool, cash: str = "10000", **more: Any) -> Stage:
    """A stage in wall mode from time 0; `ways` says for the first bars which extreme the first symbol visits first."""
    market = Market(bars, _costs(more), begin_ms=0, bar_ms=BAR_MS, seed=seed_of(*ways))
    return _stage(bars, market, VenueRules("wall", **more), cash)


def _stage(bars: Bars, market: Market, rules: VenueRules, cash: str) -> Stage:
    return Stage(Venue(market, rules, {ACCOUNT: Decimal(cash)}))


def _costs(more: dict[str, Any]) -> Costs:
    named = {name: more.pop(name) for name in ("slippage_bps", "participation", "delisted_after_bars") if name in more}
    return Costs(**{"slippage_bps": 0.0, "participation": None, "liquidation_fee_bps": 125.0, **named})


def way_of(seed: int, row: int, column: int = 0) -> tuple[Fraction, Fraction, bool]:
    """Shares of a bar at which its two extremes are visited, and whether the low comes first."""
    rng = np.random.default_rng([seed, row, column])
    first, second = sorted(rng.uniform(0.05, 0.95, 2))
    return Fraction(float(first)), Fraction(float(second)), bool(rng.random() < 0.5)


def seed_of(*ways: bool) -> int:
    """The first seed whose bars go these ways."""
    return next(seed for seed in itertools.count() if all(way_of(seed, row)[2] == way for row, way in enumerate(ways)))


def time_of(seed: int, row: int, prices: tuple[float, float, float, float], level: str) -> int:
    """The first millisecond of a bar (open, high, low, close) that is after its path's first meeting with `level`."""
    first, second, low_first = way_of(seed, row)
    opened, high, low, close = (Fraction(str(price)) for price in prices)
    knots = [(Fraction(0), opened), (first, low if low_first else high), (second, high if low_first else low), (Fraction(1), close)]  # fmt: skip
    for (share, price), (later, other) in itertools.pairwise(knots):
        if price != other and min(price, other) <= Fraction(level) <= max(price, other):
            at = share + (later - share) * (Fraction(level) - price) / (other - price)
            return row * BAR_MS + int(at * BAR_MS) + 1
    raise AssertionError("never there")
