"""Trading rules of a symbol as they are in one bar, and which of them count at a price."""

from __future__ import annotations

from dataclasses import dataclass

from plain_rounding import on_grid

from quantlab.core.market import Bars, Instrument
from quantlab.trading.strategy.strategy import Costs


@dataclass(frozen=True)
class Terms:
    """An instrument, and how coarse its rules may be before they count as unknown: an unknown rule is 0."""

    instrument: Instrument
    costs: Costs

    def tick_at(self, price: float) -> float:
        """No tick at a price that it is too large a share of; nor at NaN or below zero."""
        tick = self.instrument.tick
        return tick if tick <= self.costs.coarsest_tick * price else 0.0

    def lot_at(self, price: float) -> float:
        lot = self.instrument.lot
        return lot if lot * price <= self.costs.coarsest_order_usd else 0.0

    @property
    def smallest_order_usd(self) -> float:
        smallest = self.instrument.min_notional
        return smallest if smallest <= self.costs.coarsest_order_usd else 0.0

    def on_grid(self, price: float, *, up: bool) -> float:
        """`price` rounded to the tick, if it has one there."""
        return on_grid(price, self.tick_at(price), up=up)


def terms_at(bars: Bars, open_ms: int, costs: Costs) -> list[Terms]:
    """Each symbol's rules in the bar that opens at `open_ms`: the last change up to then, else the first ones."""
    instruments = dict(zip(bars.symbols, bars.instruments, strict=True))
    for change in bars.rule_changes:
        if change.time_ms <= open_ms:
            instruments[change.symbol] = change.instrument
    return [Terms(instruments[symbol], costs) for symbol in bars.symbols]
