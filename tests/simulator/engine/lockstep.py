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
from quantlab.trading.account.matching import stop_level, take_level, tighter_stop
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

#: What rests: (side, ticks) of a stop, (lots held that it covers, ticks) of a take.
NO_STOP = NO_TAKE = (0, 0)
#: Fill: row, column, signed lots, ticks.
Fill = tuple[int, int, int, int]


@dataclass(frozen=True)
class ReplayedMarket:
    """A market of the tests: its seed, the cap on volume, and whether stops move."""

    seed: int
    participation: float | None
    trailing: bool


#: All with the cap on volume, which cuts entries, closes and takes.
MARKETS = (
    ReplayedMarket(11, 0.05, False),
    ReplayedMarket(12, 0.05, True),
    ReplayedMarket(13, 0.05, False),
    ReplayedMarket(14, 0.05, True),
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

    def quote(self, column: int) -> tuple[int, int]:
        """Best bid and ask, in ticks."""
        ...

    def set_liquidity(self, column: int, share: float) -> None:
        """Scale the volume of the bar; no call of a venue, but one that the simulated exchange has for tests."""
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
        self.stops = [NO_STOP] * bars.n_symbols
        self.takes = [NO_TAKE] * bars.n_symbols
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
                self._protect(self._send())
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

    def _send(self) -> dict[int, tuple[float, float]]:
        """Send the decided legs, reducing ones of all symbols first; the levels of what opened, by column."""
        state = self.stepper.state
        active = [int(s) for s in state.active[: state.counters[N_ACTIVE]]]
        orders, held = state.orders, self.client.lots()
        for s in np.flatnonzero(np.array(held) == 0):
            self._clear(int(s))  # a stop that fired, a take that filled
        cut: set[int] = set()
        for s in active:
            wanted = round(orders[REDUCE, s] / self.bars.instruments[s].lot)
            if wanted > 0 and held[s]:
                self._cancel_take(s)  # a venue may count it against the position
                filled, _ = self.client.market(s, -wanted if held[s] > 0 else wanted, reduce_only=True)
                if abs(filled) < wanted:
                    cut.add(s)
                    self.out.counts["close cut"] += 1
            self.out.counts["flip"] += orders[REDUCE, s] > 0.0 and orders[INCREASE, s] > 0.0 and held[s] != 0
        opened = {}
        for s in active:
            wanted = round(orders[INCREASE, s] / self.bars.instruments[s].lot)
            if wanted > 0 and s not in cut:
                side = int(orders[SIDE, s])
                filled, ticks = self.client.market(s, side * wanted, reduce_only=False)
                self.out.counts["entry cut"] += 0 < abs(filled) < wanted
                if filled and (held[s] == 0 or (held[s] > 0) != (side > 0)):
                    opened[s] = self._levels(s, side, ticks)
        return opened

    def _levels(self, s: int, side: int, ticks: int) -> tuple[float, float]:
        """Stop and take of what opened at `ticks`."""
        orders, tick = self.stepper.state.orders, self.bars.instruments[s].tick
        price = ticks * tick
        fixed = stop_level(side, price, orders[STOP_DISTANCE, s], tick, self.coarsest)
        trailing = stop_level(side, price, orders[TRAIL_DISTANCE, s], tick, self.coarsest)
        take = take_level(side, price, orders[TAKE_DISTANCE, s], tick, self.coarsest)
        return tighter_stop(side, fixed, trailing), take

    def _protect(self, opened: dict[int, tuple[float, float]]) -> None:
        """Bring what rests in line with positions and levels, which bind from the bar that has just begun."""
        positions = self.stepper.state.positions
        for s, lots in enumerate(self.client.lots()):
            stop, take = opened.get(s, (positions[STOP_LEVEL, s], positions[TAKE_LEVEL, s]))
            if lots and self._set_stop(s, lots, self._ticks(s, stop)):
                self._set_take(s, lots, self._ticks(s, take))
            else:
                self._clear(s)

    def _clear(self, s: int) -> None:
        self._cancel_stop(s)
        self._cancel_take(s)

    def _ticks(self, s: int, level: float) -> int:
        """Whole ticks of a level; 0: none."""
        return round(level / self.bars.instruments[s].tick) if math.isfinite(level) and level > 0.0 else 0

    def _cancel_stop(self, s: int) -> None:
        if self.stops[s] != NO_STOP:
            self.client.cancel_stop(s)
        self.stops[s] = NO_STOP

    def _cancel_take(self, s: int) -> None:
        if self.takes[s][0]:
            self.client.cancel_take(s)
        self.takes[s] = NO_TAKE

    def _set_stop(self, s: int, lots: int, ticks: int) -> bool:
        """Rest the stop; False if the position is closed because it would fire at once."""
        side = -1 if lots > 0 else 1
        if (side, ticks) == self.stops[s]:
            return True
        self.out.counts["stop moved"] += self.stops[s][0] == side
        self._cancel_stop(s)
        if not ticks:
            return True
        if self.client.stop(s, side, ticks):
            self.stops[s] = (side, ticks)
            return True
        return not self._stop_at_once(s, lots)

    def _stop_at_once(self, s: int, lots: int) -> bool:
        """Close at market what a stop would close at the open; False in a bar in which nothing trades: the next one tries again.

        A venue gives a market order the volume that there is, the backtest gives a stop all it needs: the difference is made up
        by a deeper market.
        """
        self._cancel_take(s)
        self.out.counts["stop at once"] += 1
        filled, _ = self.client.market(s, -lots, reduce_only=True)
        if filled != -lots:
            self.client.set_liquidity(s, 1e9)
            rest, _ = self.client.market(s, -lots - filled, reduce_only=True)
            self.client.set_liquidity(s, 1.0)
            self.out.counts["stop at once, cut"] += rest != 0
            assert filled + rest in (0, -lots)
            return rest != 0
        return True

    def _set_take(self, s: int, lots: int, ticks: int) -> None:
        """Rest the take for all that is held; where the market is beyond it, at the nearest price that takes from nobody."""
        if (lots if ticks else 0, ticks) == self.takes[s]:
            return
        self._cancel_take(s)
        if not ticks:
            return
        if not self.client.take(s, -lots, ticks):
            self.out.counts["take beyond the market"] += 1
            bid, ask = self.client.quote(s)
            ticks = bid + 1 if lots > 0 else ask - 1
            assert self.client.take(s, -lots, ticks), "a price within the quote rests"
        self.takes[s] = (lots, ticks)


def by_price(fills: list[Fill]) -> Counter[tuple[int, int, int, bool]]:
    """Lots by (row, column, ticks, whether it buys): one order may fill in several trades, and take the place of another's rest."""
    traded: Counter[tuple[int, int, int, bool]] = Counter()
    for row, column, lots, ticks in fills:
        traded[row, column, ticks, lots > 0] += abs(lots)
    return traded


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
