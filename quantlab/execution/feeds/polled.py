"""The polled feed: bars that are asked for as they close.

It goes on whether or not bars come:

1. The venue is asked for the bars after the last one, at most `most_bars` at once, again and again until they come.
2. A request that failed says nothing about the bars: it is repeated for ever.
3. An answer without any bar is repeated too, until all that was asked for closed longer than `skip_after_ms` ago by
   the venue's clock. Such bars will not come any more (an outage, or a venue that keeps the newest few thousand only):
   they are moved over, logged and counted, and the session's gate takes them as missing when a later bar arrives.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from quantlab.core.checks import check_whole
from quantlab.core.clock import ClockOffset, SystemClock, floor_to_open, iso_utc
from quantlab.core.errors import QuantlabError
from quantlab.core.events import RawBar
from quantlab.core.ports import BarFetcher, Clock, HasVenueTime
from quantlab.execution.feeds.replay import Sleep
from quantlab.execution.feeds.venue_clock import VenueClock, measure_offset

_log = logging.getLogger(__name__)

#: Marks the symbols that were no members of the universe when a bar opened.
MarkMembers = Callable[[RawBar], RawBar]


class PolledFeed:
    """Asks for every bar when it has closed, and again until it has come.

    Parameters
    ----------
    source : BarFetcher
        Where it is a :class:`~quantlab.core.ports.HasVenueTime`, :meth:`measure_clock` lets :attr:`clock` follow the
        venue's.
    interval_ms : int
    delay_ms : int
        How long after a close the venue is first asked.
    retry_ms : int
        How long to wait after an answer without the bar.
    most_bars : int
        Bars asked for at once when catching up.
    skip_after_ms : int
        Age of a close beyond which a bar that the venue does not have will not come any more.
    mark : callable, optional
        Marks who was no member of the universe when a bar opened.
    clock : Clock
        The machine's.
    sleep : callable, optional
        What waits; it must return early when the session is to stop.
    """

    begins_ms: int | None = None

    def __init__(
        self,
        source: BarFetcher,
        *,
        interval_ms: int,
        delay_ms: int,
        retry_ms: int,
        most_bars: int,
        skip_after_ms: int,
        mark: MarkMembers | None = None,
        clock: Clock | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        bounds = {"delay_ms": delay_ms, "retry_ms": retry_ms, "most_bars": most_bars, "skip_after_ms": skip_after_ms}
        for name, value in bounds.items():
            check_whole(f"execution.feed.{name}", value, low=1)
        self._source, self._interval, self._skip_after = source, interval_ms, skip_after_ms
        self._delay, self._retry, self._most = delay_ms, retry_ms, most_bars
        self.clock = VenueClock(clock or SystemClock())
        self._sleep, self._mark = sleep, mark
        #: Answers that were errors, by kind.
        self.failures: dict[str, int] = {}
        #: Bars that were moved over.
        self.skipped = 0

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """Closed bars as they come; None after every answer that brought nothing new.

        The source's connection lives as long as this iterator: it is closed with it.
        """
        try:
            yield from self._poll(self._newest_due() if after_ms is None else after_ms)
        finally:
            self._source.close()

    def measure_clock(self) -> ClockOffset | None:
        """Measure the lead of the venue's clock and let :attr:`clock` follow it; None where the venue shows none.

        Raises
        ------
        DataError
            If it cannot be measured.
        """
        if not isinstance(self._source, HasVenueTime):
            return None
        offset = measure_offset(self._source.venue_ms, self.clock.machine)
        if offset is not None:
            self.clock.offset_ms = round(offset.ahead_ms)
        return offset

    def _poll(self, last: int) -> Iterator[RawBar | None]:
        while True:
            newest = self._newest_due()
            if newest <= last:
                wait = last + 2 * self._interval + self._delay - self.clock.now_ms()
                # Never longer than a bar: a clock that was set back must not hold up the session.
                self._sleep(min(max(wait, 1), self._interval + self._delay) / 1000)
                yield None
                continue
            start = last + self._interval
            end = min(last + self._most * self._interval, newest) + self._interval
            found = self._request(start, end)
            for raw in found or ():
                # The gate refuses a bar off the grid or far ahead; the next request must lie on the grid all the same.
                place = floor_to_open(raw.open_time_ms, self._interval)
                last = max(last, place) if place < end else last
                yield raw if self._mark is None else self._mark(raw)
            if found == [] and self._has_passed(end):
                last = self._skip(start, end)
                yield None
            elif last < start:
                self._sleep(self._retry / 1000)
                yield None

    def _newest_due(self) -> int:
        """Open of the newest bar that closed at least `delay_ms` ago, more than a measurement of the clock may be wrong."""
        return floor_to_open(self.clock.now_ms() - self._delay, self._interval) - self._interval

    def _request(self, start_ms: int, end_ms: int) -> list[RawBar] | None:
        """The bars of a span, oldest first; None where there was no answer."""
        try:
            return sorted(self._source.fetch(start_ms, end_ms), key=lambda raw: raw.open_time_ms)
        except QuantlabError as error:
            self._count_failure(error)
            return None

    def _has_passed(self, end_ms: int) -> bool:
        """True if every bar that opens before `end_ms` closed long ago, by the venue's clock as it is now."""
        if end_ms + self._skip_after > self.clock.now_ms():
            return False
        # The machine's clock may have been set since the last measurement, and what is skipped does not come back.
        try:
            venue_ms = self._source.venue_ms() if isinstance(self._source, HasVenueTime) else None
        except QuantlabError as error:
            self._count_failure(error)
            return False
        return venue_ms is None or end_ms + self._skip_after <= venue_ms

    def _skip(self, start_ms: int, end_ms: int) -> int:
        """Count the bars of a span as skipped; returns the open of the last of them."""
        count = (end_ms - start_ms) // self._interval
        self.skipped += count
        _log.warning(
            "the venue has none of the %d bars from %s to %s: moved over", count, iso_utc(start_ms), iso_utc(end_ms)
        )
        return end_ms - self._interval

    def _count_failure(self, error: QuantlabError) -> None:
        _log.warning("the feed asks again: %s", error)
        kind = type(error).__name__
        self.failures[kind] = self.failures.get(kind, 0) + 1
