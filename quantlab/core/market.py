"""The market as it was: bars and funding on a dense grid, and the terms on which it trades.

Axes are always named in the same order: ``T`` bars, ``S`` symbols, then the rest. Times are int64
epoch milliseconds, UTC. A bar is stamped with its *open*; it is known at ``open + interval_ms``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from quantlab.core.arrays import (
    BoolArray,
    Float64Array,
    Int64Array,
    ReadOnlyPickling,
    UInt8Array,
    read_only,
    set_fields,
    slice_of,
)
from quantlab.core.checks import check_range
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint

OPEN, HIGH, LOW, CLOSE, VOLUME = 0, 1, 2, 3, 4


class BarState(IntEnum):
    """State of a cell of the dense grid; only ``TRADED`` cells are tradable."""

    TRADED = 0
    ZERO_VOLUME = 1  # printed by the venue, nothing changed hands
    FILLED = 2  # missing at the venue, made flat by the quality gate
    ABSENT = 3  # not there: NaN
    OUTSIDE = 4  # traded, but the symbol was no member of the universe then: nothing is opened in it


class PrintFlag(IntEnum):
    """Trust in a cell's print, by the bars up to it; ``docs/simulation.md``, "Suspect prints"."""

    CLEAN = 0
    WITHIN = 1  # a print within the bar is suspect, its close is agreed
    STANDS = 2  # a suspicion stands at its close


#: Rules above these are taken for a slip of the pen, e.g. a margin in percent: no account survives either.
LARGEST_RULES: Mapping[str, float] = MappingProxyType(
    {"maintenance_margin_rate": 0.99, "maker_fee_bps": 1000.0, "taker_fee_bps": 1000.0}
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Trading rules of one linear perpetual.

    Parameters
    ----------
    tick, lot : float
        Price step in USD and size step in units; 0 means continuous (or unknown).
    min_notional : float
        Smallest order in USD.
    maintenance_margin_rate : float
        Fraction of notional below which the account is liquidated.
    maker_fee_bps, taker_fee_bps : float
        Fees in basis points of notional, >= 0.

    Raises
    ------
    ConfigError
        If a value is negative, not finite or above its :data:`LARGEST_RULES`.
    """

    tick: float
    lot: float
    min_notional: float
    maintenance_margin_rate: float
    maker_fee_bps: float
    taker_fee_bps: float

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            high = LARGEST_RULES.get(f.name, math.inf)
            check_range(f"instrument.{f.name}", getattr(self, f.name), low=0.0, high=high)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """New trading rules of one symbol: they hold from the first bar that opens at or after `time_ms`."""

    time_ms: int
    symbol: str
    instrument: Instrument


def rules_at(
    symbols: tuple[str, ...], instruments: tuple[Instrument, ...], changes: tuple[RuleChange, ...], open_ms: int
) -> tuple[Instrument, ...]:
    """The rules of the bar that opens at `open_ms`, from those of an earlier one and the changes since, by time."""
    due = {change.symbol: change.instrument for change in changes if change.time_ms <= open_ms}
    return tuple(due.get(s, old) for s, old in zip(symbols, instruments, strict=True)) if due else instruments


@dataclass(frozen=True)
class Funding(ReadOnlyPickling):
    """Funding rates as the venue paid them.

    Parameters
    ----------
    time_ms : int64 (N,)
        Hours at which the rates are charged, strictly increasing.
    rate : float64 (N, S)
        Fraction of notional; longs pay a positive rate. NaN = the venue has no rate for that cell.
    """

    time_ms: Int64Array
    rate: Float64Array

    def __post_init__(self) -> None:
        time_ms = read_only(self.time_ms, np.int64, (None,), "funding.time_ms")
        if np.any(np.diff(time_ms) <= 0):
            raise ContractError(
                "strictly increasing funding stamps",
                found="a repeated or earlier stamp",
                fix="sort and deduplicate them",
            )
        set_fields(self, time_ms=time_ms, rate=read_only(self.rate, np.float64, (len(time_ms), None), "funding.rate"))

    def between(self, after_ms: int, until_ms: int) -> Funding:
        """Return the rates with stamps in ``(after_ms, until_ms]``, in arrays of their own."""
        due = slice(*(int(self.time_ms.searchsorted(x, "right")) for x in (after_ms, until_ms)))
        return Funding(self.time_ms[due].copy(), self.rate[due].copy())


@dataclass(frozen=True)
class Bars(ReadOnlyPickling):
    """Market history on one dense time grid.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5)
        Open, high, low, close in USD, volume in base units; NaN where the state is ``ABSENT``.
    open_time_ms : int64 (T,)
        Bar opens, exactly `interval_ms` apart.
    interval_ms : int
    state : uint8 (T, S)
        One :class:`BarState` per cell.
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
        Trading rules of the first bar.
    funding : Funding or None
        None means *no funding data*, which the report must say; it is never taken as 0.
    suspect : uint8 (T, S) or None
        One :class:`PrintFlag` per cell; None where all are ``CLEAN``.
    rule_changes : tuple of RuleChange
        Changes of trading rules after the first bar's open, by time; those after the last bar are known, too.

    Raises
    ------
    ContractError
        If shapes, dtypes or the time grid are not as above.
    """

    ohlcv: Float64Array
    open_time_ms: Int64Array
    interval_ms: int
    state: UInt8Array
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    funding: Funding | None = None
    suspect: UInt8Array | None = None
    rule_changes: tuple[RuleChange, ...] = ()

    def __post_init__(self) -> None:
        open_time_ms = read_only(self.open_time_ms, np.int64, (None,), "bars.open_time_ms")
        t, s = len(open_time_ms), len(self.symbols)
        if t == 0 or s == 0:
            raise ContractError(
                "at least one bar and one symbol", found=f"{t} bars, {s} symbols", fix="check the data source"
            )
        if len(set(self.symbols)) != s:
            raise ContractError("unique symbols", found=f"repeats in {self.symbols}", fix="name every symbol once")
        if len(self.instruments) != s:
            raise ContractError(
                f"{s} instruments", found=str(len(self.instruments)), fix="give one instrument per symbol"
            )
        steps = np.diff(open_time_ms)
        if np.any(steps != self.interval_ms):
            bad = int(np.flatnonzero(steps != self.interval_ms)[0])
            raise ContractError(
                f"bars {self.interval_ms} ms apart",
                found=f"{int(steps[bad])} ms between rows {bad} and {bad + 1}",
                fix="put the bars on the dense grid through the quality gate",
            )
        if self.funding is not None and self.funding.rate.shape[1] != s:
            raise ContractError(
                f"funding for {s} symbols", found=str(self.funding.rate.shape[1]), fix="align funding with the symbols"
            )
        set_fields(
            self,
            open_time_ms=open_time_ms,
            ohlcv=read_only(self.ohlcv, np.float64, (t, s, 5), "bars.ohlcv"),
            state=read_only(self.state, np.uint8, (t, s), "bars.state"),
        )
        if self.suspect is not None:
            set_fields(self, suspect=read_only(self.suspect, np.uint8, (t, s), "bars.suspect"))
        self._check_changes()

    def _check_changes(self) -> None:
        keys = [(change.time_ms, change.symbol) for change in self.rule_changes]
        times = [time_ms for time_ms, _ in keys]
        known = {symbol for _, symbol in keys} <= set(self.symbols)
        if (
            not known
            or len(set(keys)) != len(keys)
            or times != sorted(times)
            or min(times, default=np.inf) <= self.open_time_ms[0]
        ):
            raise ContractError(
                "rule changes of these symbols after the first bar's open, by time, one per symbol and time",
                found=", ".join(f"{symbol} at {time_ms} ms" for time_ms, symbol in keys[:5]),
                fix="fold changes up to the first bar into its instruments with rules_at()",
            )

    def __repr__(self) -> str:
        names = ", ".join(self.symbols[:3]) + (", ..." if self.n_symbols > 3 else "")
        span = " to ".join(iso_utc(int(self.open_time_ms[row])) for row in (0, -1))
        funding = "no funding" if self.funding is None else "funding"
        return (
            f"Bars({self.n_bars} x {self.interval_ms // 1000} s, {span}; {self.n_symbols} symbols: {names}; {funding})"
        )

    @property
    def n_bars(self) -> int:
        return len(self.open_time_ms)

    @property
    def n_symbols(self) -> int:
        return len(self.symbols)

    @property
    def close_time_ms(self) -> Int64Array:
        """int64 (T,): when each bar becomes known."""
        return self.open_time_ms + self.interval_ms

    @property
    def close(self) -> Float64Array:
        """float64 (T, S) view of the closes."""
        return self.ohlcv[:, :, CLOSE]

    @property
    def tradable(self) -> BoolArray:
        """bool (T, S): the venue traded in that bar, and the symbol belonged to the universe."""
        traded: BoolArray = self.state == BarState.TRADED
        return traded

    @property
    def printed(self) -> BoolArray:
        """bool (T, S): the venue had a bar, traded or not."""
        there: BoolArray = (self.state != BarState.FILLED) & (self.state != BarState.ABSENT)
        return there

    def rows(self, start: int, stop: int) -> Bars:
        """Bars of rows ``start:stop``, as views; funding stamps are kept whole."""
        opens = self.open_time_ms[start:stop]
        views: dict[str, Any] = {
            "ohlcv": self.ohlcv[start:stop],
            "open_time_ms": opens,
            "state": self.state[start:stop],
        }
        if self.suspect is not None:
            views["suspect"] = self.suspect[start:stop]
        if self.rule_changes and len(opens):
            first = int(opens[0])
            views["instruments"] = rules_at(self.symbols, self.instruments, self.rule_changes, first)
            views["rule_changes"] = tuple(change for change in self.rule_changes if change.time_ms > first)
        return slice_of(self, views) if len(opens) else dataclasses.replace(self, **views)

    def first_symbols(self, count: int) -> Bars:
        """The first `count` symbols, copied."""
        funding = self.funding and Funding(self.funding.time_ms, np.ascontiguousarray(self.funding.rate[:, :count]))
        return dataclasses.replace(
            self,
            ohlcv=np.ascontiguousarray(self.ohlcv[:, :count]),
            state=np.ascontiguousarray(self.state[:, :count]),
            symbols=self.symbols[:count],
            instruments=self.instruments[:count],
            funding=funding,
            suspect=None if self.suspect is None else np.ascontiguousarray(self.suspect[:, :count]),
            rule_changes=tuple(change for change in self.rule_changes if change.symbol in self.symbols[:count]),
        )

    def fingerprint(self) -> str:
        """sha256 over every value that a result can depend on."""
        funding = None if self.funding is None else (self.funding.time_ms, self.funding.rate)
        flags: tuple[object, ...] = () if self.suspect is None or not self.suspect.any() else (self.suspect,)
        dated = tuple(change for change in self.rule_changes if change.time_ms <= self.open_time_ms[-1])
        more = (*flags, dated) if dated else flags
        return fingerprint(
            self.symbols, self.interval_ms, self.instruments, self.open_time_ms, self.ohlcv, self.state, funding, *more
        )
