"""Symbols on a grid of whole lots and ticks, made from a data source's instruments.

The grid of a symbol never changes while the venue runs, so that a position is one whole number. Rules with dates
(:class:`~quantlab.core.market.RuleChange`) change the step of prices and sizes in grid units. Where an instrument's tick or lot is
unknown (0), or counts as unknown at a price of the history (:class:`~quantlab.trading.strategy.strategy.Costs`), the grid is fine
enough to stand for a continuous one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import HIGH, LOW, Bars, Instrument
from quantlab.core.rule_spans import rule_spans
from quantlab.simulator.engine.values import MARGIN_ASSET

#: Decimal places by which a tick in place of an unknown one is finer than the price, and a lot's worth finer than one USD.
FINE_TICKS, FINE_LOTS = 9, 6
BASIS_POINT = Decimal(10_000)
LARGEST_LEVERAGE = 125


@dataclass(frozen=True, slots=True)
class Grid:
    """Unit of price and unit of size that whole numbers count.

    Parameters
    ----------
    tick, lot : Decimal
        USD, and units of the base asset; > 0.
    fine_ticks, fine_lots : bool
        The grid stands for a continuous one: the venue's step of prices, or of sizes, is one grid unit.
    """

    tick: Decimal
    lot: Decimal
    fine_ticks: bool = False
    fine_lots: bool = False

    def price(self, ticks: int) -> Decimal:
        """USD."""
        return ticks * self.tick

    def units(self, lots: int) -> Decimal:
        """Units of the base asset."""
        return lots * self.lot

    def value(self, lot_ticks: int) -> Decimal:
        """USD of a sum of lots x ticks."""
        return lot_ticks * (self.tick * self.lot)

    def ticks(self, price: Decimal) -> int | None:
        """Whole ticks of a price, None off the grid."""
        return _whole(price, self.tick)

    def lots(self, units: Decimal) -> int | None:
        """Whole lots of a size, None off the grid."""
        return _whole(units, self.lot)


def _whole(value: Decimal, step: Decimal) -> int | None:
    quotient, rest = divmod(value, step)
    return int(quotient) if rest == 0 else None


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol as the venue lists it, by the rules of one time.

    Parameters
    ----------
    symbol : str
        On the wire: ``BTCUSDT``.
    name : str
        In the data source: ``BTC``.
    base : str
    column : int
        In the bars.
    grid : Grid
        The same at all times.
    tick_step, lot_step : int
        Steps of prices and sizes in grid units (PRICE_FILTER's ``tickSize``, LOT_SIZE's ``stepSize``).
    min_notional : Decimal
        USD; 0 where it is unknown.
    maintenance, maker_fee, taker_fee : Decimal
        Shares of notional.
    max_leverage : int
        Half of 1 / `maintenance`, at most :data:`LARGEST_LEVERAGE`.
    instrument : Instrument
        The data source's, which the house's matching reads.
    """

    symbol: str
    name: str
    base: str
    column: int
    grid: Grid
    tick_step: int
    lot_step: int
    min_notional: Decimal
    maintenance: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    max_leverage: int
    instrument: Instrument


def wire_symbol(name: str) -> str:
    """A data source's name as a symbol of the venue: ``BTC``, ``BTC/USDT:USDT`` and ``BTCUSDT`` are ``BTCUSDT``.

    >>> wire_symbol("BTC"), wire_symbol("BTC/USDT:USDT"), wire_symbol("kPEPE"), wire_symbol("BTCUSDT")
    ('BTCUSDT', 'BTCUSDT', 'KPEPEUSDT', 'BTCUSDT')
    """
    text = name.partition(":")[0].replace("/", "").replace("-", "").replace("_", "").upper()
    return text if text.endswith(MARGIN_ASSET) and text != MARGIN_ASSET else text + MARGIN_ASSET


def exact(value: float) -> Decimal:
    """The decimal number that a float is written as."""
    return Decimal(repr(float(value)))


def grids_of(bars: Bars, coarsest_tick: float, coarsest_order_usd: float) -> tuple[Grid, ...]:
    """Grids on which every rule of a history, now and later, is a whole number of steps.

    Parameters
    ----------
    bars : Bars
    coarsest_tick, coarsest_order_usd : float
        As in the costs.
    """
    spans = list(rule_spans(bars))
    grids = []
    for s in range(bars.n_symbols):
        traded = bars.ohlcv[:, s, HIGH] > 0.0
        low = float(np.min(bars.ohlcv[traded, s, LOW])) if traded.any() else 1.0
        high = float(np.max(bars.ohlcv[traded, s, HIGH])) if traded.any() else 1.0
        instruments = [span.instruments[s] for span in spans]
        ticks = [i.tick if i.tick <= coarsest_tick * low else 0.0 for i in instruments]
        lots = [i.lot if i.lot * high <= coarsest_order_usd else 0.0 for i in instruments]
        fine_tick, fine_lot = _power(math.log10(low), FINE_TICKS), _power(-math.log10(high), FINE_LOTS)
        tick = _common([exact(i.tick) for i in instruments if i.tick], fine_tick if 0.0 in ticks else None)
        lot = _common([exact(i.lot) for i in instruments if i.lot], fine_lot if 0.0 in lots else None)
        grids.append(Grid(tick, lot, 0.0 in ticks, 0.0 in lots))
    return tuple(grids)


def _power(exponent: float, finer: int) -> Decimal:
    return Decimal(1).scaleb(math.floor(exponent) - finer)


def _common(steps: list[Decimal], fine: Decimal | None) -> Decimal:
    """The largest step of which all are multiples."""
    every = [*steps, fine] if fine is not None else steps
    places = max(max(-int(step.as_tuple().exponent), 0) for step in every)
    return Decimal(math.gcd(*(int(step.scaleb(places)) for step in every))).scaleb(-places)


def listings_of(
    bars: Bars,
    instruments: tuple[Instrument, ...],
    grids: tuple[Grid, ...],
    coarsest_order_usd: float,
) -> dict[str, Listing]:
    """Symbols by the rules of one time.

    Parameters
    ----------
    bars : Bars
    instruments : tuple of Instrument
        The rules that hold.
    grids : tuple of Grid
    coarsest_order_usd : float
        As in the costs: a smallest notional above it is unknown.

    Raises
    ------
    ContractError
        If two names of the data source are one symbol on the wire.
    """
    listed: dict[str, Listing] = {}
    for column, (name, instrument, grid) in enumerate(zip(bars.symbols, instruments, grids, strict=True)):
        symbol = wire_symbol(name)
        if symbol in listed:
            raise ContractError(
                "one name for each symbol of the venue",
                found=f"{listed[symbol].name} and {name}, both {symbol}",
                fix="leave one of them out of the data",
            )
        margin = instrument.maintenance_margin_rate
        unknown = instrument.min_notional > coarsest_order_usd
        listed[symbol] = Listing(
            symbol=symbol,
            name=name,
            base=symbol.removesuffix(MARGIN_ASSET),
            column=column,
            grid=grid,
            tick_step=1 if grid.fine_ticks else int(exact(instrument.tick) / grid.tick),
            lot_step=1 if grid.fine_lots else int(exact(instrument.lot) / grid.lot),
            min_notional=Decimal(0) if unknown else exact(instrument.min_notional),
            maintenance=exact(margin),
            maker_fee=exact(instrument.maker_fee_bps) / BASIS_POINT,
            taker_fee=exact(instrument.taker_fee_bps) / BASIS_POINT,
            max_leverage=LARGEST_LEVERAGE if margin == 0.0 else max(1, min(LARGEST_LEVERAGE, int(0.5 / margin))),
            instrument=instrument,
        )
    return listed
