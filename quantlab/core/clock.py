"""Time as a value that is handed in, never read from the machine in passing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Time = TypeVar("Time", int, NDArray[np.int64])

#: Milliseconds of a day, and of a week.
MS_PER_DAY = 86_400_000
MS_PER_WEEK = 7 * MS_PER_DAY
#: The first Monday since 1970, which began on a Thursday.
_FIRST_MONDAY_MS = 4 * MS_PER_DAY


@dataclass(frozen=True)
class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        return time.time_ns() // 1_000_000


@dataclass
class FakeClock:
    """A :class:`~quantlab.core.ports.Clock` that stands still until :meth:`advance` moves it; for tests and replays."""

    time_ms: int = 0

    def now_ms(self) -> int:
        return self.time_ms

    def advance(self, ms: int) -> None:
        """Move forward by `ms` >= 0 milliseconds."""
        if ms < 0:
            raise ValueError(f"a clock moves forward only, got {ms} ms")
        self.time_ms += ms


@dataclass(frozen=True)
class ClockOffset:
    """The lead of a venue's clock over this machine's.

    Parameters
    ----------
    ahead_ms : float
        Positive if the venue's clock is ahead.
    uncertain_ms : float
        Largest error of that measurement, >= 0: half the time between question and answer.
    """

    ahead_ms: float
    uncertain_ms: float

    def exceeds(self, limit_ms: float) -> bool:
        """True if the clocks lie further apart than `limit_ms`, whatever the measurement's error.

        Examples
        --------
        >>> ClockOffset(-1_600.0, 50.0).exceeds(1_500.0), ClockOffset(-1_600.0, 200.0).exceeds(1_500.0)
        (True, False)
        """
        return abs(self.ahead_ms) - self.uncertain_ms > limit_ms


def past_open(time_ms: Time, interval_ms: int) -> Time:
    """Time since the open of the bar that an instant lies in, ms; 0 at an open.

    Bars open at multiples of their interval since 1970, and weekly bars on Mondays.

    Parameters
    ----------
    time_ms : int or int64 array
    interval_ms : int

    Examples
    --------
    >>> past_open(parse_utc("2025-01-06"), MS_PER_WEEK), past_open(parse_utc("2025-01-06T00:07"), 300_000)
    (0, 120000)
    """
    return (time_ms - (_FIRST_MONDAY_MS if interval_ms == MS_PER_WEEK else 0)) % interval_ms


def floor_to_open(time_ms: int, interval_ms: int) -> int:
    """The last open at or before an instant, ms."""
    return time_ms - past_open(time_ms, interval_ms)


def ceil_to_open(time_ms: int, interval_ms: int) -> int:
    """The first open at or after an instant, ms.

    Examples
    --------
    >>> iso_utc(floor_to_open(parse_utc("2025-01-09"), MS_PER_WEEK)), iso_utc(ceil_to_open(1, 300_000))
    ('2025-01-06T00:00:00Z', '1970-01-01T00:05:00Z')
    """
    past = past_open(time_ms, interval_ms)
    return time_ms + interval_ms - past if past else time_ms


def iso_exact(time_ms: int) -> str:
    """ISO 8601 text, with milliseconds where there are any.

    Examples
    --------
    >>> iso_exact(1_742_083_200_000), iso_exact(1_742_083_200_001)
    ('2025-03-16T00:00:00Z', '2025-03-16T00:00:00.001Z')
    """
    text = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{time_ms % 1000:03d}Z" if time_ms % 1000 else f"{text}Z"


def iso_utc(time_ms: int) -> str:
    """ISO 8601 text, in whole seconds.

    Examples
    --------
    >>> iso_utc(1_742_083_200_000)
    '2025-03-16T00:00:00Z'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 date or time; without a zone it is UTC.

    Raises
    ------
    ValueError
        If `text` is not ISO 8601.

    Examples
    --------
    >>> parse_utc("2025-03-16")
    1742083200000
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
