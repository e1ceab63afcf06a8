"""Time as a value that is handed in, never read from the machine in passing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

#: Milliseconds of a day.
MS_PER_DAY = 86_400_000


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
