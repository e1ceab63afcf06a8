"""Prices of every size, trading rules that fit them or do not, and rules that change in between."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import VOLUME, Bars, Instrument, RuleChange

Generator = np.random.Generator


def with_scales(rng: Generator, bars: Bars) -> Bars:
    """`bars` at other prices, which may rise or fall by orders of size on the way; what is traded in USD stays."""
    ohlcv = bars.ohlcv.copy()
    for s in range(bars.n_symbols):
        factor = 10.0 ** (rng.uniform(-7.0, 3.0) + _way(rng, bars.n_bars))
        ohlcv[:, s, :VOLUME] *= factor[:, None]
        ohlcv[:, s, VOLUME] /= factor
    return dataclasses.replace(bars, ohlcv=ohlcv)


def _way(rng: Generator, n: int) -> Float64Array:
    """(T,) powers of ten: flat, a cliff, a slope over all bars, or a slope over some of them."""
    kind = rng.choice(["flat", "cliff", "slope", "steep slope"], p=[0.45, 0.2, 0.15, 0.2])
    if kind == "flat":
        return np.zeros(n)
    start, height = int(rng.integers(n // 4, n)), float(rng.uniform(-4.0, 4.0))
    length = {"cliff": 1, "slope": n - 1, "steep slope": int(rng.integers(2, 12))}[str(kind)]
    rows = np.arange(n) - (0 if kind == "slope" else start - 1)
    return height * np.clip(rows / length, 0.0, 1.0)


def with_rules(rng: Generator, bars: Bars) -> Bars:
    """`bars` with rules from fine to absurd for the prices of each symbol; some print on the grid of their tick."""
    rows = [int(rng.integers(0, bars.n_bars)) for _ in bars.symbols]
    instruments = tuple(random_instrument(rng, _price(bars, row, s)) for s, row in enumerate(rows))
    ohlcv = bars.ohlcv.copy()
    for s, instrument in enumerate(instruments):
        if instrument.tick > 0.0 and rng.random() < 0.3:
            ohlcv[:, s, :VOLUME] = np.maximum(np.rint(ohlcv[:, s, :VOLUME] / instrument.tick), 1.0) * instrument.tick
    return dataclasses.replace(bars, ohlcv=ohlcv, instruments=instruments)


def with_rule_changes(rng: Generator, bars: Bars) -> Bars:
    """`bars` in which a symbol's rules change up to three times, also beyond the last bar and between two opens."""
    changes: list[RuleChange] = []
    for s, symbol in enumerate(bars.symbols):
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.1, 0.35, 0.35, 0.2]))):
            row = int(rng.integers(1, bars.n_bars + 2))
            late_ms = int(rng.choice([0, 0, 1, bars.interval_ms // 2, bars.interval_ms - 1]))
            time_ms = int(bars.open_time_ms[0]) + row * bars.interval_ms - late_ms
            price = _price(bars, min(row, bars.n_bars - 1), s)
            changes.append(RuleChange(time_ms, symbol, random_instrument(rng, price)))
    return dataclasses.replace(bars, rule_changes=_one_at_a_time(changes))


def _one_at_a_time(changes: list[RuleChange]) -> tuple[RuleChange, ...]:
    """In the order of time; a symbol's second change in one millisecond is left out."""
    last = {(change.time_ms, change.symbol): change for change in changes}
    return tuple(sorted(last.values(), key=lambda change: (change.time_ms, change.symbol)))


def random_instrument(rng: Generator, price: float) -> Instrument:
    """A tick from a hundred thousandth of `price` to a hundred times it, a lot from cents to a million USD."""
    exact = rng.random() < 0.35
    tick = 10.0 ** math.floor(math.log10(price * 10.0 ** rng.uniform(-5.0, 2.0)))
    return Instrument(
        tick=_or_none(rng, 0.1, price / 1024.0 if exact else tick),
        lot=_or_none(rng, 0.1, 10.0 ** rng.uniform(-2.0, 6.0) / price),
        min_notional=float(rng.choice([0.0, 10.0, 150.0, 600.0, 1_000.0, 5_000.0, 1e6])),
        maintenance_margin_rate=float(rng.choice([0.03, 0.1, 0.25])),
        maker_fee_bps=float(rng.choice([0.0, 1.5, 3.0])),
        taker_fee_bps=float(rng.choice([4.5, 10.0])),
    )


def _or_none(rng: Generator, share: float, value: float) -> float:
    return 0.0 if rng.random() < share else value


def _price(bars: Bars, row: int, s: int) -> float:
    """A close in that row or near it; 1 where the symbol never had one."""
    closes: Any = bars.close[:, s]
    known = np.flatnonzero(np.isfinite(closes))
    return float(closes[known[np.abs(known - row).argmin()]]) if len(known) else 1.0
