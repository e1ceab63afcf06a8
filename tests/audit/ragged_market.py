"""Sources that move the beginning of their history, or fill it from behind: `leaks=true`; and the honest forms.

Each chooses from the synthetic market below it. What leaks looks at everything that this market will ever have,
also where only a part of the history is asked for, as a class does that reads its files whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from planted_universe import chosen

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import CLOSE, VOLUME, Bars, BarState, Funding
from quantlab.data.synthetic.source import SyntheticSource

DAY_MS = 86_400_000


def between(bars: Bars, start_ms: int | None, end_ms: int | None) -> Bars:
    """The rows whose open lies in ``[start_ms, end_ms)``."""
    times = bars.open_time_ms
    start = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
    stop = len(times) if end_ms is None else int(np.searchsorted(times, end_ms))
    return bars.rows(start, stop)


def first_bars(there: BoolArray) -> list[int]:
    """The first row of every column in which it is there; one beyond the last where it never is."""
    return [int(np.argmax(column)) if column.any() else len(column) for column in there.T]


def without(bars: Bars, gone: BoolArray) -> Bars:
    """`bars` with the cells `gone` (T, S) absent."""
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[gone], state[gone] = np.nan, BarState.ABSENT
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


@dataclass(frozen=True)
class Ragged(SyntheticSource):
    """A market in which the symbols `late` list on the days `listed`, and `dead` stop for ever on the days `died`.

    Known clean: nothing that comes later moves a bar.
    """

    listed: tuple[tuple[int, float], ...] = ()
    died: tuple[tuple[int, float], ...] = ()
    holes: tuple[tuple[int, float, float], ...] = ()

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        first_ms = int(super().history().open_time_ms[0])
        days = (bars.open_time_ms - first_ms) / DAY_MS
        gone = np.zeros(bars.state.shape, dtype=np.bool_)
        for symbol, day in self.listed:
            gone[:, symbol] |= days < day
        for symbol, day in self.died:
            gone[:, symbol] |= days >= day
        for symbol, begins, ends in self.holes:
            gone[:, symbol] |= (days >= begins) & (days < ends)
        bars = without(bars, gone)
        if bars.funding is None:
            return bars
        rate = bars.funding.rate.copy()
        for symbol, day in self.listed:
            rate[bars.funding.time_ms < first_ms + day * DAY_MS, symbol] = np.nan
        return dataclasses.replace(bars, funding=Funding(bars.funding.time_ms, rate))


@dataclass(frozen=True)
class SurvivorsListed(Ragged):
    """Begins at the first bar at which enough symbols are listed for a portfolio.

    Leaks: every symbol that still trades at the end; honest: any two.
    """

    leaks: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history()
        alive = whole.state != BarState.ABSENT
        first = max(first_bars(alive[:, alive[-1]])) if self.leaks else sorted(first_bars(alive))[1]
        return between(whole.rows(first, whole.n_bars), start_ms, end_ms)


@dataclass(frozen=True)
class ThickEnough(Ragged):
    """Leading bars are trimmed until the market trades.

    Leaks: as much as in its median bar of the whole history; honest: anything at all.
    """

    leaks: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history()
        value = np.nansum(whole.ohlcv[:, :, VOLUME] * whole.close, axis=1)
        enough = float(np.quantile(value, 0.9)) if self.leaks else 0.0
        return between(whole.rows(int(np.argmax(value > enough)), whole.n_bars), start_ms, end_ms)


@dataclass(frozen=True)
class FirstBarsDropped(Ragged):
    """The wild hours after a listing are dropped.

    Leaks: until volume has come down to the symbol's own median, of its whole life; honest: the first six hours.
    """

    leaks: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history()
        gone = np.zeros(whole.state.shape, dtype=np.bool_)
        for s, first in enumerate(first_bars(whole.state != BarState.ABSENT)):
            volume = whole.ohlcv[:, s, VOLUME]
            calm = volume <= (np.nanmedian(volume) if self.leaks and first < len(volume) else np.inf)
            settled = int(np.argmax(calm)) if self.leaks else first + 72
            gone[: max(settled, first), s] = True
        return between(without(whole, gone), start_ms, end_ms)


@dataclass(frozen=True)
class BackFilled(Ragged):
    """Every column is made whole. Leaks: also before a listing, from its first bar; honest: only after it."""

    leaks: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history()
        ohlcv, state = whole.ohlcv.copy(), whole.state.copy()
        for s, first in enumerate(first_bars(state != BarState.ABSENT)):
            if first < len(state):
                _fill(ohlcv[:, s], state[:, s], first, backwards=self.leaks)
        return between(dataclasses.replace(whole, ohlcv=ohlcv, state=state), start_ms, end_ms)


def _fill(ohlcv: Float64Array, state: np.ndarray, first: int, *, backwards: bool) -> None:
    """Flat bars in place of what is missing, as pandas' ``ffill`` and then ``bfill`` would."""
    for t in first + np.flatnonzero(state[first:] == BarState.ABSENT):
        ohlcv[t, :VOLUME], ohlcv[t, VOLUME], state[t] = ohlcv[t - 1, CLOSE], 0.0, BarState.FILLED
    if backwards:
        ohlcv[:first, :VOLUME], ohlcv[:first, VOLUME], state[:first] = ohlcv[first, 0], 1.0, BarState.TRADED


@dataclass(frozen=True)
class Newest(Ragged):
    """The newest eight days before the end that is asked for, as an exchange hands them out: known clean."""

    days_kept: int = 8

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        return bars.rows(max(0, bars.n_bars - self.days_kept * DAY_MS // bars.interval_ms), bars.n_bars)


@dataclass(frozen=True)
class FundingFilled(Ragged):
    """Unknown funding rates are filled. Leaks: with the next known one; honest: with nothing, which is 0."""

    leaks: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history()
        assert whole.funding is not None
        rate = whole.funding.rate.copy()
        for s in range(rate.shape[1]):
            known = np.flatnonzero(np.isfinite(rate[:, s]))
            if len(known):
                rate[: known[0], s] = rate[known[0], s] if self.leaks else 0.0
        funding = Funding(whole.funding.time_ms, rate)
        return between(dataclasses.replace(whole, funding=funding), start_ms, end_ms)


@dataclass(frozen=True)
class Remembering(Ragged):
    """Takes the symbols that gained most volume, and remembers them: ranking is slow. Known to leak."""

    keep: int = 3

    @cached_property
    def best(self) -> list[int]:
        whole = super().history()
        half = whole.n_bars // 2
        volume = whole.ohlcv[:, :, VOLUME]
        growth = np.nansum(volume[half:], axis=0) / np.maximum(np.nansum(volume[:half], axis=0), 1.0)
        return sorted(np.argsort(-growth, kind="stable")[: self.keep].tolist())

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        return chosen(super().history(start_ms, end_ms), self.best)


class Wrapped:
    """Any of several sources behind a plain class that is no dataclass: as honest as the one that it takes."""

    def __init__(self, sources: list[Any], taken: int) -> None:
        self.sources, self.taken = sources, taken

    @property
    def synthetic(self) -> bool:
        return True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars: Bars = self.sources[self.taken].history(start_ms, end_ms)
        return bars

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        bars = self.history(start_ms, end_ms)
        return (bars.rows(t, t + 1) for t in range(bars.n_bars))

    def truth(self) -> Any:
        return self.sources[self.taken].truth()
