"""The replay feed: a history as if it happened now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from quantlab.core.checks import check_range
from quantlab.core.clock import FakeClock, parse_utc
from quantlab.core.errors import ConfigError
from quantlab.core.events import RawBar
from quantlab.core.market import Bars, BarState

#: Waits so many seconds, or less when the session is asked to stop.
Sleep = Callable[[float], object]


def raw_bar(bars: Bars, t: int) -> RawBar:
    """Row `t` as it arrived, before the gate filled it, in arrays of its own."""
    ohlcv = bars.ohlcv[t].copy()
    ohlcv[~bars.rows(t, t + 1).printed[0]] = np.nan
    open_ms = int(bars.open_time_ms[t])
    outside = bars.state[t] == BarState.OUTSIDE
    left_out = outside if outside.any() else None
    if bars.funding is None:
        return RawBar(open_ms, ohlcv, outside=left_out)
    return RawBar(open_ms, ohlcv, bars.funding.between(open_ms - bars.interval_ms, open_ms), left_out)


class ReplayFeed:
    """A history as if it happened now; its clock is the market's, so that no bar is ever late.

    Parameters
    ----------
    history : Bars
    start : str or None
        ISO 8601, UTC: open of the first bar of a new session; what lies before warms it up. None = the
        first bar there is.
    pace : float or None
        Seconds of market time in one second; None = as fast as possible.
    sleep : callable, optional
        What waits between two paced bars.

    Raises
    ------
    ConfigError
        If `start` is no time inside the history, or `pace` is not positive.
    """

    def __init__(self, history: Bars, *, start: str | None, pace: float | None, sleep: Sleep = time.sleep) -> None:
        if pace is not None:
            check_range("execution.feed.pace", pace, low=1e-6)
        self._history, self._pace, self._sleep = history, pace, sleep
        self._first = 0 if start is None else _row_of(history, start)
        self.clock = FakeClock(int(history.open_time_ms[self._first]))

    @property
    def begins_ms(self) -> int:
        """Open of the first bar that a new session gets."""
        return int(self._history.open_time_ms[self._first])

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """The rows that open later than `after_ms`."""
        opens, interval = self._history.open_time_ms, self._history.interval_ms
        first = self._first if after_ms is None else int(opens.searchsorted(after_ms, "right"))
        for t in range(max(first, self._first), self._history.n_bars):
            if self._pace is not None:
                self._sleep(interval / 1000 / self._pace)
            self.clock.time_ms = int(opens[t]) + interval
            yield raw_bar(self._history, t)


def _row_of(history: Bars, start: str) -> int:
    try:
        start_ms = parse_utc(str(start))
    except ValueError as error:
        raise ConfigError(
            "execution.feed.start as an ISO 8601 time", found=repr(start), fix="write it like 2025-03-16"
        ) from error
    row = int(history.open_time_ms.searchsorted(start_ms))
    if row >= history.n_bars:
        raise ConfigError("execution.feed.start inside the history", found=repr(start), fix="choose an earlier one")
    return row
