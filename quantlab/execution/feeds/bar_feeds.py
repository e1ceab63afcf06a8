"""Feeds: bars that are replayed as if they happened now, and bars that are asked for as they close."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import FakeClock, SystemClock, parse_utc
from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.events import RawBar
from quantlab.core.market import Bars, BarState, Funding
from quantlab.core.ports import Clock

_log = logging.getLogger(__name__)

#: Says who was no member of the universe when a bar opened.
Mark = Callable[[RawBar], RawBar]
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
    return RawBar(open_ms, ohlcv, due_in(bars.funding, open_ms - bars.interval_ms, open_ms), left_out)


def due_in(funding: Funding, after_ms: int, until_ms: int) -> Funding:
    """The rates with stamps in ``(after_ms, until_ms]``, in arrays of their own."""
    due = slice(*(int(funding.time_ms.searchsorted(x, "right")) for x in (after_ms, until_ms)))
    return Funding(funding.time_ms[due].copy(), funding.rate[due].copy())


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


class BarSource(Protocol):
    """Where a polled feed asks for closed bars."""

    def fetch(self, start_ms: int, end_ms: int) -> list[RawBar]:
        """The bars with ``start_ms <= open < end_ms`` that the venue has, in any order.

        Raises
        ------
        DataError
            If the answer cannot be had or understood; the feed asks again.
        """
        ...

    def close(self) -> None:
        """End whatever connection there is; a later question may open another one."""
        ...


class PolledFeed:
    """Asks for every bar when it has closed, and again until it has come.

    Parameters
    ----------
    source : BarSource
    interval_ms : int
    delay_ms : int
        How long after a close the venue is first asked.
    retry_ms : int
        How long to wait after an answer without the bar.
    most_bars : int
        Bars asked for at once when catching up.
    mark : callable, optional
        Marks who was no member of the universe when a bar opened.
    clock : Clock
    sleep : callable, optional
        What waits; it must return early when the session is to stop.
    """

    begins_ms: int | None = None

    def __init__(
        self,
        source: BarSource,
        *,
        interval_ms: int,
        delay_ms: int,
        retry_ms: int,
        most_bars: int,
        mark: Mark | None = None,
        clock: Clock | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        for name, value in {"delay_ms": delay_ms, "retry_ms": retry_ms, "most_bars": most_bars}.items():
            check_whole(f"execution.feed.{name}", value, low=1)
        self._source, self._interval = source, interval_ms
        self._delay, self._retry, self._most = delay_ms, retry_ms, most_bars
        self.clock: Clock = clock or SystemClock()
        self._sleep, self._mark = sleep, mark
        #: Answers that were errors, by kind.
        self.failures: dict[str, int] = {}

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """Closed bars as they come; None after every answer that brought nothing new.

        The source's connection lives as long as this iterator: it is closed with it.
        """
        try:
            yield from self._poll(self._newest_closed() if after_ms is None else after_ms)
        finally:
            self._source.close()

    def _poll(self, last: int) -> Iterator[RawBar | None]:
        while True:
            wait = last + 2 * self._interval + self._delay - self.clock.now_ms()
            if wait > 0:
                self._sleep(wait / 1000)
                yield None
                continue
            end = min(last + (self._most + 1) * self._interval, self._newest_closed() + self._interval)
            found = self._ask(last + self._interval, end)
            for raw in found:
                # Off the grid it is refused behind this; what is asked for next must lie on it.
                last = max(last, raw.open_time_ms // self._interval * self._interval)
                yield raw if self._mark is None else self._mark(raw)
            if not found:
                self._sleep(self._retry / 1000)
                yield None

    def _newest_closed(self) -> int:
        return (self.clock.now_ms() // self._interval - 1) * self._interval

    def _ask(self, start_ms: int, end_ms: int) -> list[RawBar]:
        try:
            return sorted(self._source.fetch(start_ms, end_ms), key=lambda raw: raw.open_time_ms)
        except QuantlabError as error:
            _log.warning("the feed asks again: %s", error)
            kind = type(error).__name__
            self.failures[kind] = self.failures.get(kind, 0) + 1
            return []
