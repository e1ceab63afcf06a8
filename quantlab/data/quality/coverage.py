"""Coverage of a history after the quality gate: counts, holes, stops and listings, for reports and the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from quantlab.core.arrays import BoolArray, UInt8Array
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars, BarState
from quantlab.data.quality.breaks import Break, find_breaks
from quantlab.data.quality.suspects import Suspect, find_suspects


@dataclass(frozen=True)
class Gap:
    """One hole in a listed symbol's bars.

    Parameters
    ----------
    last_before_ms : int
        Open of the last bar before the hole.
    first_after_ms : int or None
        Open of the first bar after it; None if the symbol never came back (a delisting).
    missing_bars : int
    """

    last_before_ms: int
    first_after_ms: int | None
    missing_bars: int


@dataclass(frozen=True)
class Streak:
    """Consecutive bars without volume: open of the first, and how many."""

    first_ms: int
    bars: int


@dataclass(frozen=True)
class SymbolQuality:
    """One symbol's record.

    Parameters
    ----------
    traded, zero_volume, filled, absent : int
        Bars in each state; their sum is the number of bars.
    listed_ms : int or None
        Open of the first bar; None if there is none at all.
    longest_zero_volume : Streak or None
        The longest streak of printed bars without volume, the first of equals; None if there is none.
    gaps : tuple of Gap
        In time order; what lies before the listing is not a gap.
    funding_stamps : int or None
        Known funding rates; None if the bars carry no funding data.
    outside : int
        Bars that traded while the symbol was no member of the universe; part of the sum above.
    """

    traded: int
    zero_volume: int
    filled: int
    absent: int
    listed_ms: int | None
    longest_zero_volume: Streak | None
    gaps: tuple[Gap, ...]
    funding_stamps: int | None
    outside: int = 0


@dataclass(frozen=True)
class QualityReport:
    """Coverage of one history.

    Parameters
    ----------
    first_ms, last_ms : int
        Opens of the first and the last bar.
    n_bars, interval_ms : int
    symbols : dict of symbol to SymbolQuality
    venue_stops : tuple of Streak
        Streaks of bars in which every symbol that printed (at least two) had no volume.
    has_funding : bool
    suspects : tuple of Suspect
        Sound bars that look wrong; a person decides.
    breaks : tuple of Break
        Lasting steps in price that look like a redenomination or a split.
    holes : tuple of Streak
        Streaks of bars in which no symbol, of at least two, has a bar.
    """

    first_ms: int
    last_ms: int
    n_bars: int
    interval_ms: int
    symbols: dict[str, SymbolQuality]
    venue_stops: tuple[Streak, ...]
    has_funding: bool
    suspects: tuple[Suspect, ...] = ()
    breaks: tuple[Break, ...] = ()
    holes: tuple[Streak, ...] = ()

    def findings(self) -> tuple[str, ...]:
        """One sentence for each thing that a reader should know; empty if there is nothing."""
        found = [] if self.has_funding else ["there is no funding data: results leave funding out"]
        found += [f"venue-wide stop of {r.bars} bars from {iso_utc(r.first_ms)}" for r in self.venue_stops]
        found += [
            f"no symbol has a bar for {r.bars} bars from {iso_utc(r.first_ms)}: a hole in the data, or a stop of the venue"
            for r in self.holes
        ]
        found += [f"{step.symbol}: {step.sentence()}" for step in self.breaks]
        for symbol, quality in self.symbols.items():
            found += [f"{symbol}: {text}" for text in _sentences(quality, self)]
        return (*found, *(f"{suspect.symbol}: {suspect.sentence()}" for suspect in self.suspects))


def _sentences(quality: SymbolQuality, report: QualityReport) -> Iterator[str]:
    if quality.listed_ms is None:
        yield "has no bar in this period"
        return
    if quality.listed_ms > report.first_ms:
        yield f"listed late, at {iso_utc(quality.listed_ms)}"
    if quality.outside:
        present = quality.traded + quality.zero_volume + quality.outside
        yield f"outside the universe in {quality.outside / present:.2%} of its bars"
    if quality.funding_stamps == 0:
        yield "has no funding rates"
    for gap in quality.gaps:
        until = "never came back" if gap.first_after_ms is None else f"back at {iso_utc(gap.first_after_ms)}"
        yield f"{gap.missing_bars} missing bars after {iso_utc(gap.last_before_ms)}, {until}"
    run = quality.longest_zero_volume
    if run is not None and run.bars > 1:
        share = quality.zero_volume / (quality.traded + quality.zero_volume + quality.outside)
        yield f"{share:.2%} of its bars have no volume, the longest run {run.bars} bars from {iso_utc(run.first_ms)}"


def coverage(bars: Bars) -> QualityReport:
    """Count and locate everything that the gate marked in `bars`, and what looks wrong besides."""
    printed = bars.printed
    moved = bars.tradable | (bars.state == BarState.OUTSIDE)
    stopped = printed.any(axis=1) & ~moved.any(axis=1) & (printed.sum(axis=1) > 1)
    return QualityReport(
        first_ms=int(bars.open_time_ms[0]),
        last_ms=int(bars.open_time_ms[-1]),
        n_bars=bars.n_bars,
        interval_ms=bars.interval_ms,
        symbols={symbol: _symbol(bars, s) for s, symbol in enumerate(bars.symbols)},
        venue_stops=tuple(Streak(int(bars.open_time_ms[a]), b - a) for a, b in _streaks(stopped)),
        has_funding=bars.funding is not None,
        suspects=find_suspects(bars),
        breaks=find_breaks(bars),
        holes=tuple(
            Streak(int(bars.open_time_ms[a]), b - a)
            for a, b in _streaks(np.asarray(~printed.any(axis=1)))
            if bars.n_symbols > 1
        ),
    )


def _symbol(bars: Bars, s: int) -> SymbolQuality:
    state: UInt8Array = bars.state[:, s]
    traded, zero_volume, filled, absent, outside = (int(n) for n in np.bincount(state, minlength=5))
    missing = ~bars.printed[:, s]
    listed = None if missing.all() else int(np.argmin(missing))
    quiet = [Streak(int(bars.open_time_ms[a]), b - a) for a, b in _streaks(state == BarState.ZERO_VOLUME)]
    return SymbolQuality(
        traded=traded,
        zero_volume=zero_volume,
        filled=filled,
        absent=absent,
        listed_ms=None if listed is None else int(bars.open_time_ms[listed]),
        longest_zero_volume=max(quiet, key=lambda run: run.bars, default=None),
        gaps=() if listed is None else tuple(_gaps(bars, missing, listed)),
        funding_stamps=None if bars.funding is None else int(np.isfinite(bars.funding.rate[:, s]).sum()),
        outside=outside,
    )


def _gaps(bars: Bars, missing: BoolArray, listed: int) -> Iterator[Gap]:
    for first, stop in _streaks(missing):
        if first > listed:
            after = int(bars.open_time_ms[stop]) if stop < bars.n_bars else None
            yield Gap(int(bars.open_time_ms[first - 1]), after, stop - first)


def _streaks(mask: BoolArray) -> list[tuple[int, int]]:
    """``[first, stop)`` of every streak of True in a bool (T,) array."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=np.int8(0), append=np.int8(0)))
    return [(int(a), int(b)) for a, b in pairwise(edges)][::2]
