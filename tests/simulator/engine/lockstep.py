"""A strategy of the backtest that trades on the venue in lockstep, through any client, in whole lots and ticks.

The strategy decides with the house's own bar step, from money and positions that the client reads off the venue.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.types import Signal
from quantlab.trading import Strategy
from quantlab.trading.account.matching import stop_level, take_level
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import (
    CASH,
    ENTRY,
    EQUITY,
    GROSS,
    INCREASE,
    MARK,
    N_ACTIVE,
    REDUCE,
    SIDE,
    STOP_DISTANCE,
    STOP_LEVEL,
    TAKE_DISTANCE,
    TAKE_LEVEL,
    TRAIL_DISTANCE,
    UNITS,
)

#: Fill: row, column, signed lots, ticks.
Fill = tuple[int, int, int, int]


@dataclass(frozen=True)
class ReplayedMarket:
    """A market of the tests: its seed, the cap on volume, and whether stops move."""

    seed: int
    participation: float | None
    trailing: bool


#: A take whose rest is cut by volume, and whose position is then added to, rests nowhere at a venue: with the cap only a market without such cases.
MARKETS = (
    ReplayedMarket(13, 0.05, False),
    ReplayedMarket(11, None, False),
    ReplayedMarket(12, None, True),
    ReplayedMarket(14, None, True),
)


class Client(Protocol):
    """The calls that a strategy needs; columns name symbols, sizes are signed whole lots, prices whole ticks."""

    def market(self, column: int, lots: int, *, reduce_only: bool) -> tuple[int, int]:
        """Send a market order; the lots that filled (signed), and the price of the last trade, in ticks."""
        ...

    def take(self, column: int, lots: int, ticks: int) -> bool:
        """Rest a reduce-only post-only limit; False if it was refused because it would take."""
        ...

    def stop(self, column: int, side: int, ticks: int) -> bool:
        """Rest a close-position stop; False if it was refused because it would fire at once."""
        ...

    def cancel_take(self, column: int) -> None: ...

    def cancel_stop(self, column: int) -> None: ...

    def advance(self) -> None:
        """End the running bar."""
        ...

    def lots(self) -> list[int]:
        """Signed lots of every column."""
        ...

    def entry_price(self, column: int) -> float: ...

    def equity(self) -> float:
        """USD at the last close: without the funding that is paid at the open of the bar that has begun."""
        ...

    def new_fills(self, row: int) -> list[Fill]:
        """Trades since the last call, in order of their ids, noted as of bar `row`."""
        ...


@dataclass
class Outcome:
    """Fills in order, equity at each close, and how often what happened."""

    fills: list[Fill] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class LockstepTrader:
    """Drives `client` by `strategy`, bar by bar."""

    def __init__(self, client: Client, bars: Bars, signal: Signal, strategy: Strategy, cash: float) -> None:
        self.client, self.bars, self.signal = client, bars, signal
        self.stepper = Stepper(strategy, bars.symbols, bars.instruments, bars.interval_ms, cash)
        self.coarsest = float(strategy.costs.coarsest_tick)
        self.stops = [0] * bars.n_symbols  # ticks of the stop that rests, 0: none
        self.takes = [(0, 0)] * bars.n_symbols  # (lots, ticks) of the take that rests
        self.out = Outcome()

    def run(self) -> Outcome:
        """Trade every bar; orders that the last close decides are sent to nobody."""
        for t in range(self.bars.n_bars):
            self.out.fills += self.client.new_fills(t)
            self.client.advance()
            self._note_takes(fills := self.client.new_fills(t))
            self.out.fills += fills
            self.stepper.settle(self.bars.rows(t, t + 1))
            self._believe()
            self.out.equity.append(self.client.equity())
            self.stepper.decide(self.signal.rows(t, t + 1))
            if t + 1 < self.bars.n_bars:
                self._protect()
                self._send(t + 1)
        return self.out

    def _note_takes(self, fills: list[Fill]) -> None:
        """Subtract what a resting take has filled within the bar; its rest goes on resting."""
        for _, s, lots, ticks in fills:
            rested, level = self.takes[s]
            if rested * lots < 0 and (ticks - level) * rested >= 0:  # a stop fills on the other side of the level
                self.takes[s] = (rested + lots, level)

    def _believe(self) -> None:
        """Put what the venue says in the place of what the twin computed: positions, entries, money."""
        state = self.stepper.state
        for s, lots in enumerate(self.client.lots()):
            units = lots * self.bars.instruments[s].lot
            assert round(state.positions[UNITS, s] / self.bars.instruments[s].lot) == lots, f"column {s}"
            state.positions[UNITS, s] = units
            if lots:
                state.positions[ENTRY, s] = self.client.entry_price(s)
        worth = state.positions[UNITS] * state.positions[MARK]
        state.account[EQUITY] = self.client.equity()
        state.account[CASH] = state.account[EQUITY] - worth.sum()
        state.account[GROSS] = np.abs(worth).sum()

    def _protect(self) -> None:
        """Bring what rests in line with the levels, which bind from the bar that has just begun."""
        state, held = self.stepper.state, self.client.lots()
        for s, lots in enumerate(held):
            if lots == 0:
                self._clear(s)
            else:
                tick = self.bars.instruments[s].tick
                self._set_stop(s, lots, state.positions[STOP_LEVEL, s], tick)
                self._set_take(s, lots, state.positions[TAKE_LEVEL, s], tick)

    def _clear(self, s: int) -> None:
        if self.stops[s]:
            self.client.cancel_stop(s)
        if self.takes[s][0]:
            self.client.cancel_take(s)
        self.stops[s], self.takes[s] = 0, (0, 0)

    def _set_stop(self, s: int, lots: int, level: float, tick: float) -> None:
        ticks = round(level / tick) if math.isfinite(level) and level > 0.0 else 0
        if ticks == self.stops[s]:
            return
        if self.stops[s]:
            self.client.cancel_stop(s)
            self.out.counts["stop moved"] += 1
        self.stops[s] = ticks
        if ticks and not self.client.stop(s, -1 if lots > 0 else 1, ticks):
            # It would fire at once: the same price as a stop that fires at the open.
            self.out.counts["stop at once"] += 1
            self.client.market(s, -lots, reduce_only=True)
            self.stops[s] = 0

    def _set_take(self, s: int, lots: int, level: float, tick: float) -> None:
        ticks = round(level / tick) if math.isfinite(level) and level > 0.0 else 0
        if (lots if ticks else 0, ticks) == self.takes[s]:
            return
        if self.takes[s][0]:
            self.client.cancel_take(s)
        self.takes[s] = (0, 0)
        if ticks:
            if self.client.take(s, -lots, ticks):
                self.takes[s] = (lots, ticks)
            else:
                self.out.counts["take at once"] += 1

    def _send(self, t: int) -> None:
        """Send the decided legs: reducing ones of all symbols, then increasing ones; protect what opens."""
        state = self.stepper.state
        active = [int(s) for s in state.active[: state.counters[N_ACTIVE]]]
        orders, held = state.orders, self.client.lots()
        cut: set[int] = set()
        for s in active:
            wanted = round(orders[REDUCE, s] / self.bars.instruments[s].lot)
            if wanted > 0 and held[s]:
                filled, _ = self.client.market(s, -wanted if held[s] > 0 else wanted, reduce_only=True)
                if abs(filled) < wanted:
                    cut.add(s)
        for s in active:
            wanted = round(orders[INCREASE, s] / self.bars.instruments[s].lot)
            if wanted > 0 and s not in cut:
                self._increase(s, int(orders[SIDE, s]) * wanted, held[s])
        for s in active:
            self.out.counts["flip"] += orders[REDUCE, s] > 0.0 and orders[INCREASE, s] > 0.0 and held[s] != 0
        after = self.client.lots()
        for s in active:
            if after[s] == 0:
                self._clear(s)
            elif after[s] != held[s] and (held[s] > 0) == (after[s] > 0) and held[s] and self.takes[s][0]:
                self._set_take(
                    s, after[s], self.takes[s][1] * self.bars.instruments[s].tick, self.bars.instruments[s].tick
                )

    def _increase(self, s: int, lots: int, held: int) -> None:
        filled, ticks = self.client.market(s, lots, reduce_only=False)
        opened = held == 0 or (held > 0) != (lots > 0)
        if not filled or not opened:
            return
        self._clear(s)
        orders, tick = self.stepper.state.orders, self.bars.instruments[s].tick
        side, price = float(np.sign(lots)), ticks * tick
        fixed = stop_level(side, price, orders[STOP_DISTANCE, s], tick, self.coarsest)
        trailing = stop_level(side, price, orders[TRAIL_DISTANCE, s], tick, self.coarsest)
        self._set_stop(s, filled, max(fixed, trailing) if side > 0.0 else min(fixed, trailing), tick)
        self._set_take(s, filled, take_level(side, price, orders[TAKE_DISTANCE, s], tick, self.coarsest), tick)


def fills_of(simulation: Simulation, bars: Bars) -> list[Fill]:
    """A backtest's fills in lots and ticks; those of no whole lot are rests of float arithmetic and left out."""
    fills = []
    for order in simulation.orders:
        rules = bars.instruments[order["col"]]
        lots = round(order["size"] / rules.lot) * (1 if order["side"] == 0 else -1)
        ticks = round(order["price"] / rules.tick)
        assert abs(ticks * rules.tick - order["price"]) < 1e-9 * order["price"], "a fill is on the tick"
        if lots:
            fills.append((int(order["idx"]), int(order["col"]), lots, ticks))
    return fills
