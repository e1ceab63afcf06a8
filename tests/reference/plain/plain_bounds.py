"""Prices at which a fill may lie at all: from bars, costs and trading rules, whatever filled it and how.

Every fill lies within its bar, widened by slippage, and by one tick where the tick is no larger a share of the price
than `coarsest_tick`. A reducing leg in a cell with a suspect print may fill at the agreed price, if that is worse; a
liquidation in such a cell or without volume at the mark; a delisting exactly at the mark.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from plain_simulator import PlainResult

from quantlab.core.market import HIGH, LOW, VOLUME, Bars, Instrument
from quantlab.core.results import OrderReason, Simulation
from quantlab.trading.strategy.strategy import Costs

#: Of a price; two roundings of the same number may differ by it.
ROUNDING = 1e-12
BASIS_POINTS = 10_000.0


@dataclass(frozen=True)
class Filled:
    """One order record: its bar, its symbol, signed units and the price."""

    bar: int
    symbol: int
    units: float
    price: float
    reason: int


def filled_of(result: Simulation) -> list[Filled]:
    orders, columns = result.orders, ("idx", "col", "size", "side", "price")
    rows = zip(*(orders[name].tolist() for name in columns), result.reasons.tolist(), strict=True)
    return [Filled(t, s, -size if side else size, price, reason) for t, s, size, side, price, reason in rows]


def filled_in(reference: PlainResult) -> list[Filled]:
    return [Filled(f.bar, f.symbol, f.units, f.price, int(f.reason)) for f in reference.fills]


def violations(bars: Bars, costs: Costs, fills: Iterable[Filled], seen: Counter[str]) -> list[str]:
    """Fills that lie where none may; `seen` counts all of them by kind."""
    found, market = [], _Market(bars, costs, seen)
    held = [0.0] * bars.n_symbols
    opened = [0] * bars.n_symbols
    for fill in fills:
        s, before = fill.symbol, held[fill.symbol]
        held[s] = before + fill.units
        if before == 0.0:
            opened[s] = fill.bar
        seen["fills"] += 1
        seen["fills at which the tick is too coarse"] += market.is_coarse(fill)
        reduces = before * fill.units < 0.0
        if not market.allows(fill, opened[s] if reduces else None):
            found.append(f"{fill} in {bars.ohlcv[fill.bar, s].tolist()}, {market.rules(fill)}, {costs}")
    return found


@dataclass(frozen=True)
class _Market:
    """The bars that fills are held against."""

    bars: Bars
    costs: Costs
    seen: Counter[str]

    def rules(self, fill: Filled) -> Instrument:
        """The rules of the bar in which it filled."""
        symbol, open_ms = self.bars.symbols[fill.symbol], int(self.bars.open_time_ms[fill.bar])
        changes = [c for c in self.bars.rule_changes if c.symbol == symbol and c.time_ms <= open_ms]
        return changes[-1].instrument if changes else self.bars.instruments[fill.symbol]

    def is_coarse(self, fill: Filled) -> bool:
        return self.rules(fill).tick > self.costs.coarsest_tick * fill.price

    def allows(self, fill: Filled, opened: int | None) -> bool:
        """`opened` is the bar in which the position was opened that this fill reduces, None if it reduces nothing."""
        if fill.reason == OrderReason.DELISTED:
            self.seen["delisted at the mark"] += 1
            return opened is not None and fill.price == self._mark(fill, opened, before_this_bar=True)
        cell = self.bars.ohlcv[fill.bar, fill.symbol]
        has_volume, suspect = bool(cell[VOLUME] > 0.0), self._flag(fill.bar, fill.symbol) != 0
        if has_volume and self._within(fill, float(cell[LOW]), float(cell[HIGH])):
            return True
        if opened is None or not (suspect or fill.reason == OrderReason.LIQUIDATION):
            return False
        if fill.reason == OrderReason.LIQUIDATION:
            self.seen["liquidated at the mark"] += 1
            exempt, price = suspect or not has_volume, self._mark(fill, opened, before_this_bar=False)
        else:
            self.seen["reduced at the agreed price"] += 1
            exempt, price = has_volume, self._agreed(fill.symbol, opened, fill.bar)
        return exempt and self._within(fill, price, price) and (not has_volume or self._is_worse(fill, cell))

    def _within(self, fill: Filled, low: float, high: float) -> bool:
        """`low` .. `high` widened by slippage, and against the account by a tick that is fine enough."""
        slippage, tick = self.costs.slippage_bps / BASIS_POINTS, self.rules(fill).tick
        low, high = low * (1.0 - slippage) * (1.0 - ROUNDING), high * (1.0 + slippage) * (1.0 + ROUNDING)
        if low <= fill.price <= high:
            return True
        unrounded = min(fill.price + tick, high)  # the highest price that a tick can have made this fill of
        if not tick <= self.costs.coarsest_tick * unrounded:
            return False
        self.seen["a tick beyond the bar"] += 1
        return fill.price <= high + tick if fill.units > 0.0 else fill.price >= low - tick

    def _is_worse(self, fill: Filled, cell: object) -> bool:
        """Outside the bar only to the disadvantage of the account: a sell below it, a buy above it."""
        low, high = float(cell[LOW]), float(cell[HIGH])  # type: ignore[index]
        return fill.price >= high if fill.units > 0.0 else fill.price <= low

    def _flag(self, t: int, s: int) -> int:
        return 0 if self.bars.suspect is None else int(self.bars.suspect[t, s])

    def _agreed(self, s: int, opened: int, end: int) -> float:
        """The last finite close of the rows `opened` .. `end - 1` whose flag is not 2."""
        for t in range(end - 1, opened - 1, -1):
            if math.isfinite(self.bars.close[t, s]) and self._flag(t, s) != 2:
                return float(self.bars.close[t, s])
        return math.nan

    def _mark(self, fill: Filled, opened: int, *, before_this_bar: bool) -> float:
        """The last finite close; the worse of it and the agreed price where a suspicion stands."""
        s, is_long = fill.symbol, fill.units < 0.0
        for t in range(fill.bar - before_this_bar, opened - 1, -1):
            close = float(self.bars.close[t, s])
            if math.isfinite(close):
                if self._flag(t, s) != 2:
                    return close
                agreed = self._agreed(s, opened, t)
                return min(agreed, close) if is_long else max(agreed, close)
        return math.nan
