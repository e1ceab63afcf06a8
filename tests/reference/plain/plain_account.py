"""One cross-margined account: cash, positions, and the records of what happened."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from plain_terms import Terms, terms_at

from quantlab.core.market import Bars, Instrument
from quantlab.core.results import OrderReason
from quantlab.trading.strategy.strategy import Costs

BASIS_POINTS = 10_000.0


@dataclass(frozen=True)
class Bar:
    """One cell of the grid."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    traded: bool
    flag: int = 0
    absent: bool = False
    filled: bool = False

    @property
    def is_suspect(self) -> bool:
        return self.flag != 0

    @property
    def close_is_suspect(self) -> bool:
        return self.flag == 2

    @property
    def has_volume(self) -> bool:
        return self.volume > 0.0


@dataclass(frozen=True)
class Distances:
    """How far from the entry an order protects what it opens, in price units; +inf is none."""

    stop: float = math.inf
    take: float = math.inf
    trail: float = math.inf
    break_even: float = math.inf

    @property
    def known(self) -> bool:
        """NaN and <= 0 block every increase; `>` is false for NaN."""
        return all(d > 0.0 for d in (self.stop, self.take, self.trail, self.break_even))


@dataclass
class Position:
    """What is held of one symbol; a flat one has no levels."""

    units: float = 0.0
    entry: float = 0.0
    bars_held: int = 0
    stop: float = math.nan
    take: float = math.nan
    trail: float = math.inf
    break_even: float = math.nan
    absent_bars: int = 0  # in a row, since it was opened
    rules: Instrument | None = None  # those under which it was opened
    own_cash: float = 0.0  # of its own fills since it was opened, minus their fees
    agreed: float = math.nan  # the last finite close since it was opened, in a cell whose close is not suspect

    @property
    def sign(self) -> float:
        return math.copysign(1.0, self.units)

    def worse(self, left: float, right: float) -> float:
        """The price at which what is held is worth less: the lower for a long, the higher for a short."""
        return min(left, right) if self.units > 0.0 else max(left, right)


@dataclass
class Order:
    """What was decided at a close for the next open: at most a reducing and an increasing leg."""

    reducing: float = 0.0
    increasing: float = 0.0
    closes: bool = False
    counted: bool = True
    reason: OrderReason = OrderReason.SIGNAL
    distances: Distances = field(default_factory=Distances)

    @property
    def is_flip(self) -> bool:
        return self.reducing != 0.0 and self.increasing != 0.0


@dataclass(frozen=True)
class Fill:
    """One order record; `units` are signed."""

    bar: int
    symbol: int
    units: float
    price: float
    fee: float
    reason: OrderReason
    over_participation: bool


@dataclass
class Account:
    """The whole state of a simulation between two bars, and its records so far."""

    bars: Bars
    cash: float
    positions: list[Position]
    marks: list[float]
    orders: list[Order | None]
    wanted: list[OrderReason | None]
    stopped: list[bool]
    seen: list[bool]
    equity: float
    terms: list[Terms]  # of this bar
    first_closes: list[float]
    closes_lost: list[bool] = field(default_factory=list)  # of this bar, in the order of the fills
    fills: list[Fill] = field(default_factory=list)
    events: list[tuple[int, int, float, float]] = field(default_factory=list)
    cuts: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, bars: Bars, cash: float, costs: Costs) -> Account:
        n = bars.n_symbols
        return cls(
            bars=bars,
            cash=cash,
            positions=[Position() for _ in range(n)],
            marks=[math.nan] * n,
            orders=[None] * n,
            wanted=[None] * n,
            stopped=[False] * n,
            seen=[False] * n,
            equity=cash,
            terms=terms_at(bars, int(bars.open_time_ms[0]), costs),
            first_closes=bars.close[0].tolist(),
        )

    def held(self) -> list[int]:
        """Symbols that hold units, in symbol order."""
        return [s for s, position in enumerate(self.positions) if position.units != 0.0]

    def value_at(self, prices: list[float]) -> float:
        """Cash, then one held symbol at a time in symbol order."""
        total = self.cash
        for s in self.held():
            total += self.positions[s].units * prices[s]
        return total

    def gross(self) -> float:
        total = 0.0
        for s in self.held():
            total += abs(self.positions[s].units) * self.marks[s]
        return total

    def fill_price(self, s: int, price: float, *, buy: bool) -> float:
        """`price` on the grid, if it has one there: a buy rounds up, a sell down."""
        self._note_tick(s, price, "a fill")
        return self.terms[s].on_grid(price, up=buy)

    def level(self, s: int, price: float, *, up: bool) -> float:
        """A stop, a take-profit or a trigger on the grid, if it has one there."""
        self._note_tick(s, price, "a level")
        return self.terms[s].on_grid(price, up=up)

    def _note_tick(self, s: int, price: float, what: str) -> None:
        tick = self.terms[s].instrument.tick
        if tick > 0.0 and 0.0 < price < math.inf:
            known = self.terms[s].tick_at(price) == tick
            self.branches[f"tick {'known' if known else 'unknown'} for {what}"] += 1
            self.branches["tick just known"] += tick == self.terms[s].costs.coarsest_tick * price
            self.branches["tick above the price"] += tick > price
            first = self.terms[s].tick_at(self.first_closes[s]) == tick
            self.branches[f"tick {'known' if known else 'unknown'} since the price moved"] += known != first

    def fill(self, bar: int, s: int, units: float, price: float, fee_bps: float, reason: OrderReason) -> float:
        """Book signed `units` at `price`; the record carries the fee of `fee_bps`. Returns the notional paid."""
        fee = abs(units) * price * (fee_bps / BASIS_POINTS)
        self.branches["fill under changed rules"] += self.terms[s].instrument is not self.bars.instruments[s]
        self.cash -= units * price
        self.cash -= fee
        self._change_units(s, units, price, fee)
        self.fills.append(Fill(bar, s, units, price, fee, reason, over_participation=False))
        return abs(units) * price

    def _change_units(self, s: int, units: float, price: float, fee: float) -> None:
        position = self.positions[s]
        if position.units == 0.0:
            position = self.positions[s] = Position(units=units, entry=price, rules=self.terms[s].instrument)
        elif math.copysign(1.0, units) == position.sign:
            position.entry = (position.units * position.entry + units * price) / (position.units + units)
            position.units += units
        else:
            position.units += units
        position.own_cash -= units * price
        position.own_cash -= fee
        if position.units == 0.0:
            self.closes_lost.append(position.own_cash < 0.0)
            self.positions[s] = Position()
            self.wanted[s] = None
