"""The venue's clock beside a session: bars are judged by it, so it is measured, journalled and alerted.

1. The feed's clock follows the venue's from each measurement on: what has closed, the age of a bar and the time until
   the next one are then the venue's, however wrong this machine's clock is.
2. It is measured when a session begins to run, once in `clock_every_ms`, and at once where this machine's clock was
   set: the time that it shows has then passed at another rate than its counter, which nobody can set, or it slept.
3. Every measurement is journalled, so that `job=status` tells the age of a bar by the same clock. Decisions depend on
   it through the halt ``feed`` alone, which each bar's facts hold: a restart repeats bars by those facts.
4. A feed that is no :class:`~quantlab.core.ports.HasVenueClock`, or whose venue shows no clock, is left to its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantlab.core.clock import ClockOffset
from quantlab.core.errors import QuantlabError
from quantlab.core.events import Event
from quantlab.core.ports import BarFeed, HasVenueClock

#: Kinds of journal entries: one measurement, and a clock that could not be read; alerts are of the same kinds.
OFFSET, UNREAD = "clock_offset", "clock_unread"


@dataclass(frozen=True)
class ClockReading:
    """One look at the venue's clock.

    Parameters
    ----------
    event : Event
        For the journal.
    message : str or None
        Of the alert; None = nothing to alert.
    """

    event: Event
    message: str | None


class ClockWatch:
    """The watch of one session over its feed's clock.

    Parameters
    ----------
    feed : BarFeed
    every_ms : int
        Time between two measurements.
    limit_ms : float
        Offset beyond which an alert is sent.
    counter_seconds : callable
        A counter that no setting of the clock changes (``time.monotonic``).
    """

    def __init__(self, feed: BarFeed, every_ms: int, limit_ms: float, counter_seconds: Callable[[], float]) -> None:
        self._feed, self._every, self._limit, self._counter = feed, every_ms, limit_ms, counter_seconds
        self._source = feed if isinstance(feed, HasVenueClock) else None
        self._measured_at: tuple[float, int] | None = None  # the counter in ms, and the feed's clock
        self._far = self._unread = False

    def reading(self) -> ClockReading | None:
        """Measure the clock if that is due; None where it is not, or nothing new is to be said."""
        if self._source is None or not self._is_due():
            return None
        try:
            offset = self._source.measure_clock()
        except QuantlabError as error:
            return self._failed(error)
        if offset is None:  # the venue shows no clock, and will not begin to
            self._source = None
            return None
        self._measured_at, self._unread = (self._counter() * 1000, self._feed.clock.now_ms()), False
        return self._measured(offset)

    def _is_due(self) -> bool:
        if self._measured_at is None:
            return True
        counted = self._counter() * 1000 - self._measured_at[0]
        shown = self._feed.clock.now_ms() - self._measured_at[1]
        return counted >= self._every or shown >= self._every or abs(shown - counted) > self._limit

    def _measured(self, offset: ClockOffset) -> ClockReading:
        facts = {
            "ahead_ms": offset.ahead_ms,
            "uncertain_ms": offset.uncertain_ms,
            "limit_ms": self._limit,
            "at_ms": self._feed.clock.now_ms(),
        }
        was_far, self._far = self._far, offset.exceeds(self._limit)
        message = (
            f"the venue's clock is {offset.ahead_ms:+,.0f} ms ahead of this machine's, give or take "
            f"{offset.uncertain_ms:,.0f} ms: bars are judged by the venue's; set this machine's"
        )
        return ClockReading(Event(OFFSET, facts), message if self._far and not was_far else None)

    def _failed(self, error: QuantlabError) -> ClockReading | None:
        """Report the first of several failures in a row; the next attempt follows with the next bar or answer."""
        self._measured_at = None
        if self._unread:
            return None
        self._unread = True
        message = f"the venue's clock could not be read, bars are judged by the last known offset: {error}"
        return ClockReading(Event(UNREAD, {"error": str(error), "at_ms": self._feed.clock.now_ms()}), message)
