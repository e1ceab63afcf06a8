"""The polled feed: bars that are asked for as they close."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from quantlab.core.checks import check_whole
from quantlab.core.clock import SystemClock
from quantlab.core.errors import QuantlabError
from quantlab.core.events import RawBar
from quantlab.core.ports import BarFetcher, Clock
from quantlab.execution.feeds.replay import Sleep

_log = logging.getLogger(__name__)

#: Marks the symbols that were no members of the universe when a bar opened.
MarkMembers = Callable[[RawBar], RawBar]


class PolledFeed:
    """Asks for every bar when it has closed, and again until it has come.

    Parameters
    ----------
    source : BarFetcher
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
        source: BarFetcher,
        *,
        interval_ms: int,
        delay_ms: int,
        retry_ms: int,
        most_bars: int,
        mark: MarkMembers | None = None,
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
            found = self._request(last + self._interval, end)
            for raw in found:
                # The gate refuses a bar off the grid; the next request must lie on the grid all the same.
                last = max(last, raw.open_time_ms // self._interval * self._interval)
                yield raw if self._mark is None else self._mark(raw)
            if not found:
                self._sleep(self._retry / 1000)
                yield None

    def _newest_closed(self) -> int:
        return (self.clock.now_ms() // self._interval - 1) * self._interval

    def _request(self, start_ms: int, end_ms: int) -> list[RawBar]:
        try:
            return sorted(self._source.fetch(start_ms, end_ms), key=lambda raw: raw.open_time_ms)
        except QuantlabError as error:
            _log.warning("the feed asks again: %s", error)
            kind = type(error).__name__
            self.failures[kind] = self.failures.get(kind, 0) + 1
            return []
